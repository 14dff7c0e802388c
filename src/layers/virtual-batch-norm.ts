import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  keepOptions,
  PER_CHANNEL,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { type CrossStatistics, crossGradient, crossGradSums, crossStandardize } from "../core/cross.js";
import { checkCount, fail, show } from "../core/errors.js";
import { geometryOf, type Layout, pooled } from "../core/geometry.js";
import { channelMoments, nextOf, sumChannels } from "../core/grouped.js";
import { keepInput, type Saved, type StateEntry } from "../core/layer.js";
import type { TypedArray } from "../core/memory.js";
import { keep, mapF64, oneNaN, passingF64 } from "../core/memory.js";
import { rstdOfVariance, varianceOf } from "../core/moments.js";
import {
  arrayClass,
  type Operand,
  readCoefficients,
  readTensor,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import { batchNorm } from "./batch-norm.js";

/** What is kept of a reference batch. */
export interface ReferenceStatistics {
  /** Mean and (biased) variance of each channel over samples and positions. */
  mean: VectorLike;
  variance: VectorLike;
  /** Samples in the batch. */
  numSamples: number;
}

export interface VirtualBatchNormOptions extends ChannelNormOptions {
  /** The reference batch, shaped as x but for the number of samples, or its `referenceStatistics`. */
  reference: TensorLike | ReferenceStatistics;
}

export interface VirtualBatchNormSaved extends Saved {
  /** Mean and 1/√(var + eps) of each channel of each sample, or, of x of one position, what makes them. @internal */
  readonly statistics: { readonly mean: Float64Array; readonly rstd: Float64Array } | CrossStatistics;
  /** The sample's weight in them, 1/(numSamples + 1). */
  readonly share: number;
  /** @internal */
  readonly options: SavedOptions;
}

interface Reference {
  mean: Float64Array;
  variance: Float64Array;
  numSamples: number;
}

function statisticsOf(method: string, reference: TensorLike, layout: Layout | undefined): Reference {
  const operand = readTensor(method, "reference", reference);
  const geometry = geometryOf(method, operand, layout, "reference");
  const moments = channelMoments(operand, pooled(geometry));
  return { mean: oneNaN(moments.mean), variance: oneNaN(varianceOf(moments)), numSamples: geometry.n };
}

function readReference(
  method: string,
  reference: TensorLike | ReferenceStatistics | undefined,
  channels: number,
  layout: Layout | undefined,
): Reference {
  if (typeof reference === "object" && reference !== null && "variance" in reference) {
    return {
      mean: readCoefficients(method, "reference.mean", reference.mean, channels, PER_CHANNEL, 0),
      variance: readCoefficients(method, "reference.variance", reference.variance, channels, PER_CHANNEL, 1),
      numSamples: checkCount(method, "reference.numSamples", reference.numSamples),
    };
  }
  const found = statisticsOf(method, reference as TensorLike, layout);
  if (found.mean.length !== channels) {
    fail(method, `reference has ${found.mean.length} channels where x has ${channels}; they must be the same`);
  }
  return found;
}

/**
 * Of x of one position: the sample is its own mean and has no variance, so that with u = x − mean_r, x − mean is (1 − a)·u
 * and the variance (1 − a)·var_r + a·(1 − a)·u².
 */
function crossOf(x: Operand, c: number, { mean, variance }: Reference, share: number, eps: number): CrossStatistics {
  const rows = x.length / c;
  return {
    rowMean: passingF64(rows),
    rowVar: passingF64(rows),
    colMean: mean,
    colVar: mapF64(variance, (value) => (1 - share) * value + eps),
    k: share * (1 - share),
  };
}

function forwardAs(
  method: string,
  x: TensorLike,
  options: VirtualBatchNormOptions,
): { y: Tensor; saved: VirtualBatchNormSaved } {
  const { x: operand, geometry, weight, bias, eps, y } = readArguments(method, x, options);
  const { n, c, s } = geometry;
  const reference = readReference(method, options.reference, c, options.layout);
  const share = 1 / (reference.numSamples + 1);
  const save = (statistics: VirtualBatchNormSaved["statistics"]) => ({
    y: y.result,
    saved: { x: keepInput(x, operand, y), statistics, share, options: keepOptions(options) },
  });
  if (s === 1) {
    const cross = crossOf(operand, c, reference, share, eps);
    const scale = mapF64(weight, (value) => (1 - share) * value);
    crossStandardize(y, operand, cross, scale, bias);
    return save(cross);
  }
  const cells = cellMoments(operand, geometry);
  const mean = passingF64(n * c);
  const variance = passingF64(n * c);
  for (let i = 0, j = 0; i < n * c; i++, j = nextOf(j, c)) {
    // Two populations of weights share and 1 − share, about the mean of both.
    const apart = cells.mean[i] - reference.mean[j];
    mean[i] = reference.mean[j] + share * apart;
    const own = cells.m2[i] / cells.count[i];
    variance[i] = share * own + (1 - share) * reference.variance[j] + share * (1 - share) * apart * apart;
  }
  const rstd = rstdOfVariance(variance, eps);
  applyAffine(y, operand, geometry, {
    mean,
    scale: mapF64(rstd, (value, i) => value * weight[i % c]),
    shift: mapF64(rstd, (_, i) => bias[i % c]),
  });
  return save({ mean, rstd });
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: VirtualBatchNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry, weight } = readGradientArguments(method, dy, saved, out);
  const { n, c, s } = geometry;
  const { statistics, share, options } = saved;
  if ("rowMean" in statistics) {
    const scale = mapF64(weight, (value) => (1 - share) * value);
    const { dweight, dbias } = crossGradSums(gradient, x, statistics, scale);
    const through = {
      base: 0,
      rowSlope: passingF64(n),
      rowShift: passingF64(n),
      colSlope: passingF64(c),
      colShift: passingF64(c),
    };
    crossGradient(dx, gradient, x, statistics, scale, through);
    const grads = { dweight: mapF64(dweight, (value) => (1 - share) * value), dbias };
    return channelGradients(dx, x, grads, options);
  }
  const { mean, rstd } = statistics;
  const sums = cellGradSums(gradient, x, geometry, mean);
  const about = mapF64(sums.dyx, (sum, i) => sum * rstd[i]);
  const grads = { dweight: sumChannels(about, c), dbias: sumChannels(sums.dy, c) };
  // Batch norm's gradient, but the sample is only a share of its statistics.
  applyGradient(dx, gradient, x, geometry, {
    mean,
    rstd,
    weight: mapF64(rstd, (_, i) => weight[i % c]),
    slope: mapF64(about, (sum, i) => -share * weight[i % c] * rstd[i] * (sum / s)),
    constant: mapF64(sums.dy, (sum, i) => -share * weight[i % c] * (sum / s)),
  });
  return channelGradients(dx, x, grads, options);
}

