/**
 * Runs (planes of an image) with f64 coefficients of their own, and groups of runs normalized by the statistics that they
 * share, group after group, so that a group is read once from memory and is in cache from then on.
 *
 * Formula: y = (x − mean)·rstd·weight + bias, rstd = 1/√(M2/N + eps), and its gradient
 *   dx = rstd·(weight·dy − (x − mean)·rstd²·ΣΣg(x − mean)/N − ΣΣg/N), g = dy·weight.
 * Shapes: a group has `parts` parts, `step` elements apart, each of `width` runs of n elements, side by side; groups lie
 *   side by side in a part. Run w of group g takes entry (g mod period)·width + w of weight, bias, dweight and dbias.
 *   Coefficients and statistics are f64. y may be x, dx may be dy or x.
 * Error and bits: moments of each part by moments.ts, merged in order in f64; sums of each run by gradient.ts, added in
 *   order; coefficients in f64, rounded once. The center is the mean rounded to T, its remainder goes into the shift. NaN
 *   stays in its group.
 */
import { Affine } from "./affine";
import { GradientAffine, runGradSums, runSecond } from "./gradient";
import { map } from "./loops";
import { runM2, runMean, runMoments } from "./moments";
import { v } from "./vec";

/** Bytes of one array that are worked on at a time: with those of the gradient they stay in a second-level cache. */
const BLOCK_BYTES: i32 = 1 << 18;

/** Bytes of a part, over all groups that are worked on together, that are worth a jump to the next part: a page. */
const PART_BYTES: i32 = 4096;

/** y = (x − mean)·scale + shift over one run. */
export function runAffine<T>(y: usize, x: usize, n: i32, mean: f64, scale: f64, shift: f64): void {
  const center = <T>mean;
  const k0 = v.splat<T>(center);
  const k1 = v.splat<T>(<T>scale);
  const k2 = v.splat<T>(<T>(shift + (<f64>center - mean) * scale));
  map<T, Affine>(y, x, 0, 0, 0, n, k0, k1, k2, k0, k0);
}

/** dx = rstd·(weight·dy + slope·(x − mean) + constant) over one run. */
export function runGradAffine<T>(
  dx: usize,
  dy: usize,
  x: usize,
  n: i32,
  mean: f64,
  rstd: f64,
  weight: f64,
  slope: f64,
  constant: f64,
): void {
  const center = <T>mean;
  const k0 = v.splat<T>(center);
  const k1 = v.splat<T>(<T>rstd);
  const k2 = v.splat<T>(<T>weight);
  const k3 = v.splat<T>(<T>slope);
  const k4 = v.splat<T>(<T>(constant + (<f64>center - mean) * slope));
  map<T, GradientAffine>(dx, x, dy, 0, 0, n, k0, k1, k2, k3, k4);
}

/** Run r takes entry (first + r) mod period of the coefficients. */
export function planeAffine<T>(
  y: usize,
  x: usize,
  mean: usize,
  scale: usize,
  shift: usize,
  runs: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < runs; r++) {
    const at = (<usize>i) << 3;
    runAffine<T>(y, x, n, load<f64>(mean + at), load<f64>(scale + at), load<f64>(shift + at));
    x += bytes;
    y += bytes;
    if (++i == period) i = 0;
  }
}

/** Run r takes entry (first + r) mod period of the coefficients. */
export function planeGradAffine<T>(
  dx: usize,
  dy: usize,
  x: usize,
  mean: usize,
  rstd: usize,
  weight: usize,
  slope: usize,
  constant: usize,
  runs: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < runs; r++) {
    const at = (<usize>i) << 3;
    runGradAffine<T>(
      dx,
      dy,
      x,
      n,
      load<f64>(mean + at),
      load<f64>(rstd + at),
      load<f64>(weight + at),
      load<f64>(slope + at),
      load<f64>(constant + at),
    );
    x += bytes;
    dy += bytes;
    dx += bytes;
    if (++i == period) i = 0;
  }
}

/** Σdy and Σdy·(x − c) of each run, c the entry (first + r) mod period of mean, rounded to T; f64, added to. */
export function planeGradSums<T>(
  sumDy: usize,
  sumDyx: usize,
  dy: usize,
  x: usize,
  mean: usize,
  runs: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  let i = first % period;
  for (let r = 0; r < runs; r++) {
    const at = (<usize>r) << 3;
    const center = <T>load<f64>(mean + ((<usize>i) << 3));
    store<f64>(sumDy + at, runGradSums<T>(dy, x, 0, n, center, load<f64>(sumDy + at), load<f64>(sumDyx + at)));
    store<f64>(sumDyx + at, runSecond);
    x += bytes;
    dy += bytes;
    if (++i == period) i = 0;
  }
}

/**
 * Groups that are worked on together: as many as make jumps from part to part worth while, and so many short ones that the
 * processor has the divisions and roots of several under way.
 */
function groupsAtOnce(parts: i32, partBytes: i32): i32 {
  const worth = (PART_BYTES + partBytes - 1) / partBytes;
  const fit = BLOCK_BYTES / partBytes / parts;
  return max(1, min(worth, fit));
}

