/**
 * The gradient of rows that were normalized by their own statistics (fused.ts), in one pass over memory, with those of
 * their weight and bias.
 *
 * Formula: dx = rstd·(g − Σg/n − x̂·Σ(g·x̂)/n), g = dy·w, x̂ = (x − mean)·rstd, uncentered (RMS) without Σg/n; dw = Σ dy·x̂,
 *   db = Σ dy over the rows that share a weight, added to f64 [period, n].
 * Shapes: x, dy, dx [rows, n]; w [period, n] or 0, row r takes row r mod period; mean, rstd f64, a row each. dx may be dy
 *   or x.
 * Error: of dx the sums of gradient.ts and six roundings; of dw and db sums in lanes over 32 rows of a period, merged in
 *   f64: calls on multiples of 32·period rows have the bits of one call.
 */
import { runAddWide } from "../columns/col-gradient";
import { COL_BLOCK_ROWS } from "../columns/col-moments";
import { oneNaN } from "../loops";
import { v } from "../vec";
import { BLOCK_BYTES } from "./fused";
import { runGradSums, runSecond } from "./gradient";

/** The weight of an element, or 1. */
@final
@unmanaged
class Weight {
  @inline
  times<T>(dy: v128, w: usize): v128 {
    return v.mul<T>(dy, v.load(w));
  }
}

@final
@unmanaged
class NoWeight {
  @inline
  times<T>(dy: v128, w: usize): v128 {
    return dy;
  }
}

abstract class Standard {
  /** x̂ = (x − c)·r + h */
  @inline
  static of<T>(x: usize, c: v128, r: v128, h: v128): v128 {
    return v.mulAdd<T>(v.sub<T>(v.load(x), c), r, h);
  }

  /** r·(dy·w + (p·x̂ + k)) */
  @inline
  static gradient<T, P>(dy: v128, w: usize, hat: v128, r: v128, p: v128, k: v128): v128 {
    const policy = changetype<P>(0);
    // @ts-ignore: P has `times`
    return v.mul<T>(r, v.add<T>(policy.times<T>(dy, w), v.mulAdd<T>(p, hat, k)));
  }
}

/** What `runGradTwo` does to a vector of either row, of which it writes the first `rest` elements, or all with 0. */
abstract class Two {
  @inline
  static at<T, P>(
    dx: usize,
    dx1: usize,
    q: usize,
    s: usize,
    dy: usize,
    dy1: usize,
    x: usize,
    x1: usize,
    w: usize,
    c0: v128,
    r0: v128,
    h0: v128,
    p0: v128,
    k0: v128,
    c1: v128,
    r1: v128,
    h1: v128,
    p1: v128,
    k1: v128,
    rest: i32,
  ): void {
    const g0 = v.load(dy);
    const g1 = v.load(dy1);
    const hat0 = Standard.of<T>(x, c0, r0, h0);
    const hat1 = Standard.of<T>(x1, c1, r1, h1);
    v.store(q, v.add<T>(v.load(q), v.add<T>(v.mul<T>(g0, hat0), v.mul<T>(g1, hat1))));
    v.store(s, v.add<T>(v.load(s), v.add<T>(g0, g1)));
    v.storeAs<T, T>(dx, Standard.gradient<T, P>(g0, w, hat0, r0, p0, k0), rest);
    v.storeAs<T, T>(dx1, Standard.gradient<T, P>(g1, w, hat1, r1, p1, k1), rest);
  }
}

/**
 * dx = r·(dy·w + (p·x̂ + k)) of two rows that lie `stride` bytes apart, and of both together q[i] += Σ dy·x̂ and
 * s[i] += Σ dy, whole vectors at a time. x̂ = (x − c)·r + h.
 */
