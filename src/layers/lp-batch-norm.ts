import { cellGradSums } from "../core/cells.js";
import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  PER_CHANNEL,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { checkCount, checkOneOf, fail } from "../core/errors.js";
import { checkPositions, type Geometry, pooled } from "../core/geometry.js";
import {
  applyGroups,
  applyGroupsGrad,
  byChannel,
  byGroup,
  type Grouping,
  type GroupStatistics,
  groupMoments,
  nextOf,
  sumChannels,
} from "../core/grouped.js";
import { keepInput, MEAN_ALIASES, type Saved, type StateEntry } from "../core/layer.js";
import { keep, mapF64, passingF64, type TypedArray } from "../core/memory.js";
import { varianceOf } from "../core/moments.js";
import { applyPowerGradient, applyPowerRowsGradient, cellPowers, checkPower, root } from "../core/powers.js";
import { normalizeRowsGrad, type RowOptions, rowGradSums, standardizeRows } from "../core/rows.js";
import { checkMomentum, checkSeveral, readPair, sameClass, step } from "../core/running.js";
import { arrayClass, type Operand, readVector, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";

/** What a mean and a deviation are taken over: a channel of the batch, a sample, a group of channels, a channel of a sample. */
export type LpSet = "batch" | "layer" | "group" | "instance";

export interface LpOptions {
  /** The power of |x − mean| that is averaged, above 0. 1: mean absolute deviation; 2: standard deviation. Default 1. */
  p?: number;
  /** With p = 1, whether the deviation is multiplied by √(π/2), which makes it σ for normal data. Default false. */
  gaussianScale?: boolean;
  /** Default "batch". */
  over?: LpSet;
  /** With over "group": the groups that the channels are divided into. */
  numGroups?: number;
}

export interface LpBatchNormOptions extends ChannelNormOptions, LpOptions {
  /** With over "batch". "train": statistics of the batch. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /**
   * With over "batch": running mean and running mean |x − mean|^p. Read in eval mode, and the basis of those returned in
   * training. Not written to.
   */
  runningMean?: VectorLike | null;
  runningMoment?: VectorLike | null;
  /** Batches in the running statistics so far; used where momentum is null. Default 0. */
  numBatchesTracked?: number;
  /** Weight of the new batch: running = (1 − momentum)·running + momentum·batch; null: their average. Default 0.1. */
  momentum?: number | null;
}

export interface LpBatchNormSaved extends Saved, GroupStatistics {
  /** mean |x − mean|^p + eps of each group, and mean |x − mean|^(p−1)·sign(x − mean). @internal */
  readonly moment: Float64Array;
  /** @internal */
  readonly slope: Float64Array;
  /** The largest Σ(x − mean)² of a group. @internal */
  readonly largestSquares: number;
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly options: SavedOptions & Pick<LpOptions, "over" | "numGroups"> & { readonly p: number };
}

export interface LpStatistics {
  runningMean: TypedArray;
  /** Of |x − mean|^p. */
  runningMoment: TypedArray;
  numBatchesTracked: number;
}

export interface LpBatchNormResult {
  y: Tensor;
  saved: LpBatchNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: LpStatistics | null;
}

/** √(π/2) = σ/E|x − mean| of normal data. */
const GAUSSIAN = 1.2533141373155003;

/** The groups that statistics are taken over, and, where they are rows with a weight for each element, the rows. */
interface Groups {
  geometry: Geometry;
  grouping: Grouping;
  rows: RowOptions | null;
}

function groupsOf(method: string, full: Geometry, over: LpSet, numGroups: number | undefined): Groups {
  if (over === "batch") {
    const geometry = pooled(full);
    return { geometry, grouping: byChannel(geometry), rows: null };
  }
  let groups = over === "layer" ? 1 : full.c;
  if (over === "group") {
    groups = checkCount(method, "numGroups", numGroups);
    if (full.c % groups !== 0) fail(method, `channels (${full.c}) must be divisible by numGroups (${groups})`);
  }
  if (full.s > 1) return { geometry: full, grouping: byGroup(full, groups), rows: null };
  // With one position, the groups of a sample lie side by side.
  const rows = { rows: full.n * groups, n: full.c / groups, period: groups, centered: true };
  const geometry: Geometry = { n: rows.rows, c: 1, s: rows.n, order: "rows" };
  return { geometry, grouping: byGroup(geometry, 1), rows };
}

/** The value of its group for each cell, or for each channel where all its cells are of one group. */
function spread(values: Float64Array, { n, c }: Geometry, { groupOf, perChannel }: Grouping): Float64Array {
  return perChannel ? values : mapF64(passingF64(n * c), (_, i) => values[groupOf(i)]);
}

/** Σ over the cells of each group, divided by the values in it. */
function average(values: Float64Array, count: Float64Array, { groups, groupOf, perChannel }: Grouping): Float64Array {
  const means = perChannel ? sumChannels(values, groups) : passingF64(groups);
  if (!perChannel) for (let i = 0; i < values.length; i++) means[groupOf(i)] += values[i];
  for (let group = 0; group < groups; group++) means[group] /= count[group];
  return means;
}

interface LpMoments {
  mean: Float64Array;
  count: Float64Array;
  /** mean |x − mean|^p of each group. */
  moment: Float64Array;
  /** mean |x − mean|^(p−1)·sign(x − mean), which the gradient wants alone. */
  slope(): Float64Array;
  largestSquares: number;
}

/** Mean, mean |x − mean|^p and its slope of each group. */
function momentsOf(x: Operand, geometry: Geometry, grouping: Grouping, p: number): LpMoments {
  const moments = groupMoments(x, geometry, grouping);
  const { mean, count, m2 } = moments;
  let largestSquares = m2[0];
  for (let i = 1; i < m2.length; i++) largestSquares = Math.max(largestSquares, m2[i]);
  if (p === 2) {
    return { mean, count, moment: varianceOf(moments), slope: () => passingF64(grouping.groups), largestSquares };
  }
  const sums = cellPowers(x, geometry, spread(mean, geometry, grouping), p, largestSquares);
  return {
    mean,
    count,
    moment: average(sums.powers, count, grouping),
    slope: () => average(sums.slopes, count, grouping),
    largestSquares,
  };
}

/** `finish` gives what the next batch and the backward pass need. */
function forwardAs(
  method: string,
  x: TensorLike,
  options: LpBatchNormOptions,
): { y: Tensor; finish(): LpBatchNormResult } {
  const { x: operand, geometry: full, weight, bias, eps, y } = readArguments(method, x, options);
  const { c } = full;
  const p = checkPower(method, options.p ?? 1);
  const sets = ["batch", "layer", "group", "instance"] as const;
  const over = checkOneOf(method, "over", options.over ?? "batch", sets);
  const { geometry, grouping, rows } = groupsOf(method, full, over, options.numGroups);
  if (over === "instance") checkPositions(method, operand, full, 'use over "layer" or "group"');
  const mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
  const momentum = checkMomentum(method, options.momentum);
  const tracked = checkCount(method, "numBatchesTracked", options.numBatchesTracked ?? 0, 0);
  const { runningMean, runningMoment } = options;
  if (over !== "batch" && (runningMean || runningMoment || mode === "eval")) {
    fail(method, `runningMean, runningMoment and mode "eval" are for over "batch", got over "${over}"; leave them out`);
  }
  const pair = readPair(method, mode, c, ["runningMean", runningMean], ["runningMoment", runningMoment]);
  const { mean: averageMean, spread: averageMoment } = pair;
  const constant = mode === "eval";
  if (over === "batch" && !constant) checkSeveral(method, operand, operand.length / c);
  const found: LpMoments = constant
    ? {
        mean: averageMean,
        count: passingF64(c).fill(operand.length / c),
        moment: averageMoment,
        slope: () => passingF64(c),
        largestSquares: 0,
      }
    : momentsOf(operand, geometry, grouping, p);
  const scale = options.gaussianScale && p === 1 ? GAUSSIAN : 1;
  const { mean, count, largestSquares } = found;
  const moment = passingF64(mean.length);
  const rstd = passingF64(mean.length);
  for (let i = 0; i < moment.length; i++) {
    moment[i] = found.moment[i] + eps;
    rstd[i] = 1 / (root(moment[i], p) * scale);
  }
  if (rows === null) applyGroups(y, operand, geometry, grouping, { mean, rstd }, weight, bias);
  else {
    const given = {
      weight: readVector(method, "weight", options.weight, c, PER_CHANNEL),
      bias: readVector(method, "bias", options.bias, c, PER_CHANNEL),
    };
    standardizeRows(y, operand, { ...rows, ...given }, { mean, rstd });
  }
  const finish = () => {
    const numBatchesTracked = constant ? tracked : tracked + 1;
    const next = (average: Float64Array, batch: Float64Array) =>
      constant ? average : step(average, batch, momentum ?? 1 / numBatchesTracked);
    const { weight, bias, layout, numGroups } = options;
    return {
      y: y.result,
      running: pair.given
        ? {
            runningMean: sameClass(next(averageMean, mean), runningMean),
            runningMoment: sameClass(next(averageMoment, found.moment), runningMoment),
            numBatchesTracked,
          }
        : null,
      saved: {
        x: keepInput(x, operand, y),
        mean,
        rstd,
        count,
        moment,
        slope: found.slope(),
        largestSquares,
        constant,
        options: { weight, bias, layout, p, over, numGroups },
      },
    };
  };
  return { y: y.result, finish };
}

/** The coefficients of dx on each group, from mean(g) and mean(g·(x − mean)) with g = dy·weight. */
function coefficientsOf({ rstd, moment, slope }: LpBatchNormSaved, meanG: Float64Array, meanGD: Float64Array) {
  const { length } = rstd;
  const of = { slope: passingF64(length), constant: passingF64(length) };
  for (let group = 0; group < length; group++) {
    // What the deviation passes on.
    const through = meanGD[group] / moment[group];
    of.slope[group] = -rstd[group] * through;
    of.constant[group] = rstd[group] * (through * slope[group] - meanG[group]);
  }
  return of;
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: LpBatchNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry: full, weight } = readGradientArguments(method, dy, saved, out);
  const { mean, rstd, count, constant, largestSquares, options } = saved;
  const { p, over = "batch", numGroups } = options;
  const { geometry, grouping, rows } = groupsOf(method, full, over, numGroups);
  if (rows !== null) {
    const given = { ...rows, weight: readVector(method, "weight", options.weight, full.c, PER_CHANNEL) };
    if (p === 2) return channelGradients(dx, x, normalizeRowsGrad(dx, gradient, x, given, saved), options);
    const sums = rowGradSums(gradient, x, given, saved);
    const of = coefficientsOf(saved, average(sums.sumG, count, grouping), average(sums.sumGD, count, grouping));
    applyPowerRowsGradient(dx, gradient, x, given, { mean, weight: rstd, ...of }, p, largestSquares);
    return channelGradients(dx, x, sums, options);
  }
  if (p === 2 || constant) {
    const grads = applyGroupsGrad(dx, gradient, x, geometry, grouping, saved, weight, constant);
    return channelGradients(dx, x, grads, options);
  }
  const { c } = full;
  const { groups, groupOf, perChannel } = grouping;
  const means = spread(mean, geometry, grouping);
  const sums = cellGradSums(gradient, x, geometry, means);
  const [sumG, sumGD, dweight, dbias] = [passingF64(groups), passingF64(groups), passingF64(c), passingF64(c)];
  for (let i = 0, channel = 0; i < sums.dy.length; i++, channel = nextOf(channel, c)) {
    const group = perChannel ? channel : groupOf(i);
    sumG[group] += weight[channel] * sums.dy[i];
    sumGD[group] += weight[channel] * sums.dyx[i];
    dweight[channel] += sums.dyx[i] * rstd[group];
    dbias[channel] += sums.dy[i];
  }
  for (let group = 0; group < groups; group++) {
    sumG[group] /= count[group];
    sumGD[group] /= count[group];
  }
  const of = coefficientsOf(saved, sumG, sumGD);
  const weights = passingF64(means.length);
  for (let i = 0, channel = 0; i < weights.length; i++, channel = nextOf(channel, c)) {
    weights[i] = rstd[perChannel ? channel : groupOf(i)] * weight[channel];
  }
  const affine = {
    mean: means,
    weight: weights,
    slope: spread(of.slope, geometry, grouping),
    constant: spread(of.constant, geometry, grouping),
  };
  applyPowerGradient(dx, gradient, x, geometry, affine, p, largestSquares);
  return channelGradients(dx, x, { dweight, dbias }, options);
}

