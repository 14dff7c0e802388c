/**
 * Sums over a window around each place of a plane, a row or a column, and powers of them.
 *
 * Formula: plane: out[i, j] = Σ x[i + a, j + b] over |a| ≤ (kh − 1)/2, |b| ≤ (kw − 1)/2 within the plane; kh, kw odd.
 *   row, col: out = Σ of x or x² over `before` places before and `after` places after, within the row or column.
 * Shapes: planes [h, w] of f64, one after another, scratch holds one plane; matrices [rows, n]. out may not be x.
 *   powers: n elements; eachPower may work in place, as all of them.
 * Error: one rounding a term. Each sum is taken anew, not slid, so that nothing builds up and NaN stays in its windows.
 *   Powers: those of −¾ and −½ by square roots, 2 ulps; others as pow of pointwise.ts.
 */
import { map, mapOnes } from "../loops";
import { v } from "../vec";
import { fn } from "./pointwise";

/** x */
@final
@unmanaged
class Term {
  @inline
  of<T>(x: v128): v128 {
    return x;
  }
}

/** x² */
@final
@unmanaged
class Square {
  @inline
  of<T>(x: v128): v128 {
    return v.mul<T>(x, x);
  }
}

/** d^p */
@final
@unmanaged
class AnyPower {
  @inline
  of<T>(d: v128, p: v128): v128 {
    return fn.pow<T>(d, p);
  }

  @inline
  times<T>(x: v128, d: v128, p: v128): v128 {
    return v.mul<T>(x, fn.pow<T>(d, p));
  }
}

/** d^−¾; the product of the roots of finite d is neither infinite nor 0. */
@final
@unmanaged
class ThreeQuarters {
  @inline
  of<T>(d: v128, p: v128): v128 {
    return this.times<T>(v.splat<T>(1), d, p);
  }

  @inline
  times<T>(x: v128, d: v128, p: v128): v128 {
    const root = v.sqrt<T>(d);
    return v.div<T>(x, v.mul<T>(root, v.sqrt<T>(root)));
  }
}

/** d^−½ */
@final
@unmanaged
class Half {
  @inline
  of<T>(d: v128, p: v128): v128 {
    return this.times<T>(v.splat<T>(1), d, p);
  }

  @inline
  times<T>(x: v128, d: v128, p: v128): v128 {
    return v.div<T>(x, v.sqrt<T>(d));
  }
}

/** (k + a·s)^p, p in k2 as f64, by a policy of powers. */
@final
@unmanaged
class PowerOf<Q> {
  @inline
  at<T>(s: usize, u: usize, w: usize, b: usize, k: v128, a: v128, p: v128, k3: v128, k4: v128): v128 {
    // @ts-ignore: Q has `of`
    return changetype<Q>(0).of<T>(v.mulAdd<T>(a, v.load(s), k), p);
  }
}

/** x·(k + a·s)^p */
@final
@unmanaged
class TimesPower<Q> {
  @inline
  at<T>(x: usize, s: usize, w: usize, b: usize, k: v128, a: v128, p: v128, k3: v128, k4: v128): v128 {
    // @ts-ignore: Q has `times`
    return changetype<Q>(0).times<T>(v.load(x), v.mulAdd<T>(a, v.load(s), k), p);
  }
}

/** u·x·q/(k + a·s) */
@final
@unmanaged
class ProductOver {
  @inline
  at<T>(x: usize, u: usize, s: usize, q: usize, k: v128, a: v128, k2: v128, k3: v128, k4: v128): v128 {
    const lower = v.div<T>(v.load(q), v.mulAdd<T>(a, v.load(s), k));
    return v.mul<T>(v.mul<T>(v.load(u), v.load(x)), lower);
  }
}

/** u·q − c·x·t */
@final
@unmanaged
class DifferenceOfProducts {
  @inline
  at<T>(x: usize, u: usize, q: usize, t: usize, c: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.sub<T>(v.mul<T>(v.load(u), v.load(q)), v.mul<T>(v.mul<T>(c, v.load(x)), v.load(t)));
  }
}

/** out[j] = Σ P.of(x[j + i·step]) over i < count, step in bytes: neighbouring columns side by side. */
function sumRuns<T, P>(out: usize, x: usize, n: i32, count: i32, step: usize): void {
  const p = changetype<P>(0);
  const last = x + <usize>count * step;
  const bytes = v.wholeBytes<T>(n);
  let i: usize = 0;
  for (const fours = bytes & ~63; i < fours; i += 64) {
    let a0 = v.zero();
    let a1 = v.zero();
    let a2 = v.zero();
    let a3 = v.zero();
    for (let at = x + i, end = last + i; at < end; at += step) {
      // @ts-ignore: P has `of`
      a0 = v.add<T>(a0, p.of<T>(v.load(at)));
      // @ts-ignore: P has `of`
      a1 = v.add<T>(a1, p.of<T>(v.load(at + 16)));
      // @ts-ignore: P has `of`
      a2 = v.add<T>(a2, p.of<T>(v.load(at + 32)));
      // @ts-ignore: P has `of`
      a3 = v.add<T>(a3, p.of<T>(v.load(at + 48)));
    }
    v.store(out + i, a0);
    v.store(out + i + 16, a1);
    v.store(out + i + 32, a2);
    v.store(out + i + 48, a3);
  }
  if (i < <usize>n * sizeof<T>()) sumRest<T, P>(out, x, n, i, count, step);
}

