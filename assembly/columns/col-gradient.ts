/**
 * rows/gradient.ts for columns: Σdy and Σdy·(x − center) of each, and dx = r·(w·dy + p·(x − center) + c).
 *
 * Shapes: dx, dy, x [rows, cols]; coefficients one a column, of the type of x. Sums are f64 and are added to: the caller
 *   clears them. dx may be dy or x.
 * Error: sums over blocks of COL_BLOCK_ROWS rows, merged in f64, so a few ulps of Σ|term|; dx six roundings. NaN in a
 *   column stays there.
 * Source: as rows/gradient.ts.
 */
import { v } from "../vec";
import { mapColumns } from "./col-loops";
import { COL_BLOCK_ROWS, COL_TILE, colFold } from "./col-moments";

/** Rows that sums go down before the next columns: even, and few enough to stay in L1 for these. */
const STRIP_ROWS: i32 = 16;

/** r·(w·dy + (p·(x − center) + c)) */
@final
@unmanaged
class GradientAffine {
  @inline
  rows(): i32 {
    return 4;
  }

  @inline
  at<T>(x: usize, dy: usize, center: v128, r: v128, w: v128, p: v128, c: v128): v128 {
    const d = v.sub<T>(v.load(x), center);
    return v.mul<T>(r, v.mulAdd<T>(w, v.load(dy), v.mulAdd<T>(p, d, c)));
  }
}

/**
 * s[j] += Σ dy and q[j] += Σ dy·(x − k[j]) over `rows` rows (an even number), for `width` columns, a multiple of two
 * vectors. The sums of two vectors stay in registers down the rows.
 */
function colGradTwos<T>(s: usize, q: usize, k: usize, dy: usize, x: usize, stride: usize, rows: i32, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  const height = <usize>rows * stride;
  const s2 = stride << 1;
  for (; s < end; s += 32, q += 32, k += 32, x += 32, dy += 32) {
    let a0 = v.load(s);
    let a1 = v.load(s + 16);
    let b0 = v.load(q);
    let b1 = v.load(q + 16);
    const k0 = v.load(k);
    const k1 = v.load(k + 16);
    for (let i: usize = 0; i < height; i += s2) {
      const g = dy + i;
      const at = x + i;
      let g0 = v.load(g);
      let g1 = v.load(g + stride);
      a0 = v.add<T>(a0, v.add<T>(g0, g1));
      g0 = v.mul<T>(g0, v.sub<T>(v.load(at), k0));
      g1 = v.mul<T>(g1, v.sub<T>(v.load(at + stride), k0));
      b0 = v.add<T>(b0, v.add<T>(g0, g1));
      g0 = v.load(g + 16);
      g1 = v.load(g + stride + 16);
      a1 = v.add<T>(a1, v.add<T>(g0, g1));
      g0 = v.mul<T>(g0, v.sub<T>(v.load(at + 16), k1));
      g1 = v.mul<T>(g1, v.sub<T>(v.load(at + stride + 16), k1));
      b1 = v.add<T>(b1, v.add<T>(g0, g1));
    }
    v.store(s, a0);
    v.store(s + 16, a1);
    v.store(q, b0);
    v.store(q + 16, b1);
  }
}

/** s[j] += dy and q[j] += dy·(x − k[j]) for one row. */
function colGradRow<T>(s: usize, q: usize, k: usize, dy: usize, x: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  for (; s < end; s += 16, q += 16, k += 16, x += 16, dy += 16) {
    const g = v.load(dy);
    v.store(s, v.add<T>(v.load(s), g));
    v.store(q, v.mulAdd<T>(g, v.sub<T>(v.load(x), v.load(k)), v.load(q)));
  }
}

/** sum[j] += s[j], in f64, with one NaN: what is summed here are gradients. */
export function runAddWide<T>(sum: usize, s: usize, width: i32): void {
  const whole = sum + ((<usize>width & ~1) << 3);
  const step: usize = 2 * sizeof<T>();
  for (; sum < whole; sum += 16, s += step) v.store(sum, v.oneNaN<f64>(v.add<f64>(v.load(sum), v.loadAs<T, f64>(s))));
  if (width & 1) store<f64>(sum, v.oneNaNOf<f64>(load<f64>(sum) + <f64>load<T>(s)));
}

/** One block of rows and one tile of columns, of which `fold` rows have been taken as one. */
function colGradBlock<T>(
  sumG: usize,
  sumGD: usize,
  dy: usize,
  x: usize,
  k: usize,
  stride: usize,
  rows: i32,
  width: i32,
  fold: i32,
  scratch: usize,
): void {
  const s = scratch;
  const q = scratch + <usize>COL_TILE * 8;
  const padded = <usize>((width + 3) & ~3) * sizeof<T>();
  memory.fill(s, 0, padded);
  memory.fill(q, 0, padded);
  const twos = width & ~(2 * v.lanes<T>() - 1);
  const bytes = <usize>twos * sizeof<T>();
  const even = rows & ~1;
  for (let r = 0; r < even; r += STRIP_ROWS) {
    const height = even - r < STRIP_ROWS ? even - r : STRIP_ROWS;
    const at = <usize>r * stride;
    colGradTwos<T>(s, q, k, dy + at, x + at, stride, height, twos);
  }
  for (let r = 0; r < even && twos < width; r++) {
    const at = <usize>r * stride + bytes;
    colGradRow<T>(s + bytes, q + bytes, k + bytes, dy + at, x + at, width - twos);
  }
  if (rows & 1) {
    const at = <usize>even * stride;
    colGradRow<T>(s, q, k, dy + at, x + at, width);
  }
  const cols = width / fold;
  let at: usize = 0;
  for (let i = 0; i < fold; i++) {
    runAddWide<T>(sumG, s + at, cols);
    runAddWide<T>(sumGD, q + at, cols);
    at += <usize>cols * sizeof<T>();
  }
}

export function colGradSums<T>(
  sumG: usize,
  sumGD: usize,
  dy: usize,
  x: usize,
  center: usize,
  rows: i32,
  cols: i32,
  scratch: usize,
): void {
  const stride = <usize>cols * sizeof<T>();
  const fold = colFold(cols);
  // The centers of folded rows, behind the sums.
  const centers = scratch + 2 * <usize>COL_TILE * 8;
  if (fold > 1 && rows >= COL_BLOCK_ROWS * fold) {
    for (let i = 0; i < fold; i++) memory.copy(centers + <usize>i * stride, center, stride);
  }
  while (rows > 0) {
    let height = COL_BLOCK_ROWS * fold;
    if (fold > 1 && rows >= height) {
      colGradBlock<T>(sumG, sumGD, dy, x, centers, stride * fold, COL_BLOCK_ROWS, cols * fold, fold, scratch);
    } else {
      height = rows < COL_BLOCK_ROWS ? rows : COL_BLOCK_ROWS;
      for (let j = 0; j < cols; j += COL_TILE) {
        const width = cols - j < COL_TILE ? cols - j : COL_TILE;
        const at = <usize>j * sizeof<T>();
        const to = (<usize>j) << 3;
        colGradBlock<T>(sumG + to, sumGD + to, dy + at, x + at, center + at, stride, height, width, 1, scratch);
      }
    }
    dy += <usize>height * stride;
    x += <usize>height * stride;
    rows -= height;
  }
}

export function colGradAffine<T>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  r: usize,
  w: usize,
  p: usize,
  c: usize,
  rows: i32,
  cols: i32,
): void {
  mapColumns<T, GradientAffine>(dx, x, dy, center, r, w, p, c, rows, cols);
}
