import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
} from "../core/channelwise.js";
import { checkPositions, geometryOf } from "../core/geometry.js";
import { keep } from "../core/memory.js";
import { readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { type GroupNormSaved, groupNormBackwardAs, groupNormForwardAs } from "./group-norm.js";

export type InstanceNormOptions = ChannelNormOptions;
export type InstanceNormSaved = GroupNormSaved;

/** Instance norm is group norm with a channel a group. */
function forwardAs(method: string, x: TensorLike, options: InstanceNormOptions, saves = true) {
  const operand = readTensor(method, "x", x);
  const geometry = geometryOf(method, operand, options.layout);
  checkPositions(method, operand, geometry);
  const { weight, bias, eps, layout, out } = options;
  return groupNormForwardAs(method, x, { weight, bias, eps, layout, out, numGroups: geometry.c }, saves);
}

/**
 * Instance normalization: each channel of each sample is brought to mean 0 and variance 1 over its positions, then scaled
 * and shifted.
 *
 * y = (x − mean)/√(var + eps)·weight[c] + bias[c], mean and (biased) variance over the positions of (n, c).
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; weight and bias are `[C]`.
 * The same in training and inference. Throws where there is one position, a length differs, or eps is negative.
 *
 * Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance Normalization", 2016, arXiv:1607.08022.
 *
 * @example
 * const y = instanceNorm({ data: new Float32Array(2 * 3 * 16), shape: [2, 3, 4, 4] });
 */
export function instanceNorm(x: TensorLike, options: InstanceNormOptions = {}): Tensor {
  return forwardAs("instanceNorm", x, options, false).y;
}

/** `instanceNorm` that also returns what `instanceNormBackward` needs. */
export function instanceNormForward(
  x: TensorLike,
  options: InstanceNormOptions = {},
): { y: Tensor; saved: InstanceNormSaved } {
  return keep(forwardAs("instanceNormForward", x, options));
}

/**
 * The gradient of instance normalization: `groupNormBackward` with the positions of (n, c) as the group.
 *
 * @example
 * const { y, saved } = instanceNormForward(images);
 * const { dx } = instanceNormBackward(dimages, saved);
 */
export function instanceNormBackward(
  dy: TensorLike,
  saved: InstanceNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return groupNormBackwardAs("instanceNormBackward", dy, saved, options.out);
}

/**
 * Instance normalization as a layer. `affine` is false by default, as in PyTorch; no running statistics are kept.
 *
 * @example
 * const norm = new InstanceNorm(64, { affine: true });
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.weight.grad, norm.bias.grad
 */
export class InstanceNorm extends ChannelLayer {
  #saved: InstanceNormSaved | undefined;

  constructor(numFeatures: number, config: ChannelNormConfig = {}) {
    super("InstanceNorm", numFeatures, { ...config, affine: config.affine ?? false });
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "InstanceNorm.forward";
    const { y, saved } = forwardAs(method, x, { ...this.optionsFor(method, x), out: options.out });
    this.#saved = keep(saved);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as InstanceNormSaved;
    return this.learn(groupNormBackwardAs("InstanceNorm.backward", dy, saved, options.out)).dx;
  }
}
