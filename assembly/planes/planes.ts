/**
 * Runs (planes of an image) with f64 coefficients of their own, and groups of runs normalized by the statistics that they
 * share, group after group, so that a group is read once from memory and is in cache from then on.
 *
 * Formula: y = (x − mean)·rstd·weight + bias, rstd = 1/√(M2/N + eps), and its gradient
 *   dx = rstd·(weight·dy − (x − mean)·rstd²·ΣΣg(x − mean)/N − ΣΣg/N), g = dy·weight.
 * Shapes: a group has `parts` parts, `step` elements apart, each of `width` runs of n elements, side by side; groups lie
 *   side by side in a part. Run w of group g takes entry (g mod period)·width + w of weight, bias, dweight and dbias.
 *   Coefficients and statistics are f64. y may be x, dx may be dy or x.
 * Error and bits: moments of each part by moments.ts, sums of each run by gradient.ts, merged and added in order in f64;
 *   those of several parts of short runs as of one block, by the same formulas and, with at most 256 terms in a lane, within
 *   the same bounds; coefficients in f64, rounded once. The center is the mean rounded to T, its remainder goes into the
 *   shift. NaN stays in its group.
 */
import { FEW, map, mapRuns, reduceRuns, secondSum } from "../loops";
import { Affine } from "../rows/affine";
import { Gradient, GradientAffine, runGradSums, runSecond } from "../rows/gradient";
import { Center, Deviation, rowBlock, rowMoments, runM2, runMean, runMoments } from "../rows/moments";
import { v } from "../vec";

/** Bytes of one array that are worked on at a time: with those of the gradient they stay in a second-level cache. */
const BLOCK_BYTES: i32 = 1 << 18;

/** Bytes of a part, over all groups that are worked on together, that are worth a jump to the next part: a page. */
const PART_BYTES: i32 = 4096;

/** y = (x − mean)·scale + shift over `runs` runs of n elements, `step` bytes apart: of few elements, or one alone. */
function runAffine<T>(y: usize, x: usize, n: i32, runs: i32, step: usize, mean: f64, scale: f64, shift: f64): void {
  const center = <T>mean;
  const k0 = v.splat<T>(center);
  const k1 = v.splat<T>(<T>scale);
  const k2 = v.splat<T>(<T>(shift + (<f64>center - mean) * scale));
  if (runs > 1) mapRuns<T, Affine>(y, x, 0, n, runs, step, k0, k1, k2, k0, k0);
  else map<T, Affine>(y, x, 0, 0, 0, n, k0, k1, k2, k0, k0);
}

/** dx = rstd·(weight·dy + slope·(x − mean) + constant) over runs as in runAffine. */
function runGradAffine<T>(
  dx: usize,
  dy: usize,
  x: usize,
  n: i32,
  runs: i32,
  step: usize,
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
  if (runs > 1) mapRuns<T, GradientAffine>(dx, x, dy, n, runs, step, k0, k1, k2, k3, k4);
  else map<T, GradientAffine>(dx, x, dy, 0, 0, n, k0, k1, k2, k3, k4);
}

/**
 * How many runs with the same coefficients, a period apart, are worked on together: of few elements as many as stay in cache
 * with those between them, else one.
 */
