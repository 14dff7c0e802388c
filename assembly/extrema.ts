/**
 * Least and greatest element of each column, elements brought between bounds and their signs, the largest of each row,
 * and rows brought to a norm of 1 or to a length.
 *
 * Shapes: x [rows, cols]; low and high have one element of T a column and are merged into (the caller starts them at
 *   +Infinity and −Infinity). Largest and norms of rows are f64, one a row.
 * Error: extrema are exact, NaN is passed over; a column of NaN alone keeps what it had. Norms: a few ulps. Unit rows:
 *   two roundings, 1.5 ulps, more than x/norm; a row of zeros stays, one with NaN becomes NaN.
 */
import { map, reduce } from "./loops";
import { rowBlock, runSquares } from "./moments";
import { v } from "./vec";

/** The smaller of x and u, and the larger. A NaN in x leaves u. */
@final
@unmanaged
class Smaller {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.minPassingNaN<T>(v.load(u), v.load(x));
  }
}

@final
@unmanaged
class Larger {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.maxPassingNaN<T>(v.load(u), v.load(x));
  }
}

/** x brought between low and high; NaN stays. */
@final
@unmanaged
class Clamped {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, low: v128, high: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.min<T>(v.max<T>(v.load(x), low), high);
  }
}

@final
@unmanaged
class Sign {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.sign<T>(v.load(x));
  }
}

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

/** Least and greatest of one vector of columns, or the first n > 0 of one, over `rows` rows, a multiple of 4. */
function colMinMaxOne<T>(low: usize, high: usize, x: usize, stride: usize, rows: i32, n: i32): void {
  let a0 = v.load(low);
  let b0 = v.load(high);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let b1 = b0;
  let b2 = b0;
  let b3 = b0;
  const s2 = stride << 1;
  const end = x + <usize>rows * stride;
  for (; x < end; x += stride << 2) {
    const x0 = v.load(x);
    const x1 = v.load(x + stride);
    const x2 = v.load(x + s2);
    const x3 = v.load(x + s2 + stride);
    a0 = v.minPassingNaN<T>(a0, x0);
    b0 = v.maxPassingNaN<T>(b0, x0);
    a1 = v.minPassingNaN<T>(a1, x1);
    b1 = v.maxPassingNaN<T>(b1, x1);
    a2 = v.minPassingNaN<T>(a2, x2);
    b2 = v.maxPassingNaN<T>(b2, x2);
    a3 = v.minPassingNaN<T>(a3, x3);
    b3 = v.maxPassingNaN<T>(b3, x3);
  }
  a0 = v.minPassingNaN<T>(v.minPassingNaN<T>(a0, a1), v.minPassingNaN<T>(a2, a3));
  b0 = v.maxPassingNaN<T>(v.maxPassingNaN<T>(b0, b1), v.maxPassingNaN<T>(b2, b3));
  v.storeAs<T, T>(low, a0, n);
  v.storeAs<T, T>(high, b0, n);
}

/** Rows and bytes that are searched before the next columns are: enough of the one, few enough of the other for L1. */
const STRIP_ROWS: i32 = 16;
const STRIP_BYTES: i32 = 16384;

export function colMinMax<T>(low: usize, high: usize, x: usize, rows: i32, cols: i32): void {
  const lanes = v.lanes<T>();
  const bytes = <usize>cols * sizeof<T>();
  const most = (STRIP_BYTES / <i32>bytes) & ~3;
  const strip = most > STRIP_ROWS ? most : STRIP_ROWS;
  for (; rows >= 4; ) {
    const height = rows < strip ? rows & ~3 : strip;
    for (let j = 0; j < cols; j += lanes) {
      const at = <usize>j * sizeof<T>();
      colMinMaxOne<T>(low + at, high + at, x + at, bytes, height, cols - j < lanes ? cols - j : 0);
    }
    x += <usize>height * bytes;
    rows -= height;
  }
  const none = v.zero();
  for (let r = 0; r < rows; r++) {
    map<T, Smaller>(low, x, low, 0, 0, cols, none, none, none, none, none);
    map<T, Larger>(high, x, high, 0, 0, cols, none, none, none, none, none);
    x += bytes;
  }
}

/** y[i] = min(max(x[i], low), high) for i < n. */
export function rowClamp<T>(y: usize, x: usize, n: i32, low: T, high: T): void {
  const k0 = v.splat<T>(low);
  map<T, Clamped>(y, x, 0, 0, 0, n, k0, v.splat<T>(high), k0, k0, k0);
}

/** y[i] = 1, −1 or 0 by the sign of x[i], for i < n. */
export function rowSign<T>(y: usize, x: usize, n: i32): void {
  const none = v.zero();
  map<T, Sign>(y, x, 0, 0, 0, n, none, none, none, none, none);
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
}

@final
@unmanaged
class Norm2 {
  @inline
  of<T>(x: usize, n: i32): f64 {
    return sqrt<f64>(runSquares<T>(x, n, 0));
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
const waiting = memory.data(32 * 8, 16);

/** Bytes of rows that are measured before they are scaled: they stay in L1. */
const UNIT_BLOCK_BYTES: i32 = 12288;

/**
 * y = x/‖x‖ of each row, as a product with 1/‖x‖, while the row is in L1; the norms, f64, go to `norm` unless it is 0.
 * y may be x. A few rows are measured, then scaled, so that no row waits for its sum, root and inverse.
 */
function rowUnit<T, N>(y: usize, norm: usize, x: usize, rows: i32, n: i32): void {
  const p = changetype<N>(0);
  const low: f64 = sizeof<T>() == 4 ? 1e-14 : 1e-140;
  const high: f64 = sizeof<T>() == 4 ? 1e18 : 1e150;
  const bytes = <usize>n * sizeof<T>();
  let block = UNIT_BLOCK_BYTES / <i32>bytes;
  block = block < 1 ? 1 : block > WAITING ? WAITING : block;
  for (let r = 0; r < rows; r += block) {
    const count = rows - r < block ? rows - r : block;
    for (let i = 0; i < count; i++) {
      // @ts-ignore: N has `of`
      store<f64>(waiting + ((<usize>i) << 3), p.of<T>(x + <usize>i * bytes, n));
    }
    for (let i = 0; i < count; i++) {
      let size = load<f64>(waiting + ((<usize>i) << 3));
      if (size > low && size < high) runScale<T>(y, x, n, <T>(1 / size));
      else size = runUnitExtreme<T, N>(y, x, n);
      if (norm) store<f64>(norm + ((<usize>(r + i)) << 3), size);
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

export function rowUnit1<T>(y: usize, norm: usize, x: usize, rows: i32, n: i32): void {
  rowUnit<T, Norm1>(y, norm, x, rows, n);
}
export function rowUnit2<T>(y: usize, norm: usize, x: usize, rows: i32, n: i32): void {
  rowUnit<T, Norm2>(y, norm, x, rows, n);
}
export function rowUnitMax<T>(y: usize, norm: usize, x: usize, rows: i32, n: i32): void {
  rowUnit<T, NormMax>(y, norm, x, rows, n);
}
