/**
 * Norms of rows, Σ|x|, √Σx² and max |x|, rows brought to a norm of 1 or to a length, and the gradients of both.
 *
 * Formula: y = x/‖x‖, dx = (dy − u·Σdy·y)/‖x‖ with u the gradient of the norm: y for ‖x‖ = √Σx², sign(x) for Σ|x|.
 * Shapes: x, dx, dy, y [rows, n]; y may be x, dx may be dy or x. Lengths and gains are f64, one a row.
 * Error: norms a few ulps; unit rows two roundings, 1.5 ulps, more than x/norm; gradients four roundings of |dy|/‖x‖ and
 *   the error of a sum in lanes. A row of zeros stays and has gradient 0, one with NaN becomes NaN.
 */
import { map, reduce } from "../loops";
import { v } from "../vec";
import { GradientAffine, runGradSums, runSecond } from "./gradient";
import { rowBlock, runSquares } from "./moments";

@final
@unmanaged
class Magnitude {
  @inline
  first<T>(x: usize, u: usize, w: usize, k: v128): v128 {
    return v.abs<T>(v.load(x));
  }
}

@final
@unmanaged
class Scaled {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.load(x), k0);
  }
}

/** (dy − x·slope)·inverse */
@final
@unmanaged
class GradientAlongRow {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, slope: v128, inverse: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.sub<T>(v.load(dy), v.mul<T>(v.load(x), slope)), inverse);
  }
}

/** (dy − sign(x)·slope)·inverse */
@final
@unmanaged
class GradientAlongSigns {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, slope: v128, inverse: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.sub<T>(v.load(dy), v.mul<T>(v.sign<T>(v.load(x)), slope)), inverse);
  }
}

/** Σ P.first over a run of any length, block by block. */
function runSum<T, P>(x: usize, n: i32, k: v128): f64 {
  const block = rowBlock<T>();
  let sum: f64 = 0;
  while (n > 0) {
    const size = n < block ? n : block;
    sum += reduce<T, P>(x, 0, 0, size, k);
    x += <usize>size * sizeof<T>();
    n -= size;
  }
  return sum;
}

/** A power of two not far above or below `a` whose inverse is a normal number of T. */
function powerBelow<T>(a: f64): f64 {
  const limit: f64 = sizeof<T>() == 4 ? 126 : 1022;
  let exponent = <f64>(<i64>(reinterpret<u64>(a) >> 52) - 1023);
  if (exponent > limit) exponent = limit;
  if (exponent < -limit) exponent = -limit;
  return reinterpret<f64>((<u64>(<i64>exponent + 1023)) << 52);
}

@final
@unmanaged
class Norm1 {
  @inline
  of<T>(x: usize, n: i32): f64 {
    return runSum<T, Magnitude>(x, n, v.zero());
  }

  @inline
  gradient<T>(dx: usize, dy: usize, x: usize, n: i32, sum: f64, norm: f64, inverse: v128): void {
    const slope = v.splat<T>(<T>(sum / norm));
    map<T, GradientAlongSigns>(dx, x, dy, 0, 0, n, slope, inverse, slope, slope, slope);
  }
}

@final
@unmanaged
class Norm2 {
  @inline
  of<T>(x: usize, n: i32): f64 {
    return sqrt<f64>(runSquares<T>(x, n, 0));
  }

  @inline
  gradient<T>(dx: usize, dy: usize, x: usize, n: i32, sum: f64, norm: f64, inverse: v128): void {
    const slope = v.splat<T>(<T>(sum / norm / norm));
    map<T, GradientAlongRow>(dx, x, dy, 0, 0, n, slope, inverse, slope, slope, slope);
  }
}

@final
@unmanaged
class NormMax {
  @inline
  of<T>(x: usize, n: i32): f64 {
    return <f64>runMaxAbs<T>(x, n);
  }
}

/** y = x·k over one run. */
function runScale<T>(y: usize, x: usize, n: i32, k: T): void {
  const factor = v.splat<T>(k);
  map<T, Scaled>(y, x, 0, 0, 0, n, factor, factor, factor, factor, factor);
}

