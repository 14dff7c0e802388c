/**
 * Functions in double precision that have the same bits on every engine: e^x comes from the kernels, the rest is
 * arithmetic. Nothing on the way to a result may use what engines only approximate: Math.exp, log, pow, sin, and ** (but
 * of 2, whose powers are exact).
 *
 * |x| < 1: Kummer's series erf x = 2x/√π·e^(−x²)·Σ (2x²)ⁿ/(2n + 1)!!, whose terms are all positive; above, the
 * continued fraction erfcx x = e^(x²)·erfc x = 1/√π/(x + ½/(x + 1/(x + 3/2/(x + ...)))). Relative error below 2e-15, of
 * erf and erfcx wherever they are, of erfc up to its underflow at 26.5.
 *
 * Source: M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions", 1964, 7.1.6 and 7.1.14.
 */
import { FUNCTIONS, kernels } from "./parts.js";

const ROOT_PI = 1.7724538509055159;
/** Terms of the continued fraction: enough at x = 1, where it converges slowest. */
const FRACTION_TERMS = 200;

/** e^x. */
export function exp(x: number): number {
  return kernels(FUNCTIONS).exp(x);
}

export function square(x: number): number {
  return x * x;
}

/**
 * The natural logarithm of a positive finite number, relative error below 5e-16: x = m·2^e with m in [√½, √2), and
 * log m = 2·Σ sⁿ/n over odd n with s = (m − 1)/(m + 1), |s| < 0.172.
 */
export function log(x: number): number {
  let m = x;
  let e = 0;
  for (; m < Math.SQRT1_2; e--) m *= 2;
  for (; m >= Math.SQRT2; e++) m /= 2;
  const s = (m - 1) / (m + 1);
  let sum = 0;
  for (let n = 23; n >= 3; n -= 2) sum = (sum + 1 / n) * s * s;
  return e * Math.LN2 + 2 * (s + s * sum);
}

/** e^(−x²), x split so that the first square is exact. */
function expMinusSquare(x: number): number {
  const head = Math.fround(x);
  return exp(-head * head) * exp(-(x - head) * (x + head));
}

function erfSeries(x: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ((2 * x) / ROOT_PI) * expMinusSquare(x) * sum;
}

function erfcxFraction(x: number): number {
  let tail = x;
  for (let n = FRACTION_TERMS; n >= 1; n--) tail = x + (0.5 * n) / tail;
  return 1 / (tail * ROOT_PI);
}

/** 2/√π·∫ e^(−t²) from 0 to x. */
export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  return x < 1 ? erfSeries(x) : 1 - erfc(x);
}

/** 1 − erf x without cancellation. */
export function erfc(x: number): number {
  if (x < 1) return x < -1 ? 2 - erfc(-x) : 1 - (x < 0 ? -erfSeries(-x) : erfSeries(x));
  return x > 28 ? 0 : expMinusSquare(x) * erfcxFraction(x);
}

/** e^(x²)·erfc x, for x where e^(x²) is finite or x > 0. */
export function erfcx(x: number): number {
  return x < 1 ? erfc(x) / expMinusSquare(x) : erfcxFraction(x);
}
