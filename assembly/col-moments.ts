/**
 * Mean and M2 = Σ(x − mean)² of columns.
 *
 * Formula: as in moments.ts, over blocks of COL_BLOCK_ROWS rows.
 * Shapes: x [rows, cols]; mean and m2 are f64, one a column. `seen` rows are already in mean and m2; 0 starts anew.
 *   Splitting the input at multiples of a block gives the same bits as one call.
 * Error: mean about an ulp of the deviation, M2 a few ulps, at any offset of the data. A block whose f32 sums overflow
 *   is read again in f64. NaN or infinity in a column gives NaN there alone.
 * Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983.
 */
import { v } from "./vec";

/** Rows that a column is reduced over before the sums are merged. */
export const COL_BLOCK_ROWS: i32 = 32;

/** Columns that are worked on at a time, so that their accumulators stay in L1. */
export const COL_TILE: i32 = 512;

/** Rows of a matrix that are reduced before a merge; inputs may be split at multiples of this. */
export function colBlockRows(): i32 {
  return COL_BLOCK_ROWS;
}

/** Bytes of scratch that a column kernel takes. */
export function colScratchBytes(): i32 {
  return 4 * COL_TILE * 8;
}

/** sum[j] += Σ x[i, j] for i < ROWS (8 or 1), in lanes of type A. Scalar form: sum[j] += ((x0+x1)+(x2+x3))+((x4+x5)+(x6+x7)). */
function colAdd8<T, A>(sum: usize, x: usize, stride: usize, width: i32): void {
  const end = sum + <usize>width * sizeof<A>();
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  const s2 = stride << 1;
  const s4 = stride << 2;
  for (; sum < end; sum += 16, x += step) {
    const y = x + s4;
    const a = v.add<A>(v.loadAs<T, A>(x), v.loadAs<T, A>(x + stride));
    const b = v.add<A>(v.loadAs<T, A>(x + s2), v.loadAs<T, A>(x + s2 + stride));
    const c = v.add<A>(v.loadAs<T, A>(y), v.loadAs<T, A>(y + stride));
    const d = v.add<A>(v.loadAs<T, A>(y + s2), v.loadAs<T, A>(y + s2 + stride));
    v.store(sum, v.add<A>(v.load(sum), v.add<A>(v.add<A>(a, b), v.add<A>(c, d))));
  }
}

function colAdd1<T, A>(sum: usize, x: usize, width: i32): void {
  const end = sum + <usize>width * sizeof<A>();
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  for (; sum < end; sum += 16, x += step) v.store(sum, v.add<A>(v.load(sum), v.loadAs<T, A>(x)));
}

/** s[j] += Σ d and q[j] += Σ d², d = x[i, j] − c[j], for 4 rows. */
function colDeviate4<T, A>(s: usize, q: usize, c: usize, x: usize, stride: usize, width: i32): void {
  const end = s + <usize>width * sizeof<A>();
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  const s2 = stride << 1;
  for (; s < end; s += 16, q += 16, c += 16, x += step) {
    const k = v.load(c);
    const d0 = v.sub<A>(v.loadAs<T, A>(x), k);
    const d1 = v.sub<A>(v.loadAs<T, A>(x + stride), k);
    const d2 = v.sub<A>(v.loadAs<T, A>(x + s2), k);
    const d3 = v.sub<A>(v.loadAs<T, A>(x + s2 + stride), k);
    v.store(s, v.add<A>(v.load(s), v.add<A>(v.add<A>(d0, d1), v.add<A>(d2, d3))));
    v.store(
      q,
      v.add<A>(
        v.load(q),
        v.add<A>(v.add<A>(v.mul<A>(d0, d0), v.mul<A>(d1, d1)), v.add<A>(v.mul<A>(d2, d2), v.mul<A>(d3, d3))),
      ),
    );
  }
}

function colDeviate1<T, A>(s: usize, q: usize, c: usize, x: usize, width: i32): void {
  const end = s + <usize>width * sizeof<A>();
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  for (; s < end; s += 16, q += 16, c += 16, x += step) {
    const d = v.sub<A>(v.loadAs<T, A>(x), v.load(c));
    v.store(s, v.add<A>(v.load(s), d));
    v.store(q, v.mulAdd<A>(d, d, v.load(q)));
  }
}

