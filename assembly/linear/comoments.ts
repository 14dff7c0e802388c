/**
 * Products of centered columns with each other, Σ (x − m)·(x − m)ᵀ, and the triangular factor of such a matrix. f64.
 *
 * Shapes: x [rows, cols] of T; C and M [n, n], rows `stride` elements apart, of which the lower triangle is read; U and
 *   its inverse lie on and above the diagonal. Strides leave room for one column more than there are.
 * Error: x − m rounds once; sums are over rows in order. The factor is backward stable.
 */
import { v } from "../vec";
import { multiplyAdd } from "./matmul";
import { addRows, dot } from "./reflect";

/** Rows of the lower triangle that are worked out at a time: what lies above the diagonal is wasted. */
const GRAM_ROWS: i32 = 64;

/** y[i] = x[i] − m[i] in f64. */
function subtractWide<T>(y: usize, x: usize, m: usize, n: i32): void {
  const step: usize = 2 * sizeof<T>();
  const end = y + ((<usize>n & ~1) << 3);
  for (; y < end; y += 16, x += step, m += 16) v.store(y, v.sub<f64>(v.loadAs<T, f64>(x), v.load(m)));
  if (n & 1) store<f64>(y, <f64>load<T>(x) - load<f64>(m));
}

/** y [rows, cols] f64 = x − m, m one a column, f64. */
export function colCenterWide<T>(y: usize, x: usize, m: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    subtractWide<T>(y, x, m, cols);
    y += (<usize>cols) << 3;
    x += <usize>cols * sizeof<T>();
  }
}

/**
 * C += Xᵀ·X on and below the diagonal (and somewhat above), X [rows, cols] with rows and columns `deep` and `wide`
 * apart.
 */
export function addGram_f64(
  c: usize,
  x: usize,
  rows: i32,
  cols: i32,
  stride: i32,
  deep: i32,
  wide: i32,
  product: usize,
): void {
  for (let i = 0; i < cols; i += GRAM_ROWS) {
    const height = cols - i < GRAM_ROWS ? cols - i : GRAM_ROWS;
    const at = c + ((<usize>(i * stride)) << 3);
    multiplyAdd<f64>(
      at,
      x + ((<usize>(i * wide)) << 3),
      x,
      height,
      i + height,
      rows,
      stride,
      deep,
      wide,
      deep,
      wide,
      product,
    );
  }
}

/**
 * M = U·Uᵀ, U upper triangular, written over the upper triangle. Returns −1, or the column whose pivot is at most
 * `tolerance` of its diagonal element: to rounding, it is a combination of those after it.
 */
export function choleskyUpper_f64(m: usize, n: i32, stride: i32, tolerance: f64): i32 {
  const bytes = (<usize>stride) << 3;
  for (let j = n - 1; j >= 0; j--) {
    const row = m + <usize>j * bytes;
    const at = row + ((<usize>j) << 3);
    const rest = n - 1 - j;
    const diagonal = load<f64>(at);
    const pivot = diagonal - dot(at + 8, at + 8, rest);
    if (!(pivot > tolerance * diagonal)) return j;
    const root = sqrt(pivot);
    store<f64>(at, root);
    for (let i = 0; i < j; i++) {
      const to = m + <usize>i * bytes + ((<usize>j) << 3);
      store<f64>(to, (load<f64>(row + ((<usize>i) << 3)) - dot(to + 8, at + 8, rest)) / root);
    }
  }
  return -1;
}

/** X = U⁻¹ of an upper triangular U; X is cleared before. */
export function invertUpper_f64(x: usize, u: usize, n: i32, stride: i32): void {
  const bytes = (<usize>stride) << 3;
  for (let i = n - 1; i >= 0; i--) {
    const diagonal = <usize>i * bytes + ((<usize>i) << 3);
    const k = 1 / load<f64>(u + diagonal);
    const row = x + diagonal + 8;
    const rest = n - 1 - i;
    addRows(row, row + bytes, u + diagonal + 8, rest, rest, bytes);
    for (let j: usize = 0; j < (<usize>rest) << 3; j += 8) store<f64>(row + j, -k * load<f64>(row + j));
    store<f64>(x + diagonal, k);
  }
}
