import { applyGradient, cellGradSums, measureCells, transformCells } from "../core/cells.js";
import {
  type ChannelGradients,
  ChannelLayer,
  type ChannelNormConfig,
  type ChannelNormOptions,
  channelGradients,
  keepOptions,
  PER_CHANNEL,
  readArguments,
  readGradientArguments,
  type SavedOptions,
} from "../core/channelwise.js";
import { checkEps, checkNumber, fail, show } from "../core/errors.js";
import { type Geometry, geometryOf, pooled } from "../core/geometry.js";
import { applyGroupsGrad, byChannel, sumChannels } from "../core/grouped.js";
import { keepInput, type Saved, type StateEntry } from "../core/layer.js";
import { arraysF64, heap64, passingF64, scratch, withScratch } from "../core/memory.js";
import { type Moments, mergeInto } from "../core/moments.js";
import { applyPowerGradient, cellPowers, checkPower, root } from "../core/powers.js";
import { advance, commit, copyOf, emptyStream, mix, type Stream } from "../core/streamed.js";
import { type Operand, readCoefficients, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface StreamOptions {
  /** The power of |x − mean| that is streamed, above 0; 2: the variance. Default 2. */
  p?: number;
  /** Weights of the long and the short average in the statistics that normalize. Default [0.5, 0.5]. */
  alpha?: readonly [long: number, short: number];
  /** Weights of the old and the new when the short average enters the long one. Default [0.7, 0.3]. */
  kappa?: readonly [old: number, fresh: number];
}

export interface StreamingNormConfig extends ChannelNormConfig, StreamOptions {
  /** Weights of the long average, the short one and the present one in gradients of statistics. Default [0.6, 0, 0.4]. */
  beta?: readonly [long: number, short: number, present: number];
  /** As kappa, for the gradients. Default [0.7, 0.3]. */
  gradientKappa?: readonly [old: number, fresh: number];
}

/** What `StreamingNorm.backward` needs of a forward pass. */
export interface StreamingNormSaved extends Saved {
  /** The mean and 1/(mean |x − mean|^p + eps)^(1/p) that normalized x, of each channel. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** mean |x − mean|^p + eps as streamed. @internal */
  readonly moment: Float64Array;
  /** mean |x − mean|^(p−1)·sign(x − mean) of x. @internal */
  readonly slope: Float64Array;
  /** @internal */
  readonly largestSquares: number;
  /** @internal */
  readonly constant: boolean;
  /** @internal */
  readonly options: SavedOptions;
}

function checkWeights(method: string, name: string, weights: unknown, length: number): void {
  if (!Array.isArray(weights) || weights.length !== length) {
    fail(method, `${name} must be a list of ${length} numbers, got ${show(weights)}`);
  }
  for (const weight of weights) checkNumber(method, `each of ${name}`, weight, 0);
}

interface Streams {
  mean: Stream;
  moment: Stream;
}

/** The data of one step, or of several: their samples one after the other, in steps of equal size. */
interface Steps {
  x: Operand;
  geometry: Geometry;
  steps: number;
}

/** What normalizes steps, one of each for each step and channel. */
interface Statistics {
  mean: Float64Array;
  /** mean |x − mean|^p + eps as streamed, and its power −1/p. */
  moment: Float64Array;
  rstd: Float64Array;
  /** mean |x − mean|^(p−1)·sign(x − mean) of the step itself. */
  slope: Float64Array;
  largestSquares: number;
}

/** Mean and M2 of each channel of each step, for the length of a call. */
function stepMoments({ x, geometry, steps }: Steps): Moments {
  const { n, c } = geometry;
  const size = steps * c;
  const moments = { count: passingF64(size), mean: passingF64(size), m2: passingF64(size) };
  withScratch(() => {
    const [mean, m2] = [scratch(8 * n * c), scratch(8 * n * c)];
    const count = measureCells(mean, m2, x, geometry);
    const heap = heap64();
    const [means, m2s] = [mean >>> 3, m2 >>> 3];
    for (let sample = 0, i = 0; sample < n; sample++) {
      const first = Math.floor((sample * steps) / n) * c;
      for (let at = first; at < first + c; at++, i++) mergeInto(moments, at, count[i], heap[means + i], heap[m2s + i]);
    }
  });
  return moments;
}

/** Averages over `count` values of sums over the cells of each channel of each step, left in `averages`. */
function averageSteps(averages: Float64Array, sums: Float64Array, { geometry, steps }: Steps, count: number): void {
  const { n, c } = geometry;
  averages.fill(0);
  for (let sample = 0, i = 0; sample < n; sample++) {
    const first = Math.floor((sample * steps) / n) * c;
    for (let at = first; at < first + c; at++, i++) averages[at] += sums[i];
  }
  for (let i = 0; i < averages.length; i++) averages[i] /= count;
}

/** Values of each channel of each step, one for each cell; as they are where all cells of a channel take the same. */
function spread(values: Float64Array, { geometry, steps }: Steps): Float64Array {
  const { n, c } = geometry;
  if (steps === 1) return values;
  const wide = passingF64(n * c);
  for (let sample = 0, i = 0; sample < n; sample++) {
    const first = Math.floor((sample * steps) / n) * c;
    for (let at = first; at < first + c; at++, i++) wide[i] = values[at];
  }
  return wide;
}

/**
 * Writes the statistics that normalize each step, and takes the streams on to the last. From step to step go averages alone:
 * sums over x are those of all steps at once.
 */
function measureSteps(
  statistics: Statistics,
  data: Steps,
  streams: Streams,
  eps: number,
  { p, alpha, kappa }: Required<StreamOptions>,
  updates: readonly boolean[] = [],
): void {
  const { steps, geometry } = data;
  const { mean, moment, slope } = statistics;
  const { c } = geometry;
  const follow = (stream: Stream, values: Float64Array, mixed: Float64Array) => {
    for (let t = 0; t < steps; t++) {
      advance(stream, values, t * c, kappa);
      mix(stream, alpha, mixed, t * c);
      if (updates[t]) stream.counts[2] = 1;
    }
  };
  const moments = stepMoments(data);
  follow(streams.mean, moments.mean, mean);
  // About the streamed mean. What is found for p = 2 takes the place of M2.
  const powers = moments.m2;
  const count = moments.count[0];
  let largest = 0;
  for (let i = 0; i < powers.length; i++) {
    const apart = moments.mean[i] - mean[i];
    slope[i] = apart;
    powers[i] = powers[i] / count + apart * apart;
    largest = Math.max(largest, powers[i]);
  }
  statistics.largestSquares = count * largest;
  if (p !== 2) {
    const sums = cellPowers(data.x, geometry, spread(mean, data), p, statistics.largestSquares);
    averageSteps(powers, sums.powers, data, count);
    averageSteps(slope, sums.slopes, data, count);
  }
  follow(streams.moment, powers, moment);
  addEps(statistics, eps, p);
}

function addEps({ moment, rstd }: Statistics, eps: number, p: number): void {
  for (let i = 0; i < rstd.length; i++) {
    moment[i] += eps;
    rstd[i] = 1 / root(moment[i], p);
  }
}

/** y = (x − mean)·rstd·weight + bias, each step with its own. */
function applySteps(
  y: Target,
  { x, geometry, steps }: Steps,
  { mean, rstd }: Pick<Statistics, "mean" | "rstd">,
  weight: Float64Array,
  bias: Float64Array,
): void {
  const { n, c } = geometry;
  // The cells of one step all take the same; those of several have coefficients of their own, written where kernels read them.
  const samples = steps === 1 ? 1 : n;
  const period = samples * c;
  withScratch(() => {
    const affine = { mean: scratch(8 * period), scale: scratch(8 * period), shift: scratch(8 * period) };
    const heap = heap64();
    const [means, scales, shifts] = [affine.mean >>> 3, affine.scale >>> 3, affine.shift >>> 3];
    for (let sample = 0, i = 0; sample < samples; sample++) {
      const first = Math.floor((sample * steps) / n) * c;
      for (let channel = 0; channel < c; channel++, i++) {
        heap[means + i] = mean[first + channel];
        heap[scales + i] = rstd[first + channel] * weight[channel];
        heap[shifts + i] = bias[channel];
      }
    }
    transformCells(y, x, geometry, affine, period);
  });
}

/** One step of a layer: y, and the streams after it (in eval mode as they were). */
function forwardAs(
  method: string,
  x: TensorLike,
  streams: Streams,
  training: boolean,
  options: ChannelNormOptions & Required<StreamOptions>,
): { y: Tensor; saved: StreamingNormSaved; next: Streams } {
  const { x: operand, geometry: full, weight, bias, eps, y } = readArguments(method, x, options);
  const data = { x: operand, geometry: pooled(full), steps: 1 };
  let next = streams;
  const [mean, moment, rstd, slope] = arraysF64(4, full.c);
  const statistics = { mean, moment, rstd, slope, largestSquares: 0 };
  if (training) {
    next = { mean: copyOf(streams.mean), moment: copyOf(streams.moment) };
    measureSteps(statistics, data, next, eps, options);
  } else {
    if (streams.mean.counts[0] === 0) fail(method, "there are no statistics yet; call forward in training first");
    mix(streams.mean, options.alpha, mean);
    mix(streams.moment, options.alpha, moment);
    addEps(statistics, eps, options.p);
  }
  applySteps(y, data, statistics, weight, bias);
  const saved = { x: keepInput(x, operand, y), ...statistics, constant: !training, options: keepOptions(options) };
  return { y: y.result, saved, next };
}

/** One step back, and the streams of gradients after it. */
function backwardAs(
  method: string,
  dy: TensorLike,
  saved: StreamingNormSaved,
  streams: Streams,
  { p, beta, kappa }: { p: number; beta: readonly number[]; kappa: readonly [number, number] },
  out: TensorLike | undefined,
): { gradients: ChannelGradients; next: Streams } {
  const { x, dy: gradient, dx, geometry: full, weight } = readGradientArguments(method, dy, saved, out);
  const { mean, rstd, moment, slope, largestSquares, constant, options } = saved;
  const geometry = pooled(full);
  if (constant) {
    const statistics = { mean, rstd, count: new Float64Array(full.c) };
    const grads = applyGroupsGrad(dx, gradient, x, geometry, byChannel(geometry), statistics, weight, true);
    return { gradients: channelGradients(dx, x, grads, options), next: streams };
  }
  const { c } = full;
  const count = x.length / c;
  const sums = cellGradSums(gradient, x, geometry, mean);
  const dbias = sumChannels(sums.dy, c);
  const about = sumChannels(sums.dyx, c);
  /** A gradient with respect to a statistic, replaced by its streamed mixture. */
  const streamed = (stream: Stream, present: Float64Array) => {
    const seen = copyOf(stream);
    advance(seen, present, 0, kappa);
    const value = new Float64Array(c);
    mix(seen, beta, value);
    for (let i = 0; i < c; i++) value[i] += beta[2] * present[i];
    return { seen, value };
  };
  const ofMoment = streamed(
    streams.moment,
    about.map((sum, i) => -(weight[i] * sum * rstd[i]) / (p * moment[i])),
  );
  const ofMean = streamed(
    streams.mean,
    dbias.map((sum, i) => -weight[i] * sum * rstd[i] - p * slope[i] * ofMoment.value[i]),
  );
  const through = ofMoment.value.map((value) => (p * value) / count);
  const constantPart = ofMean.value.map((value) => value / count);
  if (p === 2) {
    applyGradient(dx, gradient, x, geometry, {
      mean,
      rstd,
      weight,
      slope: through.map((value, i) => value / rstd[i]),
      constant: constantPart.map((value, i) => value / rstd[i]),
    });
  } else {
    const scale = weight.map((value, i) => value * rstd[i]);
    const affine = { mean, weight: scale, slope: through, constant: constantPart };
    applyPowerGradient(dx, gradient, x, geometry, affine, p, largestSquares);
  }
  const dweight = about.map((sum, i) => sum * rstd[i]);
  return {
    gradients: channelGradients(dx, x, { dweight, dbias }, options),
    next: { mean: ofMean.seen, moment: ofMoment.seen },
  };
}

function checkStream(method: string, { p = 2, alpha = [0.5, 0.5], kappa = [0.7, 0.3] }: StreamOptions) {
  checkPower(method, p);
  checkWeights(method, "alpha", alpha, 2);
  checkWeights(method, "kappa", kappa, 2);
  return { p, alpha, kappa };
}

export interface StreamingNormOptions extends ChannelNormOptions, StreamOptions {
  /** For each step, whether an update of the weights follows it. Default: after every step. */
  updates?: readonly boolean[];
}

/**
 * Streaming normalization of a sequence of batches: statistics are averages over the batches since the last update of the
 * weights and decaying averages over updates, so that batches may be of one sample, and steps of a recurrent network share
 * them.
 *
 * y_t = (x_t − mean)/(moment + eps)^(1/p)·weight[c] + bias[c]; mean = alpha[0]·long + alpha[1]·short, short the average of
 * the means of the batches since the last update, x_t's with them, long = kappa[0]·long + kappa[1]·short at the first step
 * after an update (at first: short; short stands for long until then); moment likewise of mean |x_t − mean|^p.
 *
 * xs is `[T, N, C, ...spatial]` or, with `layout: "channels-last"`, `[T, N, ...spatial, C]`, f32 or f64; weight and bias are
 * `[C]`. Defaults: p 2, alpha [0.5, 0.5], kappa [0.7, 0.3], eps 1e-5. For gradients, and to go on from where a sequence
 * ended, see `StreamingNorm`. Throws where p is not above 0, a length differs, or eps is negative.
 *
 * Source: Q. Liao, K. Kawaguchi, T. Poggio, "Streaming Normalization", 2016, arXiv:1610.06160.
 *
 * @example
 * const xs = { data: new Float32Array(3 * 4 * 2).map((_, i) => i % 5), shape: [3, 4, 2] };
 * const ys = streamingNorm(xs, { updates: [true, false, true] });
 */
export function streamingNorm(xs: TensorLike, options: StreamingNormOptions = {}): Tensor {
  const method = "streamingNorm";
  const operand = readTensor(method, "xs", xs);
  const [steps, ...shape] = operand.shape;
  if (shape.length < 2) {
    fail(method, `xs must be at least [T, N, C], steps, samples and channels, got shape ${show(operand.shape)}`);
  }
  const updates = options.updates ?? new Array<boolean>(steps).fill(true);
  if (!Array.isArray(updates) || updates.length !== steps) {
    fail(method, `updates must be a list of ${steps}, one for each step, got ${show(updates)}`);
  }
  const stream = checkStream(method, options);
  const first = geometryOf(method, { ...operand, shape, length: operand.length / steps }, options.layout);
  const eps = checkEps(method, options.eps);
  const weight = readCoefficients(method, "weight", options.weight, first.c, PER_CHANNEL, 1);
  const bias = readCoefficients(method, "bias", options.bias, first.c, PER_CHANNEL, 0);
  const ys = new Target(method, options.out, operand, [operand]);
  const geometry = pooled(first);
  const data = { x: operand, geometry: { ...geometry, n: steps * geometry.n }, steps };
  const vector = () => passingF64(first.c);
  const streamOf = () => ({ short: vector(), long: vector(), counts: new Float64Array(3) });
  const vectors = () => passingF64(steps * first.c);
  const statistics = { mean: vectors(), moment: vectors(), rstd: vectors(), slope: vectors(), largestSquares: 0 };
  measureSteps(statistics, data, { mean: streamOf(), moment: streamOf() }, eps, stream, updates);
  applySteps(ys, data, statistics, weight, bias);
  return ys.result;
}

/**
 * Streaming normalization as a layer: statistics, and the gradients with respect to them, are averaged over the steps since
 * the last update of the weights and over updates. Weight (ones at first) and bias (zeros) have gradients.
 *
 * Call `forward` for each step, `backward` for each step in reverse (with its `saved`, where there are several), and
 * `onWeightUpdate` after each step of the optimizer. The formula is that of `streamingNorm`. In `backward`, the gradients
 * with respect to mean and moment, which reach x as in batch norm, are replaced by
 * beta[0]·long + beta[1]·short + beta[2]·present of their own streams. alpha [0, 1] and beta [0, 0, 1] with an update after
 * every step are batch norm. Eval and frozen mode use the statistics as they are.
 *
 * Defaults: p 2, alpha [0.5, 0.5], beta [0.6, 0, 0.4], kappa and gradientKappa [0.7, 0.3], eps 1e-5. The paper also has
 * alpha [0.7, 0.3] and beta [0.7, 0, 0.3], for recurrent networks and batches of one.
 *
 * @example
 * const norm = new StreamingNorm(768, { alpha: [0.7, 0.3], beta: [0.7, 0, 0.3] });
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 * norm.onWeightUpdate(); // after the optimizer's step
 */
export class StreamingNorm extends ChannelLayer {
  readonly p: number;
  readonly alpha: readonly [long: number, short: number];
  readonly beta: readonly [long: number, short: number, present: number];
  readonly kappa: readonly [old: number, fresh: number];
  readonly gradientKappa: readonly [old: number, fresh: number];
  readonly #statistics: Streams;
  readonly #gradients: Streams;
  #saved: StreamingNormSaved | undefined;

  constructor(numFeatures: number, config: StreamingNormConfig = {}) {
    const method = "StreamingNorm";
    super(method, numFeatures, config);
    const { p, alpha, kappa } = checkStream(method, config);
    this.p = p;
    this.alpha = alpha;
    this.kappa = kappa;
    this.beta = config.beta ?? [0.6, 0, 0.4];
    this.gradientKappa = config.gradientKappa ?? [0.7, 0.3];
    checkWeights(method, "beta", this.beta, 3);
    checkWeights(method, "gradientKappa", this.gradientKappa, 2);
    this.#statistics = { mean: emptyStream(numFeatures), moment: emptyStream(numFeatures) };
    this.#gradients = { mean: emptyStream(numFeatures), moment: emptyStream(numFeatures) };
  }

  /** What the last forward kept, for a later `backward`. */
  get saved(): StreamingNormSaved | undefined {
    return this.#saved;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const method = "StreamingNorm.forward";
    const { p, alpha, kappa } = this;
    const call = { ...this.optionsFor(method, x), p, alpha, kappa, out: options.out };
    const { y, saved, next } = forwardAs(method, x, this.#statistics, this.mode === "train", call);
    commit(this.#statistics.mean, next.mean);
    commit(this.#statistics.moment, next.moment);
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward, or of `saved`; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { saved?: StreamingNormSaved; out?: TensorLike } = {}): Tensor {
    const method = "StreamingNorm.backward";
    const saved = (options.saved ?? this.#saved) as StreamingNormSaved;
    const { p, beta, gradientKappa: kappa } = this;
    const { gradients, next } = backwardAs(method, dy, saved, this.#gradients, { p, beta, kappa }, options.out);
    commit(this.#gradients.mean, next.mean);
    commit(this.#gradients.moment, next.moment);
    return this.learn(gradients).dx;
  }

  /** To be called after each update of the weights: the next forward and backward fold short averages into the long ones. */
  onWeightUpdate(): void {
    for (const { counts } of this.#all().map(([, stream]) => stream)) counts[2] = 1;
  }

  /** Forgets all statistics and gradients of statistics. */
  resetStatistics(): void {
    for (const [, stream] of this.#all()) commit(stream, emptyStream(this.numFeatures));
  }

  protected override stateEntries(): StateEntry[] {
    const entries = super.stateEntries();
    for (const [name, { long, short, counts }] of this.#all()) {
      const shape = [this.numFeatures];
      entries.push({ name: `${name}_long`, data: long, shape });
      entries.push({ name: `${name}_short`, data: short, shape });
      entries.push({ name: `${name}_counts`, data: counts, shape: [3] });
    }
    return entries;
  }

  #all(): Array<[name: string, stream: Stream]> {
    return [
      ["mean", this.#statistics.mean],
      ["moment", this.#statistics.moment],
      ["mean_gradient", this.#gradients.mean],
      ["moment_gradient", this.#gradients.moment],
    ];
  }
}
