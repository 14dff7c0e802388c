/**
 * Rows normalized by their own statistics in one pass over memory: a few rows stay in cache between the moments and the
 * affine, and none of them waits for its own sums, root and inverse.
 *
 * Formula: y = (x − mean)·rstd·w + b, rstd = 1/√(M2/n + eps); uncentered (RMS): mean = 0 and Σx² for M2.
 * Shapes: x, y [rows, n]; w, b [period, n] or 0, row r takes row (first + r) mod period; mean, rstd f64, a row each. y may
 *   be x.
 * Error and bits of y are those of moments.ts and affine.ts.
 */
import { runStandardize } from "./affine";
import { runM2, runMean, runMoments, runSquares } from "./moments";

/** Bytes of rows whose statistics are taken before anything is made of them: they stay in L1. */
export const BLOCK_BYTES: i32 = 12288;

/** The mean (0 where not centered) and 1/√(variance + eps) of one row. */
function runStatistics<T>(mean: usize, rstd: usize, x: usize, n: i32, eps: f64, centered: i32): void {
  let m: f64 = 0;
  let m2: f64;
  if (centered) {
    runMoments<T>(x, n, 0, 0, 0);
    m = runMean;
    m2 = runM2;
  } else {
    m2 = runSquares<T>(x, n, 0);
  }
  store<f64>(mean, m);
  store<f64>(rstd, 1 / sqrt<f64>(m2 / <f64>n + eps));
}

export function rowNormalize<T>(
  y: usize,
  x: usize,
  w: usize,
  b: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  eps: f64,
  centered: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  const block = max<i32>(1, BLOCK_BYTES / <i32>bytes);
  let i = first % period;
  while (rows > 0) {
    const count = min<i32>(rows, block);
    const end = (<usize>count) << 3;
    let from = x;
    for (let at: usize = 0; at < end; at += 8, from += bytes) {
      runStatistics<T>(mean + at, rstd + at, from, n, eps, centered);
    }
    for (let at: usize = 0; at < end; at += 8) {
      const skip = <usize>i * bytes;
      runStandardize<T>(y, x, w ? w + skip : 0, b ? b + skip : 0, n, load<f64>(mean + at), load<f64>(rstd + at));
      x += bytes;
      y += bytes;
      if (++i == period) i = 0;
    }
    mean += end;
    rstd += end;
    rows -= count;
  }
}
