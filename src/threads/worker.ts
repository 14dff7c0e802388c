/**
 * The script of the workers, which the build puts into worker.generated.ts. The first of a pool is its lead: it takes the
 * calls, runs the methods as they are, on kernels that share out their work, and answers. The others help it, and return
 * when they are dismissed.
 */
import { adoptInstance } from "../core/instance.js";
import type { Kernels } from "../core/kernels.generated.js";
import { renewViews } from "../core/memory.js";
import { setStageBytes } from "../core/stream.js";
import { methods } from "./methods.js";
import { type Answer, type Call, Ledger, type Start } from "./protocol.js";
import { splitKernels } from "./split.js";
import { Team } from "./team.js";
import { openArguments, packResult } from "./wire.js";

interface Port {
  postMessage(message: Answer, transfer?: ArrayBuffer[]): void;
}

const PAGE = 65536;

/** The memory, as far as `core/memory` uses it; what it grows by is noted. */
function noting(memory: WebAssembly.Memory, ledger: Ledger): WebAssembly.Memory {
  const grow = (pages: number) => {
    if (ledger.isFull) throw new RangeError("the memory was grown too often");
    const before = memory.grow(pages);
    ledger.add({ start: before * PAGE, end: (before + pages) * PAGE });
    return before;
  };
  return {
    grow,
    get buffer() {
      return memory.buffer;
    },
  } as WebAssembly.Memory;
}

function answer(port: Port, { id, method, args }: Call): void {
  // The caller may have grown the memory.
  renewViews();
  try {
    const opened = openArguments(args);
    const made = (methods[method] as (...args: unknown[]) => unknown)(...opened.args);
    const { result, buffers } = packResult(made, opened.tensors);
    port.postMessage({ id, result }, buffers);
  } catch (error) {
    // Others may still be at work on what the call left behind: the pool replaces them all.
    if (!(error instanceof Error) || error instanceof WebAssembly.RuntimeError) throw error;
    port.postMessage({ id, name: error.name, message: error.message });
  }
}

function start(port: Port, { module, memory, threads, queue, scratch, lead }: Start, isLocked: boolean): void {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = exports as unknown as Kernels;
  const team = new Team(kernels, memory, threads, queue, scratch);
  port.postMessage({ ready: true, isLocked });
  if (lead === undefined) team.serve();
  else {
    const noted = noting(memory, new Ledger(memory.buffer, lead.ledger));
    adoptInstance(threads > 1 ? splitKernels(kernels, team, lead.least) : kernels, noted, lead.rooms);
    // Results go to the heap in one piece, so that the kernels have the whole work to share out.
    setStageBytes(2 ** 30);
  }
}

/** Locks a name until the worker ends, then goes on, and says whether it is locked. */
function lockForLife(name: string, goOn: (isLocked: boolean) => void): void {
  // Not from within the lock's own promises, where errors would be lost.
  const soon = (isLocked: boolean) => setTimeout(goOn, 0, isLocked);
  const hold = () => {
    soon(true);
    return new Promise(() => {});
  };
  // Pages without an origin are refused.
  navigator.locks.request(name, hold).catch(() => soon(false));
}

function receive(port: Port, message: Start | Call): void {
  if (!("module" in message)) answer(port, message);
  else if (message.lock === undefined) start(port, message, false);
  else lockForLife(message.lock, (isLocked) => start(port, message, isLocked));
}

if (typeof postMessage === "function") {
  addEventListener("message", (event) => receive(globalThis as unknown as Port, event.data));
} else {
  // In Node the script is CommonJS.
  const port = require("node:worker_threads").parentPort;
  port.on("message", (message: Start | Call) => receive(port, message));
}