/**
 * y = x/‖x‖ where ‖x‖, its square or its inverse may be beyond T: a power of two brings the row to about 1 first, which
 * costs no rounding. Returns the norm.
 */
function runUnitExtreme<T, N>(y: usize, x: usize, n: i32): f64 {
  const p = changetype<N>(0);
  const largest = <f64>runMaxAbs<T>(x, n);
  const unit: f64 = largest > 0 && largest < Infinity ? powerBelow<T>(largest) : 1;
  runScale<T>(y, x, n, <T>(1 / unit));
  // @ts-ignore: N has `of`
  const norm: f64 = p.of<T>(y, n);
  if (norm != 0) runScale<T>(y, y, n, <T>(1 / norm));
  return unit * norm;
}

/** Norms of rows that wait for their rows to be scaled, at the most so many. */
const WAITING: i32 = 32;

/** Bytes of scratch that the kernels of unit rows take. */
export function unitScratchBytes(): i32 {
  return WAITING << 3;
}

/** Whether a norm and its inverse are far from the ends of T. */
function isOrdinary<T>(norm: f64): bool {
  const low: f64 = sizeof<T>() == 4 ? 1e-14 : 1e-140;
  const high: f64 = sizeof<T>() == 4 ? 1e18 : 1e150;
  return norm > low && norm < high;
}

/** Bytes of rows that are measured before they are scaled: they stay in L1. */
const UNIT_BLOCK_BYTES: i32 = 12288;

/**
 * y = x/‖x‖ of each row, as a product with 1/‖x‖, while the row is in L1. A few rows are measured, then scaled, so that no
 * row waits for its sum, root and inverse.
 */
function rowUnit<T, N>(y: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  const p = changetype<N>(0);
  const bytes = <usize>n * sizeof<T>();
  let block = UNIT_BLOCK_BYTES / <i32>bytes;
  block = block < 1 ? 1 : block > WAITING ? WAITING : block;
  for (let r = 0; r < rows; r += block) {
    const count = rows - r < block ? rows - r : block;
    for (let i = 0; i < count; i++) {
      // @ts-ignore: N has `of`
      store<f64>(scratch + ((<usize>i) << 3), p.of<T>(x + <usize>i * bytes, n));
    }
    for (let i = 0; i < count; i++) {
      const size = load<f64>(scratch + ((<usize>i) << 3));
      if (isOrdinary<T>(size)) runScale<T>(y, x, n, <T>(1 / size));
      else runUnitExtreme<T, N>(y, x, n);
      x += bytes;
      y += bytes;
    }
  }
}

/**
 * y = x·g/max(‖x‖, eps) of each row, ‖x‖ = √Σx², which goes to `length`; g is f64, one a row. A square that underflows
 * counts as 0. y may be x.
 */
export function rowToLength<T>(y: usize, length: usize, x: usize, g: usize, rows: i32, n: i32, eps: f64): void {
  const bytes = <usize>n * sizeof<T>();
  const most = UNIT_BLOCK_BYTES / <i32>bytes;
  const block = most < 1 ? 1 : most;
  for (let r = 0; r < rows; r += block) {
    const count = rows - r < block ? rows - r : block;
    for (let i = 0; i < count; i++) {
      store<f64>(length + ((<usize>(r + i)) << 3), sqrt<f64>(runSquares<T>(x + <usize>i * bytes, n, 0)));
    }
    for (let i = 0; i < count; i++) {
      const at = (<usize>(r + i)) << 3;
      runScale<T>(y, x, n, <T>(load<f64>(g + at) / max<f64>(load<f64>(length + at), eps)));
      x += bytes;
      y += bytes;
    }
  }
}

/**
 * dg = Σdy·x/‖x‖ and dx = (g·dy − g·dg·x/‖x‖)/‖x‖ of each row, for y = g·x/‖x‖; `length` is ‖x‖, f64 as g and dg, one a
 * row. Where it is below eps, the divisor is eps, and constant. dx may be dy or x.
 */
