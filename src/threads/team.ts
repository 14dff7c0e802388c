/**
 * Threads that share out calls of kernels: a queue in shared memory, which the lead fills and everybody empties.
 *
 * Three counters only ever grow (and wrap): LIMIT, the jobs published; TICKET, those taken; DONE, those finished. A job is
 * taken by raising TICKET, so a thread that wakes late finds either a job or nothing; the lead takes jobs as well, and
 * goes on when DONE has reached LIMIT. Threads park in Atomics.wait, in JavaScript: waiting inside a module is
 * miscompiled in loops by some engines.
 *
 * At the end the helpers leave by themselves: LEAVING is set, LIMIT and DONE change once more, which wakes everybody, and
 * LEFT counts who has gone. Not every engine ends a worker that is parked (Deno waits for it for ever), and after
 * terminate() nothing says when a worker has stopped writing to the memory that the next crew is to have.
 */
import type { Kernels } from "../core/kernels.generated.js";

export type KernelName = keyof Kernels;

/** Stands for scratch among arguments: each thread puts its own there. No address is negative. */
export const SCRATCH = -1;

/** Calls of a kernel. */
export interface Job {
  readonly name: KernelName;
  /** `SCRATCH` only as the last one. */
  readonly args: readonly number[];
  /** How many calls; default 1. */
  readonly times?: number;
  /** What is added to the first arguments from each call to the next. */
  readonly steps?: readonly number[];
}

const LIMIT = 0;
const TICKET = 1;
const DONE = 2;
const LEAVING = 3;
const LEFT = 4;
const COUNTER_BYTES = 64;

/** Jobs that fit the queue; a power of two. */
const SLOTS = 128;
const MOST_ARGS = 20;
/** f64 values of a job: kernel, calls, number of arguments, number of steps, arguments, steps. */
const HEAD = 4;
const SLOT = HEAD + 2 * MOST_ARGS;

/** Looks at a counter before a thread parks: about as long as parking and waking take, so little is lost either way. */
const SPINS = 20000;

/** Milliseconds in which helpers leave, unless they have died without a word. */
const PATIENCE = 1000;

/** Bytes of the queue. */
export const TEAM_BYTES = COUNTER_BYTES + SLOTS * SLOT * 8;

/** Has everybody leave a team; resolves when so many helpers have. */
export async function dismiss(memory: WebAssembly.Memory, queue: number, helpers: number): Promise<void> {
  const counters = new Int32Array(memory.buffer, queue, COUNTER_BYTES / 4);
  Atomics.store(counters, LEAVING, 1);
  for (const counter of [LIMIT, DONE]) {
    Atomics.add(counters, counter, 1);
    Atomics.notify(counters, counter);
  }
  const end = Date.now() + PATIENCE;
  while (Atomics.load(counters, LEFT) < helpers && Date.now() < end) await new Promise((done) => setTimeout(done, 1));
}

export class Team {
  readonly threads: number;
  readonly #kernels: Kernels;
  readonly #names: KernelName[];
  readonly #counters: Int32Array;
  readonly #slots: Float64Array;
  readonly #scratch: number;

  /** `scratch` is the address of this thread's own, enough for every kernel that takes some. */
  constructor(kernels: Kernels, memory: WebAssembly.Memory, threads: number, queue: number, scratch: number) {
    const { buffer } = memory;
    this.threads = threads;
    this.#kernels = kernels;
    // The order of a module's exports is the same in every instance of it.
    this.#names = Object.keys(kernels) as KernelName[];
    this.#counters = new Int32Array(buffer, queue, COUNTER_BYTES / 4);
    this.#slots = new Float64Array(buffer, queue + COUNTER_BYTES, SLOTS * SLOT);
    this.#scratch = scratch;
  }

  /** Has all jobs done, in any order; returns when they are. Only the lead calls this. */
  run(jobs: readonly Job[]): void {
    for (let from = 0; from < jobs.length; from += SLOTS) this.#publish(jobs.slice(from, from + SLOTS));
  }

  /** Works for the lead until the team is dismissed. */
  serve(): void {
    while (!this.#isLeaving) {
      const limit = Atomics.load(this.#counters, LIMIT);
      this.#work();
      if (!this.#isLeaving) this.#await(LIMIT, limit);
    }
    Atomics.add(this.#counters, LEFT, 1);
  }

  /** To be asked after LIMIT or DONE was read: who reads the last change of these knows. */
  get #isLeaving(): boolean {
    return Atomics.load(this.#counters, LEAVING) !== 0;
  }

  /** Returns when a counter is no longer `value`, or maybe before. */
  #await(counter: number, value: number): void {
    for (let spins = 0; spins < SPINS; spins++) if (Atomics.load(this.#counters, counter) !== value) return;
    Atomics.wait(this.#counters, counter, value);
  }

  #publish(jobs: readonly Job[]): void {
    const counters = this.#counters;
    const first = Atomics.load(counters, LIMIT);
    for (const [i, job] of jobs.entries()) this.#write(first + i, job);
    const limit = (first + jobs.length) | 0;
    Atomics.store(counters, LIMIT, limit);
    Atomics.notify(counters, LIMIT);
    this.#work();
    for (let done = Atomics.load(counters, DONE); done !== limit; done = Atomics.load(counters, DONE)) {
      if (this.#isLeaving) break;
      this.#await(DONE, done);
    }
    if (this.#isLeaving) throw new Error("the team was dismissed");
  }

  /** Takes jobs until there are none. */
  #work(): void {
    const counters = this.#counters;
    for (;;) {
      const ticket = Atomics.load(counters, TICKET);
      if (ticket === Atomics.load(counters, LIMIT) || this.#isLeaving) return;
      if (Atomics.compareExchange(counters, TICKET, ticket, (ticket + 1) | 0) !== ticket) continue;
      this.#execute(ticket);
      Atomics.add(counters, DONE, 1);
      Atomics.notify(counters, DONE);
    }
  }

  #write(ticket: number, { name, args, times = 1, steps = [] }: Job): void {
    const at = (ticket & (SLOTS - 1)) * SLOT;
    this.#slots.set([this.#names.indexOf(name), times, args.length, steps.length, ...args, ...steps], at);
  }

  #execute(ticket: number): void {
    const at = (ticket & (SLOTS - 1)) * SLOT;
    const [index, times, argCount, stepCount, ...rest] = this.#slots.subarray(at, at + SLOT);
    const args = rest.slice(0, argCount);
    const steps = rest.slice(argCount, argCount + stepCount);
    if (args[argCount - 1] === SCRATCH) args[argCount - 1] = this.#scratch;
    const kernel = this.#kernels[this.#names[index]] as (...args: number[]) => unknown;
    for (let i = 0; i < times; i++) {
      kernel(...args);
      for (let j = 0; j < stepCount; j++) args[j] += steps[j];
    }
  }
}
