import { transformCells } from "../core/cells.js";
import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  keepOptions,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { checkCount, checkNumber, checkOneOf } from "../core/errors.js";
import { pooled } from "../core/geometry.js";
import { applyGroupsGrad, byChannel, type GroupStatistics, measureChannels } from "../core/grouped.js";
import { keepInput, MEAN_ALIASES, type Saved, type StateEntry } from "../core/layer.js";
import { heap64, keep, mapF64, passingF64, scratch, type TypedArray, withScratch } from "../core/memory.js";
import { checkMomentum, checkSeveral, readPair, sameClass, step } from "../core/running.js";
import { arrayClass, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";
import { type RenormLimits, renormSchedule } from "../schedules/renorm-schedule.js";

export interface BatchRenormOptions extends ChannelNormOptions, Partial<RenormLimits> {
  /** "train": statistics of the batch, corrected towards the running ones. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /**
   * Running mean and deviation: what the batch is corrected towards, what eval mode uses, and the basis of those returned
   * in training. Not written to. Without them r is 1 and d is 0: batch norm.
   */
  runningMean?: VectorLike | null;
  runningStd?: VectorLike | null;
  /** Batches in the running statistics so far; used where momentum is null. Default 0. */
  numBatchesTracked?: number;
  /** Weight of the new batch: running = (1 − momentum)·running + momentum·batch; null: their average. Default 0.01. */
  momentum?: number | null;
}

export interface BatchRenormSaved extends Saved, GroupStatistics {
  /** The corrections of each channel: y is (x̂·r + d)·weight + bias. */
  readonly r: Float64Array;
  readonly d: Float64Array;
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly options: SavedOptions;
}

/** Running statistics of batch renormalization: it averages deviations, not variances. */
export interface RenormStatistics {
  runningMean: TypedArray;
  runningStd: TypedArray;
  numBatchesTracked: number;
}

export interface BatchRenormResult {
  y: Tensor;
  saved: BatchRenormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RenormStatistics | null;
}

function checkLimit(method: string, name: string, value: number, least: number): number {
  return value === Number.POSITIVE_INFINITY ? value : checkNumber(method, name, value, least);
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/**
 * Batch renorm is batch norm with weight·r and weight·d + bias, r and d constants. `finish` gives what the next batch and
 * the backward pass need.
 */
function forwardAs(
  method: string,
  x: TensorLike,
  options: BatchRenormOptions,
): { y: Tensor; finish(): BatchRenormResult } {
  const { x: operand, geometry: full, weight, bias, eps, y } = readArguments(method, x, options);
  const { c } = full;
  const mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
  const rMax = checkLimit(method, "rMax", options.rMax ?? 1, 1);
  const dMax = checkLimit(method, "dMax", options.dMax ?? 0, 0);
  const momentum = checkMomentum(method, options.momentum, 0.01);
  const tracked = checkCount(method, "numBatchesTracked", options.numBatchesTracked ?? 0, 0);
  const { runningMean, runningStd } = options;
  const pair = readPair(method, mode, c, ["runningMean", runningMean], ["runningStd", runningStd]);
  const { given } = pair;
  const constant = mode === "eval";
  const size = operand.length / c;
  if (!constant) checkSeveral(method, operand, size);
  const { mean: averageMean, spread: averageStd } = pair;

  const geometry = pooled(full);
  const [mean, std, rstd] = [passingF64(c), passingF64(c), passingF64(c)];
  const [r, d] = [passingF64(c), passingF64(c)];
  withScratch(() => {
    const found = { mean: scratch(8 * c), m2: scratch(8 * c) };
    if (!constant) measureChannels(found.mean, found.m2, operand, geometry);
    const affine = { mean: scratch(8 * c), scale: scratch(8 * c), shift: scratch(8 * c) };
    const heap = heap64();
    for (let i = 0; i < c; i++) {
      mean[i] = constant ? averageMean[i] : heap[found.mean / 8 + i];
      std[i] = constant ? averageStd[i] : Math.sqrt(heap[found.m2 / 8 + i] / size + eps);
      rstd[i] = 1 / std[i];
      r[i] = given && !constant ? clamp(std[i] / averageStd[i], 1 / rMax, rMax) : 1;
      d[i] = given && !constant ? clamp((mean[i] - averageMean[i]) / averageStd[i], -dMax, dMax) : 0;
      heap[affine.mean / 8 + i] = mean[i];
      heap[affine.scale / 8 + i] = rstd[i] * (weight[i] * r[i]);
      heap[affine.shift / 8 + i] = bias[i] + weight[i] * d[i];
    }
    transformCells(y, operand, geometry, affine, c);
  });
  const finish = () => {
    const numBatchesTracked = constant ? tracked : tracked + 1;
    const next = (average: Float64Array, batch: Float64Array) =>
      constant ? average : step(average, batch, momentum ?? 1 / numBatchesTracked);
    return {
      y: y.result,
      running: given
        ? {
            runningMean: sameClass(next(averageMean, mean), runningMean),
            runningStd: sameClass(next(averageStd, std), runningStd),
            numBatchesTracked,
          }
        : null,
      saved: {
        x: keepInput(x, operand, y),
        mean,
        rstd,
        count: passingF64(c).fill(size),
        r,
        d,
        constant,
        options: keepOptions(options),
      },
    };
  };
  return { y: y.result, finish };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: BatchRenormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry: full, weight } = readGradientArguments(method, dy, saved, out);
  const geometry = pooled(full);
  const { r, d, constant } = saved;
  const scale = mapF64(weight, (value, i) => value * r[i]);
  const { dweight, dbias } = applyGroupsGrad(dx, gradient, x, geometry, byChannel(geometry), saved, scale, constant);
  return channelGradients(
    dx,
    x,
    { dweight: mapF64(dweight, (value, i) => value * r[i] + dbias[i] * d[i]), dbias },
    saved.options,
  );
}

/**
 * Batch renormalization: batch norm whose output is corrected, within limits, to what the running statistics would have
 * given, so that training and inference agree on small or dependent batches.
 *
 * y = ((x − mean)/std·r + d)·weight[c] + bias[c], std = √(var + eps) of the batch, r = std/runningStd held to
 * [1/rMax, rMax], d = (mean − runningMean)/runningStd held to [−dMax, dMax]. In mode "eval"
 * y = (x − runningMean)/runningStd·weight[c] + bias[c]: eps is in the running deviation already.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`.
 * Defaults: rMax 1, dMax 0 (batch norm; see `renormSchedule`), momentum 0.01, eps 1e-5. Throws where a length differs, rMax
 * is below 1, dMax or eps negative, "eval" lacks running statistics, or a channel has one value in training.
 *
 * Source: S. Ioffe, "Batch Renormalization", 2017, arXiv:1702.03275. As there, std and not its square is averaged.
 *
 * @example
 * const running = { runningMean: new Float32Array(768), runningStd: new Float32Array(768).fill(1) };
 * const y = batchRenorm(x, { ...running, rMax: 3, dMax: 5 });
 */
export function batchRenorm(x: TensorLike, options: BatchRenormOptions = {}): Tensor {
  return forwardAs("batchRenorm", x, options).y;
}

/** `batchRenorm` that also returns what `batchRenormBackward` needs, and the running statistics after this batch. */
export function batchRenormForward(x: TensorLike, options: BatchRenormOptions = {}): BatchRenormResult {
  return keep(forwardAs("batchRenormForward", x, options).finish());
}

/**
 * The gradient of batch renormalization; r and d are constants in it, as in the paper.
 *
 * With g = dy·weight[c]·r, x̂ = (x − mean)/std and means over the batch: dx = (g − mean(g) − x̂·mean(g·x̂))/std,
 * dweight[c] = Σ dy·(x̂·r + d), dbias[c] = Σ dy. In mode "eval" dx = dy·weight[c]/runningStd.
 *
 * @example
 * const { y, saved } = batchRenormForward(x, { weight, bias });
 * const { dx, dweight, dbias } = batchRenormBackward(dy, saved);
 */
export function batchRenormBackward(
  dy: TensorLike,
  saved: BatchRenormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return backwardAs("batchRenormBackward", dy, saved, options.out);
}

export interface BatchRenormConfig extends ChannelNormConfig {
  /** Weight of the new batch in the running statistics, or null for their average. Default 0.01. */
  momentum?: number | null;
  /** The limits of r and d, or a function that gives them for a number of steps. Default: `renormSchedule`. */
  limits?: RenormLimits | ((step: number) => RenormLimits);
}

/**
 * Batch renormalization as a layer: `batchRenorm` with its weight (ones at first), bias (zeros), gradients, and running
 * mean (0) and deviation (1) that training updates and eval and frozen mode use. Its limits follow the number of batches
 * seen.
 *
 * @example
 * const norm = new BatchRenorm(768, { limits: { rMax: 3, dMax: 5 } });
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class BatchRenorm extends ChannelLayer {
  readonly momentum: number | null;
  readonly limits: RenormLimits | ((step: number) => RenormLimits);
  readonly runningMean: TypedArray;
  readonly runningStd: TypedArray;
  readonly #tracked = new Float64Array(1);
  #saved: BatchRenormSaved | undefined;

  constructor(numFeatures: number, config: BatchRenormConfig = {}) {
    super("BatchRenorm", numFeatures, config);
    this.momentum = checkMomentum("BatchRenorm", config.momentum, 0.01);
    this.limits = config.limits ?? renormSchedule;
    const floats = arrayClass(config.dtype ?? "float32");
    this.runningMean = new floats(numFeatures);
    this.runningStd = new floats(numFeatures).fill(1);
  }

  /** Batches that the running statistics have seen. */
  get numBatchesTracked(): number {
    return this.#tracked[0];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "BatchRenorm.forward";
    const { momentum, limits, runningMean, runningStd, numBatchesTracked } = this;
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      ...(typeof limits === "function" ? limits(numBatchesTracked) : limits),
      mode: this.mode === "train" ? "train" : "eval",
      momentum,
      runningMean,
      runningStd,
      numBatchesTracked,
      out: options.out,
    }).finish();
    this.#saved = keep(saved);
    if (running !== null) {
      runningMean.set(running.runningMean);
      runningStd.set(running.runningStd);
      this.#tracked[0] = running.numBatchesTracked;
    }
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const gradients = backwardAs("BatchRenorm.backward", dy, this.#saved as BatchRenormSaved, options.out);
    this.learn(gradients);
    return gradients.dx;
  }

  /** Mean 0, deviation 1, no batches. */
  resetRunningStats(): void {
    this.runningMean.fill(0);
    this.runningStd.fill(1);
    this.#tracked[0] = 0;
  }

  protected override stateEntries(): StateEntry[] {
    const shape = [this.numFeatures];
    return [
      ...super.stateEntries(),
      { name: "running_mean", aliases: MEAN_ALIASES, data: this.runningMean, shape },
      { name: "running_std", aliases: ["moving_stddev", "renorm_stddev"], data: this.runningStd, shape },
      { name: "num_batches_tracked", aliases: [], data: this.#tracked, shape: [] },
    ];
  }
}
