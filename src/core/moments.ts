/** Count, mean and M2 = Σ(x − mean)² of cells, and their merge: the first step of every method, in f64. */
import { passingF64 } from "./memory.js";

/** For the length of a call, as all that is found here. */
export interface Moments {
  /** Values in each cell. */
  count: Float64Array;
  mean: Float64Array;
  m2: Float64Array;
}

export function emptyMoments(cells: number): Moments {
  return { count: passingF64(cells), mean: passingF64(cells), m2: passingF64(cells) };
}

/**
 * Merges cells into `groups` cells, cell i into group `groupOf(i)`, in the order of i, by Chan, Golub and LeVeque (1983):
 * δ = mean₂ − mean₁, mean = mean₁ + δ·n₂/n, M2 = M2₁ + M2₂ + δ²·n₁n₂/n. An empty cell changes nothing.
 */
export function mergeCells(cells: Moments, groups: number, groupOf: (cell: number) => number): Moments {
  const into = emptyMoments(groups);
  for (let i = 0; i < cells.count.length; i++) mergeInto(into, groupOf(i), cells.count[i], cells.mean[i], cells.m2[i]);
  return into;
}

/** Merges (count, mean, m2) into one cell. */
export function mergeInto(into: Moments, at: number, count: number, mean: number, m2: number): void {
  if (count === 0) return;
  const before = into.count[at];
  if (before === 0) {
    into.count[at] = count;
    into.mean[at] = mean;
    into.m2[at] = m2;
    return;
  }
  const total = before + count;
  const delta = mean - into.mean[at];
  const share = count / total;
  into.count[at] = total;
  into.mean[at] += delta * share;
  into.m2[at] += m2 + delta * delta * (before * share);
}

/** 1 / √(M2/count + eps) of each cell. */
export function rstdOf(moments: Moments, eps: number): Float64Array {
  return rstdOfVariance(varianceOf(moments), eps);
}

/** 1 / √(variance + eps). */
export function rstdOfVariance(variance: Float64Array, eps: number): Float64Array {
  const rstd = passingF64(variance.length);
  for (let i = 0; i < rstd.length; i++) rstd[i] = 1 / Math.sqrt(variance[i] + eps);
  return rstd;
}

/** The biased variance M2/count of each cell. */
export function varianceOf({ count, m2 }: Moments): Float64Array {
  const variance = passingF64(m2.length);
  for (let i = 0; i < variance.length; i++) variance[i] = m2[i] / count[i];
  return variance;
}
