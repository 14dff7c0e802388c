/**
 * Sums over a window around each place of a plane, a row or a column, and powers of them.
 *
 * Formula: plane: out[i, j] = Σ x[i + a, j + b] over |a| ≤ (kh − 1)/2, |b| ≤ (kw − 1)/2 within the plane; kh, kw odd.
 *   row, col: out = Σ of x or x² over `before` places before and `after` places after, within the row or column.
 * Shapes: planes [h, w] of f64, one after another, scratch holds one plane; matrices [rows, n]. out may not be x.
 * Error: one rounding a term. Each sum is taken anew, not slid, so that nothing builds up and NaN stays in its windows.
 */
import { map } from "./loops";
import { fn } from "./pointwise";
import { v } from "./vec";

/** u + x */
@final
@unmanaged
class AddTo {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.add<T>(v.load(u), v.load(x));
  }
}

/** u + x² */
@final
@unmanaged
class AddSquareTo {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(x);
    return v.mulAdd<T>(a, a, v.load(u));
  }
}

/** x·(k + a·s)^p, p in k2 as f64. */
@final
@unmanaged
class TimesPower {
  @inline
  at<T>(x: usize, s: usize, w: usize, b: usize, k: v128, a: v128, p: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.load(x), fn.pow<T>(v.mulAdd<T>(a, v.load(s), k), p));
  }
}

/** u·x·(k + a·s)^p */
@final
@unmanaged
class ProductTimesPower {
  @inline
  at<T>(x: usize, u: usize, s: usize, b: usize, k: v128, a: v128, p: v128, k3: v128, k4: v128): v128 {
    const power = fn.pow<T>(v.mulAdd<T>(a, v.load(s), k), p);
    return v.mul<T>(v.mul<T>(v.load(u), v.load(x)), power);
  }
}

/** u·(k + a·s)^p − c·x·t */
@final
@unmanaged
class PowerLessProduct {
  @inline
  at<T>(x: usize, u: usize, s: usize, t: usize, k: v128, a: v128, p: v128, c: v128, k4: v128): v128 {
    const power = fn.pow<T>(v.mulAdd<T>(a, v.load(s), k), p);
    return v.sub<T>(v.mul<T>(v.load(u), power), v.mul<T>(v.mul<T>(c, v.load(x)), v.load(t)));
  }
}

function addRow<T, P>(out: usize, x: usize, n: i32): void {
  const none = v.zero();
  map<T, P>(out, x, out, 0, 0, n, none, none, none, none, none);
}

/** Window down the columns: every row of out is a sum of rows. */
function colWindow<T, P>(out: usize, x: usize, rows: i32, cols: i32, before: i32, after: i32): void {
  const bytes = <usize>cols * sizeof<T>();
  memory.fill(out, 0, <usize>rows * bytes);
  for (let r = 0; r < rows; r++) {
    const first = r < before ? 0 : r - before;
    const last = r + after < rows ? r + after : rows - 1;
    for (let i = first; i <= last; i++) addRow<T, P>(out + <usize>r * bytes, x + <usize>i * bytes, cols);
  }
}

/** Window along each row: the row is added to itself, shifted. */
function rowWindow<T, P>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  const bytes = <usize>n * sizeof<T>();
  memory.fill(out, 0, <usize>rows * bytes);
  for (let r = 0; r < rows; r++) {
    for (let shift = -before; shift <= after; shift++) {
      const from = shift < 0 ? 0 : shift;
      const to = shift < 0 ? -shift : 0;
      const length = n - (shift < 0 ? -shift : shift);
      if (length > 0) addRow<T, P>(out + <usize>to * sizeof<T>(), x + <usize>from * sizeof<T>(), length);
    }
    out += bytes;
    x += bytes;
  }
}

export function colWindowSum<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  colWindow<T, AddTo>(out, x, rows, n, before, after);
}

export function colWindowSquares<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  colWindow<T, AddSquareTo>(out, x, rows, n, before, after);
}

export function rowWindowSum<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  rowWindow<T, AddTo>(out, x, rows, n, before, after);
}

export function rowWindowSquares<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  rowWindow<T, AddSquareTo>(out, x, rows, n, before, after);
}

/** y = x·(k + a·s)^p */
export function eachTimesPower<T>(y: usize, x: usize, s: usize, n: i32, k: f64, a: f64, p: f64): void {
  const none = v.zero();
  map<T, TimesPower>(y, x, s, 0, 0, n, v.splat<T>(<T>k), v.splat<T>(<T>a), v.splat<f64>(p), none, none);
}

/** out = u·x·(k + a·s)^p */
export function eachProductTimesPower<T>(
  out: usize,
  u: usize,
  x: usize,
  s: usize,
  n: i32,
  k: f64,
  a: f64,
  p: f64,
): void {
  const none = v.zero();
  map<T, ProductTimesPower>(out, x, u, s, 0, n, v.splat<T>(<T>k), v.splat<T>(<T>a), v.splat<f64>(p), none, none);
}

/** out = u·(k + a·s)^p − c·x·t */
export function eachPowerLessProduct<T>(
  out: usize,
  u: usize,
  s: usize,
  x: usize,
  t: usize,
  n: i32,
  k: f64,
  a: f64,
  p: f64,
  c: f64,
): void {
  const power = v.splat<f64>(p);
  const none = v.zero();
  map<T, PowerLessProduct>(out, x, u, s, t, n, v.splat<T>(<T>k), v.splat<T>(<T>a), power, v.splat<T>(<T>c), none);
}

export function planeBoxSum_f64(
  out: usize,
  x: usize,
  scratch: usize,
  planes: i32,
  h: i32,
  w: i32,
  kh: i32,
  kw: i32,
): void {
  const row = (<usize>w) << 3;
  const plane = <usize>h * row;
  const up = (kh - 1) >> 1;
  const left = (kw - 1) >> 1;
  for (let p = 0; p < planes; p++) {
    memory.fill(scratch, 0, plane);
    for (let i = 0; i < h; i++) {
      const first = i < up ? 0 : i - up;
      const last = i + up < h ? i + up : h - 1;
      for (let k = first; k <= last; k++) addRow<f64, AddTo>(scratch + <usize>i * row, x + <usize>k * row, w);
    }
    memory.fill(out, 0, plane);
    for (let b = -left; b <= left; b++) {
      const from = b < 0 ? 0 : b;
      const to = b < 0 ? -b : 0;
      const n = w - (b < 0 ? -b : b);
      for (let i = 0; i < h && n > 0; i++) {
        const at = <usize>i * row;
        addRow<f64, AddTo>(out + at + ((<usize>to) << 3), scratch + at + ((<usize>from) << 3), n);
      }
    }
    x += plane;
    out += plane;
  }
}
