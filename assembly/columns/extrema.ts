/**
 * Least and greatest element of each column, and elements brought between bounds.
 *
 * Shapes: x [rows, cols]; low and high have one element of T a column and are merged into (the caller starts them at
 *   +Infinity and −Infinity). Clamped, x and y are [n], and y may be x.
 * Error: none; NaN is passed over in columns, and a column of NaN alone keeps what it had.
 */
import { map } from "../loops";
import { v } from "../vec";

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
export function eachClamp<T>(y: usize, x: usize, n: i32, low: T, high: T): void {
  const k0 = v.splat<T>(low);
  map<T, Clamped>(y, x, 0, 0, 0, n, k0, v.splat<T>(high), k0, k0, k0);
}
