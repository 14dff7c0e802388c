import { applyGradient, cellGradSums } from "../core/cells.js";
import {
  type ChannelNormOptions,
  keepOptions,
  PER_CHANNEL,
  readArguments,
  readGradientArguments,
  type SavedOptions,
  vectorOf,
} from "../core/channelwise.js";
import { checkCount, checkNumber, fail, show } from "../core/errors.js";
import { geometryOf, type Layout, pooled } from "../core/geometry.js";
import { applyGroups, byChannel, channelMoments, sumChannels } from "../core/grouped.js";
import { keepInput, type Saved } from "../core/layer.js";
import { type DType, keep, mapF64, oneNaN, passingF64 } from "../core/memory.js";
import { emptyMoments, mergeInto, rstdOfVariance } from "../core/moments.js";
import {
  Running,
  type RunningConfig,
  RunningLayer,
  type RunningOptions,
  type RunningStatistics,
} from "../core/running.js";
import { readTensor, readVector, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";

/** What one worker knows of the batch, or all of them together: plain data, to be sent as it is. */
export interface ChannelMoments {
  /** Values in each channel. */
  count: number;
  /** Their mean, and Σ(x − mean)², f64. */
  mean: Float64Array;
  m2: Float64Array;
}

/** What one worker knows of the gradient, or all of them together. */
export interface ChannelGradSums {
  /** Values in each channel. */
  count: number;
  /** Σ dy and Σ dy·(x − mean) of each channel, f64. */
  dy: Float64Array;
  dyx: Float64Array;
}

export interface ShardSaved extends Saved {
  /** Mean and 1/√(var + eps) of each channel over all shards. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** @internal */
  readonly options: SavedOptions;
}

/** The shape of a shard without rows, and null for others. */
function emptyShape(x: TensorLike): readonly number[] | null {
  const given = x as { data?: unknown; shape?: readonly number[]; dims?: readonly number[] } | null | undefined;
  const shape = given?.shape ?? given?.dims;
  if (!Array.isArray(shape) || shape.length < 2 || shape[0] !== 0) return null;
  const data = given?.data;
  return (data instanceof Float32Array || data instanceof Float64Array) && data.length === 0 ? shape : null;
}

/** What a shard without rows gives for x, y, dx: itself, copied. */
function emptyTensor(x: TensorLike, shape: readonly number[]): Tensor {
  return { data: new (x.data.constructor as Float32ArrayConstructor)(0), shape: [...shape] };
}

function channelsOf(shape: readonly number[], layout: Layout | undefined): number {
  return layout === "channels-last" ? shape[shape.length - 1] : shape[1];
}

function localMoments(method: string, x: TensorLike, layout: Layout | undefined): ChannelMoments {
  const empty = emptyShape(x);
  if (empty !== null) {
    const { mean, m2 } = emptyMoments(channelsOf(empty, layout));
    return { count: 0, mean, m2 };
  }
  const operand = readTensor(method, "x", x);
  const { count, mean, m2 } = channelMoments(operand, pooled(geometryOf(method, operand, layout)));
  return { count: count[0], mean: oneNaN(mean), m2: oneNaN(m2) };
}

function mergeMoments(method: string, parts: readonly ChannelMoments[]): ChannelMoments {
  if (parts.length === 0) fail(method, "parts must hold at least one part, got none");
  const merged = emptyMoments(parts[0].mean.length);
  for (const { count, mean, m2 } of parts) {
    checkCount(method, "the count of a part", count, 0);
    const lengths = `mean has ${mean?.length} and m2 ${m2?.length}`;
    if (mean?.length !== merged.mean.length || m2?.length !== merged.mean.length) {
      fail(method, `the parts differ in channels: the first has ${merged.mean.length} where in another ${lengths}`);
    }
    for (let c = 0; c < mean.length; c++) mergeInto(merged, c, count, mean[c], m2[c]);
  }
  return { count: merged.count[0] ?? 0, mean: oneNaN(merged.mean), m2: oneNaN(merged.m2) };
}

/** y = (x − mean)·rstd·weight + bias on one shard. */
function applyStatistics(
  method: string,
  x: TensorLike,
  statistics: { mean: Float64Array; rstd: Float64Array },
  options: ChannelNormOptions,
): { y: Tensor; saved: ShardSaved } {
  const empty = emptyShape(x);
  if (empty !== null) {
    return { y: emptyTensor(x, empty), saved: { x, ...statistics, options: keepOptions(options) } };
  }
  const { x: operand, geometry: full, weight, bias, y } = readArguments(method, x, options);
  if (statistics.mean.length !== full.c) {
    fail(method, `moments are of ${statistics.mean.length} channels where x has ${full.c}`);
  }
  const geometry = pooled(full);
  applyGroups(y, operand, geometry, byChannel(geometry), statistics, weight, bias);
  return { y: y.result, saved: { x: keepInput(x, operand, y), ...statistics, options: keepOptions(options) } };
}

function statisticsOf({ count, mean, m2 }: ChannelMoments, eps: number): { mean: Float64Array; rstd: Float64Array } {
  const rstd = passingF64(mean.length);
  for (let c = 0; c < rstd.length; c++) rstd[c] = 1 / Math.sqrt(m2[c] / count + eps);
  return { mean, rstd };
}

/** Σdy and Σdy·(x − mean) of each channel of a shard, and the type of its elements. */
function localSums(method: string, dy: TensorLike, saved: ShardSaved): { sums: ChannelGradSums; dtype: DType } {
  const channels = saved?.mean?.length ?? 0;
  if (saved === undefined || saved.x === null || emptyShape(saved.x) === null) {
    const { x, dy: gradient, geometry: full } = readGradientArguments(method, dy, saved, undefined);
    const cells = cellGradSums(gradient, x, pooled(full), saved.mean);
    const [sumDy, sumDyx] = [sumChannels(cells.dy, channels), sumChannels(cells.dyx, channels)];
    return { sums: { count: x.length / channels, dy: oneNaN(sumDy), dyx: oneNaN(sumDyx) }, dtype: x.dtype };
  }
  if (emptyShape(dy) === null) {
    fail(method, `dy must have no rows, as the shard it belongs to, got ${show((dy as Tensor)?.shape)}`);
  }
  const sums = { count: 0, dy: passingF64(channels), dyx: passingF64(channels) };
  return { sums, dtype: dy.data instanceof Float64Array ? "float64" : "float32" };
}

/** The gradients of weight and bias, for those that were there. */
function parameterGradients(
  { dy, dyx }: ChannelGradSums,
  { rstd, options }: ShardSaved,
  dtype: DType,
): Pick<LocalGradients, "dweight" | "dbias"> {
  return {
    dweight: options.weight
      ? vectorOf(
          mapF64(dyx, (sum, c) => sum * rstd[c]),
          dtype,
        )
      : null,
    dbias: options.bias ? vectorOf(dy, dtype) : null,
  };
}

function mergeGradSums(method: string, parts: readonly ChannelGradSums[]): ChannelGradSums {
  if (parts.length === 0) fail(method, "parts must hold at least one part, got none");
  const channels = parts[0].dy.length;
  const merged = { count: 0, dy: passingF64(channels), dyx: passingF64(channels) };
  for (const { count, dy, dyx } of parts) {
    checkCount(method, "the count of a part", count, 0);
    if (dy?.length !== channels || dyx?.length !== channels) {
      fail(method, `the parts differ in channels: ${channels} in the first, ${dy?.length} in another`);
    }
    merged.count += count;
    for (let c = 0; c < channels; c++) {
      merged.dy[c] += dy[c];
      merged.dyx[c] += dyx[c];
    }
  }
  oneNaN(merged.dy);
  oneNaN(merged.dyx);
  return merged;
}

function applySums(
  method: string,
  dy: TensorLike,
  saved: ShardSaved,
  { count, dy: sumDy, dyx }: ChannelGradSums,
  out: TensorLike | undefined,
): Tensor {
  const empty = saved && saved.x !== null ? emptyShape(saved.x) : null;
  if (empty !== null) return emptyTensor(saved.x as TensorLike, empty);
  const { x, dy: gradient, dx, geometry, weight } = readGradientArguments(method, dy, saved, out);
  const { mean, rstd } = saved;
  checkCount(method, "sums.count", count, 1);
  if (sumDy.length !== mean.length) fail(method, `sums are of ${sumDy.length} channels where x has ${mean.length}`);
  const [slope, constant] = [passingF64(mean.length), passingF64(mean.length)];
  for (let c = 0; c < slope.length; c++) {
    slope[c] = -(rstd[c] * rstd[c]) * weight[c] * (dyx[c] / count);
    constant[c] = -weight[c] * (sumDy[c] / count);
  }
  applyGradient(dx, gradient, x, pooled(geometry), { mean, rstd, weight, slope, constant });
  return dx.result;
}

/**
 * The first step of batch norm over several workers: count, mean and M2 of each channel of this worker's part of the
 * batch, which may have no rows. They are plain data; `batchNormMergeMoments` puts those of all workers together.
 *
 * @example
 * const parts = [batchNormLocalMoments(x), batchNormLocalMoments(dy)]; // on two workers
 * const moments = batchNormMergeMoments(parts);
 * const { y, saved } = batchNormApply(x, moments, { weight, bias }); // on each
 */
export function batchNormLocalMoments(x: TensorLike, options: { layout?: Layout } = {}): ChannelMoments {
  return keep(localMoments("batchNormLocalMoments", x, options.layout));
}

/**
 * Moments of several parts of a batch as those of the whole, merged in the order given by Chan, Golub and LeVeque (1983):
 * parts of no rows change nothing. Throws where the parts differ in channels.
 */
export function batchNormMergeMoments(parts: readonly ChannelMoments[]): ChannelMoments {
  return keep(mergeMoments("batchNormMergeMoments", parts));
}

/**
 * The second step: y = (x − mean)/√(M2/count + eps)·weight[c] + bias[c] on this worker's part, with the moments of all.
 * Throws where the moments are of fewer than 2 values a channel, or of other channels.
 */
export function batchNormApply(
  x: TensorLike,
  moments: ChannelMoments,
  options: ChannelNormOptions = {},
): { y: Tensor; saved: ShardSaved } {
  const method = "batchNormApply";
  checkCount(method, "moments.count", moments?.count, 2);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-5, 0);
  return keep(applyStatistics(method, x, statisticsOf(moments, eps), options));
}

