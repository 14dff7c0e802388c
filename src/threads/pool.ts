import { checkCount, checkNumber, fail } from "../core/errors.js";
import { memoryInfo } from "../core/memory.js";
import { tensor } from "../core/tensor.js";
import * as library from "../index.js";
import type { RowsLike } from "../preprocessing/rows.js";
import { isWorthwhile } from "./cost.js";
import { sharedKernels } from "./memory.js";
import type { MethodName } from "./methods.js";
import { nodeModule } from "./spawn.js";
import { Workshop } from "./workshop.js";

export interface PoolOptions {
  /** Workers, which do all of the work. Default: as many as the machine has processors, at most 16. */
  threads?: number;
  /** Work that one thread does in fewer microseconds, by estimate, stays on the caller's thread. Default 1000. */
  minWork?: number;
}

type Library = Omit<typeof library, "init" | "initSync" | "memoryInfo" | "tensor">;

/** The functions of the package, each of which returns a promise. */
export type PoolFunctions = {
  [Name in keyof Library as Library[Name] extends (...args: never[]) => unknown ? Name : never]: Library[Name] extends (
    ...args: infer Args
  ) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/** A scaler, or another class that learns from rows. */
export interface Fittable {
  fit(x: RowsLike): unknown;
  partialFit(x: RowsLike): unknown;
}

/** What `createPool` makes. */
export interface Pool extends PoolFunctions {
  readonly threads: number;
  /** Makes a tensor in the shared memory: workers use it where it is. See `tensor`. */
  tensor: typeof tensor;
  /** Bytes of the shared memory that tensors, and the pools themselves, hold; and its size. */
  memoryInfo: typeof memoryInfo;
  /** Has a scaler learn from rows; of `Whitening` and `Decorrelation` the workers share the work. */
  fit<Scaler extends Fittable>(scaler: Scaler, x: RowsLike): Promise<Scaler>;
  /** Has a scaler learn from further rows. */
  partialFit<Scaler extends Fittable>(scaler: Scaler, x: RowsLike): Promise<Scaler>;
  /** Ends the workers when the calls under way are done. Tensors stay. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const MOST_THREADS = 16;

/**
 * Whether threads can share memory here: in Node, Deno and Bun; in pages that are cross-origin isolated, by the headers
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`. Not in Cloudflare Workers.
 */
export function supported(): boolean {
  const { crossOriginIsolated, navigator, process } = globalThis as {
    crossOriginIsolated?: boolean;
    navigator?: { userAgent?: string };
    process?: { versions?: { node?: string } };
  };
  if (typeof SharedArrayBuffer !== "function" || navigator?.userAgent === "Cloudflare-Workers") return false;
  if (typeof Worker === "function") return crossOriginIsolated !== false || process?.versions?.node !== undefined;
  return process?.versions?.node !== undefined;
}

/**
 * Starts workers that share out the work of large calls, over tensors in memory that all of them share.
 *
 * The pool has the functions of the package, by the same names and arguments; each returns a promise. `matmul`, the
 * `fit` of whitening, and `batchNorm`, `groupNorm`, `instanceNorm` and `layerNorm` with their `Forward` and `Backward`
 * run in the workers where the work is worth a millisecond (`minWork`). Everything else runs at once on the caller's
 * thread. Results have the same bits for any number of threads.
 *
 * Tensors of `pool.tensor(shape)` are used where they are; arrays of the heap are copied to the workers and back. Leave
 * tensors alone, and do not dispose of them, before the promise of a call on them is settled.
 *
 * Rejects where threads are not supported, and where threads is no whole number of at least 1. A call whose worker dies
 * is rejected, and the next one finds new workers.
 *
 * @example
 * const pool = await createPool({ threads: 2 });
 * const a = pool.tensor([512, 512]);
 * const product = await pool.matmul(a, a);
 * a.dispose();
 * await pool.close();
 */
export async function createPool(options: PoolOptions = {}): Promise<Pool> {
  const method = "createPool";
  if (!supported()) {
    fail(
      method,
      "threads cannot share memory here; serve the page with the headers Cross-Origin-Opener-Policy: same-origin and " +
        "Cross-Origin-Embedder-Policy: require-corp, or use evenkeel without threads",
    );
  }
  const threads = checkCount(method, "threads", options.threads ?? Math.min(await processors(), MOST_THREADS));
  const minWork = checkNumber(method, "minWork", options.minWork ?? 1000, 0);
  const workshop = new Workshop(await sharedKernels(), threads, minWork);
  await workshop.open();

  const functions: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(library)) {
    // By custom, names of classes and constants begin with a capital.
    if (typeof value !== "function" || !/^[a-z]/.test(name)) continue;
    const alone = value as (...args: unknown[]) => unknown;
    functions[name] = async (...args: unknown[]) => {
      if (isWorthwhile(name, args, minWork)) return workshop.share(name as MethodName, args);
      return alone(...args);
    };
  }

  const fit = async <Scaler extends Fittable>(scaler: Scaler, x: RowsLike): Promise<Scaler> => {
    const state = await measured(scaler, x);
    if (state === undefined) scaler.fit(x);
    else (scaler as unknown as Measurable).state = state;
    return scaler;
  };
  const partialFit = async <Scaler extends Fittable>(scaler: Scaler, x: RowsLike): Promise<Scaler> => {
    const state = await measured(scaler, x);
    if (state === undefined) scaler.partialFit(x);
    else {
      const measurable = scaler as unknown as Measurable;
      const part = new measurable.constructor(measurable.config);
      part.state = state;
      measurable.merge(part);
    }
    return scaler;
  };
  /** The state that the workers learn from rows, or undefined where that is for the caller's thread. */
  const measured = async (scaler: Fittable, x: RowsLike): Promise<object | undefined> => {
    const { kind, config } = scaler as unknown as Measurable;
    const args = [kind, config, x];
    return isWorthwhile("fit", args, minWork) ? (workshop.share("fit", args) as Promise<object>) : undefined;
  };

  const close = () => workshop.close();
  return {
    ...(functions as unknown as PoolFunctions),
    threads,
    tensor,
    memoryInfo,
    fit,
    partialFit,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A scaler, as the library makes it. */
interface Measurable {
  readonly kind: string;
  readonly config: object;
  state: object | undefined;
  merge(other: Measurable): unknown;
  readonly constructor: new (config: object) => Measurable;
}

async function processors(): Promise<number> {
  if (globalThis.navigator?.hardwareConcurrency) return navigator.hardwareConcurrency;
  const os = await nodeModule<typeof import("node:os")>("os");
  return os.availableParallelism();
}
