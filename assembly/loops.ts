/**
 * The two shapes that a loop over one contiguous run takes: `map` writes an element for each element, `reduce` sums up to
 * two terms. What happens to an element is a policy: a class without fields whose @inline methods the compiler folds
 * into the loop. (A function argument would become an indirect call for every vector.)
 *
 * Each loop is a function of its own: V8 spills vector registers in a function that holds several SIMD loops.
 */
import { v } from "./vec";

/** Second sum of the last `reducePair`; a wasm function returns one value. */
export let secondSum: f64 = 0;

/**
 * y[i] = P.at(x[i], u[i], w[i], b[i]; k0..k4) for i < n. Streams that the policy does not read may be 0.
 * y may be any of the streams. Of NaN there is one kind in y: `seen` sums what is written, and where that is NaN, y is
 * looked through.
 */
export function map<T, P>(
  y: usize,
  x: usize,
  u: usize,
  w: usize,
  b: usize,
  n: i32,
  k0: v128,
  k1: v128,
  k2: v128,
  k3: v128,
  k4: v128,
): void {
  const p = changetype<P>(0);
  const end = v.wholeBytes<T>(n);
  const fours = end & ~63;
  let i: usize = 0;
  let seen = v.zero();
  for (; i < fours; i += 64) {
    const xi = x + i;
    const ui = u + i;
    const wi = w + i;
    const bi = b + i;
    const yi = y + i;
    // @ts-ignore: P has `at`
    const y0 = p.at<T>(xi, ui, wi, bi, k0, k1, k2, k3, k4);
    v.store(yi, y0);
    // @ts-ignore: P has `at`
    const y1 = p.at<T>(xi + 16, ui + 16, wi + 16, bi + 16, k0, k1, k2, k3, k4);
    v.store(yi + 16, y1);
    // @ts-ignore: P has `at`
    const y2 = p.at<T>(xi + 32, ui + 32, wi + 32, bi + 32, k0, k1, k2, k3, k4);
    v.store(yi + 32, y2);
    // @ts-ignore: P has `at`
    const y3 = p.at<T>(xi + 48, ui + 48, wi + 48, bi + 48, k0, k1, k2, k3, k4);
    v.store(yi + 48, y3);
    seen = v.add<T>(seen, v.add<T>(v.add<T>(y0, y1), v.add<T>(y2, y3)));
  }
  for (; i < end; i += 16) {
    // @ts-ignore: P has `at`
    const y0 = p.at<T>(x + i, u + i, w + i, b + i, k0, k1, k2, k3, k4);
    v.store(y + i, y0);
    seen = v.add<T>(seen, y0);
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) {
    // @ts-ignore: P has `at`
    const head = p.at<T>(x + i, u + i, w + i, b + i, k0, k1, k2, k3, k4);
    v.storeHead<T>(y + i, head, rest);
    seen = v.add<T>(seen, head);
  }
  if (v.anyTrue(v.isNaN<T>(seen))) oneNaN<T>(y, n);
}

/** Gives every NaN in a run of n elements the bits that `v.oneNaN` does. */
export function oneNaN<T>(y: usize, n: i32): void {
  const end = y + v.wholeBytes<T>(n);
  for (; y < end; y += 16) v.store(y, v.oneNaN<T>(v.load(y)));
  const rest = n & (v.lanes<T>() - 1);
  if (rest) v.storeHead<T>(y, v.oneNaN<T>(v.load(y)), rest);
}

/** Runs of at most this many elements are worth working on together; longer ones gain more from four vectors a round. */
export const FEW: i32 = 64;

/**
 * `map` over `runs` runs of few elements, `step` bytes apart, with the same coefficients. (A vector a round would wait for
 * the sum of the last: `seen` has the bits of what is NaN.)
 */
export function mapRuns<T, P>(
  y: usize,
  x: usize,
  u: usize,
  n: i32,
  runs: i32,
  step: usize,
  k0: v128,
  k1: v128,
  k2: v128,
  k3: v128,
  k4: v128,
): void {
  const p = changetype<P>(0);
  const end = v.wholeBytes<T>(n);
  const rest = n & (v.lanes<T>() - 1);
  let seen = v.zero();
  for (let r = 0; r < runs; r++) {
    let i: usize = 0;
    for (; i < end; i += 16) {
      // @ts-ignore: P has `at`
      const a = p.at<T>(x + i, u + i, 0, 0, k0, k1, k2, k3, k4);
      v.store(y + i, a);
      seen = v.or(seen, v.isNaN<T>(a));
    }
    if (rest) {
      // @ts-ignore: P has `at`
      const a = p.at<T>(x + i, u + i, 0, 0, k0, k1, k2, k3, k4);
      v.storeHead<T>(y + i, a, rest);
      seen = v.or(seen, v.isNaN<T>(a));
    }
    x += step;
    u += step;
    y += step;
  }
  if (v.anyTrue(seen)) {
    for (let r = 0; r < runs; r++) {
      y -= step;
      oneNaN<T>(y, n);
    }
  }
}