function runsTogether(runs: i32, bytes: usize, n: i32, period: i32): i32 {
  return n > FEW ? 1 : max(1, min(runs, BLOCK_BYTES / <i32>bytes) / period);
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
  const round = <usize>period * bytes;
  let together = runsTogether(runs, bytes, n, period);
  let i = first % period;
  while (runs > 0) {
    if (runs < together * period) together = 1;
    for (let end = x + min(<usize>runs * bytes, round); x < end; x += bytes, y += bytes) {
      const at = (<usize>i) << 3;
      runAffine<T>(y, x, n, together, round, load<f64>(mean + at), load<f64>(scale + at), load<f64>(shift + at));
      if (++i == period) i = 0;
    }
    const skip = <usize>(together - 1) * round;
    x += skip;
    y += skip;
    runs -= together * period;
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
  const round = <usize>period * bytes;
  let together = runsTogether(runs, bytes, n, period);
  let i = first % period;
  while (runs > 0) {
    if (runs < together * period) together = 1;
    for (let end = x + min(<usize>runs * bytes, round); x < end; x += bytes, dy += bytes, dx += bytes) {
      const at = (<usize>i) << 3;
      runGradAffine<T>(
        dx,
        dy,
        x,
        n,
        together,
        round,
        load<f64>(mean + at),
        load<f64>(rstd + at),
        load<f64>(weight + at),
        load<f64>(slope + at),
        load<f64>(constant + at),
      );
      if (++i == period) i = 0;
    }
    const skip = <usize>(together - 1) * round;
    x += skip;
    dy += skip;
    dx += skip;
    runs -= together * period;
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

/** Runs of at most this many elements pay more for lanes to be summed, divisions and calls than for being read. */
const SHORT_RUN: i32 = 256;

/** Bytes and runs that are reduced together where runs are short: no lane sums more terms than in a block of moments.ts. */
const SHORT_BLOCK_BYTES: i32 = 4096;
const SHORT_BLOCK_RUNS: i32 = 128;

/** Parts of runs of this length that are reduced before a merge; inputs may be split at multiples of this. */
export function planeBlockParts<T>(length: i32): i32 {
  return length > SHORT_RUN ? 1 : min(SHORT_BLOCK_RUNS, SHORT_BLOCK_BYTES / sizeof<T>() / length);
}

let shortMean: f64 = 0;
let shortM2: f64 = 0;

/**
 * Mean and M2 of `parts` short runs as of one block of moments.ts, into `shortMean` and `shortM2`; the center is the mean of
 * the first run. False, with nothing found, where f32 sums overflow.
 */
function shortMoments<T>(x: usize, n: i32, parts: i32, step: usize): bool {
  const count = <f64>n * <f64>parts;
  let center = <T>(reduceRuns<T, Deviation>(x, 0, n, 1, step, v.zero()) / <f64>n);
  let sumD = reduceRuns<T, Deviation>(x, 0, n, parts, step, v.splat<T>(center));
  let offset = sumD / count;
  if (!Center.isGood(sumD * offset, secondSum)) {
    center = <T>(<f64>center + offset);
    sumD = reduceRuns<T, Deviation>(x, 0, n, parts, step, v.splat<T>(center));
    offset = sumD / count;
    if (sizeof<T>() == 4 && !(secondSum < Infinity)) return false;
  }
  shortMean = <f64>center + offset;
  shortM2 = max<f64>(secondSum - sumD * offset, 0);
  return true;
}

/** Whether the sums of groups of so many parts are taken over several short runs at a time. */
function isShort(length: i32, parts: i32): bool {
  return length <= SHORT_RUN && parts > 1;
}

/**
 * Σdy and Σdy·(x − c) of each group of short runs, c its mean rounded to T; f64, added to. `seen` parts, a multiple of
 * planeBlockParts, are in the sums already.
 */
export function planeGroupGradSums<T>(
  sumDy: usize,
  sumDyx: usize,
  dy: usize,
  x: usize,
  mean: usize,
  groups: i32,
  parts: i32,
  length: i32,
  step: i32,
  seen: i32,
): void {
  const bytes = <usize>length * sizeof<T>();
  const stepBytes = <usize>step * sizeof<T>();
  const block = planeBlockParts<T>(length);
  for (let p = 0; p < parts; p += block) {
    const size = min(block, parts - p);
    let skip = <usize>p * stepBytes;
    for (let at: usize = 0; at < (<usize>groups) << 3; at += 8) {
      const center = <T>load<f64>(mean + at);
      if (isShort(length, seen + parts)) {
        const sum = reduceRuns<T, Gradient>(x + skip, dy + skip, length, size, stepBytes, v.splat<T>(center));
        store<f64>(sumDy + at, load<f64>(sumDy + at) + sum);
        store<f64>(sumDyx + at, load<f64>(sumDyx + at) + secondSum);
      } else {
        store<f64>(
          sumDy + at,
          runGradSums<T>(dy + skip, x + skip, 0, length, center, load<f64>(sumDy + at), load<f64>(sumDyx + at)),
        );
        store<f64>(sumDyx + at, runSecond);
      }
      skip += bytes;
    }
  }
}

/** Merges a part of `count` elements into mean and M2 of `seen` at an address; 0 starts anew. */
function mergeAt(mean: usize, m2: usize, seen: f64, count: f64, share: f64, partMean: f64, partM2: f64): void {
  if (seen == 0) {
    store<f64>(mean, partMean);
    store<f64>(m2, partM2);
    return;
  }
  const before = load<f64>(mean);
  const delta = partMean - before;
  store<f64>(mean, before + delta * share);
  store<f64>(m2, load<f64>(m2) + (partM2 + delta * delta * (seen * share)));
}

/**
 * Mean and M2 of each group, its parts, `length` elements each, merged in order by the formula of moments.ts; those of short
 * runs in blocks of planeBlockParts. `seen` parts, a multiple of that, are already in mean and m2; 0 starts anew.
 */
export function planeMoments<T>(
  mean: usize,
  m2: usize,
  x: usize,
  groups: i32,
  parts: i32,
  length: i32,
  step: i32,
  seen: i32,
): void {
  if (parts == 1 && seen == 0) {
    rowMoments<T>(mean, m2, x, groups, length, 0);
    return;
  }
  const bytes = <usize>length * sizeof<T>();
  const stepBytes = <usize>step * sizeof<T>();
  const block = planeBlockParts<T>(length);
  const each = <f64>length;
  for (let p = 0; p < parts; p += block) {
    const size = min(block, parts - p);
    const before = <f64>(seen + p) * each;
    const count = <f64>size * each;
    const share = count / (before + count);
    let from = x + <usize>p * stepBytes;
    for (let at: usize = 0; at < (<usize>groups) << 3; at += 8) {
      if (size > 1 && shortMoments<T>(from, length, size, stepBytes)) {
        mergeAt(mean + at, m2 + at, before, count, share, shortMean, shortM2);
      } else {
        // One part, or sums that overflow, which runMoments takes in f64.
        let seenHere = before;
        let run = from;
        for (let r = 0; r < size; r++) {
          runMoments<T>(run, length, 0, 0, 0);
          mergeAt(mean + at, m2 + at, seenHere, each, each / (seenHere + each), runMean, runM2);
          seenHere += each;
          run += stepBytes;
        }
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
  // Parts of few elements are worked on together.
  const together = n > FEW ? 1 : parts;
  for (let g = 0; g < groups; g += block) {
    const size = min(block, groups - g);
    planeMoments<T>(mean, m2, x, size, parts, length, step, 0);
    for (let at: usize = 0; at < (<usize>size) << 3; at += 8) {
      store<f64>(rstd + at, 1 / sqrt<f64>(load<f64>(m2 + at) / total + eps));
    }
    let skip: usize = 0;
    for (let i = 0; i < size; i++) {
      const at = (<usize>i) << 3;
      const m = load<f64>(mean + at);
      const r = load<f64>(rstd + at);
      let entry = (<usize>(((first + g + i) % period) * width)) << 3;
      for (let w = 0; w < width; w++) {
        const scale = r * load<f64>(weight + entry);
        const shift = load<f64>(bias + entry);
        for (let p = 0; p < parts; p += together) {
          const at = skip + <usize>p * stepBytes;
          runAffine<T>(y + at, x + at, n, together, stepBytes, m, scale, shift);
        }
        entry += 8;
        skip += bytes;
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
  // Parts of few elements are worked on together.
  const together = n > FEW ? 1 : parts;
  for (let g = 0; g < groups; g += block) {
    const size = min(block, groups - g);
    const summed = width == 1 && isShort(n, parts);
    if (summed) {
      planeGroupGradSums<T>(sumG, sumGD, dy, x, mean, size, parts, n, step, 0);
      for (let i = 0; i < size; i++) {
        const at = (<usize>i) << 3;
        const m = load<f64>(mean + at);
        const entry = (<usize>((first + g + i) % period)) << 3;
        const sum = load<f64>(sumG + at);
        const sumD = load<f64>(sumGD + at) + (<f64>(<T>m) - m) * sum;
        store<f64>(sumG + at, load<f64>(weight + entry) * sum);
        store<f64>(sumGD + at, load<f64>(weight + entry) * sumD);
        Sum.add(dweight + entry, sumD * load<f64>(rstd + at));
        Sum.add(dbias + entry, sum);
      }
    }
    for (let p = 0; p < parts && !summed; p++) {
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
    let skip: usize = 0;
    for (let i = 0; i < size; i++) {
      const at = (<usize>i) << 3;
      const m = load<f64>(mean + at);
      const r = load<f64>(rstd + at);
      const slope = -(r * r) * (load<f64>(sumGD + at) / total);
      const constant = -(load<f64>(sumG + at) / total);
      let entry = (<usize>(((first + g + i) % period) * width)) << 3;
      for (let w = 0; w < width; w++) {
        const factor = load<f64>(weight + entry);
        for (let p = 0; p < parts; p += together) {
          const at = skip + <usize>p * stepBytes;
          runGradAffine<T>(dx + at, dy + at, x + at, n, together, stepBytes, m, r, factor, slope, constant);
        }
        entry += 8;
        skip += bytes;
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

/** Mean and M2 of runs that are groups of their own: rowMoments of moments.ts. */
export function planeRunMoments<T>(mean: usize, m2: usize, x: usize, runs: i32, n: i32, seen: f64): void {
  rowMoments<T>(mean, m2, x, runs, n, seen);
}

/** Elements of a run that are reduced before a merge; inputs may be split at multiples of this. */
export function planeRunBlock<T>(): i32 {
  return rowBlock<T>();
}
