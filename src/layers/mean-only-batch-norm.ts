import { transformCells } from "../core/cells.js";
import { checkChannels, PER_CHANNEL, vectorOf } from "../core/channelwise.js";
import { checkCount, checkOneOf, fail, show } from "../core/errors.js";
import { type Geometry, geometryOf, type Layout, pooled } from "../core/geometry.js";
import { measureChannels } from "../core/grouped.js";
import { Layer, MEAN_ALIASES, Parameter, type StateEntry } from "../core/layer.js";
import {
  type DType,
  keep,
  mapF64,
  passingCopyF64,
  passingF64,
  scratch,
  scratchF64,
  type TypedArray,
  withScratch,
} from "../core/memory.js";
import { checkMomentum, sameClass, step } from "../core/running.js";
import { stageVector } from "../core/stream.js";
import {
  arrayClass,
  fillFrom,
  type Operand,
  readTensor,
  readVector,
  sameShape,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";

export interface MeanOnlyBatchNormOptions {
  /** "train": the mean of the batch. "eval": the running one. Default "train". */
  mode?: "train" | "eval";
  /** One summand for each channel. Default: zeros. */
  bias?: VectorLike | null;
  /** Running mean: read in eval mode, and the basis of the one returned in training. Not written to. */
  runningMean?: VectorLike | null;
  /** Batches in the running mean so far; used where momentum is null. Default 0. */
  numBatchesTracked?: number;
  /** Weight of the new batch: running = (1 − momentum)·running + momentum·batch; null: their average. Default 0.1. */
  momentum?: number | null;
  /** Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

/** What the backward pass needs: no data, only what they were. */
export interface MeanOnlyBatchNormSaved {
  /** @internal */
  readonly dtype: DType;
  /** @internal */
  readonly shape: readonly number[];
  /** @internal */
  readonly layout: Layout | undefined;
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly hasBias: boolean;
}

export interface MeanOnlyBatchNormResult {
  y: Tensor;
  saved: MeanOnlyBatchNormSaved;
  /** The running mean after this batch (in eval mode as it was); null where none was given. */
  running: { runningMean: TypedArray; numBatchesTracked: number } | null;
}

export interface MeanOnlyGradients {
  dx: Tensor;
  /** Null where there was no bias. */
  dbias: Tensor | null;
}

/** y = x − mean + shift, each a vector of channels in linear memory. */
function shiftBy(y: Target, x: Operand, geometry: Geometry, mean: number, shift: number): void {
  transformCells(y, x, geometry, { mean, scale: stageVector(undefined, geometry.c, 1), shift }, geometry.c);
}

function forwardAs(method: string, x: TensorLike, options: MeanOnlyBatchNormOptions): MeanOnlyBatchNormResult {
  const operand = readTensor(method, "x", x);
  const geometry = pooled(geometryOf(method, operand, options.layout));
  const { c } = geometry;
  const mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
  const momentum = checkMomentum(method, options.momentum);
  let numBatchesTracked = checkCount(method, "numBatchesTracked", options.numBatchesTracked ?? 0, 0);
  const bias = readVector(method, "bias", options.bias, c, PER_CHANNEL);
  const given = readVector(method, "runningMean", options.runningMean, c, PER_CHANNEL);
  if (mode === "eval" && given === undefined) {
    fail(method, 'runningMean must be given in mode "eval"; pass it, or use mode "train"');
  }
  const y = new Target(method, options.out, operand, [operand]);
  let runningMean = given && fillFrom(passingF64(c), given, 0);
  if (mode === "train") numBatchesTracked++;
  withScratch(() => {
    let mean: number;
    if (mode === "eval") mean = stageVector(given, c, 0);
    else {
      mean = scratch(8 * c);
      measureChannels(mean, scratch(8 * c), operand, geometry);
      runningMean = runningMean && step(runningMean, passingCopyF64(mean, c), momentum ?? 1 / numBatchesTracked);
    }
    shiftBy(y, operand, geometry, mean, stageVector(bias, c, 0));
  });
  return {
    y: y.result,
    running: runningMean ? { runningMean: sameClass(runningMean, options.runningMean), numBatchesTracked } : null,
    saved: {
      dtype: operand.dtype,
      shape: [...operand.shape],
      layout: options.layout,
      constant: mode === "eval",
      hasBias: bias !== undefined,
    },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: MeanOnlyBatchNormSaved | undefined,
  out: TensorLike | undefined,
): MeanOnlyGradients {
  if (saved === undefined) fail(method, "there is no forward pass to go back through; call forward first");
  const gradient = readTensor(method, "dy", dy);
  const { dtype, shape, layout, constant, hasBias } = saved;
  if (!sameShape(gradient.shape, shape) || gradient.dtype !== dtype) {
    fail(
      method,
      `dy has shape ${show(gradient.shape)} (${gradient.dtype}) where x has ${show(shape)} (${dtype}); they must be the same`,
    );
  }
  const geometry = pooled(geometryOf(method, gradient, layout));
  const { c } = geometry;
  const dx = new Target(method, out, gradient, [gradient]);
  const dbias = withScratch(() => {
    const mean = scratch(8 * c);
    measureChannels(mean, scratch(8 * c), gradient, geometry);
    const sums = mapF64(passingCopyF64(mean, c), (value) => value * (gradient.length / c));
    shiftBy(dx, gradient, geometry, constant ? scratchF64(c) : mean, scratchF64(c));
    return sums;
  });
  return { dx: dx.result, dbias: hasBias ? vectorOf(dbias, dtype) : null };
}

/**
 * Mean-only batch normalization: each channel is brought to mean 0 over the samples and positions of the batch, or by a
 * running mean at inference, then shifted; its deviation is left alone. Made to go with weight normalization.
 *
 * y = x − mean + bias[c].
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`. Throws
 * where a length differs or "eval" lacks the running mean.
 *
 * Source: T. Salimans, D. P. Kingma, "Weight Normalization", 2016, arXiv:1602.07868, section 4.
 *
 * @example
 * const y = meanOnlyBatchNorm(x, { bias });
 */
export function meanOnlyBatchNorm(x: TensorLike, options: MeanOnlyBatchNormOptions = {}): Tensor {
  return forwardAs("meanOnlyBatchNorm", x, options).y;
}

/** `meanOnlyBatchNorm` that also returns what `meanOnlyBatchNormBackward` needs, and the running mean after this batch. */
export function meanOnlyBatchNormForward(
  x: TensorLike,
  options: MeanOnlyBatchNormOptions = {},
): MeanOnlyBatchNormResult {
  return keep(forwardAs("meanOnlyBatchNormForward", x, options));
}

/**
 * The gradient of mean-only batch normalization: dx = dy − mean(dy) over the batch, dbias[c] = Σ dy; in mode "eval" dx = dy.
 * It does not need x, so the forward pass may write over it.
 *
 * @example
 * const { y, saved } = meanOnlyBatchNormForward(x, { bias });
 * const { dx, dbias } = meanOnlyBatchNormBackward(dy, saved);
 */
export function meanOnlyBatchNormBackward(
  dy: TensorLike,
  saved: MeanOnlyBatchNormSaved,
  options: { out?: TensorLike } = {},
): MeanOnlyGradients {
  return backwardAs("meanOnlyBatchNormBackward", dy, saved, options.out);
}

export interface MeanOnlyBatchNormConfig {
  /** Weight of the new batch in the running mean, or null for their average. Default 0.1. */
  momentum?: number | null;
  /** Whether a bias is learned. Default true. */
  affine?: boolean;
  /** Default "channels-first". */
  layout?: Layout;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
}

/**
 * Mean-only batch normalization as a layer: `meanOnlyBatchNorm` with its bias (zeros at first), gradient, and a running
 * mean (0) that training updates and eval and frozen mode use.
 *
 * @example
 * const norm = new MeanOnlyBatchNorm(768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.bias.grad
 */
export class MeanOnlyBatchNorm extends Layer {
  readonly numFeatures: number;
  readonly momentum: number | null;
  readonly layout: Layout;
  /** There is none. */
  readonly weight = null;
  readonly bias: Parameter | null;
  readonly runningMean: TypedArray;
  readonly #tracked = new Float64Array(1);
  #saved: MeanOnlyBatchNormSaved | undefined;

  constructor(numFeatures: number, config: MeanOnlyBatchNormConfig = {}) {
    super();
    const method = "MeanOnlyBatchNorm";
    this.numFeatures = checkCount(method, "numFeatures", numFeatures);
    this.momentum = checkMomentum(method, config.momentum);
    this.layout = checkOneOf(method, "layout", config.layout ?? "channels-first", ["channels-first", "channels-last"]);
    const dtype = config.dtype ?? "float32";
    this.bias = (config.affine ?? true) ? new Parameter([numFeatures], dtype, 0) : null;
    this.runningMean = new (arrayClass(dtype))(numFeatures);
  }

  /** Batches that the running mean has seen. */
  get numBatchesTracked(): number {
    return this.#tracked[0];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "MeanOnlyBatchNorm.forward";
    const { momentum, layout, bias, runningMean, numBatchesTracked } = this;
    checkChannels(method, x, layout, this.numFeatures);
    const mode = this.mode === "train" ? "train" : "eval";
    const given = { mode, momentum, layout, bias: bias?.data, runningMean, numBatchesTracked } as const;
    const { y, saved, running } = forwardAs(method, x, { ...given, out: options.out });
    this.#saved = keep(saved);
    if (running !== null) {
      runningMean.set(running.runningMean);
      this.#tracked[0] = running.numBatchesTracked;
    }
    return y;
  }

  /** dx of the last forward; adds to the gradient of the bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const gradients = backwardAs("MeanOnlyBatchNorm.backward", dy, this.#saved, options.out);
    this.learn(gradients);
    return gradients.dx;
  }

  /** Mean 0, no batches. */
  resetRunningStats(): void {
    this.runningMean.fill(0);
    this.#tracked[0] = 0;
  }

  protected override stateEntries(): StateEntry[] {
    return [
      ...super.stateEntries(),
      { name: "running_mean", aliases: MEAN_ALIASES, data: this.runningMean, shape: [this.numFeatures] },
      { name: "num_batches_tracked", aliases: [], data: this.#tracked, shape: [] },
    ];
  }
}