function runGradTwo<T, P>(
  dx: usize,
  q: usize,
  s: usize,
  dy: usize,
  x: usize,
  w: usize,
  stride: usize,
  n: i32,
  c0: v128,
  r0: v128,
  h0: v128,
  p0: v128,
  k0: v128,
  c1: v128,
  r1: v128,
  h1: v128,
  p1: v128,
  k1: v128,
): void {
  const end = v.wholeBytes<T>(n);
  const fours = end & ~63;
  let i: usize = 0;
  for (; i < fours; i += 64) {
    const dxi = dx + i;
    const ex = dxi + stride;
    const qi = q + i;
    const si = s + i;
    const gi = dy + i;
    const hi = gi + stride;
    const xi = x + i;
    const zi = xi + stride;
    const wi = w + i;
    Two.at<T, P>(
      dxi + 0,
      ex + 0,
      qi + 0,
      si + 0,
      gi + 0,
      hi + 0,
      xi + 0,
      zi + 0,
      wi + 0,
      c0,
      r0,
      h0,
      p0,
      k0,
      c1,
      r1,
      h1,
      p1,
      k1,
      0,
    );
    Two.at<T, P>(
      dxi + 16,
      ex + 16,
      qi + 16,
      si + 16,
      gi + 16,
      hi + 16,
      xi + 16,
      zi + 16,
      wi + 16,
      c0,
      r0,
      h0,
      p0,
      k0,
      c1,
      r1,
      h1,
      p1,
      k1,
      0,
    );
    Two.at<T, P>(
      dxi + 32,
      ex + 32,
      qi + 32,
      si + 32,
      gi + 32,
      hi + 32,
      xi + 32,
      zi + 32,
      wi + 32,
      c0,
      r0,
      h0,
      p0,
      k0,
      c1,
      r1,
      h1,
      p1,
      k1,
      0,
    );
    Two.at<T, P>(
      dxi + 48,
      ex + 48,
      qi + 48,
      si + 48,
      gi + 48,
      hi + 48,
      xi + 48,
      zi + 48,
      wi + 48,
      c0,
      r0,
      h0,
      p0,
      k0,
      c1,
      r1,
      h1,
      p1,
      k1,
      0,
    );
  }
  const rest = n & (v.lanes<T>() - 1);
  const bytes = <usize>n * sizeof<T>();
  for (; i < bytes; i += 16) {
    const g = dy + i;
    const z = x + i;
    const d = dx + i;
    Two.at<T, P>(
      d,
      d + stride,
      q + i,
      s + i,
      g,
      g + stride,
      z,
      z + stride,
      w + i,
      c0,
      r0,
      h0,
      p0,
      k0,
      c1,
      r1,
      h1,
      p1,
      k1,
      i < end ? 0 : rest,
    );
  }
}

/** `runGradTwo` of a row that is left over. */
function runGradOne<T, P>(
  dx: usize,
  q: usize,
  s: usize,
  dy: usize,
  x: usize,
  w: usize,
  n: i32,
  c: v128,
  r: v128,
  h: v128,
  p: v128,
  k: v128,
): void {
  const end = v.wholeBytes<T>(n);
  let i: usize = 0;
  for (; i < end; i += 16) {
    const g = v.load(dy + i);
    const hat = Standard.of<T>(x + i, c, r, h);
    v.store(q + i, v.mulAdd<T>(g, hat, v.load(q + i)));
    v.store(s + i, v.add<T>(v.load(s + i), g));
    v.store(dx + i, Standard.gradient<T, P>(g, w + i, hat, r, p, k));
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) {
    const g = v.load(dy + i);
    const hat = Standard.of<T>(x + i, c, r, h);
    v.store(q + i, v.mulAdd<T>(g, hat, v.load(q + i)));
    v.store(s + i, v.add<T>(v.load(s + i), g));
    v.storeHead<T>(dx + i, Standard.gradient<T, P>(g, w + i, hat, r, p, k), rest);
  }
}

/**
 * Writes the five coefficients of a row in `runGradTwo`, c, r, h, p and k, from its sums. Returns 0, or NaN where one is not
 * finite: only then can dx have a NaN, since p sums all dy·w·x̂.
 */
function runGradCoefficients<T>(
  at: usize,
  dy: usize,
  x: usize,
  w: usize,
  n: i32,
  mean: f64,
  rstd: f64,
  centered: i32,
): f64 {
  const count = <f64>n;
  const center = <T>mean;
  const rest = <f64>center - mean;
  const sum = runGradSums<T>(dy, x, w, n, center);
  const sumD = runSecond + rest * sum;
  const h = <T>(rest * rstd);
  const p = <T>((-rstd * sumD) / count);
  const k = <T>(centered ? -sum / count : 0);
  store<T>(at, center);
  store<T>(at + sizeof<T>(), <T>rstd);
  store<T>(at + 2 * sizeof<T>(), h);
  store<T>(at + 3 * sizeof<T>(), p);
  store<T>(at + 4 * sizeof<T>(), k);
  return (<f64>center + <f64>(<T>rstd) + <f64>h + <f64>p + <f64>k) * 0;
}

