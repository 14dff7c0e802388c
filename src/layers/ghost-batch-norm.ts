import {
  type ChannelGradients,
  type ChannelNormOptions,
  channelGradients,
  keepOptions,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { checkCount, checkOneOf, fail, show } from "../core/errors.js";
import { type Geometry, pooled } from "../core/geometry.js";
import {
  applyGroups,
  applyGroupsGrad,
  byBlock,
  byChannel,
  type Grouping,
  type GroupStatistics,
  normalizeGroups,
  sumChannels,
} from "../core/grouped.js";
import { keepInput, type Saved } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { type Moments, rstdOfVariance } from "../core/moments.js";
import {
  checkSeveral,
  Running,
  type RunningConfig,
  RunningLayer,
  type RunningOptions,
  type RunningStatistics,
} from "../core/running.js";
import type { Tensor, TensorLike } from "../core/tensor.js";

/** How samples are dealt to ghosts: neighbours together, or every `numGhosts`-th (TensorFlow's virtual batches). */
export type GhostArrangement = "contiguous" | "strided";

export interface GhostOptions {
  /** Samples in a ghost batch. Default 128. */
  ghostBatchSize?: number;
  /** Default "contiguous"; "strided" needs ghosts that are all full. */
  arrangement?: GhostArrangement;
  /**
   * "sequential" (default): the running statistics see one ghost after the other, each as a batch. "mean": they see once
   * the average of the ghosts' means and of their variances.
   */
  runningUpdate?: "sequential" | "mean";
}

export interface GhostBatchNormOptions extends ChannelNormOptions, RunningOptions, GhostOptions {
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
}

export interface GhostBatchNormSaved extends Saved, GroupStatistics {
  /** Null in eval mode, where no ghosts are formed. @internal */
  readonly ghosts: { readonly size: number; readonly arrangement: GhostArrangement } | null;
  /** @internal */
  readonly options: SavedOptions;
}

export interface GhostBatchNormResult {
  y: Tensor;
  saved: GhostBatchNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

/** Where the ghosts of a batch lie: group (ghost, channel) of the cells of a geometry. */
interface Ghosts {
  number: number;
  geometry: Geometry;
  grouping: Grouping;
  /** Times that the channels of x are repeated in the geometry. */
  repeats: number;
}

function ghostsOf(full: Geometry, size: number, arrangement: GhostArrangement): Ghosts {
  const { n, c, s, order } = full;
  const number = Math.ceil(n / size);
  const groups = number * c;
  if (arrangement === "contiguous" || number === 1) {
    if (order === "rows" && s > 1) {
      return { number, geometry: full, grouping: byBlock(full, size, 1), repeats: 1 };
    }
    // The rows of a ghost follow each other, so each is one sample of more positions.
    const long = Math.min(size, n);
    const geometry: Geometry = { n: number, c, s: long * s, order: "cols", tail: (n - (number - 1) * long) * s };
    return { number, geometry, grouping: { groups, groupOf: (cell) => cell, perChannel: false }, repeats: 1 };
  }
  if (order === "cols" && s > 1) {
    const groupOf = (cell: number) => (Math.floor(cell / c) % number) * c + (cell % c);
    return { number, geometry: full, grouping: { groups, groupOf, perChannel: false }, repeats: 1 };
  }
  // [N, C, ...] is [N/number, number·C, ...]: a channel of a ghost is a channel of its own.
  const geometry = pooled({ n: n / number, c: groups, s, order: "rows" });
  return { number, geometry, grouping: byChannel(geometry), repeats: number };
}

function repeat(values: Float64Array, times: number): Float64Array {
  if (times === 1) return values;
  const repeated = passingF64(values.length * times);
  for (let i = 0; i < times; i++) repeated.set(values, i * values.length);
  return repeated;
}

/** Shows the ghosts to the running statistics, one by one or their average, each by the values it holds. */
function seeGhosts(running: Running, moments: Moments, { number }: Ghosts, c: number, update: string): void {
  const parts = Array.from({ length: number }, (_, ghost) => {
    const part = (values: Float64Array) => values.subarray(ghost * c, (ghost + 1) * c);
    return { count: part(moments.count), mean: part(moments.mean), m2: part(moments.m2) };
  });
  if (update === "sequential") {
    for (const part of parts) running.see(part);
    return;
  }
  const mean = passingF64(c);
  const variance = passingF64(c);
  let seen = 0;
  for (const part of parts) {
    seen += part.count[0];
    const share = part.count[0] / seen;
    const stored = running.stored(part);
    for (let i = 0; i < c; i++) {
      mean[i] += share * (part.mean[i] - mean[i]);
      variance[i] += share * (stored[i] - variance[i]);
    }
  }
  running.move(mean, variance);
}

/** Ghost batch norm under the caller's name; y alone without `saves`. */
function forwardAs(method: string, x: TensorLike, options: GhostBatchNormOptions, saves = true): GhostBatchNormResult {
  const { x: operand, geometry: full, weight, bias, eps, y } = readArguments(method, x, options);
  const { n, c } = full;
  const running = new Running(method, options, c);
  const size = checkCount(method, "ghostBatchSize", options.ghostBatchSize ?? 128);
  const arrangements = ["contiguous", "strided"] as const;
  const arrangement = checkOneOf(method, "arrangement", options.arrangement ?? "contiguous", arrangements);
  const update = checkOneOf(method, "runningUpdate", options.runningUpdate ?? "sequential", ["sequential", "mean"]);
  let statistics: GroupStatistics;
  if (running.mode === "train") {
    if (arrangement === "strided" && n > size && n % size !== 0) {
      fail(
        method,
        `x has ${n} samples (shape ${show(operand.shape)}), which strided ghosts of ${size} do not divide; ` +
          'choose another ghostBatchSize, or arrangement "contiguous"',
      );
    }
    const ghosts = ghostsOf(full, size, arrangement);
    const { number, geometry, grouping, repeats } = ghosts;
    const fewest = arrangement === "strided" ? n / number : n - (number - 1) * size;
    checkSeveral(method, operand, fewest * full.s, 'mode "eval" or larger ghosts', "value a channel in a ghost");
    const weights = repeat(weight, repeats);
    const moments = normalizeGroups(y, operand, geometry, grouping, weights, repeat(bias, repeats), eps, saves);
    statistics = { mean: moments.mean, rstd: moments.rstd, count: moments.count };
    if (saves) seeGhosts(running, moments, ghosts, c, update);
  } else {
    const geometry = pooled(full);
    const count = passingF64(c).fill(operand.length / c);
    statistics = { mean: running.mean, rstd: rstdOfVariance(running.variance, eps), count };
    applyGroups(y, operand, geometry, byChannel(geometry), statistics, weight, bias);
  }
  return {
    y: y.result,
    running: running.result,
    saved: {
      x: keepInput(x, operand, y),
      mean: statistics.mean,
      rstd: statistics.rstd,
      count: statistics.count,
      ghosts: running.mode === "train" ? { size, arrangement } : null,
      options: keepOptions(options),
    },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: GhostBatchNormSaved,
  out: TensorLike | undefined,
): ChannelGradients {
  const { x, dy: gradient, dx, geometry: full, weight } = readGradientArguments(method, dy, saved, out);
  if (saved.ghosts === null) {
    const geometry = pooled(full);
    const grads = applyGroupsGrad(dx, gradient, x, geometry, byChannel(geometry), saved, weight, true);
    return channelGradients(dx, x, grads, saved.options);
  }
  const { geometry, grouping, repeats } = ghostsOf(full, saved.ghosts.size, saved.ghosts.arrangement);
  const grads = applyGroupsGrad(dx, gradient, x, geometry, grouping, saved, repeat(weight, repeats), false);
  const folded = { dweight: sumChannels(grads.dweight, full.c), dbias: sumChannels(grads.dbias, full.c) };
  return channelGradients(dx, x, folded, saved.options);
}

/**
 * Ghost batch normalization: the batch is cut into ghost batches, and each is normalized by its own statistics, with one
 * weight and bias for all, so that a large batch is as noisy as small ones.
 *
 * y = (x − mean)/√(var + eps)·weight[c] + bias[c], mean and (biased) variance of channel c in the ghost of the sample.
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64; the rest is `[C]`.
 * Defaults: ghosts of 128 neighbouring samples, the last one shorter where they do not divide N; running statistics see
 * ghost after ghost: running = (1 − momentum)^G·running + Σ (1 − momentum)^(G−i)·momentum·mean_i over G ghosts. Eval mode is
 * batch norm's. Throws where a length differs, eps is negative, "eval" lacks running statistics, or a ghost has one value a
 * channel.
 *
 * Source: E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", 2017, arXiv:1705.08741. The sum of its
 * algorithm 1 as printed does not follow from the sequence it describes; this is the sequence.
 *
 * @example
 * const y = ghostBatchNorm(x, { ghostBatchSize: 8 });
 */
export function ghostBatchNorm(x: TensorLike, options: GhostBatchNormOptions = {}): Tensor {
  return forwardAs("ghostBatchNorm", x, options, false).y;
}

/** `ghostBatchNorm` that also returns what `ghostBatchNormBackward` needs, and the running statistics. */
export function ghostBatchNormForward(x: TensorLike, options: GhostBatchNormOptions = {}): GhostBatchNormResult {
  return keep(forwardAs("ghostBatchNormForward", x, options));
}

/**
 * The gradient of ghost batch normalization: that of batch norm in each ghost; dweight and dbias are sums over all.
 *
 * @example
 * const { y, saved } = ghostBatchNormForward(x, { ghostBatchSize: 8, weight, bias });
 * const { dx, dweight, dbias } = ghostBatchNormBackward(dy, saved);
 */
export function ghostBatchNormBackward(
  dy: TensorLike,
  saved: GhostBatchNormSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return backwardAs("ghostBatchNormBackward", dy, saved, options.out);
}

export interface GhostBatchNormConfig extends RunningConfig, GhostOptions {
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
}

/**
 * Ghost batch normalization as a layer: `ghostBatchNorm` with its weight (ones at first), bias (zeros), gradients, and
 * running statistics (mean 0, variance 1) that training updates and eval and frozen mode use.
 *
 * @example
 * const norm = new GhostBatchNorm(768, { ghostBatchSize: 8 });
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class GhostBatchNorm extends RunningLayer {
  readonly ghostBatchSize: number;
  readonly arrangement: GhostArrangement;
  readonly runningUpdate: "sequential" | "mean";
  #saved: GhostBatchNormSaved | undefined;

  constructor(numFeatures: number, config: GhostBatchNormConfig = {}) {
    super("GhostBatchNorm", numFeatures, config);
    this.ghostBatchSize = checkCount("GhostBatchNorm", "ghostBatchSize", config.ghostBatchSize ?? 128);
    this.arrangement = config.arrangement ?? "contiguous";
    this.runningUpdate = config.runningUpdate ?? "sequential";
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "GhostBatchNorm.forward";
    const { ghostBatchSize, arrangement, runningUpdate } = this;
    const { y, saved, running } = forwardAs(method, x, {
      ...this.optionsFor(method, x),
      ...this.runningOptions(),
      ghostBatchSize,
      arrangement,
      runningUpdate,
      out: options.out,
    });
    this.#saved = keep(saved);
    this.keep(running);
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    return this.learn(backwardAs("GhostBatchNorm.backward", dy, this.#saved as GhostBatchNormSaved, options.out)).dx;
  }
}