/** Mean and M2 of each group, its parts, `length` elements each, merged in order by the formula of moments.ts. */
export function planeMoments<T>(
  mean: usize,
  m2: usize,
  x: usize,
  groups: i32,
  parts: i32,
  length: i32,
  step: i32,
): void {
  const count = <f64>length;
  const bytes = <usize>length * sizeof<T>();
  const stepBytes = <usize>step * sizeof<T>();
  for (let p = 0; p < parts; p++) {
    const seen = <f64>p * count;
    const share = count / (seen + count);
    let from = x + <usize>p * stepBytes;
    for (let at: usize = 0; at < (<usize>groups) << 3; at += 8) {
      runMoments<T>(from, length, 0, 0, 0);
      if (p == 0) {
        store<f64>(mean + at, runMean);
        store<f64>(m2 + at, runM2);
      } else {
        const before = load<f64>(mean + at);
        const delta = runMean - before;
        store<f64>(mean + at, before + delta * share);
        store<f64>(m2 + at, load<f64>(m2 + at) + (runM2 + delta * delta * (seen * share)));
      }
      from += bytes;
    }
  }
}

/** Normalizes groups [first, first + groups); mean, M2 and rstd of each are left in `mean`, `m2` and `rstd`. */
export function planeNormalize<T>(
  y: usize,
  x: usize,
  mean: usize,
  m2: usize,
  rstd: usize,
  weight: usize,
  bias: usize,
  groups: i32,
  parts: i32,
  width: i32,
  n: i32,
  step: i32,
  first: i32,
  period: i32,
  eps: f64,
): void {
  const bytes = <usize>n * sizeof<T>();
  const stepBytes = <usize>step * sizeof<T>();
  const length = width * n;
  const total = <f64>parts * <f64>length;
  const block = groupsAtOnce(parts, length * sizeof<T>());
  for (let g = 0; g < groups; g += block) {
    const size = min(block, groups - g);
    planeMoments<T>(mean, m2, x, size, parts, length, step);
    for (let at: usize = 0; at < (<usize>size) << 3; at += 8) {
      store<f64>(rstd + at, 1 / sqrt<f64>(load<f64>(m2 + at) / total + eps));
    }
    for (let p = 0; p < parts; p++) {
      let skip = <usize>p * stepBytes;
      for (let i = 0; i < size; i++) {
        const at = (<usize>i) << 3;
        const m = load<f64>(mean + at);
        const r = load<f64>(rstd + at);
        let entry = (<usize>(((first + g + i) % period) * width)) << 3;
        for (let w = 0; w < width; w++) {
          runAffine<T>(y + skip, x + skip, n, m, r * load<f64>(weight + entry), load<f64>(bias + entry));
          entry += 8;
          skip += bytes;
        }
      }
    }
    x += <usize>size * <usize>length * sizeof<T>();
    y += <usize>size * <usize>length * sizeof<T>();
    mean += (<usize>size) << 3;
    m2 += (<usize>size) << 3;
    rstd += (<usize>size) << 3;
  }
}

abstract class Sum {
  /** Adds to the f64 at `at`. */
  @inline
  static add(at: usize, value: f64): void {
    store<f64>(at, load<f64>(at) + value);
  }
}

/**
 * The gradient of `planeNormalize`; adds Σdy·(x − mean)·rstd and Σdy of each run to dweight and dbias. sumG and sumGD are
 * scratch, cleared, one a group.
 */
export function planeNormalizeGrad<T>(
  dx: usize,
  dy: usize,
  x: usize,
  dweight: usize,
  dbias: usize,
  sumG: usize,
  sumGD: usize,
  mean: usize,
  rstd: usize,
  weight: usize,
  groups: i32,
  parts: i32,
  width: i32,
  n: i32,
  step: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  const stepBytes = <usize>step * sizeof<T>();
  const length = width * n;
  const total = <f64>parts * <f64>length;
  const block = groupsAtOnce(parts, length * sizeof<T>());
  for (let g = 0; g < groups; g += block) {
    const size = min(block, groups - g);
    for (let p = 0; p < parts; p++) {
      let skip = <usize>p * stepBytes;
      for (let i = 0; i < size; i++) {
        const at = (<usize>i) << 3;
        const m = load<f64>(mean + at);
        const center = <T>m;
        let entry = (<usize>(((first + g + i) % period) * width)) << 3;
        for (let w = 0; w < width; w++) {
          const sum = runGradSums<T>(dy + skip, x + skip, 0, n, center);
          const sumD = runSecond + (<f64>center - m) * sum;
          Sum.add(sumG + at, load<f64>(weight + entry) * sum);
          Sum.add(sumGD + at, load<f64>(weight + entry) * sumD);
          Sum.add(dweight + entry, sumD * load<f64>(rstd + at));
          Sum.add(dbias + entry, sum);
          entry += 8;
          skip += bytes;
        }
      }
    }
    for (let p = 0; p < parts; p++) {
      let skip = <usize>p * stepBytes;
      for (let i = 0; i < size; i++) {
        const at = (<usize>i) << 3;
        const m = load<f64>(mean + at);
        const r = load<f64>(rstd + at);
        const slope = -(r * r) * (load<f64>(sumGD + at) / total);
        const constant = -(load<f64>(sumG + at) / total);
        let entry = (<usize>(((first + g + i) % period) * width)) << 3;
        for (let w = 0; w < width; w++) {
          runGradAffine<T>(dx + skip, dy + skip, x + skip, n, m, r, load<f64>(weight + entry), slope, constant);
          entry += 8;
          skip += bytes;
        }
      }
    }
    const done = <usize>size * <usize>length * sizeof<T>();
    x += done;
    dy += done;
    dx += done;
    mean += (<usize>size) << 3;
    rstd += (<usize>size) << 3;
    sumG += (<usize>size) << 3;
    sumGD += (<usize>size) << 3;
  }
}
