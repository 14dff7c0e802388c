/**
 * Mean and M2 = Σ(x − mean)² of columns, and the merge of moments.
 *
 * Formula: a block of COL_BLOCK_ROWS rows is read once, for Σd and Σd² about k, the mean of 16 of its rows, d = x − k:
 *   mean = k + Σd/n, M2 = Σd² − (Σd)²/n. Where (Σd)²/n is more than half of Σd² in a column, k was no good, and the block
 *   is read again about k + Σd/n. Blocks are merged in order, in f64, as in rows/moments.ts.
 * Shapes: x [rows, cols]; mean and m2 are f64, one a column. `seen` rows are already in mean and m2; 0 starts anew.
 *   Splitting the input at multiples of colBlockRows(cols) gives the same bits as one call.
 * Error: in units of u, half an ulp of the lanes. A sum of a block is a chain of 16 sums of four, so Σd is within 19u·Σ|d|
 *   and Σd² within 21u·Σd². Since M2 ≥ Σd²/2 it is within 2·(21 + 2·19·√½)u = 96u of itself in the worst case, and
 *   within a few u in practice; the mean within 19u·Σ|d|/n. About the block's own mean, (Σd)²/n is what its rounding
 *   left, and M2 within 24u. No offset of the data enters. A block whose f32 sums overflow is read again in f64 lanes.
 *   NaN or infinity in a column gives NaN there alone.
 * Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983.
 */
import { v } from "../vec";

/** Rows that a column is reduced over before the sums are merged. */
export const COL_BLOCK_ROWS: i32 = 64;

/** Rows that sums go down before the next columns: a multiple of 4, and few enough to stay in L1 for these. */
const STRIP_ROWS: i32 = 16;

/** Columns that are worked on at a time, so that their accumulators stay in L1. */
export const COL_TILE: i32 = 512;

/** Bytes of an accumulator for each column of a tile, with room for the vector at its end. */
const TILE_BYTES: usize = (COL_TILE + 4) * 8;

/**
 * Fewer columns than this are folded: of full blocks this many rows are taken as one, so that vectors are full and sums
 * independent.
 */
const COL_FOLD: i32 = 16;

/** How many rows are taken as one. */
export function colFold(cols: i32): i32 {
  return cols < COL_FOLD ? COL_FOLD : 1;
}

/** Rows of a matrix of this many columns that are reduced before a merge; inputs may be split at multiples of this. */
export function colBlockRows(cols: i32): i32 {
  return COL_BLOCK_ROWS * colFold(cols);
}

/** Bytes of scratch that a column kernel takes. */
export function colScratchBytes(): i32 {
  return 3 * <i32>TILE_BYTES;
}

/**
 * k[j] = mean of x[i·step, j] over i < 16, in lanes of type A: near the mean of the block, and exact where its elements are
 * equal, since the sum is a tree.
 */
function colSample<T, A>(k: usize, x: usize, step: usize, width: i32): void {
  const end = k + <usize>width * sizeof<A>();
  const skip: usize = (16 / sizeof<A>()) * sizeof<T>();
  const s2 = step << 1;
  const s3 = s2 + step;
  const s4 = step << 2;
  const share = v.splat<A>(<A>0.0625);
  for (; k < end; k += 16, x += skip) {
    let at = x;
    const a = v.add<A>(
      v.add<A>(v.loadAs<T, A>(at), v.loadAs<T, A>(at + step)),
      v.add<A>(v.loadAs<T, A>(at + s2), v.loadAs<T, A>(at + s3)),
    );
    at += s4;
    const b = v.add<A>(
      v.add<A>(v.loadAs<T, A>(at), v.loadAs<T, A>(at + step)),
      v.add<A>(v.loadAs<T, A>(at + s2), v.loadAs<T, A>(at + s3)),
    );
    at += s4;
    const c = v.add<A>(
      v.add<A>(v.loadAs<T, A>(at), v.loadAs<T, A>(at + step)),
      v.add<A>(v.loadAs<T, A>(at + s2), v.loadAs<T, A>(at + s3)),
    );
    at += s4;
    const d = v.add<A>(
      v.add<A>(v.loadAs<T, A>(at), v.loadAs<T, A>(at + step)),
      v.add<A>(v.loadAs<T, A>(at + s2), v.loadAs<T, A>(at + s3)),
    );
    v.store(k, v.mul<A>(v.add<A>(v.add<A>(a, b), v.add<A>(c, d)), share));
  }
}