export interface LocalGradients {
  /** To be merged with those of the other workers. */
  sums: ChannelGradSums;
  /** This worker's part, to be added up with the others' like any other gradient. Null where there was no weight. */
  dweight: Tensor | null;
  /** Likewise. Null where there was no bias. */
  dbias: Tensor | null;
}

/**
 * The first step back: Σdy and Σdy·(x − mean) of each channel of this worker's part, and its part of dweight and dbias.
 *
 * @example
 * const { y, saved } = batchNormApply(x, batchNormLocalMoments(x), { weight, bias });
 * const { sums, dweight, dbias } = batchNormLocalGradients(dy, saved); // on each worker
 * const total = batchNormMergeGradSums([sums]);
 * const dx = batchNormApplyGradient(dy, saved, total); // on each
 */
export function batchNormLocalGradients(dy: TensorLike, saved: ShardSaved): LocalGradients {
  const { sums, dtype } = localSums("batchNormLocalGradients", dy, saved);
  return keep({ sums, ...parameterGradients(sums, saved, dtype) });
}

/** The sums of several parts of a batch as those of the whole. Throws where the parts differ in channels. */
export function batchNormMergeGradSums(parts: readonly ChannelGradSums[]): ChannelGradSums {
  return keep(mergeGradSums("batchNormMergeGradSums", parts));
}