/** The columns of `sumRuns` from byte i on, a vector at a time. */
function sumRest<T, P>(out: usize, x: usize, n: i32, i: usize, count: i32, step: usize): void {
  const p = changetype<P>(0);
  const last = x + <usize>count * step;
  const bytes = v.wholeBytes<T>(n);
  const rest = n & (v.lanes<T>() - 1);
  for (; i < <usize>n * sizeof<T>(); i += 16) {
    let sum = v.zero();
    for (let at = x + i, end = last + i; at < end; at += step) {
      // @ts-ignore: P has `of`
      sum = v.add<T>(sum, p.of<T>(v.load(at)));
    }
    if (i < bytes) v.store(out + i, sum);
    else v.storeHead<T>(out + i, sum, rest);
  }
}

/** Window down the columns: every row of out is a sum of rows. */
function colWindow<T, P>(out: usize, x: usize, rows: i32, cols: i32, before: i32, after: i32): void {
  const bytes = <usize>cols * sizeof<T>();
  for (let r = 0; r < rows; r++) {
    const first = r < before ? 0 : r - before;
    const last = r + after < rows ? r + after : rows - 1;
    sumRuns<T, P>(out, x + <usize>first * bytes, cols, last - first + 1, bytes);
    out += bytes;
  }
}

/** Places [from, to) of a row, whose windows the ends of the row cut short. */
function sumEnds<T, P>(out: usize, x: usize, from: i32, to: i32, n: i32, before: i32, after: i32): void {
  const p = changetype<P>(0);
  for (let j = from; j < to; j++) {
    const first = j < before ? 0 : j - before;
    const last = j + after < n ? j + after : n - 1;
    let sum = v.zero();
    for (let i = first; i <= last; i++) {
      // @ts-ignore: P has `of`
      sum = v.add<T>(sum, p.of<T>(v.loadSplat<T>(x + <usize>i * sizeof<T>())));
    }
    v.storeHead<T>(out + <usize>j * sizeof<T>(), sum, 1);
  }
}

/** Window along each row. */
function rowWindow<T, P>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  const bytes = <usize>n * sizeof<T>();
  const whole = before + after < n ? n - before - after : 0;
  const left = whole > 0 ? before : n;
  const right = whole > 0 ? n - after : n;
  for (let r = 0; r < rows; r++) {
    sumEnds<T, P>(out, x, 0, left, n, before, after);
    if (whole > 0) {
      sumRuns<T, P>(out + <usize>before * sizeof<T>(), x, whole, before + after + 1, sizeof<T>());
      sumEnds<T, P>(out, x, right, n, n, before, after);
    }
    out += bytes;
    x += bytes;
  }
}

export function colWindowSum<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  colWindow<T, Term>(out, x, rows, n, before, after);
}

export function colWindowSquares<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  colWindow<T, Square>(out, x, rows, n, before, after);
}

export function rowWindowSum<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  rowWindow<T, Term>(out, x, rows, n, before, after);
}

export function rowWindowSquares<T>(out: usize, x: usize, rows: i32, n: i32, before: i32, after: i32): void {
  rowWindow<T, Square>(out, x, rows, n, before, after);
}

/** out = (k + a·s)^p */
export function eachPower<T>(out: usize, s: usize, n: i32, k: f64, a: f64, p: f64): void {
  const k0 = v.splat<T>(<T>k);
  const k1 = v.splat<T>(<T>a);
  const k2 = v.splat<f64>(p);
  if (p == -0.75) map<T, PowerOf<ThreeQuarters>>(out, s, 0, 0, 0, n, k0, k1, k2, k2, k2);
  else if (p == -0.5) map<T, PowerOf<Half>>(out, s, 0, 0, 0, n, k0, k1, k2, k2, k2);
  else mapOnes<T, PowerOf<AnyPower>>(out, s, 0, 0, 0, n, k0, k1, k2, k2, k2);
}

/** y = x·(k + a·s)^p */
export function eachTimesPower<T>(y: usize, x: usize, s: usize, n: i32, k: f64, a: f64, p: f64): void {
  const k0 = v.splat<T>(<T>k);
  const k1 = v.splat<T>(<T>a);
  const k2 = v.splat<f64>(p);
  if (p == -0.75) map<T, TimesPower<ThreeQuarters>>(y, x, s, 0, 0, n, k0, k1, k2, k2, k2);
  else if (p == -0.5) map<T, TimesPower<Half>>(y, x, s, 0, 0, n, k0, k1, k2, k2, k2);
  else mapOnes<T, TimesPower<AnyPower>>(y, x, s, 0, 0, n, k0, k1, k2, k2, k2);
}

/** out = u·x·q/(k + a·s) */
export function eachProductOver<T>(out: usize, u: usize, x: usize, q: usize, s: usize, n: i32, k: f64, a: f64): void {
  const k0 = v.splat<T>(<T>k);
  map<T, ProductOver>(out, x, u, s, q, n, k0, v.splat<T>(<T>a), k0, k0, k0);
}

/** out = u·q − c·x·t */
export function eachDifferenceOfProducts<T>(out: usize, u: usize, q: usize, x: usize, t: usize, n: i32, c: f64): void {
  const k0 = v.splat<T>(<T>c);
  map<T, DifferenceOfProducts>(out, x, u, q, t, n, k0, k0, k0, k0, k0);
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
  const plane = (<usize>h * <usize>w) << 3;
  const up = (kh - 1) >> 1;
  const left = (kw - 1) >> 1;
  for (let p = 0; p < planes; p++) {
    colWindow<f64, Term>(scratch, x, h, w, up, up);
    rowWindow<f64, Term>(out, scratch, h, w, left, left);
    x += plane;
    out += plane;
  }
}