/** center[j] = sum[j] / rows, in place. */
function colDivide<A>(sum: usize, width: i32, rows: i32): void {
  const end = sum + <usize>width * sizeof<A>();
  const count = v.splat<A>(<A>rows);
  for (; sum < end; sum += 16) v.store(sum, v.div<A>(v.load(sum), count));
}

/** Whether any of `width` elements is infinite or NaN. */
function anyNotFinite<A>(at: usize, width: i32): bool {
  const end = at + <usize>width * sizeof<A>();
  for (; at < end; at += sizeof<A>()) if (!(abs<A>(load<A>(at)) < <A>Infinity)) return true;
  return false;
}

/** Merges block sums (c, Σd, Σd² over `rows` rows) into mean and m2 that hold `seen` rows. */
function colMerge<A>(mean: usize, m2: usize, c: usize, s: usize, q: usize, width: i32, rows: i32, seen: f64): void {
  const count = <f64>rows;
  const total = seen + count;
  const share = count / total;
  const cross = seen * share;
  for (let j: usize = 0; j < <usize>width; j++) {
    const d = <f64>load<A>(s + j * sizeof<A>());
    const blockMean = <f64>load<A>(c + j * sizeof<A>()) + d / count;
    let blockM2 = <f64>load<A>(q + j * sizeof<A>()) - (d * d) / count;
    if (blockM2 < 0) blockM2 = 0;
    if (seen == 0) {
      store<f64>(mean + (j << 3), blockMean);
      store<f64>(m2 + (j << 3), blockM2);
    } else {
      const delta = blockMean - load<f64>(mean + (j << 3));
      store<f64>(mean + (j << 3), load<f64>(mean + (j << 3)) + delta * share);
      store<f64>(m2 + (j << 3), load<f64>(m2 + (j << 3)) + blockM2 + delta * delta * cross);
    }
  }
}

/** One block of rows and one tile of columns, accumulated in lanes of type A; false where f32 sums overflowed. */
function colBlock<T, A>(
  mean: usize,
  m2: usize,
  x: usize,
  stride: usize,
  rows: i32,
  width: i32,
  seen: f64,
  scratch: usize,
): bool {
  const bytes: usize = COL_TILE * 8;
  const c = scratch;
  const s = scratch + bytes;
  const q = s + bytes;
  const padded = (width + 3) & ~3;
  memory.fill(c, 0, <usize>padded * sizeof<A>());
  memory.fill(s, 0, <usize>padded * sizeof<A>());
  memory.fill(q, 0, <usize>padded * sizeof<A>());
  let r = 0;
  for (; r + 8 <= rows; r += 8) colAdd8<T, A>(c, x + <usize>r * stride, stride, width);
  for (; r < rows; r++) colAdd1<T, A>(c, x + <usize>r * stride, width);
  colDivide<A>(c, width, rows);
  for (r = 0; r + 4 <= rows; r += 4) colDeviate4<T, A>(s, q, c, x + <usize>r * stride, stride, width);
  for (; r < rows; r++) colDeviate1<T, A>(s, q, c, x + <usize>r * stride, width);
  if (sizeof<A>() == 4 && anyNotFinite<A>(q, width)) return false;
  colMerge<A>(mean, m2, c, s, q, width, rows, seen);
  return true;
}

function colMomentsIn<T, A>(mean: usize, m2: usize, x: usize, rows: i32, cols: i32, seen: f64, scratch: usize): void {
  const stride = <usize>cols * sizeof<T>();
  for (let r = 0; r < rows; r += COL_BLOCK_ROWS) {
    const height = rows - r < COL_BLOCK_ROWS ? rows - r : COL_BLOCK_ROWS;
    for (let j = 0; j < cols; j += COL_TILE) {
      const width = cols - j < COL_TILE ? cols - j : COL_TILE;
      const at = (<usize>j) << 3;
      const from = x + <usize>j * sizeof<T>();
      const before = seen + <f64>r;
      if (!colBlock<T, A>(mean + at, m2 + at, from, stride, height, width, before, scratch)) {
        colBlock<T, f64>(mean + at, m2 + at, from, stride, height, width, before, scratch);
      }
    }
    x += <usize>height * stride;
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
