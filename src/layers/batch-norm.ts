import type { Mask } from "../core/cells.js";
import {
  type ChannelGradients,
  type ChannelNormOptions,
  channelGradients,
  checkChannels,
  keepOptions,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { checkOneOf, fail, show } from "../core/errors.js";
import { type Geometry, geometryOf, pooled } from "../core/geometry.js";
import {
  applyGroups,
  applyGroupsGrad,
  byChannel,
  channelMoments,
  type GroupStatistics,
  normalizeGroups,
} from "../core/grouped.js";
import { keepInput, type Saved } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { rstdOfVariance } from "../core/moments.js";
import {
  checkSeveral,
  Running,
  type RunningConfig,
  RunningLayer,
  type RunningOptions,
  type RunningStatistics,
} from "../core/running.js";
import { readTensor, type Tensor, type TensorLike } from "../core/tensor.js";

/** What a training step does with channels of one value, which have no deviation. */
export type OnSingleValue = "throw" | "useRunning" | "zero";

/** Which samples or positions are valid: 1 or 0 (or booleans), `[N]` or `[N, 1, ...spatial]` in x's layout. */
export type MaskLike =
  | Uint8Array
  | readonly (number | boolean)[]
  | { readonly data: ArrayLike<number>; readonly shape?: readonly number[] };

export interface BatchNormOptions extends ChannelNormOptions, RunningOptions {
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
  /** Masked values count in no statistic; y and dx are 0 there. */
  mask?: MaskLike;
  /**
   * Channels of one value in training. "throw" (default); "useRunning": normalize by the running statistics; "zero": take
   * the deviation for 0, so that y is the bias. The last two leave the running statistics as they are.
   */
  onSingleValue?: OnSingleValue;
}

export interface BatchNormSaved extends Saved, GroupStatistics {
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly mask: Mask | undefined;
  /** @internal */
  readonly options: SavedOptions;
}

export interface BatchNormResult {
  y: Tensor;
  saved: BatchNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

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

const ON_SINGLE = ["throw", "useRunning", "zero"] as const;
const NONE = new Float64Array(0);

/** Batch norm under the caller's name; without `saves`, statistics neither of the batch nor running are worked out. */
function forwardAs(
  method: string,
  x: TensorLike,
  options: BatchNormOptions,
  saves = true,
): { y: Tensor; saved: BatchNormSaved; running: Running } {
  const { x: operand, geometry: full, weight, bias, eps, y } = readArguments(method, x, options);
  const running = new Running(method, options, full.c);
  const onSingle = checkOneOf(method, "onSingleValue", options.onSingleValue ?? "throw", ON_SINGLE);
  const mask = readMask(method, options.mask, full);

  const geometry = pooled(full);
  const grouping = byChannel(geometry);
  const count = mask ? mask.reduce((sum, valid) => sum + valid, 0) : full.n * full.s;
  const single = count < 2;
  let constant = running.mode !== "train";
  let zeroed: Float64Array | null = null;
  if (!constant) {
    if (onSingle === "throw") {
      const remedy = 'mode "eval", a larger batch, or onSingleValue "useRunning" or "zero"';
      checkSeveral(method, operand, count, remedy, `${mask ? "valid " : ""}value a channel`);
    }
    if (single && onSingle === "useRunning" && !running.given) {
      fail(method, 'runningMean and runningVar must be given for onSingleValue "useRunning"');
    }
    if (single && onSingle === "zero") {
      zeroed = channelMoments(operand, geometry, mask).mean;
    }
    constant = single && onSingle === "useRunning";
  }
  let statistics: GroupStatistics;
  if (constant || single) {
    const variance = zeroed ? passingF64(full.c) : running.variance;
    statistics = {
      mean: zeroed ?? running.mean,
      rstd: rstdOfVariance(variance, eps),
      count: saves ? passingF64(full.c).fill(count) : NONE,
    };
    applyGroups(y, operand, geometry, grouping, statistics, weight, bias, mask);
  } else {
    const moments = normalizeGroups(y, operand, geometry, grouping, weight, bias, eps, saves, mask);
    if (saves) running.see(moments);
    statistics = { mean: moments.mean, rstd: moments.rstd, count: moments.count };
  }
  const { mean, rstd, count: counts } = statistics;
  return {
    y: y.result,
    running,
    saved: { x: keepInput(x, operand, y), mean, rstd, count: counts, constant, mask, options: keepOptions(options) },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: BatchNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry: full, weight } = readGradientArguments(method, dy, saved, out);
  const geometry = pooled(full);
  const { constant, mask } = saved;
  const grads = applyGroupsGrad(dx, gradient, x, geometry, byChannel(geometry), saved, weight, constant, mask);
  return channelGradients(dx, x, grads, saved.options);
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
  return forwardAs("batchNorm", x, options, false).y;
}

/** `batchNorm` that also returns what `batchNormBackward` needs, and the running statistics after this batch. */
export function batchNormForward(x: TensorLike, options: BatchNormOptions = {}): BatchNormResult {
  const { y, running, saved } = forwardAs("batchNormForward", x, options);
  return keep({ y, running: running.result, saved });
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

export interface BatchNormConfig extends RunningConfig {
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
 * With `affine: false`, on the output of a nonlinearity, it is the standardization layer of Ç. Gülçehre and Y. Bengio,
 * "Knowledge Matters", 2013, arXiv:1301.4083.
 *
 * @example
 * const norm = new BatchNorm(768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 * norm.eval();
 */
export class BatchNorm extends RunningLayer {
  readonly onSingleValue: OnSingleValue;
  #saved: BatchNormSaved | undefined;

  constructor(numFeatures: number, config: BatchNormConfig = {}) {
    super("BatchNorm", numFeatures, config);
    this.onSingleValue = config.onSingleValue ?? "throw";
  }

  forward(x: TensorLike, options: { mask?: MaskLike; out?: TensorLike } = {}): Tensor {
    const method = "BatchNorm.forward";
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      ...this.runningOptions(),
      onSingleValue: this.onSingleValue,
      mask: options.mask,
      out: options.out,
    });
    this.#saved = keep(saved);
    this.keep(running.result);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as BatchNormSaved;
    const gradients = backwardAs("BatchNorm.backward", dy, saved, options.out);
    this.learn(gradients);
    return gradients.dx;
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
    const { unbiasedRunningVar } = this;
    const start = { runningMean: new Float64Array(c), runningVar: new Float64Array(c) };
    const running = new Running(method, { ...start, unbiasedRunningVar, momentum: null }, c);
    for (const x of batches) {
      checkChannels(method, x, this.layout, c);
      const operand = readTensor(method, "a batch", x);
      const moments = channelMoments(operand, pooled(geometryOf(method, operand, this.layout)));
      if (moments.count[0] < 2) {
        fail(method, `a batch has one value a channel (shape ${show(operand.shape)}) where at least 2 are needed`);
      }
      running.see(moments);
    }
    if (running.numBatchesTracked === 0) fail(method, "batches must hold at least one batch, got none");
    this.keep(running.result);
  }
}
