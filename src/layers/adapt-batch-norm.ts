import { checkChannels } from "../core/channelwise.js";
import { checkOneOf, fail, show } from "../core/errors.js";
import { geometryOf, pooled } from "../core/geometry.js";
import { channelMoments } from "../core/grouped.js";
import { emptyMoments, type Moments, mergeInto } from "../core/moments.js";
import { Running, RunningLayer } from "../core/running.js";
import { readTensor, type TensorLike } from "../core/tensor.js";

export interface AdaptOptions {
  /**
   * "population" (default): the statistics of all the samples, layer by layer. "ema": those of the layers are moved by each
   * batch, with their momentum, in one sweep.
   */
  mode?: "population" | "ema";
}

export interface AdaptNetworkOptions<Batch> extends AdaptOptions {
  /** Runs the network, and with it the layers, on a batch. */
  run: (batch: Batch) => unknown;
}

/** Moments of x merged into those of the layer's channels. */
function merge(method: string, layer: RunningLayer, into: Moments, x: TensorLike): void {
  checkChannels(method, x, layer.layout, layer.numFeatures);
  const operand = readTensor(method, "a batch", x);
  const { count, mean, m2 } = channelMoments(operand, pooled(geometryOf(method, operand, layer.layout)));
  for (let c = 0; c < count.length; c++) mergeInto(into, c, count[c], mean[c], m2[c]);
}

/** Moves the running statistics by a batch of these moments, with the layer's momentum, or replaces them. */
function settle(method: string, layer: RunningLayer, moments: Moments, moving: boolean, batches: number): void {
  if (moments.count[0] < 2) {
    fail(
      method,
      `${moving ? "a batch has" : "batches have"} ${moments.count[0]} value a channel; at least 2 are needed`,
    );
  }
  const { runningMean, runningVar, momentum, unbiasedRunningVar, numBatchesTracked, numFeatures } = layer;
  const none = new Float64Array(numFeatures);
  const from = moving
    ? { runningMean, runningVar, momentum, numBatchesTracked }
    : { runningMean: none, runningVar: none, momentum: 1, numBatchesTracked: batches - 1 };
  const running = new Running(method, { ...from, unbiasedRunningVar }, numFeatures);
  running.see(moments);
  layer.keep(running.result);
}

/** The batches' statistics as one layer sees them: its inputs themselves, or what reaches it when `run` is run. */
function adaptOne<Batch>(
  method: string,
  layer: RunningLayer,
  batches: Iterable<Batch>,
  moving: boolean,
  run: ((batch: Batch) => unknown) | undefined,
): void {
  let moments = emptyMoments(layer.numFeatures);
  let seen = 0;
  const see = (x: TensorLike) => {
    merge(method, layer, moments, x);
    seen++;
    if (moving) {
      settle(method, layer, moments, true, seen);
      moments = emptyMoments(layer.numFeatures);
    }
  };
  layer.observer = see;
  try {
    for (const batch of batches) {
      if (run === undefined) see(batch as unknown as TensorLike);
      else run(batch);
    }
  } finally {
    layer.observer = null;
  }
  if (seen === 0)
    fail(method, `batches must hold at least one batch${run ? " that reaches every layer" : ""}, got none`);
  if (!moving) settle(method, layer, moments, false, seen);
}

/**
 * Adapts batch normalization to another domain: the running statistics of the layers are replaced by those of its samples,
 * while weights and biases stay.
 *
 * With one layer, `batches` are its inputs. With a list, in the order of the network, `run` runs the network on a batch;
 * "population" then takes a pass over the batches for each layer, in which the layers before it are adapted already and all
 * are in eval mode, and merges the moments of its inputs in f64; "ema" is one sweep in training mode. Modes are restored;
 * nothing is changed where anything throws. Takes every layer that keeps running statistics: BatchNorm, GhostBatchNorm,
 * BatchInstanceNorm, SwitchableNorm. Throws where there are no batches, or channels differ from the layer's.
 *
 * Source: Y. Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016, arXiv:1603.04779.
 *
 * @example
 * const norm = new BatchNorm(768);
 * adaptBatchNorm(norm, [x, dy]);
 * const [first, second] = [new BatchNorm(768), new BatchNorm(768)];
 * const run = (batch) => second.forward(first.forward(batch));
 * adaptBatchNorm([first, second], [x, dy], { run });
 */
export function adaptBatchNorm(layer: RunningLayer, batches: Iterable<TensorLike>, options?: AdaptOptions): void;
export function adaptBatchNorm<Batch>(
  layers: RunningLayer | readonly RunningLayer[],
  batches: Iterable<Batch>,
  options: AdaptNetworkOptions<Batch>,
): void;
export function adaptBatchNorm<Batch>(
  layers: RunningLayer | readonly RunningLayer[],
  batches: Iterable<Batch>,
  options: AdaptOptions & Partial<AdaptNetworkOptions<Batch>> = {},
): void {
  const method = "adaptBatchNorm";
  const mode = checkOneOf(method, "mode", options.mode ?? "population", ["population", "ema"]);
  const { run } = options;
  const list = Array.isArray(layers) ? (layers as readonly RunningLayer[]) : [layers as RunningLayer];
  if (list.length === 0) fail(method, "layers must hold at least one layer, got none");
  for (const layer of list) {
    if (!(layer instanceof RunningLayer)) {
      fail(method, `layers must be layers with running statistics, such as BatchNorm, got ${show(layer)}`);
    }
    if (layer.runningMean === null) {
      fail(method, "a layer keeps no running statistics; make it with trackRunningStats");
    }
  }
  if (run === undefined && Array.isArray(layers)) {
    fail(method, "run must be given with a list of layers: a function that runs the network on a batch");
  }
  // Several passes need the batches several times.
  const all = [...batches];
  const before = list.map((layer) => ({ layer, state: layer.stateDict(), mode: layer.mode }));
  try {
    if (mode === "population" || run === undefined) {
      for (const layer of list) layer.eval();
      for (const layer of list) adaptOne(method, layer, all, mode === "ema", run);
    } else {
      if (all.length === 0) fail(method, "batches must hold at least one batch, got none");
      for (const layer of list) layer.train();
      for (const batch of all) run(batch);
    }
  } catch (error) {
    for (const { layer, state } of before) layer.loadStateDict(state);
    throw error;
  } finally {
    for (const { layer, mode: former } of before) layer.mode = former;
  }
}