/** The second step back: dx = rstd·(g − Σg/N − (x − mean)·rstd²·Σg(x − mean)/N), g = dy·weight[c], N and sums over all. */
export function batchNormApplyGradient(
  dy: TensorLike,
  saved: ShardSaved,
  sums: ChannelGradSums,
  options: { out?: TensorLike } = {},
): Tensor {
  return applySums("batchNormApplyGradient", dy, saved, sums, options.out);
}

export interface SyncBatchNormOptions extends RunningOptions {
  /** One factor for each channel. Default: ones. */
  weight?: VectorLike | null;
  /** One summand for each channel. Default: zeros. */
  bias?: VectorLike | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Default "channels-first". */
  layout?: Layout;
  /** Whether the running variance is stored with n − 1 (PyTorch) or n (Keras, ONNX). Default true. */
  unbiasedRunningVar?: boolean;
}

export interface SyncBatchNormSaved {
  /** @internal */
  readonly shards: readonly ShardSaved[];
  /** @internal */
  readonly constant: boolean;
}

export interface SyncBatchNormResult {
  /** One for each shard. */
  ys: Tensor[];
  saved: SyncBatchNormSaved;
  /** The running statistics after this batch (in eval mode as they were); null where none were given. */
  running: RunningStatistics | null;
}

