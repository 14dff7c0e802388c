/**
 * Functions of single elements, the same bits on every engine: exp and what is made of it.
 *
 * Formula: e^x = 2^n·e^r, n = round(x/ln 2), r = x − n·ln 2 in two parts, e^r − 1 by its Taylor series to r⁷ (f32) or
 *   r¹³ (f64); the tail beyond is below a quarter ulp for |r| ≤ ln 2 / 2.
 * Shapes: [rows, n], each array with its own distance between rows (in elements), so that a part of wider rows can be
 *   taken; outputs may be inputs.
 * Error: exp, expm1, log at most 2 ulps, sigmoid and tanh 4, pow as it says. Overflow gives infinity, underflow 0; NaN
 *   stays.
 * Source: Taylor's series and the usual argument reduction (W. J. Cody, W. Waite, "Software Manual for the Elementary
 *   Functions", 1980).
 */
import { map, mapOnes } from "../loops";
import { v } from "../vec";

/**
 * Functions on vectors, for policies of any theme. Those marked @inline are for loops that hold their policy twice
 * (`mapOnes`): a call costs such a loop as much again, since every constant and vector is loaded anew after it.
 */
export abstract class fn {
  /** e^r − 1 for |r| ≤ ln 2 / 2, by Horner's rule. */
  @inline
  private static expm1Reduced<T>(r: v128): v128 {
    let q: v128;
    if (sizeof<T>() == 4) {
      q = v.splat<T>(<T>(1.0 / 5040));
    } else {
      q = v.splat<T>(<T>(1.0 / 6227020800));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 479001600)));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 39916800)));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 3628800)));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 362880)));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 40320)));
      q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 5040)));
    }
    q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 720)));
    q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 120)));
    q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 24)));
    q = v.mulAdd<T>(q, r, v.splat<T>(<T>(1.0 / 6)));
    q = v.mulAdd<T>(q, r, v.splat<T>(<T>0.5));
    return v.mulAdd<T>(v.mul<T>(r, r), q, r);
  }

  /** From low to high; NaN stays. */
  @inline
  private static clamp<T>(x: v128, low: T, high: T): v128 {
    return v.maxPassingNaN<T>(v.minPassingNaN<T>(x, v.splat<T>(high)), v.splat<T>(low));
  }

  @inline
  private static over<T>(x: v128, bias: v128): v128 {
    return v.mulAdd<T>(x, v.splat<T>(<T>1.4426950408889634), bias);
  }

  /** x − n·ln 2, ln 2 in two parts of which the first has few enough bits for n times it to be exact. */
  @inline
  private static remainder<T>(x: v128, n: v128): v128 {
    const high = v.splat<T>(sizeof<T>() == 4 ? <T>0.693359375 : <T>0.6931471803691238);
    const low = v.splat<T>(sizeof<T>() == 4 ? <T>-0.00021219444005469057 : <T>1.9082149292705877e-10);
    return v.sub<T>(v.sub<T>(x, v.mul<T>(n, high)), v.mul<T>(n, low));
  }

  static exp<T>(x: v128): v128 {
    const at = sizeof<T>() == 4 ? fn.clamp<T>(x, <T>-104, <T>89) : fn.clamp<T>(x, <T>-746, <T>710);
    const bias = v.exponentBias<T>();
    const n = v.sub<T>(fn.over<T>(at, bias), bias);
    const value = v.add<T>(fn.expm1Reduced<T>(fn.remainder<T>(at, n)), v.splat<T>(1));
    // Two factors, since 2^n may itself be out of range where e^x is not.
    const half = v.nearest<T>(v.mul<T>(n, v.splat<T>(<T>0.5)));
    return v.mul<T>(v.mul<T>(value, v.powerOfTwo<T>(half)), v.powerOfTwo<T>(v.sub<T>(n, half)));
  }

  /** e^x for x ≤ 0; anything above. */
  @inline
  static expBelow0<T>(x: v128): v128 {
    const at = v.maxPassingNaN<T>(x, v.splat<T>(sizeof<T>() == 4 ? <T>-104 : <T>-746));
    // 2^n times 2^lift, and 2^−lift after it, which rounds where e^x is below the normal numbers.
    const lift = sizeof<T>() == 4 ? 24 : 54;
    const bias = v.add<T>(v.exponentBias<T>(), v.splat<T>(<T>lift));
    const shifted = fn.over<T>(at, bias);
    const value = v.add<T>(fn.expm1Reduced<T>(fn.remainder<T>(at, v.sub<T>(shifted, bias))), v.splat<T>(1));
    const down = v.splat<T>(sizeof<T>() == 4 ? <T>5.9604644775390625e-8 : <T>5.551115123125783e-17);
    return v.mul<T>(v.mul<T>(value, v.biasedPowerOfTwo<T>(shifted)), down);
  }

  /** e^x − 1 for x ≤ 0 without cancellation near 0, anything above; −1 below −25 (f32) or −40 (f64). */
  @inline
  static expm1Below0<T>(x: v128): v128 {
    const at = v.maxPassingNaN<T>(x, v.splat<T>(sizeof<T>() == 4 ? <T>-25 : <T>-40));
    const bias = v.exponentBias<T>();
    const shifted = fn.over<T>(at, bias);
    const scale = v.biasedPowerOfTwo<T>(shifted);
    const reduced = fn.expm1Reduced<T>(fn.remainder<T>(at, v.sub<T>(shifted, bias)));
    return v.add<T>(v.mul<T>(reduced, scale), v.sub<T>(scale, v.splat<T>(1)));
  }

  /** 1/(1 + e^−x), from e^−|x| so that nothing overflows. */
  @inline
  static sigmoid<T>(x: v128): v128 {
    const one = v.splat<T>(1);
    const e = fn.expBelow0<T>(v.sub<T>(v.zero(), v.abs<T>(x)));
    return v.div<T>(v.select(e, one, v.less<T>(x, v.zero())), v.add<T>(one, e));
  }

  /** −t/(t + 2) with t = e^(−2|x|) − 1, and the sign of x. */
  @inline
  static tanh<T>(x: v128): v128 {
    const t = fn.expm1Below0<T>(v.mul<T>(v.abs<T>(x), v.splat<T>(<T>-2)));
    const size = v.div<T>(v.sub<T>(v.zero(), t), v.add<T>(t, v.splat<T>(2)));
    return v.select(v.sub<T>(v.zero(), size), size, v.less<T>(x, v.zero()));
  }

  /** ln x of positive f64: k·ln 2 + 2·artanh((m − 1)/(m + 1)), x = m·2^k, by the series of artanh. 2 ulps. */
  static log(x: v128): v128 {
    const tiny = v.less<f64>(x, v.splat<f64>(2.2250738585072014e-308));
    const at = v.select(v.mul<f64>(x, v.splat<f64>(18014398509481984)), x, tiny);
    const k = v.exponent(at);
    const m = v.mantissa(at);
    const one = v.splat<f64>(1);
    const s = v.div<f64>(v.sub<f64>(m, one), v.add<f64>(m, one));
    const s2 = v.mul<f64>(s, s);
    let q = v.splat<f64>(1.0 / 21);
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 19));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 17));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 15));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 13));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 11));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 9));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 7));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 5));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(1.0 / 3));
    const twice = v.add<f64>(s, s);
    const tail = v.mul<f64>(v.mul<f64>(twice, s2), q);
    const exponent = v.sub<f64>(k, v.and(tiny, v.splat<f64>(54)));
    const low = v.mulAdd<f64>(exponent, v.splat<f64>(1.9082149292705877e-10), tail);
    return v.mulAdd<f64>(exponent, v.splat<f64>(0.6931471803691238), v.add<f64>(twice, low));
  }

  /** x^p at 0 (0 for positive p, infinity for negative), infinity and NaN; `value` elsewhere. p in lanes of any type. */
  @inline
  private static powEnds<T>(x: v128, negative: v128, value: v128): v128 {
    const infinity = v.splat<T>(<T>Infinity);
    const ends = v.select(v.select(v.zero(), x, negative), value, v.equal<T>(x, infinity));
    const known = v.select(v.and(negative, infinity), ends, v.equal<T>(x, v.zero()));
    return v.select(known, x, v.isNumber<T>(x));
  }

  /**
   * x^p of positive f64 that f32 held, to 2^−32 of itself: 2^(p·log₂ x), with the series of artanh to s¹¹, Taylor's of 2^r
   * to r⁸. Beyond the range of f32, anything beyond it.
   */
  @inline
  private static powShort(x: v128, p: v128): v128 {
    const m = v.mantissa(x);
    const one = v.splat<f64>(1);
    const s = v.div<f64>(v.sub<f64>(m, one), v.add<f64>(m, one));
    const s2 = v.mul<f64>(s, s);
    // The coefficients are those of the series of artanh times 2/ln 2, and of e^r times powers of ln 2.
    let q = v.splat<f64>(0.2623081892525388);
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(0.3205988979753252));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(0.4121985831111324));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(0.5770780163555853));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(0.9617966939259756));
    q = v.mulAdd<f64>(q, s2, v.splat<f64>(2.8853900817779268));
    const power = fn.clamp<f64>(v.mul<f64>(p, v.mulAdd<f64>(q, s, v.exponent(x))), -300, 300);
    const bias = v.exponentBias<f64>();
    const shifted = v.add<f64>(power, bias);
    const r = v.sub<f64>(power, v.sub<f64>(shifted, bias));
    let e = v.splat<f64>(1.3215486790144305e-6);
    e = v.mulAdd<f64>(e, r, v.splat<f64>(1.5252733804059838e-5));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.00015403530393381606));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.0013333558146428441));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.009618129107628477));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.055504108664821576));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.2402265069591007));
    e = v.mulAdd<f64>(e, r, v.splat<f64>(0.6931471805599453));
    return v.mul<f64>(v.mulAdd<f64>(e, r, one), v.biasedPowerOfTwo<f64>(shifted));
  }

  /**
   * x^p for x ≥ 0, p an f64 vector of one number; at 0, 0 for positive p and infinity for negative. NaN stays. f64: 3 +
   * |p·ln x| ulps; f32, worked out in f64: 0.51.
   */
  static pow<T>(x: v128, p: v128): v128 {
    const negative = v.less<f64>(p, v.zero());
    if (sizeof<T>() == 8) return fn.powEnds<T>(x, negative, fn.exp<f64>(v.mul<f64>(p, fn.log(x))));
    const value = v.narrow(fn.powShort(v.widenLow(x), p), fn.powShort(v.widenHigh(x), p));
    return fn.powEnds<T>(x, negative, value);
  }
}

