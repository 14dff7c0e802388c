import { cellMoments, type Mask } from "../core/cells.js";
import { checkCount, checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import { type Geometry, geometryOf, type Layout, pooled } from "../core/geometry.js";
import { applyGroups, applyGroupsGrad, byChannel, type GroupStatistics } from "../core/grouped.js";
import {
  keepInput,
  Layer,
  MEAN_ALIASES,
  Parameter,
  type Saved,
  type StateEntry,
  savedInput,
  VARIANCE_ALIASES,
} from "../core/layer.js";
import type { DType, TypedArray } from "../core/memory.js";
import { type Moments, mergeCells } from "../core/moments.js";
import {
  arrayClass,
  checkSame,
  type Operand,
  readTensor,
  readValues,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import { type ChannelGradients, type ChannelNormConfig, channelGradients, checkChannels } from "./group-norm.js";

/** What a training step does with channels of one value, which have no deviation. */
export type OnSingleValue = "throw" | "useRunning" | "zero";

/** Which samples or positions are valid: 1 or 0 (or booleans), `[N]` or `[N, 1, ...spatial]` in x's layout. */
export type MaskLike =
  | Uint8Array
  | readonly (number | boolean)[]
  | { readonly data: ArrayLike<number>; readonly shape?: readonly number[] };

export interface BatchNormOptions {
  /** "train": statistics of the batch. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /** One factor for each channel. Default: ones. */
  weight?: VectorLike | null;
  /** One summand for each channel. Default: zeros. */
  bias?: VectorLike | null;
  /** Running statistics: read in eval mode, and the basis of those returned in training. Not written to. */
  runningMean?: VectorLike | null;
  runningVar?: VectorLike | null;
  /** Batches in the running statistics so far; used where momentum is null. Default 0. */
  numBatchesTracked?: number;
  /**
   * Weight of the new batch: running = (1 − momentum)·running + momentum·batch. Default 0.1. (Keras and ONNX give the
   * weight of the old, 1 − momentum.) null: the average of all batches so far.
   */
  momentum?: number | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
  /** Default "channels-first". */
  layout?: Layout;
  /** Masked values count in no statistic; y and dx are 0 there. */
  mask?: MaskLike;
  /**
   * Channels of one value in training. "throw" (default); "useRunning": normalize by the running statistics; "zero": take
   * the deviation for 0, so that y is the bias. The last two leave the running statistics as they are.
   */
  onSingleValue?: OnSingleValue;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface BatchNormSaved extends Saved, GroupStatistics {
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly mask: Mask | undefined;
  /** @internal */
  readonly options: Pick<BatchNormOptions, "weight" | "bias" | "layout">;
}

export interface RunningStatistics {
  runningMean: TypedArray;
  runningVar: TypedArray;
  numBatchesTracked: number;
}

export interface BatchNormResult {
  y: Tensor;
  saved: BatchNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

const MEANING = "one for each channel";

/** A byte for each sample and position, from a mask for samples or for positions. */
function readMask(method: string, mask: MaskLike | undefined, { n, s }: Geometry): Mask | undefined {
  if (mask === undefined || mask === null) return undefined;
  const values = "data" in mask ? mask.data : (mask as ArrayLike<number | boolean>);
  if (values.length !== n && values.length !== n * s) {
    fail(
      method,
      `mask has ${values.length} elements where ${n} (samples) or ${n * s} (samples and positions) are needed`,
    );
  }
  const positions = values.length / n === s ? 1 : s;
  return Uint8Array.from({ length: n * s }, (_, i) => (values[Math.floor(i / positions)] ? 1 : 0));
}

/** Moments of each channel over the batch. */
function channelMoments(x: Operand, geometry: Geometry, mask: Mask | undefined): Moments {
  const cells = cellMoments(x, geometry, mask);
  return mergeCells(cells, geometry.c, byChannel(geometry).groupOf);
}

function fixedStatistics(
  mean: Float64Array,
  variance: Float64Array,
  eps: number,
  count: Float64Array,
): GroupStatistics {
  return { mean, rstd: variance.map((value) => 1 / Math.sqrt(value + eps)), count };
}

/** The running statistics after a batch. */
function updateRunning(
  moments: Moments,
  runningMean: Float64Array,
  runningVar: Float64Array,
  numBatchesTracked: number,
  momentum: number | null,
  unbiased: boolean,
): { mean: Float64Array; variance: Float64Array } {
  const weight = momentum ?? 1 / numBatchesTracked;
  return {
    mean: runningMean.map((old, c) => old + weight * (moments.mean[c] - old)),
    variance: runningVar.map((old, c) => {
      const n = moments.count[c];
      return old + weight * (moments.m2[c] / (unbiased ? n - 1 : n) - old);
    }),
  };
}

function sameClass(values: Float64Array, like: VectorLike | null | undefined): TypedArray {
  const data = (like as { data?: unknown })?.data ?? like;
  return data instanceof Float32Array ? Float32Array.from(values) : values;
}

function checkMomentum(method: string, momentum: number | null | undefined): number | null {
  if (momentum === null) return null;
  const value = checkNumber(method, "momentum", momentum ?? 0.1, 0);
  if (value > 1) fail(method, `momentum must be at most 1, the weight of the new batch, got ${value}`);
  return value;
}

/** Batch norm under the caller's name. */
function forwardAs(method: string, x: TensorLike, options: BatchNormOptions): BatchNormResult {
  const operand = readTensor(method, "x", x);
  const full = geometryOf(method, operand, options.layout);
  const { c } = full;
  const mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
  const onSingle = checkOneOf(method, "onSingleValue", options.onSingleValue ?? "throw", [
    "throw",
    "useRunning",
    "zero",
  ]);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-5, 0);
  const momentum = checkMomentum(method, options.momentum);
  const tracked = checkCount(method, "numBatchesTracked", options.numBatchesTracked ?? 0, 0);
  const weight = readValues(method, "weight", options.weight, c, MEANING, 1);
  const bias = readValues(method, "bias", options.bias, c, MEANING, 0);
  const runningMean = readValues(method, "runningMean", options.runningMean, c, MEANING, 0);
  const runningVar = readValues(method, "runningVar", options.runningVar, c, MEANING, 1);
  const hasRunning = Boolean(options.runningMean && options.runningVar);
  if (!hasRunning && (options.runningMean || options.runningVar)) {
    fail(
      method,
      `${options.runningMean ? "runningVar" : "runningMean"} is missing; pass both running statistics or neither`,
    );
  }
  if (mode === "eval" && !hasRunning) {
    fail(method, 'runningMean and runningVar must be given in mode "eval"; pass them, or use mode "train"');
  }
  const mask = readMask(method, options.mask, full);
  const y = new Target(method, options.out, operand);
  y.checkOverlap(method, "x", operand);

  const geometry = pooled(full);
  const count = new Float64Array(c).fill(operand.length / c);
  let statistics = fixedStatistics(runningMean, runningVar, eps, count);
  let constant = true;
  let next = { mean: runningMean, variance: runningVar };
  let numBatchesTracked = tracked;
  if (mode === "train") {
    const moments = channelMoments(operand, geometry, mask);
    const single = moments.count[0] < 2;
    if (single && onSingle === "throw") {
      fail(
        method,
        `x has ${moments.count[0]} ${mask ? "valid " : ""}value a channel (shape ${show(operand.shape)}) where training ` +
          'needs at least 2; use mode "eval", a larger batch, or onSingleValue "useRunning" or "zero"',
      );
    }
    if (single && onSingle === "useRunning" && !hasRunning) {
      fail(method, 'runningMean and runningVar must be given for onSingleValue "useRunning"');
    }
    if (!single || onSingle === "zero") {
      const variance = moments.m2.map((m2, i) => (single ? 0 : m2 / moments.count[i]));
      statistics = fixedStatistics(moments.mean, variance, eps, moments.count);
      constant = false;
    }
    if (!single) {
      numBatchesTracked++;
      const unbiased = options.unbiasedRunningVar ?? true;
      next = updateRunning(moments, runningMean, runningVar, numBatchesTracked, momentum, unbiased);
    }
  }
  applyGroups(y, operand, geometry, byChannel(geometry), statistics, weight, bias, mask);
  return {
    y: y.result,
    running: hasRunning
      ? {
          runningMean: sameClass(next.mean, options.runningMean),
          runningVar: sameClass(next.variance, options.runningVar),
          numBatchesTracked,
        }
      : null,
    saved: {
      x: keepInput(x, operand, y),
      ...statistics,
      constant,
      mask,
      options: { weight: options.weight, bias: options.bias, layout: options.layout },
    },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: BatchNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const x = savedInput(method, saved);
  const gradient = readTensor(method, "dy", dy);
  checkSame(method, "dy", gradient, x, "x");
  const { options, constant, mask } = saved;
  const geometry = pooled(geometryOf(method, x, options.layout));
  const weight = readValues(method, "weight", options.weight, geometry.c, MEANING, 1);
  const dx = new Target(method, out, x);
  dx.checkOverlap(method, "x", x);
  dx.checkOverlap(method, "dy", gradient);
  const grads = applyGroupsGrad(dx, gradient, x, geometry, byChannel(geometry), saved, weight, constant, mask);
  return channelGradients(dx, x, grads, options);
}

/**
 * Batch normalization: each channel is brought to mean 0 and variance 1 over the samples and positions of the batch, or by
 * running statistics at inference, then scaled and shifted.
 *
 * y = (x − mean)/√(var + eps)·weight[c] + bias[c], mean and (biased) variance over samples and positions.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`. Throws
 * where a length differs, eps is negative, "eval" lacks running statistics, or a channel has one value in training.
 *
 * Source: S. Ioffe, C. Szegedy, "Batch Normalization", 2015, arXiv:1502.03167; running statistics as in PyTorch.
 *
 * @example
 * const x = { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] };
 * const y = batchNorm(x, { weight: [1, 1], bias: [0, 0] });
 * const z = batchNorm(x, { mode: "eval", runningMean: [2, 3], runningVar: [1, 1] });
 */
export function batchNorm(x: TensorLike, options: BatchNormOptions = {}): Tensor {
  return forwardAs("batchNorm", x, options).y;
}

/** `batchNorm` that also returns what `batchNormBackward` needs, and the running statistics after this batch. */
export function batchNormForward(x: TensorLike, options: BatchNormOptions = {}): BatchNormResult {
  return forwardAs("batchNormForward", x, options);
}

/**
 * The gradient of batch normalization.
 *
 * With g = dy·weight[c], x̂ = (x − mean)·rstd and means over the batch: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),
 * dweight[c] = Σ dy·x̂, dbias[c] = Σ dy. Where the statistics were fixed (eval), dx = rstd·g.
 *
 * @example
 * const { y, saved } = batchNormForward(x, { weight, bias });
 * const { dx, dweight, dbias } = batchNormBackward(dy, saved);
 */
export function batchNormBackward(
  dy: TensorLike,
  saved: BatchNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return backwardAs("batchNormBackward", dy, saved, options.out);
}

export interface BatchNormConfig extends ChannelNormConfig {
  /** Weight of the new batch in the running statistics, or null for their average. Default 0.1. */
  momentum?: number | null;
  /** Whether running statistics are kept; without them eval mode uses the batch's. Default true. */
  trackRunningStats?: boolean;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
  /** Channels of one value in training; see `BatchNormOptions`. Default "throw". */
  onSingleValue?: OnSingleValue;
}

/**
 * Batch normalization as a layer: `batchNorm` with its weight (ones at first), bias (zeros), gradients, and running
 * statistics (mean 0, variance 1) that training updates and eval and frozen mode use.
 *
 * runningMean = (1 − momentum)·runningMean + momentum·mean, runningVar likewise with the unbiased variance; with
 * `momentum: null`, the average over the batches since `resetRunningStats`.
 *
 * @example
 * const norm = new BatchNorm(768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 * norm.eval();
 */
export class BatchNorm extends Layer {
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;
  readonly layout: Layout;
  readonly unbiasedRunningVar: boolean;
  readonly onSingleValue: OnSingleValue;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  /** Null without `trackRunningStats`. */
  readonly runningMean: TypedArray | null;
  readonly runningVar: TypedArray | null;
  readonly #tracked = new Float64Array(1);
  #saved: BatchNormSaved | undefined;

  constructor(numFeatures: number, config: BatchNormConfig = {}) {
    super();
    const method = "BatchNorm";
    this.numFeatures = checkCount(method, "numFeatures", numFeatures);
    this.eps = checkNumber(method, "eps", config.eps ?? 1e-5, 0);
    this.momentum = checkMomentum(method, config.momentum);
    this.layout = checkOneOf(method, "layout", config.layout ?? "channels-first", ["channels-first", "channels-last"]);
    this.unbiasedRunningVar = config.unbiasedRunningVar ?? true;
    this.onSingleValue = config.onSingleValue ?? "throw";
    const dtype: DType = config.dtype ?? "float32";
    const affine = config.affine ?? true;
    this.weight = affine ? new Parameter([numFeatures], dtype, 1) : null;
    this.bias = affine ? new Parameter([numFeatures], dtype, 0) : null;
    const track = config.trackRunningStats ?? true;
    this.runningMean = track ? new (arrayClass(dtype))(numFeatures) : null;
    this.runningVar = track ? new (arrayClass(dtype))(numFeatures).fill(1) : null;
  }

  /** Batches that the running statistics have seen. */
  get numBatchesTracked(): number {
    return this.#tracked[0];
  }

  forward(x: TensorLike, options: { mask?: MaskLike; out?: TensorLike } = {}): Tensor {
    const method = "BatchNorm.forward";
    checkChannels(method, x, this.layout, this.numFeatures);
    const { y, saved, running } = forwardAs(method, x, {
      ...this.#options(),
      mode: this.mode === "train" || this.runningMean === null ? "train" : "eval",
      mask: options.mask,
      out: options.out,
    });
    this.#saved = saved;
    if (running !== null) this.#keep(running);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as BatchNormSaved;
    const gradients = backwardAs("BatchNorm.backward", dy, saved, options.out);
    this.learn(gradients);
    return gradients.dx;
  }

  /** Mean 0, variance 1, no batches. */
  resetRunningStats(): void {
    this.runningMean?.fill(0);
    this.runningVar?.fill(1);
    this.#tracked[0] = 0;
  }

  /**
   * Replaces the running statistics by their average over these batches, whatever the momentum; weight, bias and mode stay.
   * Nothing is changed where a batch throws.
   */
  recalibrate(batches: Iterable<TensorLike>): void {
    const method = "BatchNorm.recalibrate";
    if (this.runningMean === null)
      fail(method, "the layer keeps no running statistics; make it with trackRunningStats");
    const c = this.numFeatures;
    let running: RunningStatistics = {
      runningMean: new Float64Array(c),
      runningVar: new Float64Array(c).fill(1),
      numBatchesTracked: 0,
    };
    for (const x of batches) {
      checkChannels(method, x, this.layout, c);
      const operand = readTensor(method, "x", x);
      const moments = channelMoments(operand, pooled(geometryOf(method, operand, this.layout)), undefined);
      if (moments.count[0] < 2) {
        fail(method, `a batch has one value a channel (shape ${show(operand.shape)}) where at least 2 are needed`);
      }
      const numBatchesTracked = running.numBatchesTracked + 1;
      const mean = running.runningMean as Float64Array;
      const variance = running.runningVar as Float64Array;
      const next = updateRunning(moments, mean, variance, numBatchesTracked, null, this.unbiasedRunningVar);
      running = { runningMean: next.mean, runningVar: next.variance, numBatchesTracked };
    }
    if (running.numBatchesTracked === 0) fail(method, "batches must hold at least one batch, got none");
    this.#keep(running);
  }

  protected override stateEntries(): StateEntry[] {
    const entries = super.stateEntries();
    if (this.runningMean && this.runningVar) {
      const shape = [this.numFeatures];
      entries.push({ name: "running_mean", aliases: MEAN_ALIASES, data: this.runningMean, shape });
      entries.push({ name: "running_var", aliases: VARIANCE_ALIASES, data: this.runningVar, shape });
      entries.push({ name: "num_batches_tracked", aliases: [], data: this.#tracked, shape: [] });
    }
    return entries;
  }

  #options(): BatchNormOptions {
    const { eps, momentum, layout, unbiasedRunningVar, onSingleValue, runningMean, runningVar } = this;
    return {
      eps,
      momentum,
      layout,
      unbiasedRunningVar,
      onSingleValue,
      runningMean,
      runningVar,
      numBatchesTracked: this.numBatchesTracked,
      weight: this.weight?.data,
      bias: this.bias?.data,
    };
  }

  #keep({ runningMean, runningVar, numBatchesTracked }: RunningStatistics): void {
    this.runningMean?.set(runningMean);
    this.runningVar?.set(runningVar);
    this.#tracked[0] = numBatchesTracked;
  }
}
