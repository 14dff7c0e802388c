import { checkCount, checkNumber, fail, show } from "../core/errors.js";

export interface Decay {
  /** The step (or epoch) it comes at. */
  from: number;
  /** What the learning rate would be divided by. */
  factor: number;
}

export interface BatchSizeScheduleConfig {
  lr: number;
  batchSize: number;
  /** The decays of the learning rate to replace, in order. */
  decays: readonly Decay[];
  /** The largest batch that fits; beyond, the learning rate decays after all. Default: no limit. */
  maxBatchSize?: number;
}

export interface BatchSizePhase {
  from: number;
  lr: number;
  batchSize: number;
}

/**
 * Larger batches in place of smaller learning rates: each decay by a factor k becomes a batch k times as large, which
 * lowers the noise of the steps as much and takes fewer of them.
 *
 * For each decay: batchSize·factor, rounded, at most maxBatchSize; what that falls short of goes into lr, so that
 * lr/batchSize is that of the decay. The result is a list of phases, the first from 0.
 *
 * Throws where the decays are out of order, a factor is below 1, or maxBatchSize is below batchSize.
 *
 * Source: S. L. Smith, P.-J. Kindermans, C. Ying, Q. V. Le, "Don't Decay the Learning Rate, Increase the Batch Size",
 * 2017, arXiv:1711.00489, sections 3 and 5.
 *
 * @example
 * batchSizeSchedule({ lr: 0.1, batchSize: 128, decays: [{ from: 60, factor: 5 }], maxBatchSize: 5120 });
 * // [{ from: 0, lr: 0.1, batchSize: 128 }, { from: 60, lr: 0.1, batchSize: 640 }]
 */
export function batchSizeSchedule(config: BatchSizeScheduleConfig): BatchSizePhase[] {
  const method = "batchSizeSchedule";
  const lr = checkNumber(method, "lr", config?.lr, 0, true);
  const batchSize = checkCount(method, "batchSize", config.batchSize);
  const { decays, maxBatchSize = Infinity } = config;
  if (!Array.isArray(decays)) fail(method, `decays must be a list of { from, factor }, got ${show(decays)}`);
  if (!(maxBatchSize >= batchSize)) {
    fail(method, `maxBatchSize must be at least batchSize (${batchSize}), got ${show(maxBatchSize)}`);
  }
  const phases: BatchSizePhase[] = [{ from: 0, lr, batchSize }];
  let noise = lr / batchSize;
  for (const { from, factor } of decays) {
    const last = phases[phases.length - 1];
    checkNumber(method, "from", from, 0, true);
    checkNumber(method, "factor", factor, 1);
    if (from <= last.from) fail(method, `decays must come one after another, got ${from} after ${last.from}`);
    noise /= factor;
    const grown = Math.min(Math.round(last.batchSize * factor), Math.floor(maxBatchSize));
    const exact = grown === last.batchSize * factor;
    phases.push({ from, lr: exact ? last.lr : noise * grown, batchSize: grown });
  }
  return phases;
}

/**
 * The scale of the noise in the steps of stochastic gradient descent: what a schedule of learning rates or batch sizes
 * controls.
 *
 * lr·datasetSize/(batchSize·(1 − momentum)), for batches much smaller than the dataset.
 *
 * Source: S. L. Smith, P.-J. Kindermans, C. Ying, Q. V. Le, 2017, arXiv:1711.00489, equation 5.
 *
 * @example
 * noiseScale({ lr: 0.1, batchSize: 100, datasetSize: 50000, momentum: 0.9 }); // 500
 */
export function noiseScale(config: { lr: number; batchSize: number; datasetSize: number; momentum?: number }): number {
  const method = "noiseScale";
  const lr = checkNumber(method, "lr", config?.lr, 0);
  const batchSize = checkNumber(method, "batchSize", config.batchSize, 0, true);
  const datasetSize = checkNumber(method, "datasetSize", config.datasetSize, 0, true);
  const momentum = checkNumber(method, "momentum", config.momentum ?? 0, 0);
  if (momentum >= 1) fail(method, `momentum must be below 1, got ${momentum}`);
  return (lr * datasetSize) / (batchSize * (1 - momentum));
}
