import { checkEps, checkNumber, fail, show } from "../core/errors.js";
import { arraysF64 } from "../core/memory.js";
import { arrayClass, elementsOf, readVector, type Tensor, type VectorLike } from "../core/tensor.js";

export interface BoundedBatchNormOptions {
  /** How far a channel's ratio may be from the mean: between mean/(1 + epsilon) and mean·(1 + epsilon). Default 1. */
  epsilon?: number;
  /** Added to the running variance; that of the batch norm. Default 1e-5. */
  eps?: number;
  /** Bound the weights themselves against their mean, whatever the deviations. Default false. */
  relative?: boolean;
}

/**
 * Bounded batch normalization: weights of a batch norm brought to within a factor of their layer's mean, so that the
 * layer stretches no channel much more than another. A projection, for after an optimizer's step, together with
 * singular value bounding of the layer before.
 *
 * With s = √(runningVar + eps) and m the mean of weight/s over the channels: each weight/s is brought between m/(1 +
 * epsilon) and m·(1 + epsilon). `relative`: s = 1. Where m is not positive the weights stay as they are: the bounds
 * would be in the wrong order.
 *
 * weight and runningVar are `[C]`; so is the result, of weight's element type. Throws where the lengths differ, or
 * epsilon or eps is negative.
 *
 * Source: K. Jia, D. Tao, S. Gao, X. Xu, "Improving training of deep neural networks via Singular Value Bounding",
 * 2016, arXiv:1611.06013, algorithm 2.
 *
 * @example
 * const norm = new BatchNorm(64);
 * norm.weight.data.set(boundedBatchNorm(norm.weight, norm.runningVar, { eps: norm.eps }).data);
 */
export function boundedBatchNorm(
  weight: VectorLike,
  runningVar: VectorLike,
  options: BoundedBatchNormOptions = {},
): Tensor {
  const method = "boundedBatchNorm";
  const given = (weight as { data?: ArrayLike<number> } | null)?.data ?? (weight as ArrayLike<number> | null);
  const channels = given?.length ?? 0;
  const operand = readVector(method, "weight", weight, channels, "one for each channel");
  if (operand === undefined || !(channels > 0)) {
    fail(method, `weight must have at least one element, got ${show(weight)}`);
  }
  const epsilon = checkNumber(method, "epsilon", options.epsilon ?? 1, 0);
  const eps = checkEps(method, options.eps);
  const found = readVector(method, "runningVar", runningVar, channels, "one for each channel");
  const variance = found === undefined ? new Float64Array(channels).fill(1) : elementsOf(found);
  const values = elementsOf(operand);
  const [ratio, deviation] = arraysF64(2, channels);
  const relative = options.relative ?? false;
  let sum = 0;
  for (let c = 0; c < channels; c++) {
    deviation[c] = relative ? 1 : Math.sqrt(variance[c] + eps);
    ratio[c] = values[c] / deviation[c];
    sum += ratio[c];
  }
  const mean = sum / channels;
  const [low, high] = [mean / (1 + epsilon), mean * (1 + epsilon)];
  const data = new (arrayClass(operand.dtype))(values);
  for (let c = 0; c < channels && mean > 0; c++) {
    if (ratio[c] > high) data[c] = deviation[c] * high;
    else if (ratio[c] < low) data[c] = deviation[c] * low;
  }
  return { data, shape: [channels] };
}