@final
@unmanaged
class Sigmoid {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return fn.sigmoid<T>(v.load(x));
  }
}

@final
@unmanaged
class Tanh {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return fn.tanh<T>(v.load(x));
  }
}

/** dy·y·(1 − y), y a sigmoid. */
@final
@unmanaged
class SigmoidGradient {
  @inline
  at<T>(y: usize, dy: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(y);
    return v.mul<T>(v.load(dy), v.mul<T>(a, v.sub<T>(v.splat<T>(1), a)));
  }
}

/** dy·(1 − y²), y a hyperbolic tangent; (1 − y)(1 + y) keeps its bits near ±1. */
@final
@unmanaged
class TanhGradient {
  @inline
  at<T>(y: usize, dy: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(y);
    const one = v.splat<T>(1);
    return v.mul<T>(v.load(dy), v.mul<T>(v.sub<T>(one, a), v.add<T>(one, a)));
  }
}

/** a·b + c */
@final
@unmanaged
class MultiplyAdd {
  @inline
  at<T>(a: usize, b: usize, c: usize, d: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.load(a), v.load(b), v.load(c));
  }
}

@final
@unmanaged
class Multiply {
  @inline
  at<T>(a: usize, b: usize, c: usize, d: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.load(a), v.load(b));
  }
}