/**
 * As `map`, a vector at a time: for policies of so many steps that the processor overlaps neighbouring vectors by itself,
 * and that would fill the code where each stands six times.
 */
export function mapOnes<T, P>(
  y: usize,
  x: usize,
  u: usize,
  w: usize,
  b: usize,
  n: i32,
  k0: v128,
  k1: v128,
  k2: v128,
  k3: v128,
  k4: v128,
): void {
  const p = changetype<P>(0);
  const end = v.wholeBytes<T>(n);
  let seen = v.zero();
  let i: usize = 0;
  for (; i < end; i += 16) {
    // @ts-ignore: P has `at`
    const a = p.at<T>(x + i, u + i, w + i, b + i, k0, k1, k2, k3, k4);
    v.store(y + i, a);
    seen = v.add<T>(seen, a);
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) {
    // @ts-ignore: P has `at`
    const a = p.at<T>(x + i, u + i, w + i, b + i, k0, k1, k2, k3, k4);
    v.storeHead<T>(y + i, a, rest);
    seen = v.add<T>(seen, a);
  }
  if (v.anyTrue(v.isNaN<T>(seen))) oneNaN<T>(y, n);
}

/**
 * Σ P.first(x, u, w; k) over n elements.
 *
 * Four accumulators of a vector each, added as (0 + 1) + (2 + 3), then lane by lane in f64: the tree depends on n alone.
 * With m = n / (4·lanes) terms in a lane the rounding error is at most (m + 2) half ulps of Σ|term|.
 */
export function reduce<T, P>(x: usize, u: usize, w: usize, n: i32, k: v128): f64 {
  const p = changetype<P>(0);
  let a0 = v.zero();
  let a1 = v.zero();
  let a2 = v.zero();
  let a3 = v.zero();
  const fours = x + (v.wholeBytes<T>(n) & ~63);
  for (; x < fours; x += 64, u += 64, w += 64) {
    // @ts-ignore: P has the methods
    a0 = v.add<T>(a0, p.first<T>(x, u, w, k));
    // @ts-ignore: P has the methods
    a1 = v.add<T>(a1, p.first<T>(x + 16, u + 16, w + 16, k));
    // @ts-ignore: P has the methods
    a2 = v.add<T>(a2, p.first<T>(x + 32, u + 32, w + 32, k));
    // @ts-ignore: P has the methods
    a3 = v.add<T>(a3, p.first<T>(x + 48, u + 48, w + 48, k));
  }
  const ones = x + (v.wholeBytes<T>(n) & 63);
  for (; x < ones; x += 16, u += 16, w += 16) {
    // @ts-ignore: P has the methods
    a0 = v.add<T>(a0, p.first<T>(x, u, w, k));
  }
  const rest = n & (v.lanes<T>() - 1);
  // @ts-ignore: P has the methods
  if (rest) a1 = v.add<T>(a1, v.and(p.first<T>(x, u, w, k), v.headMask<T>(rest)));
  return v.sumLanes<T>(v.add<T>(v.add<T>(a0, a1), v.add<T>(a2, a3)));
}

/**
 * Σ P.first(x, u, w; k), returned, and Σ P.second(first, x, u, w; k), left in `secondSum`; tree and error as `reduce`.
 */