/**
 * L1 and Lp normalization: as batch norm (or layer, group, instance norm), with the p-th root of the mean p-th power of
 * |x − mean| in place of the standard deviation; p = 1 needs no square and no root.
 *
 * y = (x − mean)/s·weight[c] + bias[c], s = (mean |x − mean|^p + eps)^(1/p), times √(π/2) with p = 1 and `gaussianScale`;
 * means over the channel of the batch ("batch"), the sample ("layer"), the group of channels ("group") or the channel of the
 * sample ("instance"). p = 2 is the plain method.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`. Defaults:
 * p 1, over "batch", eps 1e-5. With p other than 1 and 2, |x − mean|^p must be a finite f64. Throws where p is not above 0, a
 * length differs, eps is negative, numGroups does not divide the channels, "eval" lacks running statistics, or a channel has
 * one value in training.
 *
 * Source: Q. Liao, K. Kawaguchi, T. Poggio, 2016, arXiv:1610.06160; √(π/2): E. Hoffer et al., 2018, arXiv:1803.01814.
 *
 * @example
 * const y = lpBatchNorm(x, { p: 1, gaussianScale: true });
 * const z = lpBatchNorm(images, { p: 1, over: "group", numGroups: 8 });
 */
export function lpBatchNorm(x: TensorLike, options: LpBatchNormOptions = {}): Tensor {
  return forwardAs("lpBatchNorm", x, options).y;
}