@final
@unmanaged
class Add {
  @inline
  at<T>(a: usize, b: usize, c: usize, d: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.add<T>(v.load(a), v.load(b));
  }
}

@final
@unmanaged
class Exp {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return fn.exp<T>(v.load(x));
  }
}

/** above·x where x > 0, else below·(e^x − 1). */
@final
@unmanaged
class ExpLinear {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, above: v128, below: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(x);
    return v.select(v.mul<T>(above, a), v.mul<T>(below, fn.expm1Below0<T>(a)), v.less<T>(v.zero(), a));
  }
}

/** dy·above where x > 0, else dy·below·e^x. */
@final
@unmanaged
class ExpLinearGradient {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, above: v128, below: v128, k2: v128, k3: v128, k4: v128): v128 {
    const a = v.load(x);
    const slope = v.select(above, v.mul<T>(below, fn.expBelow0<T>(a)), v.less<T>(v.zero(), a));
    return v.mul<T>(v.load(dy), slope);
  }
}

/** k·dy where x > 0, else 0. */
@final
@unmanaged
class Gate {
  @inline
  at<T>(x: usize, dy: usize, w: usize, b: usize, k: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.and(v.mul<T>(k, v.load(dy)), v.less<T>(v.zero(), v.load(x)));
  }
}

