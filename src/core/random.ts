/**
 * Random numbers from a seed, the same on every machine: number e of stream s is a function of (seed, s, e), made by
 * the kernels of assembly/random.ts.
 */
import { fail, show } from "./errors.js";
import { type DType, kernels, kernelsOf, scratch, type TypedArray, withScratch } from "./memory.js";
import { stream } from "./stream.js";
import { type Operand, Target } from "./tensor.js";

/** Elements that one step of a kernel makes: parts start at multiples of these. */
const KEEP_GROUP = 16;
const NORMAL_GROUP = 8;

export interface Seed {
  low: number;
  high: number;
}

/** A whole number from 0 to 2^53 as two words. */
export function readSeed(method: string, seed: unknown): Seed {
  if (!Number.isSafeInteger(seed) || (seed as number) < 0) {
    fail(method, `seed must be a whole number from 0 to 2^53 - 1, got ${show(seed)}`);
  }
  const whole = seed as number;
  return { low: whole >>> 0, high: Math.floor(whole / 2 ** 32) };
}

/** Normal numbers of the given mean and deviation. */
export function normalValues(
  length: number,
  dtype: DType,
  seed: Seed,
  { number = 0, mean = 0, deviation = 1 } = {},
): TypedArray {
  const made: Operand = { dtype, shape: [length], length, heap: null, pointer: 0 };
  const out = new Target("random", undefined, made);
  const k = kernelsOf(dtype);
  withScratch(() => {
    const workspace = scratch(64);
    stream({ rows: 1, n: length, cut: NORMAL_GROUP }, [], [out], ([to], { offset, n }) => {
      k.rowNormal(to, n, offset / NORMAL_GROUP, mean, deviation, number, seed.low, seed.high, workspace);
    });
  });
  return out.heap as TypedArray;
}

/** Elements of the parts that a mask may be made in. */
export const KEEP_CUT = KEEP_GROUP;

/** Room for the bytes of a mask of n elements. */
export function keepBytes(n: number): number {
  return Math.ceil(n / KEEP_GROUP) * KEEP_GROUP;
}

/**
 * Writes a byte for each of n elements from `offset` on (a multiple of KEEP_CUT): 0 with probability `rate`, else 1.
 */
export function writeKeep(at: number, n: number, offset: number, rate: number, seed: Seed, number: number): void {
  const threshold = Math.min(Math.round(rate * 2 ** 32), 2 ** 32 - 1);
  kernels().rowKeep(at, n, offset / KEEP_GROUP, threshold, number, seed.low, seed.high);
}