export function rowToLengthGrad<T>(
  dx: usize,
  dg: usize,
  dy: usize,
  x: usize,
  length: usize,
  g: usize,
  rows: i32,
  n: i32,
  eps: f64,
): void {
  const bytes = <usize>n * sizeof<T>();
  const end = length + ((<usize>rows) << 3);
  const k0 = v.zero();
  for (; length < end; length += 8, g += 8, dg += 8) {
    const size = load<f64>(length);
    const r = 1 / max<f64>(size, eps);
    const gain = load<f64>(g);
    runGradSums<T>(dy, x, 0, n, 0);
    const slope = runSecond * r;
    store<f64>(dg, slope);
    const k1 = v.splat<T>(<T>r);
    const k2 = v.splat<T>(<T>gain);
    const k3 = v.splat<T>(<T>(size < eps ? 0 : -gain * slope * r));
    map<T, GradientAffine>(dx, x, dy, 0, 0, n, k0, k1, k2, k3, k0);
    x += bytes;
    dy += bytes;
    dx += bytes;
  }
}

export function rowUnit1<T>(y: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  rowUnit<T, Norm1>(y, x, rows, n, scratch);
}
export function rowUnit2<T>(y: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  rowUnit<T, Norm2>(y, x, rows, n, scratch);
}
export function rowUnitMax<T>(y: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  rowUnit<T, NormMax>(y, x, rows, n, scratch);
}

/** The gradient of rowUnit for one row whose norm, or the sum, is near the ends of T: by its unit row, `unit`. */
function runUnitGradExtreme<T, N>(dx: usize, dy: usize, x: usize, n: i32, unit: usize): void {
  const p = changetype<N>(0);
  const size = runUnitExtreme<T, N>(unit, x, n);
  runGradSums<T>(dy, unit, 0, n, 0);
  // 1/size as a product of two factors of T; 0 for a norm of 0.
  const inverse: f64 = size == 0 ? 0 : 1 / size;
  const most: f64 = sizeof<T>() == 4 ? 1e30 : 1e300;
  const first = min<f64>(max<f64>(inverse, 1 / most), most);
  // @ts-ignore: N has `gradient`
  p.gradient<T>(dx, dy, unit, n, runSecond, 1, v.splat<T>(<T>first));
  if (inverse != first) runScale<T>(dx, dx, n, <T>(inverse / first));
}

/** The gradient of rowUnit, row by row; `scratch` has room for a row. */
function rowUnitGrad<T, N>(dx: usize, dy: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  const p = changetype<N>(0);
  const bytes = <usize>n * sizeof<T>();
  for (let r = 0; r < rows; r++) {
    // @ts-ignore: N has `of`
    const size: f64 = p.of<T>(x, n);
    runGradSums<T>(dy, x, 0, n, 0);
    if (isOrdinary<T>(size) && abs<f64>(runSecond) < Infinity) {
      // @ts-ignore: N has `gradient`
      p.gradient<T>(dx, dy, x, n, runSecond, size, v.splat<T>(<T>(1 / size)));
    } else runUnitGradExtreme<T, N>(dx, dy, x, n, scratch);
    dx += bytes;
    dy += bytes;
    x += bytes;
  }
}

export function rowUnitGrad1<T>(dx: usize, dy: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  rowUnitGrad<T, Norm1>(dx, dy, x, rows, n, scratch);
}
export function rowUnitGrad2<T>(dx: usize, dy: usize, x: usize, rows: i32, n: i32, scratch: usize): void {
  rowUnitGrad<T, Norm2>(dx, dy, x, rows, n, scratch);
}

/** Greatest |x| of a run; NaN if any is NaN. */
export function runMaxAbs<T>(x: usize, n: i32): T {
  let a = v.zero();
  const end = x + v.wholeBytes<T>(n);
  for (; x < end; x += 16) a = v.max<T>(a, v.abs<T>(v.load(x)));
  const rest = n & (v.lanes<T>() - 1);
  if (rest) a = v.max<T>(a, v.abs<T>(v.loadHead<T>(x, rest, v.zero())));
  return v.maxLane<T>(a);
}

export function rowMaxAbs<T>(norm: usize, x: usize, rows: i32, n: i32): void {
  for (let r = 0; r < rows; r++) {
    store<f64>(norm + ((<usize>r) << 3), <f64>runMaxAbs<T>(x, n));
    x += <usize>n * sizeof<T>();
  }
}
