import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  checkGroups,
  keepOptions,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { applyWhitening, applyWhiteningGrad, channelCovariance, type Root } from "../core/decorrelate.js";
import { checkOneOf, fail } from "../core/errors.js";
import { keepInput, MEAN_ALIASES, type Saved, type StateEntry } from "../core/layer.js";
import { keep, type TypedArray } from "../core/memory.js";
import { checkMomentum, checkSeveral, step } from "../core/running.js";
import { square } from "../core/special.js";
import { arrayClass, readValues, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";
import { eigh } from "../linalg/eigh.js";
import { matmul } from "../linalg/matmul.js";

export interface DecorrelatedBatchNormOptions extends ChannelNormOptions {
  /** "train": statistics of the batch. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /** Groups of neighbouring channels, each whitened by itself; must divide the channels. Default 1. */
  numGroups?: number;
  /** Running mean [C] and whitening matrices [numGroups, C/numGroups, C/numGroups]; not written to. */
  runningMean?: VectorLike | null;
  runningProjection?: VectorLike | null;
  /** Weight of the new batch in the running statistics. Default 0.1. */
  momentum?: number;
}

export interface DecorrelatedSaved extends Saved {
  readonly mean: Float64Array;
  /** Whitening matrix of each group. */
  readonly projection: Float64Array;
  /** @internal */
  readonly back: Root["back"][] | null;
  /** @internal */
  readonly numGroups: number;
  /** @internal */
  readonly options: SavedOptions;
}

export interface DecorrelatedResult {
  y: Tensor;
  saved: DecorrelatedSaved;
  /** Running statistics after this batch; null where none were given. */
  running: { runningMean: Float64Array; runningProjection: Float64Array } | null;
}

/** A square matrix times another, in f64, with transposes. */
export function product(a: Float64Array, b: Float64Array, transposeA = false, transposeB = false): Float64Array {
  const n = Math.sqrt(a.length);
  return matmul({ data: a, shape: [n, n] }, { data: b, shape: [n, n] }, { transposeA, transposeB })
    .data as Float64Array;
}

/**
 * Σ^(−1/2) by eigenvectors: W = V·diag(r)·Vᵀ, r = 1/√(λ + eps). Its gradient is dΣ = V·((Vᵀ·dW·V)∘K)·Vᵀ with
 * K_ij = −r_i²·r_j²/(r_i + r_j), which has no difference of eigenvalues in it: equal ones do no harm.
 */
function eigenRoot(sigma: Float64Array, eps: number): Root {
  const n = Math.sqrt(sigma.length);
  const { values, vectors } = eigh({ data: sigma, shape: [n, n] });
  const v = vectors.data;
  const r = values.map((value) => 1 / Math.sqrt(Math.max(value, 0) + eps));
  const scaled = v.map((value, i) => value * r[i % n]);
  return {
    w: product(scaled, v, false, true),
    back: (dw) => {
      const inner = product(product(v, dw, true), v);
      const mixed = inner.map((value, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        return (-value * square(r[i] * r[j])) / (r[i] + r[j]);
      });
      return product(product(v, mixed), v, false, true);
    },
  };
}

/** Whitening norm under the caller's name, with its root. @internal */
export function decorrelatedForwardAs(
  method: string,
  x: TensorLike,
  options: DecorrelatedBatchNormOptions,
  eps: number,
  rootOf: (sigma: Float64Array, eps: number) => Root,
): DecorrelatedResult {
  const { x: operand, geometry, weight, bias, y } = readArguments(method, x, { ...options, eps });
  const { c } = geometry;
  const mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
  const momentum = checkMomentum(method, options.momentum) ?? 0.1;
  const numGroups = checkGroups(method, options.numGroups ?? 1, c);
  const width = c / numGroups;
  const given = Boolean(options.runningMean && options.runningProjection);
  if (mode === "eval" && !given) {
    fail(method, 'runningMean and runningProjection must be given in mode "eval"; pass them, or use mode "train"');
  }
  const square = "a square matrix for each group of channels";
  let runningMean = readValues(method, "runningMean", options.runningMean, c, "one for each channel", 0);
  let runningProjection = readValues(method, "runningProjection", options.runningProjection, c * width, square, 0);
  let mean = runningMean;
  let projection = runningProjection;
  let back: Root["back"][] | null = null;
  if (mode === "train") {
    checkSeveral(method, operand, operand.length / c);
    const found = channelCovariance(operand, geometry, numGroups);
    const block = width * width;
    if (!found.covariance.every(Number.isFinite)) {
      fail(method, "x holds NaN or infinity, and its covariance has no root; remove them");
    }
    const roots = Array.from({ length: numGroups }, (_, g) =>
      rootOf(found.covariance.slice(g * block, (g + 1) * block), eps),
    );
    mean = found.mean;
    projection = new Float64Array(c * width);
    for (const [g, { w }] of roots.entries()) projection.set(w, g * block);
    back = roots.map((root) => root.back);
    runningMean = step(runningMean, mean, momentum);
    runningProjection = step(runningProjection, projection, momentum);
  }
  applyWhitening(y, operand, geometry, numGroups, mean, projection, weight, bias);
  return keep({
    y: y.result,
    saved: { x: keepInput(x, operand, y), mean, projection, back, numGroups, options: keepOptions(options) },
    running: given ? { runningMean, runningProjection } : null,
  });
}

/** The gradient of `decorrelatedForwardAs`. @internal */
export function decorrelatedBackwardAs(
  method: string,
  dy: TensorLike,
  saved: DecorrelatedSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry, weight } = readGradientArguments(method, dy, saved, out);
  const { mean, projection, back, numGroups, options } = saved;
  const grads = applyWhiteningGrad(dx, gradient, x, geometry, numGroups, mean, projection, weight, back);
  return channelGradients(dx, x, grads, options);
}

