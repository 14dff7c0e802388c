/**
 * gradient.ts for columns: Σdy and Σdy·(x − center) of each, and dx = r·(w·dy + p·(x − center) + c).
 *
 * Shapes: dx, dy, x [rows, cols]; coefficients one a column, of the type of x. Sums are f64 and are added to: the caller
 *   clears them. dx may be dy or x.
 * Error: sums over blocks of COL_BLOCK_ROWS rows, merged in f64, so a few ulps of Σ|term|; dx six roundings. NaN in a
 *   column stays there.
 * Source: as gradient.ts.
 */
import { COL_BLOCK_ROWS, COL_TILE } from "./col-moments";
import { v } from "./vec";

/** GradientAffine with the coefficients of each column. */
abstract class GradientColumns {
  @inline
  static at<T>(dy: usize, x: usize, center: usize, r: usize, w: usize, p: usize, c: usize): v128 {
    const d = v.sub<T>(v.load(x), v.load(center));
    return v.mul<T>(v.load(r), v.mulAdd<T>(v.load(w), v.load(dy), v.mulAdd<T>(v.load(p), d, v.load(c))));
  }
}

/** s[j] += Σ dy and q[j] += Σ dy·(x − c[j]) over two rows (or one, with x2 = 0). */
function colGradAdd2<T>(s: usize, q: usize, c: usize, dy: usize, x: usize, stride: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  for (; s < end; s += 16, q += 16, c += 16, x += 16, dy += 16) {
    const k = v.load(c);
    const g0 = v.load(dy);
    const g1 = v.load(dy + stride);
    const t0 = v.mul<T>(g0, v.sub<T>(v.load(x), k));
    const t1 = v.mul<T>(g1, v.sub<T>(v.load(x + stride), k));
    v.store(s, v.add<T>(v.load(s), v.add<T>(g0, g1)));
    v.store(q, v.add<T>(v.load(q), v.add<T>(t0, t1)));
  }
}

function colGradAdd1<T>(s: usize, q: usize, c: usize, dy: usize, x: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  for (; s < end; s += 16, q += 16, c += 16, x += 16, dy += 16) {
    const g = v.load(dy);
    v.store(s, v.add<T>(v.load(s), g));
    v.store(q, v.mulAdd<T>(g, v.sub<T>(v.load(x), v.load(c)), v.load(q)));
  }
}

/** sum[j] += s[j], in f64. */
export function runAddWide<T>(sum: usize, s: usize, width: i32): void {
  const end = sum + ((<usize>(width & ~1)) << 3);
  for (; sum < end; sum += 16, s += 2 * sizeof<T>()) {
    v.store(sum, v.add<f64>(v.load(sum), v.loadAs<T, f64>(s)));
  }
  if (width & 1) store<f64>(sum, load<f64>(sum) + <f64>load<T>(s));
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
  const s = scratch;
  const q = scratch + <usize>COL_TILE * 8;
  for (let r = 0; r < rows; r += COL_BLOCK_ROWS) {
    const height = rows - r < COL_BLOCK_ROWS ? rows - r : COL_BLOCK_ROWS;
    for (let j = 0; j < cols; j += COL_TILE) {
      const width = cols - j < COL_TILE ? cols - j : COL_TILE;
      const skip = <usize>j * sizeof<T>();
      const c = center + skip;
      memory.fill(s, 0, <usize>((width + 3) & ~3) * sizeof<T>());
      memory.fill(q, 0, <usize>((width + 3) & ~3) * sizeof<T>());
      let i = 0;
      for (; i + 2 <= height; i += 2) {
        const at = <usize>i * stride + skip;
        colGradAdd2<T>(s, q, c, dy + at, x + at, stride, width);
      }
      if (i < height) {
        const at = <usize>i * stride + skip;
        colGradAdd1<T>(s, q, c, dy + at, x + at, width);
      }
      runAddWide<T>(sumG + ((<usize>j) << 3), s, width);
      runAddWide<T>(sumGD + ((<usize>j) << 3), q, width);
    }
    dy += <usize>height * stride;
    x += <usize>height * stride;
  }
}

function colGradAffineRow<T>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  r: usize,
  w: usize,
  p: usize,
  c: usize,
  cols: i32,
): void {
  const end = v.wholeBytes<T>(cols);
  let i: usize = 0;
  for (; i < end; i += 16)
    v.store(dx + i, GradientColumns.at<T>(dy + i, x + i, center + i, r + i, w + i, p + i, c + i));
  const rest = cols & (v.lanes<T>() - 1);
  if (rest) v.storeHead<T>(dx + i, GradientColumns.at<T>(dy + i, x + i, center + i, r + i, w + i, p + i, c + i), rest);
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
  const bytes = <usize>cols * sizeof<T>();
  for (let row = 0; row < rows; row++) {
    colGradAffineRow<T>(dx, dy, x, center, r, w, p, c, cols);
    x += bytes;
    dy += bytes;
    dx += bytes;
  }
}