/**
 * s[j] += Σ d and q[j] += Σ d², d = x[i, j] − k[j], over `rows` rows (a multiple of 4), for `width` columns, a multiple of
 * two vectors. The sums of two vectors stay in registers down the rows; those of four would not.
 */
function colDeviateTwos<T, A>(s: usize, q: usize, k: usize, x: usize, stride: usize, rows: i32, width: i32): void {
  const end = s + <usize>width * sizeof<A>();
  const skip: usize = (16 / sizeof<A>()) * sizeof<T>();
  const s2 = stride << 1;
  const s3 = s2 + stride;
  const height = <usize>rows * stride;
  for (; s < end; s += 32, q += 32, k += 32, x += 2 * skip) {
    let a0 = v.load(s);
    let a1 = v.load(s + 16);
    let b0 = v.load(q);
    let b1 = v.load(q + 16);
    const k0 = v.load(k);
    const k1 = v.load(k + 16);
    const bottom = x + height;
    for (let at = x; at < bottom; at += stride << 2) {
      let d0 = v.sub<A>(v.loadAs<T, A>(at), k0);
      let d1 = v.sub<A>(v.loadAs<T, A>(at + stride), k0);
      let d2 = v.sub<A>(v.loadAs<T, A>(at + s2), k0);
      let d3 = v.sub<A>(v.loadAs<T, A>(at + s3), k0);
      a0 = v.add<A>(a0, v.add<A>(v.add<A>(d0, d1), v.add<A>(d2, d3)));
      d0 = v.add<A>(v.mul<A>(d0, d0), v.mul<A>(d1, d1));
      b0 = v.add<A>(b0, v.add<A>(d0, v.add<A>(v.mul<A>(d2, d2), v.mul<A>(d3, d3))));
      d0 = v.sub<A>(v.loadAs<T, A>(at + skip), k1);
      d1 = v.sub<A>(v.loadAs<T, A>(at + stride + skip), k1);
      d2 = v.sub<A>(v.loadAs<T, A>(at + s2 + skip), k1);
      d3 = v.sub<A>(v.loadAs<T, A>(at + s3 + skip), k1);
      a1 = v.add<A>(a1, v.add<A>(v.add<A>(d0, d1), v.add<A>(d2, d3)));
      d0 = v.add<A>(v.mul<A>(d0, d0), v.mul<A>(d1, d1));
      b1 = v.add<A>(b1, v.add<A>(d0, v.add<A>(v.mul<A>(d2, d2), v.mul<A>(d3, d3))));
    }
    v.store(s, a0);
    v.store(s + 16, a1);
    v.store(q, b0);
    v.store(q + 16, b1);
  }
}