/**
 * Decorrelated batch normalization: the channels of the batch are brought to mean 0 and covariance 1 by ZCA whitening,
 * the rotation that changes them least; then each is scaled and shifted.
 *
 * y = weight[c]·(Σ^(−1/2)·(x − mean))[c] + bias[c], Σ = cov(x) + eps·1 over samples and positions, of the channels of a
 * group.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; weight and bias are `[C]`;
 * eps is 1e-3. With groups of one channel it is batch norm. Throws where numGroups does not divide the channels, a length
 * differs, eps is negative, a channel has one value in training, or x holds NaN.
 *
 * Source: L. Huang, D. Yang, B. Lang, J. Deng, "Decorrelated Batch Normalization", 2018, arXiv:1804.08450.
 *
 * @example
 * const y = decorrelatedBatchNorm(images, { numGroups: 16 });
 */
export function decorrelatedBatchNorm(x: TensorLike, options: DecorrelatedBatchNormOptions = {}): Tensor {
  return decorrelatedForwardAs("decorrelatedBatchNorm", x, options, options.eps ?? 1e-3, eigenRoot).y;
}

/** `decorrelatedBatchNorm` that also returns what `decorrelatedBatchNormBackward` needs, and the running statistics. */
export function decorrelatedBatchNormForward(
  x: TensorLike,
  options: DecorrelatedBatchNormOptions = {},
): DecorrelatedResult {
  return decorrelatedForwardAs("decorrelatedBatchNormForward", x, options, options.eps ?? 1e-3, eigenRoot);
}

/**
 * The gradient of decorrelated batch normalization, through the mean and the whitening matrix.
 *
 * With g = dy·weight[c], W = Σ^(−1/2): dW = Σ g·(x − mean)ᵀ, dΣ from dW through the eigenvectors, dx = W·(g − mean(g)) +
 * (dΣ + dΣᵀ)/m·(x − mean), dweight[c] = Σ dy·x̂, dbias[c] = Σ dy.
 *
 * @example
 * const { y, saved } = decorrelatedBatchNormForward(images, { numGroups: 16 });
 * const { dx } = decorrelatedBatchNormBackward(dimages, saved);
 */
