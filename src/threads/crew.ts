/** The workers of a pool, which live and end together: a lead that takes calls, and its helpers. */
import { fail } from "../core/errors.js";
import type { Room } from "../core/instance.js";
import type { SharedKernels } from "./memory.js";
import type { MethodName } from "./methods.js";
import { type Answer, Ledger, type Start } from "./protocol.js";
import { newLock, spawn, type Worker } from "./spawn.js";
import { dismiss, TEAM_BYTES } from "./team.js";

/** Where in shared memory crews have their things, one after the other. */
export interface Quarters {
  /** The queue of the team, then the ledger of all of them; cleared at first. */
  readonly queue: number;
  /** Scratch, of which each thread has its own. */
  readonly scratch: readonly number[];
  /** What the lead allocates from. */
  readonly rooms: readonly Room[];
}

/** Bytes of the queue and the ledger. */
export const QUEUE_BYTES = TEAM_BYTES + Ledger.BYTES;

/** The rooms that leads have added to their own. */
export function addedRooms({ memory }: SharedKernels, { queue }: Quarters): Room[] {
  return new Ledger(memory.buffer, queue + TEAM_BYTES).rooms;
}

interface Pending {
  method: MethodName;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

const ERRORS: Record<string, ErrorConstructor> = { RangeError, TypeError };

export class Crew {
  readonly #memory: WebAssembly.Memory;
  readonly #queue: number;
  readonly #workers: Worker[] = [];
  /** Which of the workers have died. */
  readonly #lost = new Set<number>();
  readonly #pending = new Map<number, Pending>();
  /** Of each worker that is not ready yet. */
  readonly #starting = new Set<(error: Error) => void>();
  readonly #onEnd: () => void;
  #calls = 0;
  #end: Promise<void> | undefined;

  private constructor(memory: WebAssembly.Memory, queue: number, onEnd: () => void) {
    this.#memory = memory;
    this.#queue = queue;
    this.#onEnd = onEnd;
  }

  /**
   * Resolves to a crew that is ready for calls. Work on fewer than `least` elements is not shared out. `onEnd` is called
   * when the crew has ended, for whatever reason.
   */
  static async start(shared: SharedKernels, quarters: Quarters, least: number, onEnd: () => void): Promise<Crew> {
    const crew = new Crew(shared.memory, quarters.queue, onEnd);
    new Uint8Array(shared.memory.buffer, quarters.queue, TEAM_BYTES).fill(0);
    const rooms = [...quarters.rooms, ...addedRooms(shared, quarters)];
    try {
      await Promise.all(quarters.scratch.map((_, i) => crew.#enlist(shared, { ...quarters, rooms }, least, i)));
      if (crew.#end !== undefined) throw new Error("createPool: a worker of the pool was lost as it started");
    } catch (error) {
      await crew.end();
      throw error;
    }
    for (const worker of crew.#workers) worker.hold(false);
    return crew;
  }

  /** Has the lead run a method. */
  call(method: MethodName, args: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#calls++;
      const [lead] = this.#workers;
      try {
        lead.post({ id, method, args });
      } catch (error) {
        // What cannot be cloned.
        fail(method, `an argument cannot go to a worker: ${(error as Error).message}`);
      }
      this.#pending.set(id, { method, resolve, reject });
      lead.hold(true);
    });
  }

  /** Ends the workers, then rejects what they were at. */
  end(reason = "the pool was closed"): Promise<void> {
    this.#end ??= this.#endWorkers(reason);
    return this.#end;
  }

  async #enlist({ module, memory }: SharedKernels, quarters: Quarters, least: number, index: number): Promise<void> {
    const { queue, scratch, rooms } = quarters;
    const lead = index === 0 ? { rooms, ledger: queue + TEAM_BYTES, least } : undefined;
    const lock = newLock();
    const start: Start = { module, memory, threads: scratch.length, queue, scratch: scratch[index], lock, lead };
    let ready = () => {};
    const worker = await spawn(lock, {
      answered: (answer) => ("ready" in answer ? ready() : this.#settle(answer)),
      died: (reason) => {
        this.#lost.add(index);
        void this.end(reason);
      },
    });
    if (this.#end !== undefined) return worker.end();
    this.#workers[index] = worker;
    await new Promise<void>((resolve, reject) => {
      ready = () => {
        this.#starting.delete(reject);
        resolve();
      };
      this.#starting.add(reject);
      worker.post(start);
    });
  }

  #settle(answer: Exclude<Answer, { ready: unknown }>): void {
    // Whoever is dismissed from a call has no result.
    if (this.#end !== undefined) return;
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (this.#pending.size === 0) this.#workers[0].hold(false);
    if ("result" in answer) pending?.resolve(answer.result);
    else pending?.reject(new (ERRORS[answer.name] ?? Error)(answer.message));
  }

  async #endWorkers(reason: string): Promise<void> {
    const helpers = this.#workers.filter((_, index) => index > 0 && !this.#lost.has(index));
    await dismiss(this.#memory, this.#queue, helpers.length);
    await Promise.all(this.#workers.map((worker) => worker.end()));
    this.#onEnd();
    const lost = `a worker of the pool was lost (${reason})`;
    for (const reject of this.#starting) reject(new Error(`createPool: ${lost}`));
    for (const { method, reject } of this.#pending.values()) {
      reject(new Error(`${method}: ${lost}; the pool replaces it, call again`));
    }
    this.#pending.clear();
  }
}