/** colDeviateTwos, one vector of columns at a time. */
function colDeviateOnes<T, A>(s: usize, q: usize, k: usize, x: usize, stride: usize, rows: i32, width: i32): void {
  const end = s + <usize>width * sizeof<A>();
  const skip: usize = (16 / sizeof<A>()) * sizeof<T>();
  const s2 = stride << 1;
  const height = <usize>rows * stride;
  for (; s < end; s += 16, q += 16, k += 16, x += skip) {
    let a = v.load(s);
    let b = v.load(q);
    const c = v.load(k);
    const bottom = x + height;
    for (let at = x; at < bottom; at += stride << 2) {
      const d0 = v.sub<A>(v.loadAs<T, A>(at), c);
      const d1 = v.sub<A>(v.loadAs<T, A>(at + stride), c);
      const d2 = v.sub<A>(v.loadAs<T, A>(at + s2), c);
      const d3 = v.sub<A>(v.loadAs<T, A>(at + s2 + stride), c);
      a = v.add<A>(a, v.add<A>(v.add<A>(d0, d1), v.add<A>(d2, d3)));
      b = v.add<A>(
        b,
        v.add<A>(v.add<A>(v.mul<A>(d0, d0), v.mul<A>(d1, d1)), v.add<A>(v.mul<A>(d2, d2), v.mul<A>(d3, d3))),
      );
    }
    v.store(s, a);
    v.store(q, b);
  }
}

/** s[j] += d and q[j] += d² for one row. */
function colDeviateRow<T, A>(s: usize, q: usize, k: usize, x: usize, width: i32): void {
  const end = s + <usize>width * sizeof<A>();
  const skip: usize = (16 / sizeof<A>()) * sizeof<T>();
  for (; s < end; s += 16, q += 16, k += 16, x += skip) {
    const d = v.sub<A>(v.loadAs<T, A>(x), v.load(k));
    v.store(s, v.add<A>(v.load(s), d));
    v.store(q, v.mulAdd<A>(d, d, v.load(q)));
  }
}

/** s[j] = Σ d and q[j] = Σ d² over a block. */
function colDeviate<T, A>(s: usize, q: usize, k: usize, x: usize, stride: usize, rows: i32, width: i32): void {
  const twos = width & ~(2 * v.lanes<A>() - 1);
  const bytes = <usize>twos * sizeof<A>();
  const padded = <usize>(width + 3) * sizeof<A>();
  memory.fill(s, 0, padded);
  memory.fill(q, 0, padded);
  const even = rows & ~3;
  for (let r = 0; r < even; r += STRIP_ROWS) {
    const height = even - r < STRIP_ROWS ? even - r : STRIP_ROWS;
    colDeviateTwos<T, A>(s, q, k, x, stride, height, twos);
    const rest = x + <usize>twos * sizeof<T>();
    colDeviateOnes<T, A>(s + bytes, q + bytes, k + bytes, rest, stride, height, width - twos);
    x += <usize>height * stride;
  }
  for (let r = even; r < rows; r++) {
    colDeviateRow<T, A>(s, q, k, x, width);
    x += stride;
  }
}

/** Whether (Σd)²/n is at most half of Σd² in all columns, NaN aside: then Σd² − (Σd)²/n loses one bit at the most. */
function shiftIsGood<A>(s: usize, q: usize, width: i32, rows: i32): bool {
  const end = s + <usize>width * sizeof<A>();
  const half = v.splat<A>(<A>rows * <A>0.5);
  let bad = v.zero();
  const whole = s + v.wholeBytes<A>(width);
  for (; s < whole; s += 16, q += 16) {
    const a = v.load(s);
    bad = v.or(bad, v.less<A>(v.mul<A>(v.load(q), half), v.mul<A>(a, a)));
  }
  if (s < end) {
    const a = v.load(s);
    const rest = v.less<A>(v.mul<A>(v.load(q), half), v.mul<A>(a, a));
    bad = v.or(bad, v.and(rest, v.headMask<A>(width & (v.lanes<A>() - 1))));
  }
  return !v.anyTrue(bad);
}

/** Whether all of `width` elements are finite. */
function allFinite<A>(at: usize, width: i32): bool {
  const whole = at + v.wholeBytes<A>(width);
  const infinity = v.splat<A>(<A>Infinity);
  let good = v.equal<A>(infinity, infinity);
  for (; at < whole; at += 16) good = v.and(good, v.less<A>(v.abs<A>(v.load(at)), infinity));
  const rest = width & (v.lanes<A>() - 1);
  if (rest) good = v.and(good, v.less<A>(v.abs<A>(v.loadHead<A>(at, rest, v.zero())), infinity));
  return v.allTrue32(good);
}