export function decorrelatedBatchNormBackward(
  dy: TensorLike,
  saved: DecorrelatedSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return decorrelatedBackwardAs("decorrelatedBatchNormBackward", dy, saved, options.out);
}

export interface DecorrelatedBatchNormConfig extends ChannelNormConfig {
  /** Groups of neighbouring channels, each whitened by itself. Default 1. */
  numGroups?: number;
  /** Weight of the new batch in the running statistics. Default 0.1. */
  momentum?: number;
}

/** A layer that whitens channels, with running mean (zeros at first) and whitening matrices (ones). */
export abstract class WhiteningLayer extends ChannelLayer {
  readonly numGroups: number;
  readonly momentum: number;
  readonly runningMean: TypedArray;
  /** [numGroups, C/numGroups, C/numGroups] */
  readonly runningProjection: TypedArray;
  /** The name of the class: minifiers change `constructor.name`. */
  readonly #kind: string;
  #saved: DecorrelatedSaved | undefined;

  constructor(method: string, numFeatures: number, config: DecorrelatedBatchNormConfig) {
    super(method, numFeatures, config);
    this.#kind = method;
    this.numGroups = checkGroups(method, config.numGroups ?? 1, numFeatures, "numFeatures");
    this.momentum = checkMomentum(method, config.momentum) ?? 0.1;
    const width = numFeatures / this.numGroups;
    const Floats = arrayClass(config.dtype ?? "float32");
    this.runningMean = new Floats(numFeatures);
    this.runningProjection = new Floats(numFeatures * width);
    for (let i = 0; i < numFeatures; i++) this.runningProjection[i * width + (i % width)] = 1;
  }

  /** The method's forward pass. @internal */
  protected abstract run(method: string, x: TensorLike, options: DecorrelatedBatchNormOptions): DecorrelatedResult;

  protected override stateEntries(): StateEntry[] {
    const { runningMean, runningProjection, numFeatures, numGroups } = this;
    const width = numFeatures / numGroups;
    return [
      ...super.stateEntries(),
      { name: "running_mean", aliases: MEAN_ALIASES, data: runningMean, shape: [numFeatures] },
      { name: "running_projection", data: runningProjection, shape: [numGroups, width, width] },
    ];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = `${this.#kind}.forward`;
    const { numGroups, momentum, runningMean, runningProjection } = this;
    const mode = this.mode === "train" ? "train" : "eval";
    const settings = { ...this.optionsFor(method, x), ...options, numGroups, momentum, mode } as const;
    const { y, saved, running } = this.run(method, x, { ...settings, runningMean, runningProjection });
    this.#saved = saved;
    if (running !== null && mode === "train") {
      runningMean.set(running.runningMean);
      runningProjection.set(running.runningProjection);
    }
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = `${this.#kind}.backward`;
    return this.learn(decorrelatedBackwardAs(method, dy, this.#saved as DecorrelatedSaved, options.out)).dx;
  }
}

/**
 * Decorrelated batch normalization as a layer: `decorrelatedBatchNorm` with its weight (ones at first), bias (zeros),
 * gradients, and running mean and whitening matrices.
 *
 * @example
 * const norm = new DecorrelatedBatchNorm(64, { numGroups: 16 });
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.weight.grad, norm.bias.grad
 */
export class DecorrelatedBatchNorm extends WhiteningLayer {
  constructor(numFeatures: number, config: DecorrelatedBatchNormConfig = {}) {
    super("DecorrelatedBatchNorm", numFeatures, { ...config, eps: config.eps ?? 1e-3 });
  }

  protected run(method: string, x: TensorLike, options: DecorrelatedBatchNormOptions): DecorrelatedResult {
    return decorrelatedForwardAs(method, x, options, this.eps, eigenRoot);
  }
}
