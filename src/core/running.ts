/** Running statistics of batches: their arguments, their step, and the layers that keep them. */
import { ChannelLayer, type ChannelNormConfig, type ChannelNormOptions, PER_CHANNEL } from "./channelwise.js";
import { checkCount, checkNumber, checkOneOf, fail, show } from "./errors.js";
import { MEAN_ALIASES, type StateEntry, VARIANCE_ALIASES } from "./layer.js";
import { mapF64, oneNaN, passingF64, type TypedArray } from "./memory.js";
import type { Moments } from "./moments.js";
import { arrayClass, fillFrom, type Operand, readVector, type TensorLike, type VectorLike } from "./tensor.js";

export interface RunningOptions {
  /** "train": statistics of the batch. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /** Running statistics: read in eval mode, and the basis of those returned in training. Not written to. */
  runningMean?: VectorLike | null;
  runningVar?: VectorLike | null;
  /** Batches in the running statistics so far; used where momentum is null. Default 0. */
  numBatchesTracked?: number;
  /**
   * Weight of the new batch: running = (1 − momentum)·running + momentum·batch. Default 0.1. (Keras and ONNX give the
   * weight of the old, 1 − momentum.) null: the average of all batches so far.
   */
  momentum?: number | null;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). */
  unbiasedRunningVar?: boolean;
}

export interface RunningStatistics {
  runningMean: TypedArray;
  runningVar: TypedArray;
  numBatchesTracked: number;
}

/** The weight of a new batch, or null for the average of all. */
export function checkMomentum(method: string, momentum: number | null | undefined, usual = 0.1): number | null {
  if (momentum === null) return null;
  const value = checkNumber(method, "momentum", momentum ?? usual, 0);
  if (value > 1) fail(method, `momentum must be at most 1, the weight of the new batch, got ${value}`);
  return value;
}

/** old + weight·(batch − old). */
export function step(old: Float64Array, batch: ArrayLike<number>, weight: number): Float64Array {
  return mapF64(old, (value, i) => value + weight * (batch[i] - value));
}

/** f64 values in an array of the class that the caller passed. */
export function sameClass(values: Float64Array, like: VectorLike | null | undefined): TypedArray {
  const data = (like as { data?: unknown })?.data ?? like;
  return data instanceof Float32Array ? oneNaN(values, new Float32Array(values.length)) : oneNaN(values);
}

/** Throws where training has too few values to have a deviation. */
export function checkSeveral(
  method: string,
  x: Operand,
  count: number,
  remedy = 'mode "eval" or a larger batch',
  what = "value a channel",
): void {
  if (count >= 2) return;
  fail(method, `x has ${count} ${what} (shape ${show(x.shape)}) where training needs at least 2; use ${remedy}`);
}

/** Two running statistics of a call, for its length. They are read where they are asked for, each time anew. */
class RunningPair {
  readonly given: boolean;
  readonly #channels: number;
  readonly #mean: Operand | undefined;
  readonly #spread: Operand | undefined;

  constructor(channels: number, mean: Operand | undefined, spread: Operand | undefined) {
    this.given = mean !== undefined && spread !== undefined;
    this.#channels = channels;
    this.#mean = mean;
    this.#spread = spread;
  }

