/**
 * Random numbers from a seed, the same on every machine: number e of stream s is a function of (seed, s, e), made by
 * the kernels of assembly/data/random.ts.
 */
import { fail, show } from "./errors.js";
import { type DType, scratch, type TypedArray, withScratch } from "./memory.js";
import { DATA, kernels, kernelsOf } from "./parts.js";
import { stream } from "./stream.js";
import { type Operand, shaped, Target } from "./tensor.js";

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
  const out = new Target("random", undefined, shaped(dtype, [length]));
  const k = kernelsOf(DATA, dtype);
  withScratch(() => {
    const workspace = scratch(kernels(DATA).randomScratchBytes());
    stream({ rows: 1, n: length, cut: NORMAL_GROUP }, [], [out], ([to], { offset, n }) => {
      k.rowNormal(to, n, offset / NORMAL_GROUP, mean, deviation, number, seed.low, seed.high, workspace);
    });
  });
  return out.heap as TypedArray;
}

/** y = scale·x + shift, but `other` with probability `rate`. y may be x. */
export function keepElements(
  y: Target,
  x: Operand,
  { rate, seed, number }: { rate: number; seed: Seed; number: number },
  { scale, shift, other }: { scale: number; shift: number; other: number },
): void {
  const threshold = Math.min(Math.round(rate * 2 ** 32), 2 ** 32 - 1);
  const k = kernelsOf(DATA, x.dtype);
  const { low, high } = seed;
  withScratch(() => {
    const workspace = scratch(kernels(DATA).randomScratchBytes());
    stream({ rows: 1, n: x.length, cut: KEEP_GROUP }, [x], [y], ([from, to], { offset, n }) => {
      k.eachKeep(to, from, n, scale, shift, other, offset / KEEP_GROUP, threshold, number, low, high, workspace);
    });
  });
}
