import { checkCount, checkNumber, fail, show } from "../core/errors.js";
import { scaleWhole } from "../core/slices.js";
import { square } from "../core/special.js";
import { readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

/** A phase of a step decay: its first step and the learning rate from there on. */
export interface LearningRatePhase {
  from: number;
  lr: number;
}

export interface ExponentialLearningRateConfig {
  /** The learning rate of the training with weight decay, or its phases, the first from step 0. */
  lr: number | readonly LearningRatePhase[];
  /** Its weight decay: lambda of the gradient g + lambda·w. */
  weightDecay: number;
  /** Its momentum, that of buffer = momentum·buffer + g. Default 0. */
  momentum?: number;
}

interface Arguments {
  phases: readonly LearningRatePhase[];
  weightDecay: number;
  momentum: number;
}

function readConfig(method: string, config: ExponentialLearningRateConfig): Arguments {
  if (typeof config !== "object" || config === null) {
    fail(method, `the first argument must be { lr, weightDecay, momentum }, got ${show(config)}`);
  }
  const weightDecay = checkNumber(method, "weightDecay", config.weightDecay, 0);
  const momentum = checkNumber(method, "momentum", config.momentum ?? 0, 0);
  if (momentum >= 1) fail(method, `momentum must be below 1, got ${momentum}`);
  const phases = typeof config.lr === "number" ? [{ from: 0, lr: config.lr }] : config.lr;
  if (!Array.isArray(phases) || phases.length === 0) {
    fail(method, `lr must be a number or a list of phases { from, lr }, got ${show(config.lr)}`);
  }
  let before = -1;
  for (const { from, lr } of phases) {
    checkNumber(method, "lr", lr, 0, true);
    checkCount(method, "from", from, 0);
    if (before < 0 && from !== 0) fail(method, `the first phase of lr must be from step 0, got ${from}`);
    if (from <= before) fail(method, `the phases of lr must start one after another, got ${from} after ${before}`);
    before = from;
    growthOf(method, lr, weightDecay, momentum);
  }
  return { phases, weightDecay, momentum };
}

/**
 * alpha, the larger root of x² − (1 + momentum − weightDecay·lr)·x + momentum, as 1 − δ with the smaller root δ of
 * x² − (1 − momentum + weightDecay·lr)·x + weightDecay·lr, which is exact where there is no weight decay.
 */
function growthOf(method: string, lr: number, weightDecay: number, momentum: number): number {
  const decay = weightDecay * lr;
  const root = Math.sqrt(momentum);
  const discriminant = (square(1 - root) - decay) * (square(1 + root) - decay);
  if (decay > square(1 - root)) {
    fail(
      method,
      `weightDecay·lr (${decay}) must be at most (1 - √momentum)² (${square(1 - root)}); above, weights swing about 0 ` +
        "and no exponential rate does the same; lower one of them",
    );
  }
  return 1 - (2 * decay) / (1 - momentum + decay + Math.sqrt(discriminant));
}

/**
 * The learning rate that grows exponentially and does without weight decay what a constant one does with it, for losses
 * that do not see the length of the weights, as where a normalization follows them.
 *
 * lrs[t] = lr·alpha^(−2t − 1), alpha the larger root of x² − (1 + momentum − weightDecay·lr)·x + momentum. (With
 * momentum 0: alpha = 1 − weightDecay·lr.)
 *
 * `steps` numbers, f64. The directions of the weights are then the same at each step, if the momentum buffer starts as
 * `exponentialMomentumBuffer` says; their lengths grow as alpha^−t. Throws where alpha would be complex, which is where
 * weightDecay·lr > (1 − √momentum)².
 *
 * Source: Z. Li, S. Arora, "An Exponential Learning Rate Schedule for Deep Learning", 2019, arXiv:1910.07454, theorem
 * 2.12.
 *
 * @example
 * exponentialLearningRate({ lr: 0.1, weightDecay: 5e-4, momentum: 0.9, steps: 3 }); // [0.10005, 0.10015, 0.10025]
 */
export function exponentialLearningRate(config: ExponentialLearningRateConfig & { steps: number }): Float64Array {
  const method = "exponentialLearningRate";
  const steps = checkCount(method, "steps", config?.steps, 0);
  const schedule = new ExponentialLearningRate(config);
  return Float64Array.from({ length: steps }, () => schedule.next());
}

/**
 * What a momentum buffer starts from under `exponentialLearningRate`, where the training with weight decay starts from
 * a buffer of zeros: (alpha − 1)/(alpha·lr)·w.
 *
 * w is the weight at the start, f32 or f64. With buffer = momentum·buffer + g, w = w − lr·buffer, as in PyTorch.
 *
 * Source: Z. Li, S. Arora, 2019, arXiv:1910.07454, theorem 2.12, for the initial momentum.
 *
 * @example
 * const w = { data: new Float32Array([3, 1, 0, 2]), shape: [2, 2] };
 * const buffer = exponentialMomentumBuffer(w, { lr: 0.1, weightDecay: 5e-4, momentum: 0.9 });
 */
export function exponentialMomentumBuffer(
  w: TensorLike,
  config: ExponentialLearningRateConfig,
  options: { out?: TensorLike } = {},
): Tensor {
  const method = "exponentialMomentumBuffer";
  const operand = readTensor(method, "w", w);
  const { phases, weightDecay, momentum } = readConfig(method, config);
  const alpha = growthOf(method, phases[0].lr, weightDecay, momentum);
  const y = new Target(method, options.out, operand, [operand]);
  scaleWhole(y, operand, (alpha - 1) / (alpha * phases[0].lr));
  return y.result;
}

/**
 * `exponentialLearningRate` step by step, for any number of steps and through the phases of a step decay (TEXP).
 *
 * The rate is lr_t·c_t·c_{t+1}, c_t how many times as long the weights are as under weight decay: c_0 = 1, c_{t+1} =
 * c_t/alpha_t, alpha_t = 1 + momentum·(lr_t/lr_{t−1})·(1 − 1/alpha_{t−1}) − weightDecay·lr_t. Within the first phase
 * alpha_t is alpha; behind a change of lr it moves to that of the next phase. The directions stay the same through
 * every change: that follows from putting c_t·w_t into the step with momentum, and is exact where the source's
 * correction at a change of phase takes one step.
 *
 * @example
 * const schedule = new ExponentialLearningRate({ lr: 0.1, weightDecay: 5e-4, momentum: 0.9 });
 * for (let step = 0; step < 100; step++) {
 *   const lr = schedule.next(); // the rate of this step
 * }
 */
export class ExponentialLearningRate {
  readonly phases: readonly LearningRatePhase[];
  readonly weightDecay: number;
  readonly momentum: number;
  #step = 0;
  #phase = 0;
  #length = 1;
  #alpha: number;
  #lr: number;

  constructor(config: ExponentialLearningRateConfig) {
    const { phases, weightDecay, momentum } = readConfig("ExponentialLearningRate", config);
    this.phases = phases.map(({ from, lr }) => ({ from, lr }));
    this.weightDecay = weightDecay;
    this.momentum = momentum;
    this.#lr = phases[0].lr;
    this.#alpha = growthOf("ExponentialLearningRate", this.#lr, weightDecay, momentum);
  }

  /** Steps taken. */
  get step(): number {
    return this.#step;
  }

  /** How many times as long the weights are as under weight decay. */
  get length(): number {
    return this.#length;
  }

  /** The rate of the next step. */
  next(): number {
    const method = "ExponentialLearningRate.next";
    const { phases, weightDecay, momentum } = this;
    while (phases[this.#phase + 1]?.from <= this.#step) this.#phase++;
    const { lr } = phases[this.#phase];
    const settled = growthOf(method, lr, weightDecay, momentum);
    // Within a phase alpha is a fixed point; rounding must not move it. (From above √momentum the recursion stays above
    // it.)
    if (lr !== this.#lr || this.#alpha !== settled) {
      const moved = 1 + momentum * (lr / this.#lr) * (1 - 1 / this.#alpha) - weightDecay * lr;
      this.#alpha = Math.abs(moved - settled) < 1e-16 ? settled : moved;
    }
    const before = this.#length;
    this.#length /= this.#alpha;
    this.#lr = lr;
    this.#step++;
    return lr * before * this.#length;
  }

  /**
   * Say that the weights were multiplied by `factor`, and momentum buffers by 1/factor, to keep them from overflowing:
   * the rates are then factor² times what they were, and the directions go on as before.
   */
  rescale(factor: number): void {
    checkNumber("ExponentialLearningRate.rescale", "factor", factor, 0, true);
    this.#length *= factor;
  }
}