/** k[j] += s[j]/rows: the mean of the block, rounded. */
function colRefine<A>(k: usize, s: usize, width: i32, rows: i32): void {
  const end = k + <usize>width * sizeof<A>();
  const count = v.splat<A>(<A>rows);
  for (; k < end; k += 16, s += 16) v.store(k, v.add<A>(v.load(k), v.div<A>(v.load(s), count)));
}

/** Merges block sums (k, Σd, Σd² over `rows` rows) into mean and m2 that hold `seen` rows. */
function colMerge<A>(mean: usize, m2: usize, k: usize, s: usize, q: usize, width: i32, rows: i32, seen: f64): void {
  const count = <f64>rows;
  const total = seen + count;
  const share = v.splat<f64>(count / total);
  const cross = v.splat<f64>(seen * (count / total));
  const one = v.splat<f64>(1 / count);
  const step: usize = 2 * sizeof<A>();
  const fresh = seen == 0 ? v.splat<f64>(0) : v.not(v.zero());
  const end = mean + ((<usize>width) << 3);
  for (; mean < end; mean += 16, m2 += 16, k += step, s += step, q += step) {
    const d = v.loadAs<A, f64>(s);
    const shift = v.mul<f64>(d, one);
    const blockMean = v.add<f64>(v.loadAs<A, f64>(k), shift);
    const blockM2 = v.maxPassingNaN<f64>(v.sub<f64>(v.loadAs<A, f64>(q), v.mul<f64>(d, shift)), v.zero());
    const before = v.and(v.load(mean), fresh);
    const delta = v.sub<f64>(blockMean, before);
    const m = v.add<f64>(before, v.mul<f64>(delta, share));
    const sum = v.add<f64>(v.and(v.load(m2), fresh), blockM2);
    const m2Next = v.add<f64>(sum, v.mul<f64>(v.mul<f64>(delta, delta), cross));
    if (mean + 8 < end) {
      v.store(mean, m);
      v.store(m2, m2Next);
    } else {
      v.storeHead<f64>(mean, m, 1);
      v.storeHead<f64>(m2, m2Next, 1);
    }
  }
}

/**
 * One block of rows and one tile of columns, accumulated in lanes of type A; false where f32 sums overflowed. `fold` rows
 * have been taken as one: their columns are merged one row after the other.
 */
function colBlockIn<T, A>(
  mean: usize,
  m2: usize,
  x: usize,
  stride: usize,
  rows: i32,
  width: i32,
  fold: i32,
  seen: f64,
  scratch: usize,
): bool {
  const k = scratch;
  const s = scratch + TILE_BYTES;
  const q = s + TILE_BYTES;
  colSample<T, A>(k, x, <usize>(rows >> 4) * stride, width);
  colDeviate<T, A>(s, q, k, x, stride, rows, width);
  if (!shiftIsGood<A>(s, q, width, rows)) {
    colRefine<A>(k, s, width, rows);
    colDeviate<T, A>(s, q, k, x, stride, rows, width);
  }
  if (sizeof<A>() == 4 && !allFinite<A>(q, width)) return false;
  const cols = width / fold;
  let at: usize = 0;
  for (let i = 0; i < fold; i++) {
    colMerge<A>(mean, m2, k + at, s + at, q + at, cols, rows, seen + <f64>i * <f64>rows);
    at += <usize>cols * sizeof<A>();
  }
  return true;
}

function colBlock<T, A>(
  mean: usize,
  m2: usize,
  x: usize,
  stride: usize,
  rows: i32,
  width: i32,
  fold: i32,
  seen: f64,
  scratch: usize,
): void {
  if (!colBlockIn<T, A>(mean, m2, x, stride, rows, width, fold, seen, scratch)) {
    colBlockIn<T, f64>(mean, m2, x, stride, rows, width, fold, seen, scratch);
  }
}

