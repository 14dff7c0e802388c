/**
 * The two sums that every gradient of a normalization needs, Σg and Σg·(x − center), the affine that uses them,
 * dx = r·(g + p·(x − center) + c), and the gradients of elementwise weights and biases. g = dy·w, w of the row or the
 * element. (With r outside, no coefficient is smaller than its square: data of 1e25 keep their f32 gradient.)
 *
 * Shapes: dx, dy, x [rows, n]; coefficients as in affine.ts. Sums are f64 and are added to: the caller clears them.
 *   dx may be dy or x.
 * Error: sums in lanes over the blocks of moments.ts, merged in f64, so a few ulps of Σ|term|; dx four roundings.
 * Source: S. Ioffe, C. Szegedy, "Batch Normalization", 2015, section 3, rearranged into sums and an affine.
 */
import { runAddWide } from "../columns/col-gradient";
import { COL_BLOCK_ROWS, COL_TILE } from "../columns/col-moments";
import { map, reducePair, secondSum } from "../loops";
import { v } from "../vec";
import { rowBlock } from "./moments";

/** g = dy and g·(x − k). */
@final
@unmanaged
export class Gradient {
  @inline
  first<T>(x: usize, dy: usize, w: usize, k: v128): v128 {
    return v.load(dy);
  }

  @inline
  second<T>(g: v128, x: usize, dy: usize, w: usize, k: v128): v128 {
    return v.mul<T>(g, v.sub<T>(v.load(x), k));
  }
}

/** g = dy·w and g·(x − k). */
@final
@unmanaged
class WeightedGradient {
  @inline
  first<T>(x: usize, dy: usize, w: usize, k: v128): v128 {
    return v.mul<T>(v.load(dy), v.load(w));
  }

  @inline
  second<T>(g: v128, x: usize, dy: usize, w: usize, k: v128): v128 {
    return v.mul<T>(g, v.sub<T>(v.load(x), k));
  }
}

/** r·(w·dy + (p·(x − center) + c)), w the same for the whole run. */
@final
@unmanaged
export class GradientAffine {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, center: v128, r: v128, weight: v128, p: v128, c: v128): v128 {
    const d = v.sub<T>(v.load(x), center);
    return v.mul<T>(r, v.mulAdd<T>(weight, v.load(dy), v.mulAdd<T>(p, d, c)));
  }
}

/** r·(w[i]·dy + (p·(x − center) + c)) */
@final
@unmanaged
class WeightedGradientAffine {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, center: v128, r: v128, weight: v128, p: v128, c: v128): v128 {
    const d = v.sub<T>(v.load(x), center);
    return v.mul<T>(r, v.mulAdd<T>(v.load(w), v.load(dy), v.mulAdd<T>(p, d, c)));
  }
}

/**
 * Σg of one run onto `first`, returned, and Σg·(x − center) onto `second`, left in `runSecond`; w may be 0. Block is
 * added to block from what is there, so that a run in parts has the bits of the whole.
 */
export let runSecond: f64 = 0;
export function runGradSums<T>(dy: usize, x: usize, w: usize, n: i32, center: T, first: f64 = 0, second: f64 = 0): f64 {
  const block = rowBlock<T>();
  const k = v.splat<T>(center);
  while (n > 0) {
    const size = n < block ? n : block;
    first += w ? reducePair<T, WeightedGradient>(x, dy, w, size, k) : reducePair<T, Gradient>(x, dy, 0, size, k);
    second += secondSum;
    const bytes = <usize>size * sizeof<T>();
    x += bytes;
    dy += bytes;
    if (w) w += bytes;
    n -= size;
  }
  runSecond = second;
  return first;
}

/** Σdy·w and Σdy·w·(x − c) of each row, c the mean rounded to T; f64, added to. */
export function rowWeightedGradSums<T>(
  sumG: usize,
  sumGD: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    const center = <T>load<f64>(mean + at);
    const weight = w ? w + <usize>i * bytes : 0;
    store<f64>(sumG + at, runGradSums<T>(dy, x, weight, n, center, load<f64>(sumG + at), load<f64>(sumGD + at)));
    store<f64>(sumGD + at, runSecond);
    x += bytes;
    dy += bytes;
    if (++i == period) i = 0;
  }
}

/**
 * dx = r·(g − Σg/N − (x − mean)·r²·Σg(x − mean)/N) of one run, g = dy·w, r = rstd, N = total; the gradient of
 * (x − mean)·rstd through its own statistics. Uncentered (RMS): the term Σg/N falls away and mean is 0.
 */
function runStandardizeGrad<T>(
  dx: usize,
  dy: usize,
  x: usize,
  w: usize,
  n: i32,
  mean: f64,
  rstd: f64,
  sumG: f64,
  sumGD: f64,
  total: f64,
  centered: i32,
): void {
  const center = <T>mean;
  const slope = -(rstd * rstd) * (sumGD / total);
  const constant = (centered ? -(sumG / total) : 0) + slope * (<f64>center - mean);
  const k0 = v.splat<T>(center);
  const r = v.splat<T>(<T>rstd);
  const one = v.splat<T>(1);
  const p = v.splat<T>(<T>slope);
  const c = v.splat<T>(<T>constant);
  if (w) map<T, WeightedGradientAffine>(dx, x, dy, w, 0, n, k0, r, one, p, c);
  else map<T, GradientAffine>(dx, x, dy, 0, 0, n, k0, r, one, p, c);
}

