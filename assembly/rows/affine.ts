/**
 * y = (x − center)·scale + shift, with coefficients for each row, standardized rows with a weight and bias for each
 * element, and rows times a factor.
 *
 * Shapes: x, y [rows, n]. Row coefficients have `period` entries, row r takes entry (first + r) mod period. y may
 *   be x.
 * Error: three roundings; rowScaleWide one, since its factors and products are f64. `center` is the mean rounded to T;
 *   its remainder belongs in `shift`, so that x − center is nearly exact however large the mean is against the
 *   deviation. NaN stays in its element.
 */
import { map } from "../loops";
import { v } from "../vec";

@final
@unmanaged
export class Affine {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, center: v128, scale: v128, shift: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.sub<T>(v.load(x), center), scale, shift);
  }
}

/** ((x − center)·scale + shift)·w[i] */
@final
@unmanaged
class AffineWeight {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, center: v128, scale: v128, shift: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.mulAdd<T>(v.sub<T>(v.load(x), center), scale, shift), v.load(w));
  }
}

/** ((x − center)·scale + shift)·w[i] + b[i] */
@final
@unmanaged
class AffineWeightBias {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, center: v128, scale: v128, shift: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.mulAdd<T>(v.sub<T>(v.load(x), center), scale, shift), v.load(w), v.load(b));
  }
}

/** x·scale */
@final
@unmanaged
class Scale {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, scale: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.load(x), scale);
  }
}

/** x·scale·w[i] */
@final
@unmanaged
class ScaleWeight {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, scale: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.mul<T>(v.load(x), scale), v.load(w));
  }
}

/** x·factor in f64, the factor in both lanes. */
@final
@unmanaged
class ScaleWide {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, factor: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(x);
    if (sizeof<T>() == 8) return v.mul<f64>(a, factor);
    return v.narrow(v.mul<f64>(v.widenLow(a), factor), v.mul<f64>(v.widenHigh(a), factor));
  }
}

/** y = x·factor[(first + r) mod period], rounded once. */
export function rowScaleWide<T>(y: usize, x: usize, factor: usize, rows: i32, n: i32, first: i32, period: i32): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const k0 = v.loadSplat<f64>(factor + ((<usize>i) << 3));
    map<T, ScaleWide>(y, x, 0, 0, 0, n, k0, k0, k0, k0, k0);
    x += bytes;
    y += bytes;
    if (++i == period) i = 0;
  }
}

export function rowAffine<T>(
  y: usize,
  x: usize,
  center: usize,
  scale: usize,
  shift: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = <usize>i * sizeof<T>();
    const k0 = v.loadSplat<T>(center + at);
    const k1 = v.loadSplat<T>(scale + at);
    const k2 = v.loadSplat<T>(shift + at);
    map<T, Affine>(y, x, 0, 0, 0, n, k0, k1, k2, k0, k0);
    x += bytes;
    y += bytes;
    if (++i == period) i = 0;
  }
}

/**
 * y = (x − mean)·rstd·w + b over one run; w and b may be 0 (absent; no b without w). The f64 remainder of the mean goes
 * into the shift. Rows without a mean, as in RMS normalization, take no center and no shift.
 */
export function runStandardize<T>(y: usize, x: usize, w: usize, b: usize, n: i32, mean: f64, rstd: f64): void {
  const k1 = v.splat<T>(<T>rstd);
  if (mean == 0 && !b) {
    if (w) map<T, ScaleWeight>(y, x, 0, w, 0, n, k1, k1, k1, k1, k1);
    else map<T, Scale>(y, x, 0, 0, 0, n, k1, k1, k1, k1, k1);
    return;
  }
  const center = <T>mean;
  const k0 = v.splat<T>(center);
  const k2 = v.splat<T>(<T>((<f64>center - mean) * rstd));
  if (b) map<T, AffineWeightBias>(y, x, 0, w, b, n, k0, k1, k2, k0, k0);
  else if (w) map<T, AffineWeight>(y, x, 0, w, 0, n, k0, k1, k2, k0, k0);
  else map<T, Affine>(y, x, 0, 0, 0, n, k0, k1, k2, k0, k0);
}

/** y = (x − mean[r])·rstd[r]·w[p, i] + b[p, i], p = (first + r) mod period; mean and rstd f64. */
export function rowStandardize<T>(
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
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    const skip = <usize>i * bytes;
    runStandardize<T>(y, x, w ? w + skip : 0, b ? b + skip : 0, n, load<f64>(mean + at), load<f64>(rstd + at));
    x += bytes;
    y += bytes;
    if (++i == period) i = 0;
  }
}