function colMomentsIn<T, A>(mean: usize, m2: usize, x: usize, rows: i32, cols: i32, seen: f64, scratch: usize): void {
  const stride = <usize>cols * sizeof<T>();
  const fold = colFold(cols);
  while (rows > 0) {
    let height = COL_BLOCK_ROWS * fold;
    if (fold > 1 && rows >= height) {
      colBlock<T, A>(mean, m2, x, stride * fold, COL_BLOCK_ROWS, cols * fold, fold, seen, scratch);
    } else {
      height = rows < COL_BLOCK_ROWS ? rows : COL_BLOCK_ROWS;
      for (let j = 0; j < cols; j += COL_TILE) {
        const width = cols - j < COL_TILE ? cols - j : COL_TILE;
        const at = (<usize>j) << 3;
        colBlock<T, A>(mean + at, m2 + at, x + <usize>j * sizeof<T>(), stride, height, width, 1, seen, scratch);
      }
    }
    x += <usize>height * stride;
    seen += <f64>height;
    rows -= height;
  }
}

/**
 * colMoments for rows of differing weight (`weights` f64, one a row; 0 = all 1) in which NaN is missing: Σw, mean and
 * M2 = Σw(x − mean)² of each column, f64. Scalar, row by row (West 1979): no two columns share a count.
 */
export function colMomentsWeighted<T>(
  weightSum: usize,
  mean: usize,
  m2: usize,
  x: usize,
  weights: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const w = weights ? load<f64>(weights + ((<usize>r) << 3)) : 1;
    for (let j: usize = 0; j < <usize>cols; j++) {
      const a = <f64>load<T>(x + j * sizeof<T>());
      if (a != a || w == 0) continue;
      const at = j << 3;
      const total = load<f64>(weightSum + at) + w;
      const delta = a - load<f64>(mean + at);
      const next = load<f64>(mean + at) + delta * (w / total);
      store<f64>(weightSum + at, total);
      store<f64>(mean + at, next);
      store<f64>(m2 + at, load<f64>(m2 + at) + w * delta * (a - next));
    }
    x += <usize>cols * sizeof<T>();
  }
}

export function colMoments<T>(mean: usize, m2: usize, x: usize, rows: i32, cols: i32, seen: f64, scratch: usize): void {
  colMomentsIn<T, T>(mean, m2, x, rows, cols, seen, scratch);
}

/** colMoments with every sum in f64 lanes, for scalers. */
export function colMomentsWide<T>(
  mean: usize,
  m2: usize,
  x: usize,
  rows: i32,
  cols: i32,
  seen: f64,
  scratch: usize,
): void {
  colMomentsIn<T, f64>(mean, m2, x, rows, cols, seen, scratch);
}

/** Merges (countB, meanB, m2B) into (countA, meanA, m2A), cell by cell; an empty part on either side is the identity. */
export function mergeMoments(
  countA: usize,
  meanA: usize,
  m2A: usize,
  countB: usize,
  meanB: usize,
  m2B: usize,
  cells: i32,
): void {
  for (let i: usize = 0; i < (<usize>cells) << 3; i += 8) {
    const nb = load<f64>(countB + i);
    if (nb == 0) continue;
    const na = load<f64>(countA + i);
    const n = na + nb;
    const delta = load<f64>(meanB + i) - load<f64>(meanA + i);
    store<f64>(countA + i, n);
    store<f64>(meanA + i, na == 0 ? load<f64>(meanB + i) : load<f64>(meanA + i) + delta * (nb / n));
    store<f64>(
      m2A + i,
      na == 0 ? load<f64>(m2B + i) : load<f64>(m2A + i) + load<f64>(m2B + i) + delta * delta * (na * (nb / n)),
    );
  }
}
