/**
 * y = (x − center)·scale + shift with coefficients for each column.
 *
 * Shapes: x, y [rows, cols]; coefficients one a column, of the type of x. y may be x.
 * Error: as affine.ts. NaN stays in its element.
 */
import { map } from "./loops";
import { v } from "./vec";

/** (x − u[i])·w[i] + b[i] */
@final
@unmanaged
class AffineColumns {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.sub<T>(v.load(x), v.load(u)), v.load(w), v.load(b));
  }
}

export function colAffine<T>(
  y: usize,
  x: usize,
  center: usize,
  scale: usize,
  shift: usize,
  rows: i32,
  cols: i32,
): void {
  const bytes = <usize>cols * sizeof<T>();
  const none = v.zero();
  for (let r = 0; r < rows; r++) {
    map<T, AffineColumns>(y, x, center, scale, shift, cols, none, none, none, none, none);
    x += bytes;
    y += bytes;
  }
}
