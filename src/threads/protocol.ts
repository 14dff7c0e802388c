/** What a pool and its workers tell each other. */
import type { Room } from "../core/instance.js";
import type { MethodName } from "./methods.js";

/** Sent to a worker first. */
export interface Start {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  threads: number;
  /** Addresses of the team's queue, and of scratch of this thread's own. */
  queue: number;
  scratch: number;
  /** A name to be locked for as long as the worker lives. */
  lock: string | undefined;
  /** For the lead only. */
  lead?: {
    rooms: readonly Room[];
    /** Where the rooms that it adds by growth are noted. */
    ledger: number;
    /** Elements from which on work is shared out. */
    least: number;
  };
}

/** Sent to the lead. */
export interface Call {
  id: number;
  method: MethodName;
  args: unknown;
}

/** Sent by a worker: that it is ready, and may hold its lock; or what came of a call. */
export type Answer =
  | { ready: true; isLocked: boolean }
  | { id: number; result: unknown }
  | { id: number; name: string; message: string };

/** Rooms that a ledger has place for: growth is by 64 MB at the least, but near 4 GB. */
const MOST_ROOMS = 128;

/**
 * The rooms that the lead has added to its own by growing the memory, noted where they outlast it: how many, then the start
 * and end of each.
 */
export class Ledger {
  static readonly BYTES = 8 * (1 + 2 * MOST_ROOMS);
  readonly #notes: Float64Array;

  constructor(buffer: ArrayBufferLike, at: number) {
    this.#notes = new Float64Array(buffer, at, Ledger.BYTES / 8);
  }

  get rooms(): Room[] {
    const [count, ...ends] = this.#notes;
    return Array.from({ length: count }, (_, i) => ({ start: ends[2 * i], end: ends[2 * i + 1] }));
  }

  get isFull(): boolean {
    return this.#notes[0] === MOST_ROOMS;
  }

  add({ start, end }: Room): void {
    this.#notes.set([start, end], 1 + 2 * this.#notes[0]);
    this.#notes[0]++;
  }
}
