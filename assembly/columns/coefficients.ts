/**
 * Vectors of coefficients on their way from statistics to the kernels over data: one value a channel, group or cell.
 *
 * Shapes: all f64 of n values, but those of type T, which the kernels of columns take. Outputs may be inputs of their type.
 * Error: each operation rounds once in f64; what is of type T is rounded to it last. NaN stays in its place.
 */
import { map } from "../loops";
import { v } from "../vec";

/** 1/√(x/u + k0), k1 = 1 */
@final
@unmanaged
class Rstd {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.div<T>(k1, v.sqrt<T>(v.add<T>(v.div<T>(v.load(x), v.load(u)), k0)));
  }
}

/** x·u */
@final
@unmanaged
class Product {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mul<T>(v.load(x), v.load(u));
  }
}

/** −(x·u)·(w/b) */
@final
@unmanaged
class Slope {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    const squared = v.mul<T>(v.load(x), v.load(u));
    return v.mul<T>(v.sub<T>(k0, squared), v.div<T>(v.load(w), v.load(b)));
  }
}

/** −x/u */
@final
@unmanaged
class Share {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k0: v128, k1: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.sub<T>(k0, v.div<T>(v.load(x), v.load(u)));
  }
}

/** rstd = 1/√(m2/count + eps). */
export function eachRstd_f64(rstd: usize, m2: usize, count: usize, n: i32, eps: f64): void {
  const k0 = v.splat<f64>(eps);
  const k1 = v.splat<f64>(1);
  map<f64, Rstd>(rstd, m2, count, 0, 0, n, k0, k1, k1, k1, k1);
}

/** y = a·b. */
export function eachProduct_f64(y: usize, a: usize, b: usize, n: i32): void {
  const none = v.zero();
  map<f64, Product>(y, a, b, 0, 0, n, none, none, none, none, none);
}

/**
 * The gradient's coefficients of n channels, of Σdy and Σdy·(x − mean) over `count` values: slope =
 * −rstd²·weight·Σdy·(x − mean)/count, constant = −weight·Σdy/count.
 */
export function eachGradientOf_f64(
  slope: usize,
  constant: usize,
  rstd: usize,
  weight: usize,
  sumG: usize,
  sumGD: usize,
  count: usize,
  n: i32,
): void {
  const none = v.zero();
  eachProduct_f64(constant, weight, sumG, n);
  map<f64, Share>(constant, constant, count, 0, 0, n, none, none, none, none, none);
  eachProduct_f64(slope, weight, sumGD, n);
  map<f64, Slope>(slope, rstd, rstd, slope, count, n, none, none, none, none, none);
}

/** y = x, rounded to T. */
export function eachRound<T>(y: usize, x: usize, n: i32): void {
  const end = x + ((<usize>n) << 3);
  for (; x < end; x += 16, y += 2 * sizeof<T>()) v.storeAs<T, f64>(y, v.load(x), x + 8 == end ? 1 : 0);
}

abstract class Rounded {
  /** The f64 mean rounded to T, less the mean. */
  @inline
  static remainder<T>(mean: v128): v128 {
    if (sizeof<T>() == 8) return v.zero();
    return v.sub<f64>(v.widenLow(v.narrow(mean, mean)), mean);
  }
}

/** What is added to (x − T(mean))·factor in place of (x − mean)·factor + sum, rounded to T. */
export function eachSummand<T>(y: usize, sum: usize, mean: usize, factor: usize, n: i32): void {
  const end = sum + ((<usize>n) << 3);
  for (; sum < end; sum += 16, mean += 16, factor += 16, y += 2 * sizeof<T>()) {
    const more = v.mul<f64>(Rounded.remainder<T>(v.load(mean)), v.load(factor));
    v.storeAs<T, f64>(y, v.add<f64>(v.load(sum), more), sum + 8 == end ? 1 : 0);
  }
}

/** From sumGD = Σ g·(x − T(mean)) and sumG = Σ g to Σ g·(x − mean), in place. */
export function eachAboutMean<T>(sumGD: usize, sumG: usize, mean: usize, n: i32): void {
  if (sizeof<T>() == 8) return;
  const end = sumGD + ((<usize>n) << 3);
  for (; sumGD < end; sumGD += 16, sumG += 16, mean += 16) {
    const more = v.mul<f64>(Rounded.remainder<T>(v.load(mean)), v.load(sumG));
    v.storeAs<f64, f64>(sumGD, v.add<f64>(v.load(sumGD), more), sumGD + 8 == end ? 1 : 0);
  }
}