/** Some rows, `stride` bytes apart, that share a weight: their coefficients, then two rows at a time. */
function rowsGradIn<T, P>(
  dx: usize,
  q: usize,
  s: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  n: i32,
  stride: usize,
  step: usize,
  centered: i32,
  coefficients: usize,
): void {
  const each: usize = 5 * sizeof<T>();
  let at = coefficients;
  let spoiled: f64 = 0;
  for (let r = 0; r < rows; r++, at += each) {
    const skip = <usize>r * stride;
    const stat = <usize>r * step;
    const m = load<f64>(mean + stat);
    spoiled += runGradCoefficients<T>(at, dy + skip, x + skip, w, n, m, load<f64>(rstd + stat), centered);
  }
  at = coefficients;
  const first = dx;
  let left = rows;
  for (; left > 1; left -= 2) {
    const c0 = v.loadSplat<T>(at);
    const r0 = v.loadSplat<T>(at + sizeof<T>());
    const h0 = v.loadSplat<T>(at + 2 * sizeof<T>());
    const p0 = v.loadSplat<T>(at + 3 * sizeof<T>());
    const k0 = v.loadSplat<T>(at + 4 * sizeof<T>());
    const c1 = v.loadSplat<T>(at + 5 * sizeof<T>());
    const r1 = v.loadSplat<T>(at + 6 * sizeof<T>());
    const h1 = v.loadSplat<T>(at + 7 * sizeof<T>());
    const p1 = v.loadSplat<T>(at + 8 * sizeof<T>());
    const k1 = v.loadSplat<T>(at + 9 * sizeof<T>());
    runGradTwo<T, P>(dx, q, s, dy, x, w, stride, n, c0, r0, h0, p0, k0, c1, r1, h1, p1, k1);
    at += 2 * each;
    dx += 2 * stride;
    dy += 2 * stride;
    x += 2 * stride;
  }
  if (left) {
    const c = v.loadSplat<T>(at);
    const r = v.loadSplat<T>(at + sizeof<T>());
    const h = v.loadSplat<T>(at + 2 * sizeof<T>());
    const p = v.loadSplat<T>(at + 3 * sizeof<T>());
    const k = v.loadSplat<T>(at + 4 * sizeof<T>());
    runGradOne<T, P>(dx, q, s, dy, x, w, n, c, r, h, p, k);
  }
  if (spoiled != 0) {
    for (let r = 0; r < rows; r++) oneNaN<T>(first + <usize>r * stride, n);
  }
}

/** Bytes of scratch that `rowNormalizeGrad` takes. */
export function rowNormalizeGradScratchBytes<T>(n: i32): i32 {
  return 2 * (n * sizeof<T>() + 16) + COL_BLOCK_ROWS * 5 * sizeof<T>();
}

export function rowNormalizeGrad<T>(
  dx: usize,
  dw: usize,
  db: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  n: i32,
  period: i32,
  centered: i32,
  scratch: usize,
): void {
  const bytes = <usize>n * sizeof<T>();
  const stride = bytes * period;
  const step = (<usize>period) << 3;
  const q = scratch;
  const s = scratch + bytes + 16;
  const coefficients = s + bytes + 16;
  // An even number of rows, so that all but the last go in twos whatever their length.
  const block = min<i32>(COL_BLOCK_ROWS, max<i32>(1, BLOCK_BYTES / (4 * <i32>bytes)) << 1);
  const height = COL_BLOCK_ROWS * period;
  for (let r = 0; r < rows; r += height) {
    for (let p = 0; p < period && r + p < rows; p++) {
      const share = (min<i32>(height, rows - r) - p + period - 1) / period;
      memory.fill(scratch, 0, 2 * (bytes + 16));
      for (let i = 0; i < share; i += block) {
        const row = r + p + i * period;
        const skip = <usize>row * bytes;
        const at = (<usize>row) << 3;
        const count = min<i32>(block, share - i);
        if (w) {
          const own = w + <usize>p * bytes;
          rowsGradIn<T, Weight>(
            dx + skip,
            q,
            s,
            dy + skip,
            x + skip,
            own,
            mean + at,
            rstd + at,
            count,
            n,
            stride,
            step,
            centered,
            coefficients,
          );
        } else {
          rowsGradIn<T, NoWeight>(
            dx + skip,
            q,
            s,
            dy + skip,
            x + skip,
            0,
            mean + at,
            rstd + at,
            count,
            n,
            stride,
            step,
            centered,
            coefficients,
          );
        }
      }
      const first = (<usize>p * <usize>n) << 3;
      runAddWide<T>(dw + first, q, n);
      runAddWide<T>(db + first, s, n);
    }
  }
}
