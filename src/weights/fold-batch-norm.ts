import { checkNumber, fail, show } from "../core/errors.js";
import {
  arrayClass,
  elementsOf,
  readTensor,
  readValues,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";

/** The weight and bias of a linear map or a convolution. */
export interface LinearMap {
  weight: TensorLike;
  bias?: VectorLike | null;
}

/** What folding needs of a batch norm; a `BatchNorm` with running statistics has it. */
export interface FoldableNorm {
  readonly runningMean: VectorLike | null;
  readonly runningVar: VectorLike | null;
  readonly weight?: VectorLike | { readonly data: VectorLike } | null;
  readonly bias?: VectorLike | { readonly data: VectorLike } | null;
  readonly eps?: number;
}

export interface FoldOptions {
  /**
   * The axis of the output channel in the weight, or the axes that make it up in order. Default 0: linear layers and
   * convolutions as PyTorch stores them, depthwise ones too. Transposed convolutions: 1, with `groups`. Keras stores
   * kernels with the output channel last (-1), depthwise ones with channel and multiplier last ([2, 3]).
   */
  axis?: number | readonly number[];
  /** Groups of a transposed convolution [in, out/groups, ...]: its first axis tells the group. Default 1. */
  groups?: number;
}

function asVector(value: FoldableNorm["weight"]): VectorLike | null {
  if (value === null || value === undefined) return null;
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return value as VectorLike;
  return "shape" in value || "dims" in value ? (value as VectorLike) : (value as { data: VectorLike }).data;
}

/**
 * Folds batch normalization at inference into the linear map or convolution before it.
 *
 * With a = weight/√(runningVar + eps): W' = W·a[out], b' = (b − runningMean)·a + bias. Computed in f64, rounded once.
 *
 * The result is { weight, bias } with the shape and element type of W; the bias has one entry for each output channel.
 * Throws where the norm has no running statistics or another number of channels than W.
 *
 * Source: S. Ioffe, C. Szegedy, "Batch Normalization", 2015, section 3.1 (inference as one linear transform).
 *
 * @example
 * const norm = new BatchNorm(8);
 * const conv = { weight: { data: new Float32Array(8 * 3 * 9), shape: [8, 3, 3, 3] } };
 * const { weight, bias } = foldBatchNorm(conv, norm);
 */
export function foldBatchNorm(
  map: LinearMap,
  norm: FoldableNorm,
  options: FoldOptions = {},
): { weight: Tensor; bias: Tensor } {
  const method = "foldBatchNorm";
  const weight = readTensor(method, "weight", map?.weight);
  const { shape } = weight;
  const axes = (typeof options.axis === "object" ? [...options.axis] : [options.axis ?? 0]).map((axis) => {
    const found = axis < 0 ? axis + shape.length : axis;
    if (!Number.isSafeInteger(found) || found < 0 || found >= shape.length) {
      fail(method, `axis must name a dimension of weight, whose shape is ${show(shape)}, got ${show(axis)}`);
    }
    return found;
  });
  const groups = options.groups ?? 1;
  if (!Number.isSafeInteger(groups) || groups < 1 || shape[0] % groups !== 0) {
    fail(method, `groups must divide the first dimension of weight (${shape[0]}), got ${show(groups)}`);
  }
  if (groups > 1 && axes.includes(0)) {
    fail(method, `groups (${groups}) is for transposed convolutions, whose output channel is on axis 1; pass axis: 1`);
  }
  const perGroup = axes.reduce((product, axis) => product * shape[axis], 1);
  const channels = perGroup * groups;
  const meaning = "one for each output channel of weight";
  if (!norm?.runningMean || !norm.runningVar) {
    fail(method, "the norm must have runningMean and runningVar; a norm without running statistics cannot be folded");
  }
  const eps = checkNumber(method, "eps", norm.eps ?? 1e-5, 0);
  const mean = readValues(method, "runningMean", norm.runningMean, channels, meaning, 0);
  const variance = readValues(method, "runningVar", norm.runningVar, channels, meaning, 1);
  const gamma = readValues(method, "the norm's weight", asVector(norm.weight), channels, meaning, 1);
  const beta = readValues(method, "the norm's bias", asVector(norm.bias), channels, meaning, 0);
  const offset = readValues(method, "bias", map.bias, channels, meaning, 0);

  const scale = gamma.map((value, c) => value / Math.sqrt(variance[c] + eps));
  const folded = new (arrayClass(weight.dtype))(weight.length);
  const values = elementsOf(weight);
  // Elements behind the last of the axes stand side by side and share their channel.
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const run = Math.min(...axes.map((axis) => strides[axis]));
  const groupSize = weight.length / groups;
  for (let from = 0; from < values.length; from += run) {
    let channel = 0;
    for (const axis of axes) channel = channel * shape[axis] + (Math.floor(from / strides[axis]) % shape[axis]);
    if (groups > 1) channel += Math.floor(from / groupSize) * perGroup;
    const factor = scale[channel];
    for (let at = from; at < from + run; at++) folded[at] = values[at] * factor;
  }
  const bias = offset.map((value, c) => (value - mean[c]) * scale[c] + beta[c]);
  return {
    weight: { data: folded, shape: [...shape] },
    bias: { data: new (arrayClass(weight.dtype))(bias), shape: [channels] },
  };
}
