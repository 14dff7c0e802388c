import {
  type ChannelGradients,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  checkChannels,
  checkGroups,
  PER_CHANNEL,
} from "../core/channelwise.js";
import { checkCount, checkEps } from "../core/errors.js";
import { type Geometry, geometryOf, type Layout } from "../core/geometry.js";
import { applyGroupsGrad, byGroup, normalizeGroups } from "../core/grouped.js";
import { keepInput, Layer, Parameter, type Saved, savedInput } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { normalizeRows, normalizeRowsGrad, type RowStatistics, rowStatistics } from "../core/rows.js";
import {
  type Operand,
  readAlike,
  readCoefficients,
  readTensor,
  readVector,
  Target,
  type Tensor,
  type TensorLike,
} from "../core/tensor.js";

export interface GroupNormOptions extends ChannelNormOptions {
  /** Groups that the channels are divided into; must divide their number. */
  numGroups: number;
}

export interface GroupNormSaved extends Saved {
  /** Mean and 1/√(var + eps) of each group of each sample, [N, numGroups]. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** @internal */
  readonly options: Omit<GroupNormOptions, "out">;
}

/** With one position a channel the groups of a sample are rows, side by side, with a weight for each element. */
function rowOptions({ n, c }: Geometry, numGroups: number, weight?: Operand, bias?: Operand) {
  return { rows: n * numGroups, n: c / numGroups, weight, bias, period: numGroups, centered: true };
}

/** Group norm for itself and for instance norm, under the caller's name; y alone without `saves`. @internal */
export function groupNormForwardAs(
  method: string,
  x: TensorLike,
  options: GroupNormOptions,
  saves = true,
): { y: Tensor; saved: GroupNormSaved } {
  const operand = readTensor(method, "x", x);
  const geometry = geometryOf(method, operand, options.layout);
  const { c, s } = geometry;
  const numGroups = checkGroups(method, options.numGroups, c);
  const eps = checkEps(method, options.eps);
  const y = new Target(method, options.out, operand, [operand]);
  let statistics: RowStatistics;
  if (s === 1) {
    statistics = rowStatistics(geometry.n * numGroups);
    const weight = readVector(method, "weight", options.weight, c, PER_CHANNEL);
    const bias = readVector(method, "bias", options.bias, c, PER_CHANNEL);
    normalizeRows(y, operand, rowOptions(geometry, numGroups, weight, bias), eps, statistics);
  } else {
    const weight = readCoefficients(method, "weight", options.weight, c, PER_CHANNEL, 1);
    const bias = readCoefficients(method, "bias", options.bias, c, PER_CHANNEL, 0);
    const grouping = byGroup(geometry, numGroups);
    statistics = normalizeGroups(y, operand, geometry, grouping, weight, bias, eps, saves);
  }
  return { y: y.result, saved: { x: keepInput(x, operand, y), mean: statistics.mean, rstd: statistics.rstd, options } };
}

/** The gradient of `groupNormForwardAs`. @internal */
export function groupNormBackwardAs(
  method: string,
  dy: TensorLike,
  saved: GroupNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const x = savedInput(method, saved);
  const gradient = readAlike(method, "dy", dy, x);
  const { options } = saved;
  const geometry = geometryOf(method, x, options.layout);
  const { c, s } = geometry;
  const { numGroups } = options;
  const dx = new Target(method, out, x, [x, gradient]);
  if (s === 1) {
    const weight = readVector(method, "weight", options.weight, c, PER_CHANNEL);
    const rows = rowOptions(geometry, numGroups, weight);
    return channelGradients(dx, x, normalizeRowsGrad(dx, gradient, x, rows, saved), options);
  }
  const weight = readCoefficients(method, "weight", options.weight, c, PER_CHANNEL, 1);
  const grouping = byGroup(geometry, numGroups);
  const count = passingF64(grouping.groups).fill((c / numGroups) * s);
  const statistics = { mean: saved.mean, rstd: saved.rstd, count };
  const grads = applyGroupsGrad(dx, gradient, x, geometry, grouping, statistics, weight, false);
  return channelGradients(dx, x, grads, options);
}

/**
 * Group normalization: in each sample, each group of neighbouring channels is brought to mean 0 and variance 1 over its
 * channels and positions; then each channel is scaled and shifted.
 *
 * y = (x − mean)/√(var + eps)·weight[c] + bias[c], mean and (biased) variance over the group ⌊c/(C/numGroups)⌋ of the sample.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; weight and bias are
 * `[C]`. One group gives layer norm's statistics, C groups those of instance norm. Throws where numGroups does not divide
 * the channels, a length differs, or eps is negative.
 *
 * Source: Y. Wu, K. He, "Group Normalization", 2018, arXiv:1803.08494.
 *
 * @example
 * const x = { data: new Float32Array(2 * 6 * 4), shape: [2, 6, 2, 2] };
 * const y = groupNorm(x, { numGroups: 3 });
 */
export function groupNorm(x: TensorLike, options: GroupNormOptions): Tensor {
  return groupNormForwardAs("groupNorm", x, options, false).y;
}

/** `groupNorm` that also returns what `groupNormBackward` needs. */
export function groupNormForward(x: TensorLike, options: GroupNormOptions): { y: Tensor; saved: GroupNormSaved } {
  return keep(groupNormForwardAs("groupNormForward", x, options));
}

/**
 * The gradient of group normalization.
 *
 * With g = dy·weight[c], x̂ = (x − mean)·rstd and means over the group: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),
 * dweight[c] = Σ dy·x̂, dbias[c] = Σ dy over samples and positions.
 *
 * @example
 * const { y, saved } = groupNormForward(x, { numGroups: 32, weight, bias });
 * const { dx, dweight, dbias } = groupNormBackward(dy, saved);
 */
export function groupNormBackward(
  dy: TensorLike,
  saved: GroupNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return groupNormBackwardAs("groupNormBackward", dy, saved, options.out);
}

/**
 * Group normalization as a layer: `groupNorm` with its weight (ones at first), bias (zeros) and gradients. `affine` is
 * true by default.
 *
 * @example
 * const norm = new GroupNorm(32, 768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class GroupNorm extends Layer {
  readonly numGroups: number;
  readonly numChannels: number;
  readonly eps: number;
  readonly layout: Layout;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  #saved: GroupNormSaved | undefined;

  constructor(numGroups: number, numChannels: number, config: ChannelNormConfig = {}) {
    super();
    this.numChannels = checkCount("GroupNorm", "numChannels", numChannels);
    this.numGroups = checkGroups("GroupNorm", numGroups, numChannels);
    this.eps = checkEps("GroupNorm", config.eps);
    this.layout = config.layout ?? "channels-first";
    const affine = config.affine ?? true;
    const dtype = config.dtype ?? "float32";
    this.weight = affine ? new Parameter([numChannels], dtype, 1) : null;
    this.bias = affine ? new Parameter([numChannels], dtype, 0) : null;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { numGroups, eps, layout } = this;
    checkChannels("GroupNorm.forward", x, layout, this.numChannels);
    const { y, saved } = groupNormForwardAs("GroupNorm.forward", x, {
      numGroups,
      eps,
      layout,
      weight: this.weight?.data,
      bias: this.bias?.data,
      out: options.out,
    });
    this.#saved = keep(saved);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as GroupNormSaved;
    return this.learn(groupNormBackwardAs("GroupNorm.backward", dy, saved, options.out)).dx;
  }
}
