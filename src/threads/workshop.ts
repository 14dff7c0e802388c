/** A pool's place in shared memory, and whoever works there: where a crew is lost, the next call finds another. */
import { fail } from "../core/errors.js";
import { addFree, allocate, deallocate, heap8, renewViews } from "../core/memory.js";
import { COLUMNS, kernels, LINEAR } from "../core/parts.js";
import { leastElements } from "./cost.js";
import { addedRooms, Crew, QUEUE_BYTES, type Quarters } from "./crew.js";
import type { SharedKernels } from "./memory.js";
import type { MethodName } from "./methods.js";
import { Shipment } from "./wire.js";

/** What a lead allocates from at first: an arena, and as much again. */
const ROOM_BYTES = 2 << 20;

export class Workshop {
  readonly #shared: SharedKernels;
  readonly #least: number;
  readonly #quarters: Quarters;
  readonly #calls = new Set<Promise<unknown>>();
  #crew: Promise<Crew> | undefined;
  #closing: Promise<void> | undefined;

  constructor(shared: SharedKernels, threads: number, minWork: number) {
    this.#shared = shared;
    this.#least = leastElements(minWork);
    const queue = allocate(QUEUE_BYTES);
    heap8().fill(0, queue, queue + QUEUE_BYTES);
    const scratchBytes = Math.max(kernels(LINEAR).matmulScratchBytes(), kernels(COLUMNS).colScratchBytes());
    const scratch = Array.from({ length: threads }, () => allocate(scratchBytes));
    const start = allocate(ROOM_BYTES);
    this.#quarters = { queue, scratch, rooms: [{ start, end: start + ROOM_BYTES }] };
  }

  /** Resolves when workers are ready. */
  async open(): Promise<void> {
    try {
      await this.#present();
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Has the workers run a method. */
  async share(method: MethodName, args: readonly unknown[]): Promise<unknown> {
    if (this.#closing !== undefined) fail(method, "the pool was closed; make another with createPool");
    const shipment = new Shipment(args);
    const call = this.#deliver(method, shipment).finally(() => {
      shipment.free();
      this.#calls.delete(call);
    });
    this.#calls.add(call);
    return call;
  }

  /** Ends the workers when the calls under way are done. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #deliver(method: MethodName, shipment: Shipment): Promise<unknown> {
    const crew = await this.#present();
    return shipment.unpack(await crew.call(method, shipment.args));
  }

  /** The workers; others where they were lost. */
  #present(): Promise<Crew> {
    this.#crew ??= Crew.start(this.#shared, this.#quarters, this.#least, () => {
      this.#crew = undefined;
    });
    return this.#crew;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#calls);
    const crew = await this.#crew?.catch(() => undefined);
    await crew?.end();
    this.#leave();
  }

  #leave(): void {
    const { queue, scratch, rooms } = this.#quarters;
    // The views may end before what the lead has added.
    renewViews();
    for (const { start, end } of addedRooms(this.#shared, this.#quarters)) addFree(start, end - start);
    for (const pointer of [queue, ...scratch, ...rooms.map(({ start }) => start)]) deallocate(pointer);
  }
}
