/** Averages of a statistic that comes step by step, between and over updates of the weights (streaming norm). */
import { arraysF64, oneNaN, passingF64 } from "./memory.js";

/** Two weights. */
type Pair = readonly [number, number];

/** A stream of statistics: their average since the last update of the weights, and a decaying average over updates. */
export interface Stream {
  short: Float64Array;
  long: Float64Array;
  /** Values in `short`, updates in `long`, and whether an update is due to be noticed (0 or 1). */
  counts: Float64Array;
}

/** A stream before its first value, to be kept. */
export function emptyStream(channels: number): Stream {
  const [short, long] = arraysF64(2, channels);
  return { short, long, counts: new Float64Array(3) };
}

/** A copy for the length of a call: what a layer keeps changes once the call has succeeded. */
export function copyOf({ short, long, counts }: Stream): Stream {
  const copy = { short: passingF64(short.length), long: passingF64(long.length), counts: counts.slice() };
  copy.short.set(short);
  copy.long.set(long);
  return copy;
}

/**
 * Takes one more statistic, the values from `at` on, into the stream. After an update of the weights the short average first
 * enters the long one.
 */
export function advance({ short, long, counts }: Stream, values: Float64Array, at: number, [old, fresh]: Pair): void {
  const { length } = short;
  if (counts[2] === 1 && counts[0] > 0) {
    if (counts[1] === 0) long.set(short);
    else for (let c = 0; c < length; c++) long[c] = old * long[c] + fresh * short[c];
    counts[1]++;
    counts[0] = 0;
  }
  counts[2] = 0;
  const steps = ++counts[0];
  // The first takes the place of the average of before the update.
  if (steps === 1) for (let c = 0; c < length; c++) short[c] = values[at + c];
  else for (let c = 0; c < length; c++) short[c] += (values[at + c] - short[c]) / steps;
}

/** The averages mixed, from `at` on; the short one stands for the long one where there is none yet, and the other way round. */
export function mix(
  { long, short, counts }: Stream,
  [ofLong, ofShort]: readonly number[],
  mixed: Float64Array,
  at = 0,
): void {
  const former = counts[1] > 0 ? long : short;
  const latter = counts[0] > 0 ? short : long;
  for (let c = 0; c < short.length; c++) mixed[at + c] = ofLong * former[c] + ofShort * latter[c];
}

/** Writes `from` into the arrays of `to`, which the state of the layer is made of. */
export function commit(to: Stream, from: Stream): void {
  to.short.set(oneNaN(from.short));
  to.long.set(oneNaN(from.long));
  to.counts.set(from.counts);
}