/** `lpBatchNorm` that also returns what `lpBatchNormBackward` needs, and the running statistics after this batch. */
export function lpBatchNormForward(x: TensorLike, options: LpBatchNormOptions = {}): LpBatchNormResult {
  return keep(forwardAs("lpBatchNormForward", x, options).finish());
}

/**
 * The gradient of Lp normalization.
 *
 * With g = dy·weight[c], d = x − mean, φ = |d|^(p−1)·sign(d) (0 at d = 0) and means over the group:
 * dx = (g − mean(g) − (φ − mean(φ))·mean(g·d)/(mean |d|^p + eps))/s, dweight[c] = Σ dy·d/s, dbias[c] = Σ dy.
 *
 * @example
 * const { y, saved } = lpBatchNormForward(x, { p: 1, weight, bias });
 * const { dx, dweight, dbias } = lpBatchNormBackward(dy, saved);
 */
export function lpBatchNormBackward(
  dy: TensorLike,
  saved: LpBatchNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return backwardAs("lpBatchNormBackward", dy, saved, options.out);
}

export interface LpBatchNormConfig extends ChannelNormConfig, LpOptions {
  /** With over "batch": weight of the new batch in the running statistics, or null for their average. Default 0.1. */
  momentum?: number | null;
}

/**
 * L1 and Lp normalization as a layer: `lpBatchNorm` with its weight (ones at first), bias (zeros), gradients, and, over the
 * batch, a running mean (0) and mean |x − mean|^p (1) that training updates and eval and frozen mode use.
 *
 * @example
 * const norm = new LpBatchNorm(768, { p: 1 });
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class LpBatchNorm extends ChannelLayer {
  readonly p: number;
  readonly gaussianScale: boolean;
  readonly over: LpSet;
  readonly numGroups: number | undefined;
  readonly momentum: number | null;
  /** Null where statistics are not over the batch. */
  readonly runningMean: TypedArray | null;
  readonly runningMoment: TypedArray | null;
  readonly #tracked = new Float64Array(1);
  #saved: LpBatchNormSaved | undefined;

  constructor(numFeatures: number, config: LpBatchNormConfig = {}) {
    const method = "LpBatchNorm";
    super(method, numFeatures, config);
    this.p = checkPower(method, config.p ?? 1);
    this.gaussianScale = config.gaussianScale ?? false;
    this.over = checkOneOf(method, "over", config.over ?? "batch", ["batch", "layer", "group", "instance"]);
    this.numGroups = config.numGroups;
    groupsOf(method, { n: 1, c: this.numFeatures, s: 1, order: "rows" }, this.over, this.numGroups);
    this.momentum = checkMomentum(method, config.momentum);
    const floats = arrayClass(config.dtype ?? "float32");
    this.runningMean = this.over === "batch" ? new floats(numFeatures) : null;
    this.runningMoment = this.over === "batch" ? new floats(numFeatures).fill(1) : null;
  }

  /** Batches that the running statistics have seen. */
  get numBatchesTracked(): number {
    return this.#tracked[0];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "LpBatchNorm.forward";
    const { p, gaussianScale, over, numGroups, momentum, runningMean, runningMoment, numBatchesTracked } = this;
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      p,
      gaussianScale,
      over,
      numGroups,
      mode: this.mode === "train" || over !== "batch" ? "train" : "eval",
      momentum,
      runningMean,
      runningMoment,
      numBatchesTracked,
      out: options.out,
    }).finish();
    this.#saved = keep(saved);
    if (running !== null) {
      runningMean?.set(running.runningMean);
      runningMoment?.set(running.runningMoment);
      this.#tracked[0] = running.numBatchesTracked;
    }
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const gradients = backwardAs("LpBatchNorm.backward", dy, this.#saved as LpBatchNormSaved, options.out);
    this.learn(gradients);
    return gradients.dx;
  }

  /** Mean 0, mean |x − mean|^p 1, no batches. */
  resetRunningStats(): void {
    this.runningMean?.fill(0);
    this.runningMoment?.fill(1);
    this.#tracked[0] = 0;
  }

  protected override stateEntries(): StateEntry[] {
    const entries = super.stateEntries();
    if (this.runningMean && this.runningMoment) {
      const shape = [this.numFeatures];
      entries.push({ name: "running_mean", aliases: MEAN_ALIASES, data: this.runningMean, shape });
      entries.push({ name: "running_moment", aliases: [], data: this.runningMoment, shape });
      entries.push({ name: "num_batches_tracked", aliases: [], data: this.#tracked, shape: [] });
    }
    return entries;
  }
}
