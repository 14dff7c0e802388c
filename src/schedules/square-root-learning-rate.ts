import { checkNumber } from "../core/errors.js";

export interface BatchSizes {
  /** Of the training to come. */
  batchSize: number;
  /** That the rate or the epochs were found with. */
  baseBatchSize: number;
}

function ratioOf(method: string, { batchSize, baseBatchSize }: BatchSizes): number {
  return (
    checkNumber(method, "batchSize", batchSize, 0, true) / checkNumber(method, "baseBatchSize", baseBatchSize, 0, true)
  );
}

/**
 * The learning rate for another batch size, by the rule of the square root: the deviation of a step's noise stays the
 * same.
 *
 * lr·√(batchSize/baseBatchSize).
 *
 * Throws where a number is not above 0. Goes with `adaptedEpochs`, ghost batch norm and clipped gradients in the
 * source.
 *
 * Source: E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", 2017, arXiv:1705.08741, section 4.
 *
 * @example
 * squareRootLearningRate(0.1, { batchSize: 4096, baseBatchSize: 256 }); // 0.4
 */
export function squareRootLearningRate(lr: number, sizes: BatchSizes): number {
  const method = "squareRootLearningRate";
  return checkNumber(method, "lr", lr, 0, true) * Math.sqrt(ratioOf(method, sizes));
}

/**
 * The epochs that give a larger batch as many steps as the smaller one had (regime adaptation): how far weights get
 * from their start depends on the number of steps.
 *
 * epochs·batchSize/baseBatchSize.
 *
 * Source: E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", 2017, arXiv:1705.08741, section 5.
 *
 * @example
 * adaptedEpochs(80, { batchSize: 512, baseBatchSize: 128 }); // 320
 */
export function adaptedEpochs(epochs: number, sizes: BatchSizes): number {
  const method = "adaptedEpochs";
  return checkNumber(method, "epochs", epochs, 0, true) * ratioOf(method, sizes);
}