/** out = P(a, b, c) row by row; arrays that P does not read may be 0. */
function each<T, P>(
  out: usize,
  a: usize,
  b: usize,
  c: usize,
  rows: i32,
  n: i32,
  outStep: i32,
  aStep: i32,
  bStep: i32,
  cStep: i32,
): void {
  const none = v.zero();
  for (let r = 0; r < rows; r++) {
    map<T, P>(out, a, b, c, 0, n, none, none, none, none, none);
    out += <usize>outStep * sizeof<T>();
    a += <usize>aStep * sizeof<T>();
    b += <usize>bStep * sizeof<T>();
    c += <usize>cStep * sizeof<T>();
  }
}

/** y = P(x) row by row, of policies of many steps. */
function eachOnes<T, P>(y: usize, x: usize, rows: i32, n: i32, yStep: i32, xStep: i32): void {
  const none = v.zero();
  for (let r = 0; r < rows; r++) {
    mapOnes<T, P>(y, x, 0, 0, 0, n, none, none, none, none, none);
    y += <usize>yStep * sizeof<T>();
    x += <usize>xStep * sizeof<T>();
  }
}

export function eachSigmoid<T>(y: usize, x: usize, rows: i32, n: i32, yStep: i32, xStep: i32): void {
  eachOnes<T, Sigmoid>(y, x, rows, n, yStep, xStep);
}

export function eachTanh<T>(y: usize, x: usize, rows: i32, n: i32, yStep: i32, xStep: i32): void {
  eachOnes<T, Tanh>(y, x, rows, n, yStep, xStep);
}

export function eachSigmoidGrad<T>(
  dx: usize,
  dy: usize,
  y: usize,
  rows: i32,
  n: i32,
  dxStep: i32,
  dyStep: i32,
  yStep: i32,
): void {
  each<T, SigmoidGradient>(dx, y, dy, 0, rows, n, dxStep, yStep, dyStep, 0);
}

export function eachTanhGrad<T>(
  dx: usize,
  dy: usize,
  y: usize,
  rows: i32,
  n: i32,
  dxStep: i32,
  dyStep: i32,
  yStep: i32,
): void {
  each<T, TanhGradient>(dx, y, dy, 0, rows, n, dxStep, yStep, dyStep, 0);
}

export function eachMultiplyAdd<T>(
  out: usize,
  a: usize,
  b: usize,
  c: usize,
  rows: i32,
  n: i32,
  outStep: i32,
  aStep: i32,
  bStep: i32,
  cStep: i32,
): void {
  each<T, MultiplyAdd>(out, a, b, c, rows, n, outStep, aStep, bStep, cStep);
}

export function eachMultiply<T>(
  out: usize,
  a: usize,
  b: usize,
  rows: i32,
  n: i32,
  outStep: i32,
  aStep: i32,
  bStep: i32,
): void {
  each<T, Multiply>(out, a, b, 0, rows, n, outStep, aStep, bStep, 0);
}

export function eachAdd<T>(
  out: usize,
  a: usize,
  b: usize,
  rows: i32,
  n: i32,
  outStep: i32,
  aStep: i32,
  bStep: i32,
): void {
  each<T, Add>(out, a, b, 0, rows, n, outStep, aStep, bStep, 0);
}

export function eachExp<T>(y: usize, x: usize, n: i32): void {
  const none = v.zero();
  map<T, Exp>(y, x, 0, 0, 0, n, none, none, none, none, none);
}

export function eachExpLinear<T>(y: usize, x: usize, n: i32, above: T, below: T): void {
  const k0 = v.splat<T>(above);
  mapOnes<T, ExpLinear>(y, x, 0, 0, 0, n, k0, v.splat<T>(below), k0, k0, k0);
}

export function eachExpLinearGrad<T>(dx: usize, dy: usize, x: usize, n: i32, above: T, below: T): void {
  const k0 = v.splat<T>(above);
  mapOnes<T, ExpLinearGradient>(dx, x, dy, 0, 0, n, k0, v.splat<T>(below), k0, k0, k0);
}

export function eachGate<T>(dx: usize, dy: usize, x: usize, n: i32, k: T): void {
  const k0 = v.splat<T>(k);
  map<T, Gate>(dx, x, dy, 0, 0, n, k0, k0, k0, k0, k0);
}

/** e^x of one number. */
export function exp(x: f64): f64 {
  return v.lane0(fn.exp<f64>(v.splat<f64>(x)));
}
/** x^p of one number x ≥ 0. */
export function pow(x: f64, p: f64): f64 {
  return v.lane0(fn.pow<f64>(v.splat<f64>(x), v.splat<f64>(p)));
}
