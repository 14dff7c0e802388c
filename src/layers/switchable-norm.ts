import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import {
  type ChannelGradients,
  type ChannelNormOptions,
  channelGradients,
  type GradientArguments,
  readArguments,
  readGradientArguments,
  type SavedOptions,
  vectorOf,
} from "../core/channelwise.js";
import { type CrossStatistics, crossGradient, crossGradSums, crossStandardize } from "../core/cross.js";
import { checkOneOf, fail, show } from "../core/errors.js";
import { checkPositions, type Geometry, pooled } from "../core/geometry.js";
import { channelMoments, sumChannels } from "../core/grouped.js";
import { entryOf, keepInput, Parameter, type Saved, type StateEntry } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { emptyMoments, type Moments, mergeInto, varianceOf } from "../core/moments.js";
import { FUNCTIONS, kernels } from "../core/parts.js";
import {
  checkSeveral,
  Running,
  type RunningConfig,
  RunningLayer,
  type RunningOptions,
  type RunningStatistics,
} from "../core/running.js";
import { type Operand, readCoefficients, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";

/** Statistics over the positions of a channel of a sample, over a sample, over a channel of the batch. */
export type StatisticsKind = "instance" | "layer" | "batch";

export interface SwitchableNormOptions extends ChannelNormOptions, RunningOptions {
  /**
   * The statistics that are mixed, in the order of the logits. Default: ["instance", "layer", "batch"], and
   * ["layer", "batch"] for x of one position.
   */
  statistics?: readonly StatisticsKind[];
  /** The softmax of these is the share of each mean. Default: ones, equal shares. */
  meanLogits?: VectorLike | null;
  /** The softmax of these is the share of each variance. Default: ones, equal shares. */
  varLogits?: VectorLike | null;
  /** Whether the running variance is stored with n − 1 or n, as the paper's code does. Default false. */
  unbiasedRunningVar?: boolean;
  /** Instance variances with n − 1, which enter those of layer and batch, as in the paper's code. Default false. */
  unbiasedInstanceVar?: boolean;
}

/** One kind of statistics: mean and variance of each group, and its shares. */
interface Mixed {
  readonly kind: StatisticsKind;
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  /** Values in a group. */
  readonly count: number;
  /** Whether they come from elsewhere than x. */
  readonly constant: boolean;
  readonly meanShare: number;
  readonly varShare: number;
}

export interface SwitchableNormSaved extends Saved {
  /** @internal */
  readonly mixed: readonly Mixed[];
  /** The mixture on each cell, or, of x of one position, on rows and columns. @internal */
  readonly mixture: CellMixture | CrossStatistics;
  /** A mean near all others, about which large ones are taken. @internal */
  readonly base: number;
  /** @internal */
  readonly options: SavedOptions & { readonly meanLogits: boolean; readonly varLogits: boolean };
}

interface CellMixture {
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  readonly instanceMean: Float64Array;
  /** What unbiased instance variances are larger by, in parts: 0 or 1/(n − 1). */
  readonly excess: number;
}

export interface SwitchableNormResult {
  y: Tensor;
  saved: SwitchableNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

export interface SwitchableNormGradients extends ChannelGradients {
  /** Null where there were no meanLogits. */
  dmeanLogits: Tensor | null;
  /** Null where there were no varLogits. */
  dvarLogits: Tensor | null;
}

const KINDS = ["instance", "layer", "batch"] as const;

function checkStatistics(
  method: string,
  given: readonly StatisticsKind[] | undefined,
  x: Operand,
  geometry: Geometry,
): readonly StatisticsKind[] {
  const kinds = given ?? (geometry.s === 1 ? ["layer", "batch"] : KINDS);
  if (!Array.isArray(kinds) || kinds.length === 0 || new Set(kinds).size !== kinds.length) {
    fail(method, `statistics must be a list of different kinds, at least one, got ${show(kinds)}`);
  }
  for (const kind of kinds) checkOneOf(method, "each of statistics", kind, KINDS);
  if (kinds.includes("instance")) checkPositions(method, x, geometry, 'use statistics ["layer", "batch"]');
  return kinds;
}

function softmax(logits: Float64Array): Float64Array {
  const { exp } = kernels(FUNCTIONS);
  let largest = logits[0];
  for (let i = 1; i < logits.length; i++) largest = Math.max(largest, logits[i]);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += exp(logits[i] - largest);
  const shares = passingF64(logits.length);
  for (let i = 0; i < shares.length; i++) shares[i] = exp(logits[i] - largest) / sum;
  return shares;
}

/** The groups of one kind: cell (sample, channel) is in group sample·perSample + channel·perChannel. */
interface Groups {
  count: number;
  perSample: number;
  perChannel: number;
}

function groupsOf(kind: StatisticsKind, { n, c }: Geometry): Groups {
  if (kind === "batch") return { count: c, perSample: 0, perChannel: 1 };
  if (kind === "layer") return { count: n, perSample: 1, perChannel: 0 };
  return { count: n * c, perSample: c, perChannel: 1 };
}

/** Σ over the cells of each group. */
function sumsOf(values: Float64Array, { n, c }: Geometry, { count, perSample, perChannel }: Groups): Float64Array {
  const sums = passingF64(count);
  for (let sample = 0, i = 0; sample < n; sample++) {
    for (let channel = 0; channel < c; channel++) sums[sample * perSample + channel * perChannel] += values[i++];
  }
  return sums;
}

/** Moments of the groups of one kind: merged from those of the cells, or taken along rows or columns where there are none. */
function momentsOf(
  kind: StatisticsKind,
  x: Operand,
  geometry: Geometry,
  cells: Moments | null,
  excess: number,
): Moments {
  const { n, c } = geometry;
  if (cells === null) {
    if (kind === "layer") return cellMoments(x, { n, c: 1, s: c, order: "rows" });
    return channelMoments(x, pooled(geometry));
  }
  const groups = groupsOf(kind, geometry);
  if (kind === "instance" && excess === 0) return cells;
  const { perSample, perChannel } = groups;
  const { count, mean, m2 } = cells;
  const moments = emptyMoments(groups.count);
  for (let sample = 0, i = 0; sample < n; sample++) {
    for (let channel = 0; channel < c; channel++, i++) {
      mergeInto(moments, sample * perSample + channel * perChannel, count[i], mean[i], m2[i]);
    }
  }
  if (excess > 0) {
    const within = sumsOf(m2, geometry, groups);
    for (let i = 0; i < groups.count; i++) moments.m2[i] += excess * within[i];
  }
  return moments;
}

/** The mixture on rows and columns of x of one position. */
function crossOf(mixed: readonly Mixed[], { n, c }: Geometry, base: number, eps: number): CrossStatistics {
  const cross = {
    rowMean: passingF64(n),
    rowVar: passingF64(n),
    colMean: passingF64(c).fill(base),
    colVar: passingF64(c).fill(eps),
    k: 0,
  };
  for (const { kind, mean, variance, meanShare, varShare } of mixed) {
    const [means, variances] = kind === "layer" ? [cross.rowMean, cross.rowVar] : [cross.colMean, cross.colVar];
    for (let i = 0; i < means.length; i++) {
      means[i] += meanShare * (mean[i] - base);
      variances[i] += varShare * variance[i];
    }
  }
  return cross;
}

/** The mixture on each cell. */
function cellsOf(mixed: readonly Mixed[], geometry: Geometry, eps: number): { mean: Float64Array; rstd: Float64Array } {
  const { n, c } = geometry;
  const mean = passingF64(n * c);
  const rstd = passingF64(n * c).fill(eps);
  for (const { kind, mean: means, variance, meanShare, varShare } of mixed) {
    const { perSample, perChannel } = groupsOf(kind, geometry);
    for (let sample = 0, i = 0; sample < n; sample++) {
      for (let channel = 0; channel < c; channel++, i++) {
        const group = sample * perSample + channel * perChannel;
        mean[i] += meanShare * means[group];
        rstd[i] += varShare * variance[group];
      }
    }
  }
  for (let i = 0; i < rstd.length; i++) rstd[i] = 1 / Math.sqrt(rstd[i]);
  return { mean, rstd };
}

function forwardAs(method: string, x: TensorLike, options: SwitchableNormOptions): SwitchableNormResult {
  const { x: operand, geometry, weight, bias, eps, y } = readArguments(method, x, options);
  const { n, c, s } = geometry;
  const kinds = checkStatistics(method, options.statistics, operand, geometry);
  const meaning = `one for each of [${kinds.join(", ")}]`;
  const meanShares = softmax(readCoefficients(method, "meanLogits", options.meanLogits, kinds.length, meaning, 1));
  const varShares = softmax(readCoefficients(method, "varLogits", options.varLogits, kinds.length, meaning, 1));
  const running = new Running(method, options, c, false);
  const training = running.mode === "train";
  if (training && kinds.includes("batch")) checkSeveral(method, operand, n * s);

  const cells = s > 1 ? cellMoments(operand, geometry) : null;
  const excess = options.unbiasedInstanceVar && s > 1 ? 1 / (s - 1) : 0;
  const mixed = kinds.map((kind, i): Mixed => {
    // One literal for each result: spreading one into another takes longer than the work itself on small x.
    const meanShare = meanShares[i];
    const varShare = varShares[i];
    if (kind === "batch" && !training) {
      const { mean, variance } = running;
      return { kind, meanShare, varShare, mean, variance, count: n * s, constant: true };
    }
    const moments = momentsOf(kind, operand, geometry, cells, excess);
    if (kind === "batch" && running.given) running.see(moments);
    const { mean, count } = moments;
    return { kind, meanShare, varShare, mean, variance: varianceOf(moments), count: count[0], constant: false };
  });

  const base = mixed[0].mean[0];
  let mixture: CellMixture | CrossStatistics;
  if (cells === null) {
    mixture = crossOf(mixed, geometry, base, eps);
    crossStandardize(y, operand, mixture, weight, bias);
  } else {
    const { mean, rstd } = cellsOf(mixed, geometry, eps);
    mixture = { mean, rstd, instanceMean: cells.mean, excess };
    const scale = passingF64(n * c);
    const shift = passingF64(n * c);
    for (let i = 0, sample = 0; sample < n; sample++) {
      for (let channel = 0; channel < c; channel++, i++) {
        scale[i] = rstd[i] * weight[channel];
        shift[i] = bias[channel];
      }
    }
    applyAffine(y, operand, geometry, { mean, scale, shift });
  }
  return {
    y: y.result,
    running: running.result,
    saved: {
      x: keepInput(x, operand, y),
      mixed,
      mixture,
      base,
      options: {
        weight: options.weight,
        bias: options.bias,
        layout: options.layout,
        meanLogits: Boolean(options.meanLogits),
        varLogits: Boolean(options.varLogits),
      },
    },
  };
}

/** The gradients of the mean and the variance of each group of one kind, before its share. */
interface KindSums {
  mean: Float64Array;
  variance: Float64Array;
}

interface MixtureGradients {
  sums: KindSums[];
  dweight: Float64Array;
  dbias: Float64Array;
}

/** Writes dx of x of several positions. */
function cellsGrad(
  { x, dy, dx, geometry, weight }: GradientArguments,
  mixed: readonly Mixed[],
  { mean, rstd, instanceMean, excess }: CellMixture,
): MixtureGradients {
  const { n, c } = geometry;
  const sums = cellGradSums(dy, x, geometry, mean);
  const dmean = passingF64(n * c);
  const dvariance = passingF64(n * c);
  const weights = passingF64(n * c);
  const dweight = passingF64(c);
  for (let sample = 0, i = 0; sample < n; sample++) {
    for (let channel = 0; channel < c; channel++, i++) {
      const r = rstd[i];
      weights[i] = weight[channel];
      dmean[i] = -r * weight[channel] * sums.dy[i];
      dvariance[i] = -0.5 * r * r * r * weight[channel] * sums.dyx[i];
      dweight[channel] += sums.dyx[i] * r;
    }
  }
  const slope = passingF64(n * c);
  const constant = passingF64(n * c);
  const kindSums = mixed.map((kind): KindSums => {
    const groups = groupsOf(kind.kind, geometry);
    const found = { mean: sumsOf(dmean, geometry, groups), variance: sumsOf(dvariance, geometry, groups) };
    if (kind.constant) return found;
    for (let sample = 0, i = 0; sample < n; sample++) {
      for (let channel = 0; channel < c; channel++, i++) {
        const group = sample * groups.perSample + channel * groups.perChannel;
        const ofVariance = (2 * kind.varShare * found.variance[group]) / kind.count;
        slope[i] += ofVariance * (1 + excess);
        constant[i] +=
          (kind.meanShare * found.mean[group]) / kind.count +
          ofVariance * (mean[i] - kind.mean[group] + excess * (mean[i] - instanceMean[i]));
      }
    }
    return found;
  });
  for (let i = 0; i < n * c; i++) {
    slope[i] /= rstd[i];
    constant[i] /= rstd[i];
  }
  applyGradient(dx, dy, x, geometry, { mean, rstd, weight: weights, slope, constant });
  return { sums: kindSums, dweight, dbias: sumChannels(sums.dy, c) };
}

/** Writes dx of x of one position. */
function crossGrad(
  { x, dy, dx, geometry, weight }: GradientArguments,
  mixed: readonly Mixed[],
  cross: CrossStatistics,
  base: number,
): MixtureGradients {
  const { n, c } = geometry;
  const found = crossGradSums(dy, x, cross, weight);
  const half = (values: Float64Array) => values.map((value) => -0.5 * value);
  const negative = (values: Float64Array) => values.map((value) => -value);
  const ofRows = { mean: negative(found.rowG), variance: half(found.rowGD) };
  const ofCols = { mean: negative(found.colG), variance: half(found.colGD) };
  const rows = { slope: new Float64Array(n), shift: new Float64Array(n) };
  const cols = { slope: new Float64Array(c), shift: new Float64Array(c) };
  const sums = mixed.map(({ kind, mean, count, constant, meanShare, varShare }): KindSums => {
    const [to, of] = kind === "layer" ? [rows, ofRows] : [cols, ofCols];
    if (!constant) {
      to.slope = of.variance.map((value) => (2 * varShare * value) / count);
      to.shift = of.mean.map((value, i) => (meanShare * value) / count - (mean[i] - base) * to.slope[i]);
    }
    return of;
  });
  const through = {
    base,
    rowSlope: rows.slope,
    rowShift: rows.shift,
    colSlope: cols.slope,
    colShift: cols.shift,
  };
  crossGradient(dx, dy, x, cross, weight, through);
  return { sums, dweight: found.dweight, dbias: found.dbias };
}

/** The gradient of logits from those of the statistics that their softmax shares out: share·(D − Σ share·D). */
function softmaxGrad(shares: readonly number[], gradients: readonly number[]): Float64Array {
  const mixed = shares.reduce((sum, share, i) => sum + share * gradients[i], 0);
  return Float64Array.from(shares, (share, i) => share * (gradients[i] - mixed));
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: SwitchableNormSaved,
  out: TensorLike | undefined,
): SwitchableNormGradients {
  const given = readGradientArguments(method, dy, saved, out);
  const { mixed, mixture, base, options } = saved;
  const { sums, dweight, dbias } =
    "rowMean" in mixture ? crossGrad(given, mixed, mixture, base) : cellsGrad(given, mixed, mixture);
  // Means about one of them: the shares sum to 1, so what is common does not matter, and large means do not cancel.
  const ofMeans = sums.map(({ mean }, k) =>
    mean.reduce((sum, value, group) => sum + value * (mixed[k].mean[group] - base), 0),
  );
  const ofVariances = sums.map(({ variance }, k) =>
    variance.reduce((sum, value, group) => sum + value * mixed[k].variance[group], 0),
  );
  const meanShares = mixed.map(({ meanShare }) => meanShare);
  const varShares = mixed.map(({ varShare }) => varShare);
  const { x, dx } = given;
  return {
    ...channelGradients(dx, x, { dweight, dbias }, options),
    dmeanLogits: options.meanLogits ? vectorOf(softmaxGrad(meanShares, ofMeans), x.dtype) : null,
    dvarLogits: options.varLogits ? vectorOf(softmaxGrad(varShares, ofVariances), x.dtype) : null,
  };
}

/**
 * Switchable normalization: mean and variance are mixtures of those of instance, layer and batch norm, with learned shares,
 * which differ for the mean and for the variance.
 *
 * y = (x − Σ w_k·mean_k)/√(Σ v_k·var_k + eps)·weight[c] + bias[c], w = softmax(meanLogits), v = softmax(varLogits), k over
 * instance, layer, batch; variances are biased. In mode "eval" those of the batch are the running ones.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; weight, bias and running
 * statistics are `[C]`, the logits one for each kind of `statistics`. Defaults: logits 1, momentum 0.1, eps 1e-5; for x of one
 * position layer and batch alone. `momentum: null` gives the paper's batch average for inference. Throws where a length
 * differs, eps is negative, instances have one position, or "eval" lacks running statistics.
 *
 * Source: P. Luo et al., "Differentiable Learning-to-Normalize via Switchable Normalization", 2018, arXiv:1806.10779.
 *
 * @example
 * const y = switchableNorm(images, { meanLogits: [1, 1, 2], varLogits: [1, 1, 1] });
 */
export function switchableNorm(x: TensorLike, options: SwitchableNormOptions = {}): Tensor {
  return forwardAs("switchableNorm", x, options).y;
}

/** `switchableNorm` that also returns what `switchableNormBackward` needs, and the running statistics. */
export function switchableNormForward(x: TensorLike, options: SwitchableNormOptions = {}): SwitchableNormResult {
  return keep(forwardAs("switchableNormForward", x, options));
}

/**
 * The gradient of switchable normalization.
 *
 * With g = dy·weight[c], r = 1/√(variance + eps), and for each (n, c) dm = −r·Σg, dv = −r²/2·Σg·x̂ over positions:
 * dx = r·g + Σ_k (w_k·S_k(dm) + 2·v_k·S_k(dv)·(x − mean_k))/n_k, S_k the sum over the (n, c) that share statistics k, n_k
 * their values; dmeanLogits_k = w_k·Σ dm·(mean_k − mean), dvarLogits_k = v_k·Σ dv·(var_k − variance);
 * dweight[c] = Σ dy·x̂, dbias[c] = Σ dy.
 *
 * @example
 * const { y, saved } = switchableNormForward(images, { meanLogits: [1, 1, 2], varLogits: [1, 1, 1] });
 * const { dx, dmeanLogits, dvarLogits } = switchableNormBackward(dimages, saved);
 */
export function switchableNormBackward(
  dy: TensorLike,
  saved: SwitchableNormSaved,
  options: { out?: TensorLike } = {},
): SwitchableNormGradients {
  return backwardAs("switchableNormBackward", dy, saved, options.out);
}

export interface SwitchableNormConfig extends RunningConfig {
  /** The statistics that are mixed. Default ["instance", "layer", "batch"]; inputs of one position need ["layer", "batch"]. */
  statistics?: readonly StatisticsKind[];
  /** Whether the weight is 0 at first: for the last normalizer of a residual branch. Default false. */
  lastGamma?: boolean;
  /** Whether the running variance is stored with n − 1 or n. Default false. */
  unbiasedRunningVar?: boolean;
  /** See `SwitchableNormOptions`. Default false. */
  unbiasedInstanceVar?: boolean;
}

/**
 * Switchable normalization as a layer: `switchableNorm` with its logits (ones at first), weight (ones), bias (zeros),
 * gradients, and running statistics (mean 0, variance 1) that training updates and eval and frozen mode use.
 *
 * @example
 * const norm = new SwitchableNorm(64);
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.meanLogits.grad, norm.varLogits.grad, norm.weight.grad, norm.bias.grad
 */
export class SwitchableNorm extends RunningLayer {
  readonly statistics: readonly StatisticsKind[];
  readonly unbiasedInstanceVar: boolean;
  readonly meanLogits: Parameter;
  readonly varLogits: Parameter;
  #saved: SwitchableNormSaved | undefined;

  constructor(numFeatures: number, config: SwitchableNormConfig = {}) {
    super("SwitchableNorm", numFeatures, config, false);
    this.statistics = config.statistics ?? KINDS;
    this.unbiasedInstanceVar = config.unbiasedInstanceVar ?? false;
    if (config.lastGamma) this.weight?.data.fill(0);
    const dtype = config.dtype ?? "float32";
    this.meanLogits = new Parameter([this.statistics.length], dtype, 1);
    this.varLogits = new Parameter([this.statistics.length], dtype, 1);
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "SwitchableNorm.forward";
    const { statistics, unbiasedInstanceVar, meanLogits, varLogits } = this;
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      ...this.runningOptions(),
      statistics,
      unbiasedInstanceVar,
      meanLogits: meanLogits.data,
      varLogits: varLogits.data,
      out: options.out,
    });
    this.#saved = keep(saved);
    this.keep(running);
    return y;
  }

  /** dx of the last forward; adds to the gradients of logits, weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const gradients = backwardAs("SwitchableNorm.backward", dy, this.#saved as SwitchableNormSaved, options.out);
    this.learn(gradients);
    if (this.mode !== "eval") {
      if (gradients.dmeanLogits) this.meanLogits.addGrad(gradients.dmeanLogits.data);
      if (gradients.dvarLogits) this.varLogits.addGrad(gradients.dvarLogits.data);
    }
    return gradients.dx;
  }

  override parameters(): Record<string, Parameter> {
    return { ...super.parameters(), meanLogits: this.meanLogits, varLogits: this.varLogits };
  }

  protected override stateEntries(): StateEntry[] {
    return [
      ...super.stateEntries(),
      entryOf("mean_weight", this.meanLogits, ["mean_logits"]),
      entryOf("var_weight", this.varLogits, ["var_logits"]),
    ];
  }
}