export function reducePair<T, P>(x: usize, u: usize, w: usize, n: i32, k: v128): f64 {
  const p = changetype<P>(0);
  let a0 = v.zero();
  let a1 = v.zero();
  let a2 = v.zero();
  let a3 = v.zero();
  let b0 = v.zero();
  let b1 = v.zero();
  let b2 = v.zero();
  let b3 = v.zero();
  const fours = x + (v.wholeBytes<T>(n) & ~63);
  for (; x < fours; x += 64, u += 64, w += 64) {
    // @ts-ignore: P has the methods
    const t0 = p.first<T>(x, u, w, k);
    a0 = v.add<T>(a0, t0);
    // @ts-ignore: P has the methods
    b0 = v.add<T>(b0, p.second<T>(t0, x, u, w, k));
    // @ts-ignore: P has the methods
    const t1 = p.first<T>(x + 16, u + 16, w + 16, k);
    a1 = v.add<T>(a1, t1);
    // @ts-ignore: P has the methods
    b1 = v.add<T>(b1, p.second<T>(t1, x + 16, u + 16, w + 16, k));
    // @ts-ignore: P has the methods
    const t2 = p.first<T>(x + 32, u + 32, w + 32, k);
    a2 = v.add<T>(a2, t2);
    // @ts-ignore: P has the methods
    b2 = v.add<T>(b2, p.second<T>(t2, x + 32, u + 32, w + 32, k));
    // @ts-ignore: P has the methods
    const t3 = p.first<T>(x + 48, u + 48, w + 48, k);
    a3 = v.add<T>(a3, t3);
    // @ts-ignore: P has the methods
    b3 = v.add<T>(b3, p.second<T>(t3, x + 48, u + 48, w + 48, k));
  }
  const ones = x + (v.wholeBytes<T>(n) & 63);
  for (; x < ones; x += 16, u += 16, w += 16) {
    // @ts-ignore: P has the methods
    const t = p.first<T>(x, u, w, k);
    a0 = v.add<T>(a0, t);
    // @ts-ignore: P has the methods
    b0 = v.add<T>(b0, p.second<T>(t, x, u, w, k));
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) {
    const mask = v.headMask<T>(rest);
    // @ts-ignore: P has the methods
    const t = p.first<T>(x, u, w, k);
    a1 = v.add<T>(a1, v.and(t, mask));
    // @ts-ignore: P has the methods
    b1 = v.add<T>(b1, v.and(p.second<T>(t, x, u, w, k), mask));
  }
  secondSum = v.sumLanes<T>(v.add<T>(v.add<T>(b0, b1), v.add<T>(b2, b3)));
  return v.sumLanes<T>(v.add<T>(v.add<T>(a0, a1), v.add<T>(a2, a3)));
}

/**
 * `reducePair` over `runs` runs of n elements, `step` bytes apart, as of one: for runs too short to be worth a call and a
 * sum of lanes each. Two accumulators of a vector; vectors of a run go to them in turns, the rest of a run to the second.
 */
export function reduceRuns<T, P>(x: usize, u: usize, n: i32, runs: i32, step: usize, k: v128): f64 {
  const p = changetype<P>(0);
  const whole = v.wholeBytes<T>(n);
  const twos = whole & ~31;
  const rest = n & (v.lanes<T>() - 1);
  const mask = v.headMask<T>(rest);
  let a0 = v.zero();
  let a1 = v.zero();
  let b0 = v.zero();
  let b1 = v.zero();
  for (let r = 0; r < runs; r++) {
    let i: usize = 0;
    for (; i < twos; i += 32) {
      // @ts-ignore: P has the methods
      const t0 = p.first<T>(x + i, u + i, 0, k);
      a0 = v.add<T>(a0, t0);
      // @ts-ignore: P has the methods
      b0 = v.add<T>(b0, p.second<T>(t0, x + i, u + i, 0, k));
      // @ts-ignore: P has the methods
      const t1 = p.first<T>(x + i + 16, u + i + 16, 0, k);
      a1 = v.add<T>(a1, t1);
      // @ts-ignore: P has the methods
      b1 = v.add<T>(b1, p.second<T>(t1, x + i + 16, u + i + 16, 0, k));
    }
    if (i < whole) {
      // @ts-ignore: P has the methods
      const t = p.first<T>(x + i, u + i, 0, k);
      a0 = v.add<T>(a0, t);
      // @ts-ignore: P has the methods
      b0 = v.add<T>(b0, p.second<T>(t, x + i, u + i, 0, k));
      i += 16;
    }
    if (rest) {
      // @ts-ignore: P has the methods
      const t = p.first<T>(x + i, u + i, 0, k);
      a1 = v.add<T>(a1, v.and(t, mask));
      // @ts-ignore: P has the methods
      b1 = v.add<T>(b1, v.and(p.second<T>(t, x + i, u + i, 0, k), mask));
    }
    x += step;
    u += step;
  }
  secondSum = v.sumLanes<T>(v.add<T>(b0, b1));
  return v.sumLanes<T>(v.add<T>(a0, a1));
}