export interface SyncBatchNormGradients {
  /** One for each shard. */
  dxs: Tensor[];
  /** Sums over all shards. Null where there was no weight. */
  dweight: Tensor | null;
  /** Null where there was no bias. */
  dbias: Tensor | null;
}

/** The channels of the shards, which must have them and their element type in common, and a row in all. */
function checkShards(method: string, shards: readonly TensorLike[], layout: Layout | undefined): number {
  if (!Array.isArray(shards) || shards.length === 0) {
    fail(method, `shards must be a list of tensors, at least one, got ${show(shards)}`);
  }
  let channels = -1;
  let rows = 0;
  for (const [i, shard] of shards.entries()) {
    const name = `shard ${i}`;
    const empty = emptyShape(shard);
    const operand = empty === null ? readTensor(method, name, shard) : null;
    if (operand !== null) geometryOf(method, operand, layout, name);
    const shape = (operand?.shape ?? empty) as readonly number[];
    const found = channelsOf(shape, layout);
    if (channels >= 0 && found !== channels) {
      fail(method, `${name} has ${found} channels (shape ${show(shape)}) where shard 0 has ${channels}`);
    }
    const [kind, first] = [shard.data.constructor, shards[0].data.constructor];
    if (kind !== first) fail(method, `${name} is a ${kind.name} where shard 0 is a ${first.name}; convert one of them`);
    channels = found;
    rows += shape[0];
  }
  if (rows === 0) fail(method, "shards have no elements; pass at least one row");
  return channels;
}

function forwardAs(method: string, shards: readonly TensorLike[], options: SyncBatchNormOptions): SyncBatchNormResult {
  const { weight, bias, layout } = options;
  const channels = checkShards(method, shards, layout);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-5, 0);
  const running = new Running(method, options, channels);
  readVector(method, "weight", weight, channels, PER_CHANNEL);
  readVector(method, "bias", bias, channels, PER_CHANNEL);
  let statistics: { mean: Float64Array; rstd: Float64Array };
  if (running.mode !== "train") statistics = { mean: running.mean, rstd: rstdOfVariance(running.variance, eps) };
  else {
    const parts = shards.map((shard) => localMoments(method, shard, layout));
    const moments = mergeMoments(method, parts);
    if (moments.count < 2) {
      fail(
        method,
        `shards have ${moments.count} value a channel in all where training needs at least 2; ` +
          'use mode "eval" or a larger batch',
      );
    }
    statistics = statisticsOf(moments, eps);
    if (running.given) running.see({ ...moments, count: passingF64(channels).fill(moments.count) });
  }
  const results = shards.map((shard) => applyStatistics(method, shard, statistics, { weight, bias, layout }));
  return {
    ys: results.map(({ y }) => y),
    saved: { shards: results.map(({ saved }) => saved), constant: running.mode === "eval" },
    running: running.result,
  };
}