  get mean(): Float64Array {
    return fillFrom(passingF64(this.#channels), this.#mean, 0);
  }

  get spread(): Float64Array {
    return fillFrom(passingF64(this.#channels), this.#spread, 1);
  }
}

/** Two running statistics of a call, checked: both or neither, and both in mode "eval". */
export function readPair(
  method: string,
  mode: "train" | "eval",
  channels: number,
  [meanName, mean]: [name: string, value: VectorLike | null | undefined],
  [spreadName, spread]: [name: string, value: VectorLike | null | undefined],
): RunningPair {
  const means = readVector(method, meanName, mean, channels, PER_CHANNEL);
  const spreads = readVector(method, spreadName, spread, channels, PER_CHANNEL);
  const pair = new RunningPair(channels, means, spreads);
  if (!pair.given && (mean || spread)) {
    fail(method, `${mean ? spreadName : meanName} is missing; pass both running statistics or neither`);
  }
  if (mode === "eval" && !pair.given) {
    fail(method, `${meanName} and ${spreadName} must be given in mode "eval"; pass them, or use mode "train"`);
  }
  return pair;
}

/** The running mean and variance of a call, checked, which `see` moves; for the length of the call. */
export class Running {
  readonly mode: "train" | "eval";
  /** Whether the caller gave any. */
  readonly given: boolean;
  numBatchesTracked: number;
  readonly #pair: RunningPair;
  #mean: Float64Array | undefined;
  #variance: Float64Array | undefined;
  readonly #momentum: number | null;
  readonly #unbiased: boolean;
  readonly #options: RunningOptions;

  constructor(method: string, options: RunningOptions, channels: number, unbiased = true) {
    this.mode = checkOneOf(method, "mode", options.mode ?? "train", ["train", "eval"]);
    this.#momentum = checkMomentum(method, options.momentum);
    this.#unbiased = options.unbiasedRunningVar ?? unbiased;
    this.#options = options;
    this.numBatchesTracked = checkCount(method, "numBatchesTracked", options.numBatchesTracked ?? 0, 0);
    const { runningMean, runningVar } = options;
    this.#pair = readPair(method, this.mode, channels, ["runningMean", runningMean], ["runningVar", runningVar]);
    this.given = this.#pair.given;
  }

  get mean(): Float64Array {
    this.#mean ??= this.#pair.mean;
    return this.#mean;
  }

  get variance(): Float64Array {
    this.#variance ??= this.#pair.spread;
    return this.#variance;
  }

  /** The variance of a batch as it is stored. */
  stored({ count, m2 }: Moments): Float64Array {
    const less = this.#unbiased ? 1 : 0;
    const variance = passingF64(m2.length);
    for (let c = 0; c < variance.length; c++) variance[c] = m2[c] / (count[c] - less);
    return variance;
  }

  /** Moves the statistics by one batch of this mean and (stored) variance. */
  move(mean: Float64Array, variance: Float64Array): void {
    this.numBatchesTracked++;
    const weight = this.#momentum ?? 1 / this.numBatchesTracked;
    this.#mean = step(this.mean, mean, weight);
    this.#variance = step(this.variance, variance, weight);
  }

  /** Moves the statistics by one batch. */
  see(moments: Moments): void {
    this.move(moments.mean, this.stored(moments));
  }

  /** What the call returns: null where the caller gave none. */
  get result(): RunningStatistics | null {
    if (!this.given) return null;
    return {
      runningMean: sameClass(this.mean, this.#options.runningMean),
      runningVar: sameClass(this.variance, this.#options.runningVar),
      numBatchesTracked: this.numBatchesTracked,
    };
  }
}

export interface RunningConfig extends ChannelNormConfig {
  /** Weight of the new batch in the running statistics, or null for their average. Default 0.1. */
  momentum?: number | null;
  /** Whether running statistics are kept; without them eval mode uses the batch's. Default true. */
  trackRunningStats?: boolean;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). */
  unbiasedRunningVar?: boolean;
}

/** A layer that keeps running statistics (mean 0, variance 1 at first), which training moves. */
export abstract class RunningLayer extends ChannelLayer {
  readonly momentum: number | null;
  readonly unbiasedRunningVar: boolean;
  /** Null without `trackRunningStats`. */
  readonly runningMean: TypedArray | null;
  readonly runningVar: TypedArray | null;
  /** Called with the input of each forward pass. @internal */
  observer: ((x: TensorLike) => void) | null = null;
  readonly #tracked = new Float64Array(1);

  constructor(method: string, numFeatures: number, config: RunningConfig, unbiased = true) {
    super(method, numFeatures, config);
    this.momentum = checkMomentum(method, config.momentum);
    this.unbiasedRunningVar = config.unbiasedRunningVar ?? unbiased;
    const floats = arrayClass(config.dtype ?? "float32");
    const track = config.trackRunningStats ?? true;
    this.runningMean = track ? new floats(numFeatures) : null;
    this.runningVar = track ? new floats(numFeatures).fill(1) : null;
  }

  /** Batches that the running statistics have seen. */
  get numBatchesTracked(): number {
    return this.#tracked[0];
  }

  /** Mean 0, variance 1, no batches. */
  resetRunningStats(): void {
    this.runningMean?.fill(0);
    this.runningVar?.fill(1);
    this.#tracked[0] = 0;
  }

  protected override optionsFor(method: string, x: TensorLike): ChannelNormOptions {
    const options = super.optionsFor(method, x);
    this.observer?.(x);
    return options;
  }

  /** The running statistics and the mode, as a forward pass takes them. @internal */
  protected runningOptions(): RunningOptions {
    const { momentum, unbiasedRunningVar, runningMean, runningVar, numBatchesTracked } = this;
    const mode = this.mode === "train" || runningMean === null ? "train" : "eval";
    return { mode, momentum, unbiasedRunningVar, runningMean, runningVar, numBatchesTracked };
  }

  /** Takes over running statistics. @internal */
  keep(running: RunningStatistics | null): void {
    if (running === null) return;
    this.runningMean?.set(running.runningMean);
    this.runningVar?.set(running.runningVar);
    this.#tracked[0] = running.numBatchesTracked;
  }

  protected override stateEntries(): StateEntry[] {
    const entries = super.stateEntries();
    if (this.runningMean && this.runningVar) {
      const shape = [this.numFeatures];
      entries.push({ name: "running_mean", aliases: MEAN_ALIASES, data: this.runningMean, shape });
      entries.push({ name: "running_var", aliases: VARIANCE_ALIASES, data: this.runningVar, shape });
      entries.push({ name: "num_batches_tracked", data: this.#tracked, shape: [] });
    }
    return entries;
  }
}
