/** Workers, alike in browsers, Deno, Bun and Node. */
import type { Answer, Call, Start } from "./protocol.js";
import { workerScript } from "./worker.generated.js";

export interface Worker {
  post(message: Start | Call): void;
  /** Whether the worker keeps the process alive, where there is one. */
  hold(isBusy: boolean): void;
  /** Resolves when it has ended. */
  end(): Promise<void>;
}

/** What becomes of a worker. */
export interface Listener {
  answered(answer: Answer): void;
  /** It will answer no more. */
  died(reason: string): void;
}

/**
 * A name for a worker to lock, where that is how its end is known: browsers tell nothing when they end a worker, but then
 * its lock is for the next who asks. Node tells, and Deno and Bun end none.
 */
export function newLock(): string | undefined {
  const hasLocks = typeof globalThis.Worker === "function" && globalThis.navigator?.locks !== undefined;
  return hasLocks ? `evenkeel ${crypto.randomUUID()}` : undefined;
}

/** A worker, running the script that the package carries. */
export async function spawn(lock: string | undefined, listener: Listener): Promise<Worker> {
  return typeof globalThis.Worker === "function" ? spawnWeb(lock, listener) : spawnNode(listener);
}

/** A module of Node, by name. No bundler sees an import here, which it would look for; old versions know no other way. */
export async function nodeModule<Module>(name: string): Promise<Module> {
  const specifier = `node:${name}`;
  const found = process.getBuiltinModule?.(specifier) ?? new Function("name", "return import(name)")(specifier);
  return found as Module;
}

function spawnWeb(lock: string | undefined, { answered, died }: Listener): Worker {
  const url = URL.createObjectURL(new Blob([workerScript], { type: "text/javascript" }));
  const worker = new globalThis.Worker(url, { type: "module" });
  const isAlive = ({ data }: MessageEvent<Answer>) => {
    // The script has been read.
    URL.revokeObjectURL(url);
    worker.removeEventListener("message", isAlive);
    if (lock === undefined || !("isLocked" in data && data.isLocked)) return;
    navigator.locks.request(lock, () => died("the browser ended it")).catch(() => {});
  };
  worker.addEventListener("message", isAlive);
  worker.addEventListener("message", ({ data }) => answered(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    died(event.message ?? "its script could not be loaded");
  });
  worker.addEventListener("messageerror", () => died("a message could not be read"));
  const { ref, unref } = worker as { ref?(): void; unref?(): void };
  return {
    post: (message) => worker.postMessage(message),
    hold: (isBusy) => (isBusy ? ref : unref)?.call(worker),
    end: async () => worker.terminate(),
  };
}

async function spawnNode({ answered, died }: Listener): Promise<Worker> {
  const { Worker } = await nodeModule<typeof import("node:worker_threads")>("worker_threads");
  const worker = new Worker(workerScript, { eval: true, execArgv: [], name: "evenkeel" });
  worker.on("message", answered);
  worker.on("messageerror", () => died("a message could not be read"));
  worker.on("error", (error) => died(String((error as Error)?.message ?? error)));
  worker.on("exit", (code) => died(`it ended with code ${code}`));
  return {
    post: (message) => worker.postMessage(message),
    hold: (isBusy) => (isBusy ? worker.ref() : worker.unref()),
    end: async () => {
      await worker.terminate();
    },
  };
}
