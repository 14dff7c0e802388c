import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import {
  type ChannelGradients,
  type ChannelNormOptions,
  channelGradients,
  PER_CHANNEL,
  readArguments,
  readGradientArguments,
  type SavedOptions,
  vectorOf,
} from "../core/channelwise.js";
import { checkPositions } from "../core/geometry.js";
import { byChannel, type GroupStatistics, nextOf } from "../core/grouped.js";
import { entryOf, keepInput, Parameter, type Saved, type StateEntry } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { mergeCells, rstdOf, rstdOfVariance } from "../core/moments.js";
import {
  Running,
  type RunningConfig,
  RunningLayer,
  type RunningOptions,
  type RunningStatistics,
} from "../core/running.js";
import { readCoefficients, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";

export interface BatchInstanceNormOptions extends ChannelNormOptions, RunningOptions {
  /** The share of batch norm in each channel; the rest is instance norm. Default: ones. Not held to [0, 1] here. */
  rho?: VectorLike | null;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
}

export interface BatchInstanceNormSaved extends Saved {
  /** Of each channel of each sample, [N, C]. */
  readonly instance: { readonly mean: Float64Array; readonly rstd: Float64Array };
  /** Of each channel. */
  readonly batch: GroupStatistics;
  /** @internal */
  readonly rho: Float64Array;
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly options: SavedOptions & { readonly hasRho: boolean };
}

export interface BatchInstanceNormResult {
  y: Tensor;
  saved: BatchInstanceNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

export interface BatchInstanceNormGradients extends ChannelGradients {
  /** Null where there was no rho. */
  drho: Tensor | null;
}

function forwardAs(method: string, x: TensorLike, options: BatchInstanceNormOptions): BatchInstanceNormResult {
  const { x: operand, geometry, weight, bias, eps, y } = readArguments(method, x, options);
  checkPositions(method, operand, geometry, "use batchNorm");
  const { n, c, s } = geometry;
  const rho = readCoefficients(method, "rho", options.rho, c, PER_CHANNEL, 1);
  const running = new Running(method, options, c);

  const cells = cellMoments(operand, geometry);
  const instance = { mean: cells.mean, rstd: rstdOf(cells, eps) };
  let batch: GroupStatistics = {
    mean: running.mean,
    rstd: rstdOfVariance(running.variance, eps),
    count: passingF64(c).fill(n * s),
  };
  if (running.mode === "train") {
    const moments = mergeCells(cells, c, byChannel(geometry).groupOf);
    batch = { mean: moments.mean, rstd: rstdOf(moments, eps), count: moments.count };
    running.see(moments);
  }
  // About the mean of the instance: x̂_B = (x − mean_I)·rstd_B + (mean_I − mean_B)·rstd_B.
  const scale = passingF64(n * c);
  const shift = passingF64(n * c);
  for (let i = 0, j = 0; i < n * c; i++, j = nextOf(j, c)) {
    const ofBatch = rho[j] * batch.rstd[j];
    scale[i] = weight[j] * (ofBatch + (1 - rho[j]) * instance.rstd[i]);
    shift[i] = bias[j] + weight[j] * ofBatch * (instance.mean[i] - batch.mean[j]);
  }
  applyAffine(y, operand, geometry, { mean: instance.mean, scale, shift });
  return {
    y: y.result,
    running: running.result,
    saved: {
      x: keepInput(x, operand, y),
      instance,
      batch,
      rho,
      constant: running.mode === "eval",
      options: {
        weight: options.weight,
        bias: options.bias,
        layout: options.layout,
        hasRho: Boolean(options.rho),
      },
    },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: BatchInstanceNormSaved,
  out: TensorLike | undefined,
): BatchInstanceNormGradients {
  const { x, dy: gradient, dx, geometry, weight } = readGradientArguments(method, dy, saved, out);
  const { n, c, s } = geometry;
  const { instance, batch, rho, constant } = saved;
  const sums = cellGradSums(gradient, x, geometry, instance.mean);

  const dweight = passingF64(c);
  const dbias = passingF64(c);
  const drho = passingF64(c);
  /** Σ dy·(x − mean_B) of each channel. */
  const sumBatch = passingF64(c);
  for (let i = 0, j = 0; i < n * c; i++, j = nextOf(j, c)) {
    const aboutBatch = sums.dyx[i] + (instance.mean[i] - batch.mean[j]) * sums.dy[i];
    const ofBatch = batch.rstd[j] * aboutBatch;
    const ofInstance = instance.rstd[i] * sums.dyx[i];
    dweight[j] += rho[j] * ofBatch + (1 - rho[j]) * ofInstance;
    drho[j] += weight[j] * (ofBatch - ofInstance);
    dbias[j] += sums.dy[i];
    sumBatch[j] += aboutBatch;
  }

  // The gradients of both parts as one affine in dy and x − mean_I, with rstd_I outside.
  const cellWeight = passingF64(n * c);
  const slope = passingF64(n * c);
  const shift = passingF64(n * c);
  for (let i = 0, j = 0; i < n * c; i++, j = nextOf(j, c)) {
    const shareBatch = (rho[j] * batch.rstd[j]) / instance.rstd[i];
    const shareInstance = 1 - rho[j];
    cellWeight[i] = weight[j] * (shareBatch + shareInstance);
    const slopeInstance = instance.rstd[i] * instance.rstd[i] * (sums.dyx[i] / s);
    slope[i] = -weight[j] * shareInstance * slopeInstance;
    shift[i] = -weight[j] * shareInstance * (sums.dy[i] / s);
    if (!constant) {
      const slopeBatch = batch.rstd[j] * batch.rstd[j] * (sumBatch[j] / batch.count[j]);
      const apart = instance.mean[i] - batch.mean[j];
      slope[i] -= weight[j] * shareBatch * slopeBatch;
      shift[i] -= weight[j] * shareBatch * (dbias[j] / batch.count[j] + apart * slopeBatch);
    }
  }
  const affine = { mean: instance.mean, rstd: instance.rstd, weight: cellWeight, slope, constant: shift };
  applyGradient(dx, gradient, x, geometry, affine);
  const gradients = channelGradients(dx, x, { dweight, dbias }, saved.options);
  return {
    dx: gradients.dx,
    dweight: gradients.dweight,
    dbias: gradients.dbias,
    drho: saved.options.hasRho ? vectorOf(drho, x.dtype) : null,
  };
}

/**
 * Batch-instance normalization: a mixture of batch norm and instance norm, with a learned share for each channel.
 *
 * y = (rho[c]·x̂_B + (1 − rho[c])·x̂_I)·weight[c] + bias[c], x̂_B normalized over samples and positions (by running
 * statistics in mode "eval"), x̂_I over the positions of each sample.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`.
 * Defaults: rho 1, momentum 0.1, eps 1e-5. Throws where there is one position, a length differs, eps is negative, or "eval"
 * lacks running statistics.
 *
 * Source: H. Nam, H.-E. Kim, "Batch-Instance Normalization for Adaptively Style-Invariant Neural Networks", 2018,
 * arXiv:1805.07925. It holds rho to [0, 1] after each step of the optimizer, not here.
 *
 * @example
 * const y = batchInstanceNorm(images, { rho: new Float32Array(64).fill(0.5) });
 */
export function batchInstanceNorm(x: TensorLike, options: BatchInstanceNormOptions = {}): Tensor {
  return forwardAs("batchInstanceNorm", x, options).y;
}

/** `batchInstanceNorm` that also returns what `batchInstanceNormBackward` needs, and the running statistics. */
export function batchInstanceNormForward(
  x: TensorLike,
  options: BatchInstanceNormOptions = {},
): BatchInstanceNormResult {
  return keep(forwardAs("batchInstanceNormForward", x, options));
}

/**
 * The gradient of batch-instance normalization: dx is that of batch norm for dy·rho[c] plus that of instance norm for
 * dy·(1 − rho[c]); drho[c] = Σ dy·weight[c]·(x̂_B − x̂_I), dweight[c] = Σ dy·(rho·x̂_B + (1 − rho)·x̂_I), dbias[c] = Σ dy.
 *
 * @example
 * const rho = new Float32Array(64).fill(0.5);
 * const { y, saved } = batchInstanceNormForward(images, { rho });
 * const { dx, drho } = batchInstanceNormBackward(dimages, saved);
 */
export function batchInstanceNormBackward(
  dy: TensorLike,
  saved: BatchInstanceNormSaved,
  options: { out?: TensorLike } = {},
): BatchInstanceNormGradients {
  return backwardAs("batchInstanceNormBackward", dy, saved, options.out);
}

/**
 * Batch-instance normalization as a layer: `batchInstanceNorm` with its rho (ones at first), weight (ones), bias (zeros),
 * gradients, and running statistics that training updates and eval and frozen mode use.
 *
 * The paper trains rho with ten times the learning rate of the other parameters and no weight decay, and holds it to [0, 1]
 * after each step: call `clampRho()` there.
 *
 * @example
 * const norm = new BatchInstanceNorm(64);
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.rho.grad, norm.weight.grad, norm.bias.grad
 * const rate = 0.1 * BatchInstanceNorm.rhoLearningRateMultiplier;
 * norm.rho.data.forEach((value, c) => { norm.rho.data[c] = value - rate * norm.rho.grad[c]; });
 * norm.clampRho();
 */
export class BatchInstanceNorm extends RunningLayer {
  /** What the paper multiplies the learning rate of rho by. */
  static readonly rhoLearningRateMultiplier = 10;

  readonly rho: Parameter;
  #saved: BatchInstanceNormSaved | undefined;

  constructor(numFeatures: number, config: RunningConfig = {}) {
    super("BatchInstanceNorm", numFeatures, config);
    this.rho = new Parameter([numFeatures], config.dtype ?? "float32", 1);
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "BatchInstanceNorm.forward";
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      ...this.runningOptions(),
      rho: this.rho.data,
      out: options.out,
    });
    this.#saved = keep(saved);
    this.keep(running);
    return y;
  }

  /** dx of the last forward; adds to the gradients of rho, weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as BatchInstanceNormSaved;
    const gradients = backwardAs("BatchInstanceNorm.backward", dy, saved, options.out);
    this.learn(gradients);
    if (this.mode !== "eval" && gradients.drho) this.rho.addGrad(gradients.drho.data);
    return gradients.dx;
  }

  /** Holds rho to [0, 1]: to be called after each step of the optimizer. */
  clampRho(): void {
    const { data } = this.rho;
    for (let c = 0; c < data.length; c++) data[c] = Math.min(1, Math.max(0, data[c]));
  }

  override parameters(): Record<string, Parameter> {
    return { ...super.parameters(), rho: this.rho };
  }

  protected override stateEntries(): StateEntry[] {
    return [...super.stateEntries(), entryOf("rho", this.rho, ["gate"])];
  }
}
