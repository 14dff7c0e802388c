/**
 * y = (x − center)·scale + shift with coefficients for each column, and columns times a factor.
 *
 * Shapes: x, y [rows, cols]; coefficients one a column, of the type of x, but f64 in colScaleWide. y may be x.
 * Error: as rows/affine.ts. NaN stays in its element.
 */
import { map } from "../loops";
import { v } from "../vec";
import { mapColumns } from "./col-loops";

/**
 * Rows of this many bytes go one by one, as fast as memory is copied, though every coefficient is loaded anew. Side by
 * side, rows 4096 bytes apart take 1.7 times as long: their lines share a place in L1.
 */
const LONG_ROW_BYTES: i32 = 1024;

@final
@unmanaged
class Affine {
  @inline
  rows(): i32 {
    return 8;
  }

  @inline
  at<T>(x: usize, u: usize, center: v128, scale: v128, shift: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.sub<T>(v.load(x), center), scale, shift);
  }
}

/** (x − u[j])·w[j] + b[j] */
@final
@unmanaged
class AffineRow {
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
  const bytes = cols * sizeof<T>();
  if (bytes < LONG_ROW_BYTES) {
    mapColumns<T, Affine>(y, x, x, center, scale, shift, shift, shift, rows, cols);
    return;
  }
  const none = v.zero();
  for (let r = 0; r < rows; r++) {
    map<T, AffineRow>(y, x, center, scale, shift, cols, none, none, none, none, none);
    x += bytes;
    y += bytes;
  }
}

/** One row of colScaleWide. */
function runScaleWide<T>(y: usize, x: usize, factor: usize, n: i32): void {
  const step: usize = 2 * sizeof<T>();
  const end = y + <usize>(n >> 1) * step;
  for (; y < end; y += step, x += step, factor += 16) {
    v.storeAs<T, f64>(y, v.oneNaN<f64>(v.mul<f64>(v.loadAs<T, f64>(x), v.load(factor))), 0);
  }
  if (n & 1) v.storeAs<T, f64>(y, v.oneNaN<f64>(v.mul<f64>(v.loadAs<T, f64>(x), v.load(factor))), 1);
}

/** y = x·factor[j], rounded once. */
export function colScaleWide<T>(y: usize, x: usize, factor: usize, rows: i32, cols: i32): void {
  const bytes = <usize>cols * sizeof<T>();
  for (let r = 0; r < rows; r++) {
    runScaleWide<T>(y, x, factor, cols);
    x += bytes;
    y += bytes;
  }
}