function backwardAs(
  method: string,
  dys: readonly TensorLike[],
  saved: SyncBatchNormSaved | undefined,
): SyncBatchNormGradients {
  if (saved === undefined) fail(method, "there is no forward pass to go back through; call forward first");
  const { shards, constant } = saved;
  if (!Array.isArray(dys) || dys.length !== shards.length) {
    fail(method, `dys must be a list of ${shards.length} tensors, one for each shard, got ${show(dys)}`);
  }
  const parts = shards.map((shard, i) => localSums(method, dys[i], shard).sums);
  const total = mergeGradSums(method, parts);
  // Fixed statistics have no gradient for these sums to go through.
  const none = passingF64(total.dy.length);
  const through = constant ? { count: total.count, dy: none, dyx: none } : total;
  const dxs = shards.map((shard, i) => applySums(method, dys[i], shard, through, undefined));
  const dtype = dxs[0].data instanceof Float64Array ? "float64" : "float32";
  return { dxs, ...parameterGradients(total, shards[0], dtype) };
}

/**
 * Batch normalization of a batch that is spread over shards: the result is that of `batchNorm` on all their rows, worked out
 * shard by shard from merged statistics.
 *
 * Each shard is `[N_i, C, ...spatial]` or, with `layout: "channels-last"`, `[N_i, ...spatial, C]`, all f32 or all f64; N_i may
 * be 0. Options as for `batchNorm`. For workers that do not share memory, see `batchNormLocalMoments`. Throws where shards
 * differ in channels or element type, or have fewer than 2 values a channel in all.
 *
 * Source: the merge of T. F. Chan, G. H. Golub, R. J. LeVeque, 1983; the steps as in PyTorch's SyncBatchNorm.
 *
 * @example
 * const [first, second] = syncBatchNorm([x, dy], { weight, bias });
 */
export function syncBatchNorm(shards: readonly TensorLike[], options: SyncBatchNormOptions = {}): Tensor[] {
  return forwardAs("syncBatchNorm", shards, options).ys;
}

/** `syncBatchNorm` that also returns what `syncBatchNormBackward` needs, and the running statistics after this batch. */
export function syncBatchNormForward(
  shards: readonly TensorLike[],
  options: SyncBatchNormOptions = {},
): SyncBatchNormResult {
  return keep(forwardAs("syncBatchNormForward", shards, options));
}

/**
 * The gradient of `syncBatchNorm`: dx of each shard, dweight and dbias of all together.
 *
 * @example
 * const { ys, saved } = syncBatchNormForward([x, dy], { weight, bias });
 * const { dxs, dweight, dbias } = syncBatchNormBackward([dy, x], saved);
 */
export function syncBatchNormBackward(dys: readonly TensorLike[], saved: SyncBatchNormSaved): SyncBatchNormGradients {
  return backwardAs("syncBatchNormBackward", dys, saved);
}

/**
 * Batch normalization of shards as a layer: `syncBatchNorm` with its weight (ones at first), bias (zeros), gradients, and
 * running statistics that training updates and eval and frozen mode use.
 *
 * @example
 * const norm = new SyncBatchNorm(768);
 * const ys = norm.forward([x, dy]);
 * const dxs = norm.backward([dy, x]); // norm.weight.grad, norm.bias.grad
 */
export class SyncBatchNorm extends RunningLayer {
  #saved: SyncBatchNormSaved | undefined;

  constructor(numFeatures: number, config: RunningConfig = {}) {
    super("SyncBatchNorm", numFeatures, config);
  }

  forward(shards: readonly TensorLike[]): Tensor[] {
    const method = "SyncBatchNorm.forward";
    const channels = checkShards(method, shards, this.layout);
    if (channels !== this.numFeatures) {
      fail(method, `shards have ${channels} channels (${this.layout}) where the layer has ${this.numFeatures}`);
    }
    const { eps, layout, weight, bias } = this;
    const options = { eps, layout, weight: weight?.data, bias: bias?.data };
    const { ys, saved, running } = forwardAs(method, shards, { ...options, ...this.runningOptions() });
    this.#saved = keep(saved);
    this.keep(running);
    return ys;
  }

  /** dx of each shard of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dys: readonly TensorLike[]): Tensor[] {
    const gradients = backwardAs("SyncBatchNorm.backward", dys, this.#saved);
    this.learn(gradients);
    return gradients.dxs;
  }
}
