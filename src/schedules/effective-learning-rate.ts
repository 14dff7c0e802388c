import { checkNumber, checkOneOf, fail } from "../core/errors.js";
import { sliceLengths, slicesOf } from "../core/slices.js";
import { readTensor, type TensorLike } from "../core/tensor.js";

export interface EffectiveLearningRateOptions {
  /** "sgd": the rate shrinks with ‖w‖²; "adam": with ‖w‖, since Adam's steps have a fixed length. Default "sgd". */
  optimizer?: "sgd" | "adam";
}

export interface Equilibrium {
  lr: number;
  /** lambda of the gradient g + lambda·w. */
  weightDecay: number;
  /** The length of the gradient at weights of length 1. */
  gradientNorm: number;
}

function readEquilibrium(method: string, { lr, weightDecay, gradientNorm }: Equilibrium): Equilibrium {
  checkNumber(method, "lr", lr, 0, true);
  checkNumber(method, "weightDecay", weightDecay, 0, true);
  checkNumber(method, "gradientNorm", gradientNorm, 0);
  return { lr, weightDecay, gradientNorm };
}

/**
 * The learning rate as the direction of a scale-invariant weight sees it.
 *
 * lr/‖w‖² for gradient descent, lr/‖w‖ for Adam: the gradient of a loss that does not see the length of w shrinks as
 * 1/‖w‖, and a step turns w by its length over ‖w‖.
 *
 * w is a tensor, or its length. Throws where lr is negative or w is 0. For one rate a unit, pass each unit's length.
 *
 * Source: T. van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017, arXiv:1706.05350.
 *
 * @example
 * effectiveLearningRate({ data: new Float32Array([3, 4]), shape: [2] }, 0.1); // 0.004
 */
export function effectiveLearningRate(
  w: TensorLike | number,
  lr: number,
  options: EffectiveLearningRateOptions = {},
): number {
  const method = "effectiveLearningRate";
  const optimizer = checkOneOf(method, "optimizer", options.optimizer ?? "sgd", ["sgd", "adam"]);
  checkNumber(method, "lr", lr, 0);
  let norm: number;
  if (typeof w === "number") norm = checkNumber(method, "w", w, 0);
  else {
    const operand = readTensor(method, "w", w);
    [norm] = sliceLengths(
      operand,
      slicesOf(operand.shape, () => true),
    ).length;
  }
  if (norm === 0) fail(method, "w must not be 0; weights without a length have no direction");
  return optimizer === "adam" ? lr / norm : lr / (norm * norm);
}

/**
 * The length that a scale-invariant weight settles at under gradient descent with weight decay.
 *
 * ‖w‖ = (lr/(2·weightDecay))^¼·√gradientNorm: there a step lengthens w as much as the decay shortens it.
 *
 * Source: T. van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017, arXiv:1706.05350.
 *
 * @example
 * equilibriumNorm({ lr: 0.1, weightDecay: 5e-4, gradientNorm: 1 }); // 3.1623
 */
export function equilibriumNorm(equilibrium: Equilibrium): number {
  const { lr, weightDecay, gradientNorm } = readEquilibrium("equilibriumNorm", equilibrium);
  return Math.sqrt(Math.sqrt(lr / (2 * weightDecay)) * gradientNorm);
}

/**
 * The effective learning rate at that length: √(2·lr·weightDecay)/gradientNorm. Weight decay does not regularize a
 * scale-invariant weight; it sets how fast its direction moves.
 *
 * Source: T. van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017, arXiv:1706.05350.
 *
 * @example
 * equilibriumLearningRate({ lr: 0.1, weightDecay: 5e-4, gradientNorm: 1 }); // 0.01
 */
export function equilibriumLearningRate(equilibrium: Equilibrium): number {
  const { lr, weightDecay, gradientNorm } = readEquilibrium("equilibriumLearningRate", equilibrium);
  return Math.sqrt(2 * lr * weightDecay) / gradientNorm;
}
