/**
 * Rows normalized by their own statistics in one pass over memory: the row is in cache between the moments and the affine.
 *
 * Formula: y = (x − mean)·rstd·w + b, rstd = 1/√(M2/n + eps); uncentered (RMS): mean = 0 and Σx² for M2. The gradient is
 *   that of `rowStandardizeGrad`, with its sums taken row by row.
 * Shapes: x, y, dy, dx [rows, n]; w, b [period, n] or 0, row r takes row (first + r) mod period; mean, rstd f64, a row
 *   each. y may be x, dx may be dy or x.
 * Error and bits are those of the kernels it is made of, moments.ts, affine.ts and gradient.ts.
 */
import { runStandardize } from "./affine";
import { runGradSums, runSecond, runStandardizeGrad } from "./gradient";
import { runM2, runMean, runMoments, runSquares } from "./moments";

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
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    let m: f64 = 0;
    let m2: f64;
    if (centered) {
      runMoments<T>(x, n, 0, 0, 0);
      m = runMean;
      m2 = runM2;
    } else {
      m2 = runSquares<T>(x, n, 0);
    }
    const scale = 1 / sqrt<f64>(m2 / <f64>n + eps);
    store<f64>(mean + at, m);
    store<f64>(rstd + at, scale);
    const skip = <usize>i * bytes;
    runStandardize<T>(y, x, w ? w + skip : 0, b ? b + skip : 0, n, m, scale);
    x += bytes;
    y += bytes;
    if (++i == period) i = 0;
  }
}

export function rowNormalizeGrad<T>(
  dx: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  centered: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    const weight = w ? w + <usize>i * bytes : 0;
    const m = load<f64>(mean + at);
    const center = <T>m;
    const sum = runGradSums<T>(dy, x, weight, n, center);
    const sumD = runSecond + (<f64>center - m) * sum;
    runStandardizeGrad<T>(dx, dy, x, weight, n, m, load<f64>(rstd + at), sum, sumD, <f64>n, centered);
    x += bytes;
    dy += bytes;
    dx += bytes;
    if (++i == period) i = 0;
  }
}
