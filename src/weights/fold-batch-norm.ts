import { checkEps, fail, show } from "../core/errors.js";
import { withScratch } from "../core/memory.js";
import { COLUMNS, kernelsOf, ROWS } from "../core/parts.js";
import { stageF64, stream } from "../core/stream.js";
import {
  arrayClass,
  checkAxis,
  type Operand,
  readTensor,
  readValues,
  Target,
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
  /** Where to write the weight; may be the map's own. Default: a new heap array. */
  out?: TensorLike;
}

function asVector(value: FoldableNorm["weight"]): VectorLike | null {
  if (value === null || value === undefined) return null;
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return value as VectorLike;
  return "shape" in value || "dims" in value ? (value as VectorLike) : (value as { data: VectorLike }).data;
}

/** y = x·factor of `rows` runs of elements from the first on, which take the factors in turn; f64, rounded once. */
function scaleRuns(
  y: Target,
  x: Operand,
  factors: ArrayLike<number>,
  { rows, run, first }: { rows: number; run: number; first: number },
): void {
  const onRows = kernelsOf(ROWS, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const period = factors.length;
  withScratch(() => {
    const factor = stageF64(factors);
    if (run > 1) {
      stream({ rows, n: run, firstRow: first, cut: 1 }, [x], [y], ([from, to], chunk) => {
        onRows.rowScaleWide(to, from, factor, chunk.rows, chunk.n, chunk.row - first, period);
      });
      return;
    }
    const plan = { rows: rows / period, n: period, firstRow: first / period, cut: 1 };
    stream(plan, [x], [y], ([from, to], chunk) => {
      onColumns.colScaleWide(to, from, factor + 8 * chunk.offset, chunk.rows, chunk.n);
    });
  });
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
  const axes = (typeof options.axis === "object" ? [...options.axis] : [options.axis ?? 0]).map((axis) =>
    checkAxis(method, "axis", axis, shape, "weight"),
  );
  if (axes.length === 0) fail(method, "axis must name at least one dimension of weight, got []");
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
  const eps = checkEps(method, norm.eps);
  const mean = readValues(method, "runningMean", norm.runningMean, channels, meaning, 0);
  const variance = readValues(method, "runningVar", norm.runningVar, channels, meaning, 1);
  const gamma = readValues(method, "the norm's weight", asVector(norm.weight), channels, meaning, 1);
  const beta = readValues(method, "the norm's bias", asVector(norm.bias), channels, meaning, 0);
  const offset = readValues(method, "bias", map.bias, channels, meaning, 0);

  const scale = new Float64Array(channels);
  for (let c = 0; c < channels; c++) scale[c] = gamma[c] / Math.sqrt(variance[c] + eps);
  const folded = new Target(method, options.out, weight, [weight]);
  // Elements behind the last of the axes stand side by side and share their channel; those runs take one channel after the
  // other, over all that the axes span, and begin anew.
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const run = strides[Math.max(...axes)];
  const period = (strides[Math.min(...axes)] / run) * shape[Math.min(...axes)];
  const channelOf = (i: number) =>
    axes.reduce((channel, axis) => channel * shape[axis] + (Math.floor((i * run) / strides[axis]) % shape[axis]), 0);
  // Neighbouring axes in order take the channels in order.
  const pattern = axes.every((axis, i) => axis === axes[0] + i)
    ? null
    : Array.from({ length: period }, (_, i) => channelOf(i));
  const rows = weight.length / groups / run;
  for (let group = 0; group < groups; group++) {
    const ofGroup = scale.subarray(group * perGroup, (group + 1) * perGroup);
    const factors = pattern === null ? ofGroup : pattern.map((channel) => ofGroup[channel]);
    scaleRuns(folded, weight, factors, { rows, run, first: group * rows });
  }
  const bias = new (arrayClass(weight.dtype))(channels);
  for (let c = 0; c < channels; c++) bias[c] = (offset[c] - mean[c]) * scale[c] + beta[c];
  return {
    weight: folded.result,
    bias: { data: bias, shape: [channels] },
  };
}