export function rowStandardizeGrad<T>(
  dx: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: usize,
  rstd: usize,
  sumG: usize,
  sumGD: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  total: f64,
  centered: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    runStandardizeGrad<T>(
      dx,
      dy,
      x,
      w ? w + <usize>i * bytes : 0,
      n,
      load<f64>(mean + at),
      load<f64>(rstd + at),
      load<f64>(sumG + at),
      load<f64>(sumGD + at),
      total,
      centered,
    );
    x += bytes;
    dy += bytes;
    dx += bytes;
    if (++i == period) i = 0;
  }
}

/** q[j] += Σ dy·x̂ and s[j] += Σ dy over two rows, x̂ = (x − c)·r + h with c, r, h of the row. */
function colWeightGrad2<T>(
  q: usize,
  s: usize,
  dy: usize,
  x: usize,
  stride: usize,
  width: i32,
  c0: v128,
  r0: v128,
  h0: v128,
  c1: v128,
  r1: v128,
  h1: v128,
): void {
  const end = s + <usize>width * sizeof<T>();
  for (; s < end; s += 16, q += 16, x += 16, dy += 16) {
    const g0 = v.load(dy);
    const g1 = v.load(dy + stride);
    const t0 = v.mul<T>(g0, v.mulAdd<T>(v.sub<T>(v.load(x), c0), r0, h0));
    const t1 = v.mul<T>(g1, v.mulAdd<T>(v.sub<T>(v.load(x + stride), c1), r1, h1));
    v.store(s, v.add<T>(v.load(s), v.add<T>(g0, g1)));
    v.store(q, v.add<T>(v.load(q), v.add<T>(t0, t1)));
  }
}

function colWeightGrad1<T>(q: usize, s: usize, dy: usize, x: usize, width: i32, c0: v128, r0: v128, h0: v128): void {
  const end = s + <usize>width * sizeof<T>();
  for (; s < end; s += 16, q += 16, x += 16, dy += 16) {
    const g = v.load(dy);
    v.store(s, v.add<T>(v.load(s), g));
    v.store(q, v.add<T>(v.load(q), v.mul<T>(g, v.mulAdd<T>(v.sub<T>(v.load(x), c0), r0, h0))));
  }
}

function remainder<T>(mean: f64, rstd: f64): T {
  return <T>((<f64>(<T>mean) - mean) * rstd);
}

/** Rows that gradients of weights are summed over in T before the sums go to f64; inputs may be split at multiples. */
export function weightGradBlockRows(): i32 {
  return COL_BLOCK_ROWS;
}

/** Bytes of scratch that `colWeightGrad` takes. */
export function weightGradScratchBytes(): i32 {
  return 2 * COL_TILE * 8;
}

/**
 * dw[j] += Σ dy·(x − mean)·rstd and db[j] += Σ dy over the rows; mean and rstd are f64, one a row.
 * Row r is at element r·stride of dy and x and at entry r·step of mean and rstd.
 */
export function colWeightGrad<T>(
  dw: usize,
  db: usize,
  dy: usize,
  x: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  cols: i32,
  stride: i32,
  step: i32,
  scratch: usize,
): void {
  const bytes = <usize>stride * sizeof<T>();
  const statBytes = (<usize>step) << 3;
  const s = scratch;
  const q = scratch + <usize>COL_TILE * 8;
  for (let r = 0; r < rows; r += COL_BLOCK_ROWS) {
    const height = rows - r < COL_BLOCK_ROWS ? rows - r : COL_BLOCK_ROWS;
    for (let j = 0; j < cols; j += COL_TILE) {
      const width = cols - j < COL_TILE ? cols - j : COL_TILE;
      memory.fill(s, 0, <usize>((width + 3) & ~3) * sizeof<T>());
      memory.fill(q, 0, <usize>((width + 3) & ~3) * sizeof<T>());
      let at = <usize>j * sizeof<T>();
      let stat: usize = 0;
      let i = 0;
      for (; i + 2 <= height; i += 2) {
        const m0 = load<f64>(mean + stat);
        const r0 = load<f64>(rstd + stat);
        const m1 = load<f64>(mean + stat + statBytes);
        const r1 = load<f64>(rstd + stat + statBytes);
        colWeightGrad2<T>(
          q,
          s,
          dy + at,
          x + at,
          bytes,
          width,
          v.splat<T>(<T>m0),
          v.splat<T>(<T>r0),
          v.splat<T>(remainder<T>(m0, r0)),
          v.splat<T>(<T>m1),
          v.splat<T>(<T>r1),
          v.splat<T>(remainder<T>(m1, r1)),
        );
        at += bytes << 1;
        stat += statBytes << 1;
      }
      if (i < height) {
        const m0 = load<f64>(mean + stat);
        const r0 = load<f64>(rstd + stat);
        colWeightGrad1<T>(
          q,
          s,
          dy + at,
          x + at,
          width,
          v.splat<T>(<T>m0),
          v.splat<T>(<T>r0),
          v.splat<T>(remainder<T>(m0, r0)),
        );
      }
      runAddWide<T>(dw + ((<usize>j) << 3), q, width);
      runAddWide<T>(db + ((<usize>j) << 3), s, width);
    }
    dy += <usize>height * bytes;
    x += <usize>height * bytes;
    mean += <usize>height * statBytes;
    rstd += <usize>height * statBytes;
  }
}