/**
 * Virtual batch normalization: each sample is normalized by the statistics of a fixed reference batch with the sample
 * itself added, so that it depends on no other sample of its own batch.
 *
 * y = (x − mean)/√(var + eps)·weight[c] + bias[c], mean = a·mean_x + (1 − a)·mean_r, var = a·var_x + (1 − a)·var_r +
 * a·(1 − a)·(mean_x − mean_r)², a = 1/(R + 1); mean_x, var_x over the positions of (n, c), mean_r, var_r over the R samples
 * of the reference and their positions.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; weight and bias are `[C]`.
 * The same in training and inference. Throws where the channels of the reference or a length differ, or eps is negative.
 *
 * Source: T. Salimans et al., "Improved Techniques for Training GANs", 2016, arXiv:1606.03498; the variance is rearranged,
 * since the mean square less the squared mean cancels.
 *
 * @example
 * const reference = { data: new Float32Array(8 * 768).map((_, i) => Math.sin(i)), shape: [8, 768] };
 * const y = virtualBatchNorm(x, { reference });
 */
export function virtualBatchNorm(x: TensorLike, options: VirtualBatchNormOptions): Tensor {
  return forwardAs("virtualBatchNorm", x, options).y;
}

/** `virtualBatchNorm` that also returns what `virtualBatchNormBackward` needs. */
export function virtualBatchNormForward(
  x: TensorLike,
  options: VirtualBatchNormOptions,
): { y: Tensor; saved: VirtualBatchNormSaved } {
  return keep(forwardAs("virtualBatchNormForward", x, options));
}

/**
 * The gradient of virtual batch normalization; the reference is a constant in it.
 *
 * With g = dy·weight[c], x̂ = (x − mean)·rstd, means over the positions of (n, c), a = 1/(R + 1):
 * dx = rstd·(g − a·mean(g) − a·x̂·mean(g·x̂)), dweight[c] = Σ dy·x̂, dbias[c] = Σ dy.
 *
 * @example
 * const { y, saved } = virtualBatchNormForward(x, { reference: x, weight, bias });
 * const { dx, dweight, dbias } = virtualBatchNormBackward(dy, saved);
 */
export function virtualBatchNormBackward(
  dy: TensorLike,
  saved: VirtualBatchNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return backwardAs("virtualBatchNormBackward", dy, saved, options.out);
}

/**
 * The statistics of a reference batch, which `virtualBatchNorm` takes in place of the batch.
 *
 * @example
 * const reference = referenceStatistics(x);
 * const y = virtualBatchNorm(x, { reference });
 */
export function referenceStatistics(
  reference: TensorLike,
  options: { layout?: Layout } = {},
): { mean: Float64Array; variance: Float64Array; numSamples: number } {
  return keep(statisticsOf("referenceStatistics", reference, options.layout));
}

/**
 * Virtual batch normalization as a layer: `virtualBatchNorm` with its weight (ones at first), bias (zeros), gradients, and
 * the statistics of its reference batch, which are part of its state.
 *
 * In a network, each layer's reference is what `setReference` of the layer before returned and the layers between made of
 * it.
 *
 * @example
 * const norm = new VirtualBatchNorm(768);
 * const nextReference = norm.setReference({ data: new Float32Array(8 * 768).map((_, i) => i % 7), shape: [8, 768] });
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class VirtualBatchNorm extends ChannelLayer {
  readonly referenceMean: TypedArray;
  readonly referenceVar: TypedArray;
  readonly #numSamples = new Float64Array(1);
  #saved: VirtualBatchNormSaved | undefined;

  constructor(numFeatures: number, config: ChannelNormConfig = {}) {
    super("VirtualBatchNorm", numFeatures, config);
    const floats = arrayClass(config.dtype ?? "float32");
    this.referenceMean = new floats(numFeatures);
    this.referenceVar = new floats(numFeatures).fill(1);
  }

  /** Samples in the reference batch; 0 before there is one. */
  get numReferenceSamples(): number {
    return this.#numSamples[0];
  }

  /** Keeps the statistics of a reference batch, and returns the batch normalized by them, with weight and bias. */
  setReference(reference: TensorLike): Tensor {
    const method = "VirtualBatchNorm.setReference";
    const { mean, variance, numSamples } = statisticsOf(method, reference, this.layout);
    if (mean.length !== this.numFeatures) {
      const shape = show(readTensor(method, "reference", reference).shape);
      fail(method, `reference has ${mean.length} channels (shape ${shape}) where the layer has ${this.numFeatures}`);
    }
    const { eps, layout, weight, bias } = this;
    const y = batchNorm(reference, {
      mode: "eval",
      eps,
      layout,
      weight: weight?.data,
      bias: bias?.data,
      runningMean: mean,
      runningVar: variance,
    });
    this.referenceMean.set(mean);
    this.referenceVar.set(variance);
    this.#numSamples[0] = numSamples;
    return y;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "VirtualBatchNorm.forward";
    if (this.numReferenceSamples === 0) fail(method, "there is no reference batch; call setReference first");
    const reference = {
      mean: this.referenceMean,
      variance: this.referenceVar,
      numSamples: this.numReferenceSamples,
    };
    const { y, saved } = forwardAs(method, x, { ...this.optionsFor(method, x), reference, out: options.out });
    this.#saved = keep(saved);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const gradients = backwardAs("VirtualBatchNorm.backward", dy, this.#saved as VirtualBatchNormSaved, options.out);
    this.learn(gradients);
    return gradients.dx;
  }

  protected override stateEntries(): StateEntry[] {
    const shape = [this.numFeatures];
    return [
      ...super.stateEntries(),
      { name: "reference_mean", aliases: [], data: this.referenceMean, shape },
      { name: "reference_var", aliases: [], data: this.referenceVar, shape },
      { name: "num_reference_samples", aliases: [], data: this.#numSamples, shape: [] },
    ];
  }
}
