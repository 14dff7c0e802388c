import { vectorOf } from "../core/channelwise.js";
import { checkCount, checkEps, checkNumber } from "../core/errors.js";
import { entriesOf, Layer, type Mode, type Parameter, type StateEntry } from "../core/layer.js";
import type { DType, TypedArray } from "../core/memory.js";
import { arrayClass, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";
import { batchNormBackward, batchNormForward } from "./batch-norm.js";
import {
  type LSTMSaved,
  type LSTMVectors,
  type LSTMWeights,
  lstmBackward,
  lstmForward,
  lstmParameters,
  lstmSizes,
  lstmVectors,
  type StepNorm,
} from "./lstm.js";

/** Running statistics of one input for the steps 0 to tMax − 1, [tMax, features] each. */
export interface StepStatistics {
  mean: TypedArray;
  variance: TypedArray;
}

export interface RecurrentBatchNormOptions extends LSTMWeights, LSTMVectors {
  /** [4H]; the gates in the order f, i, o, g. Default: zeros. */
  bias?: VectorLike | null;
  /** Gains of the normalized inputs, [4H]. Default: 0.1, as in the paper. */
  gammaX?: VectorLike | null;
  gammaH?: VectorLike | null;
  /** Gain and shift of the normalized cell, [H]. Default: 0.1 and zeros. */
  gammaC?: VectorLike | null;
  betaC?: VectorLike | null;
  /** Added to the variances. Default 1e-5. */
  eps?: number;
  /** "train": statistics of the batch at each step. "eval": the running ones. Default "train". */
  mode?: "train" | "eval";
  /** Running statistics of each step; training updates them in place, and eval reads them, the last for all later steps. */
  running?: Record<"x" | "h" | "c", StepStatistics>;
  /** Weight of the new batch in the running statistics. Default 0.1. */
  momentum?: number;
}

export interface RecurrentBatchNormGradients {
  dxs: Tensor;
  dweightIh: Tensor;
  dweightHh: Tensor;
  dbias: Tensor;
  dgammaX: Tensor;
  dgammaH: Tensor;
  dgammaC: Tensor;
  dbetaC: Tensor;
  dh0: Tensor;
  dc0: Tensor;
}

/** Batch norm at step t, with the running statistics of that step. */
function stepNorm(
  weight: VectorLike,
  bias: VectorLike | null,
  statistics: StepStatistics | undefined,
  { mode, eps, momentum }: RecurrentBatchNormOptions,
): StepNorm {
  return (t, input, out) => {
    const features = input.shape[1];
    const last = statistics === undefined ? 0 : statistics.mean.length / features - 1;
    const at = Math.min(t, last) * features;
    const runningMean = statistics?.mean.subarray(at, at + features);
    const runningVar = statistics?.variance.subarray(at, at + features);
    const options = { weight, bias, mode, eps, momentum, runningMean, runningVar, out };
    const { saved, running } = batchNormForward(input, options);
    // Steps beyond the last share its statistics and do not move them.
    if (mode !== "eval" && running !== null && t <= last) {
      runningMean?.set(running.runningMean);
      runningVar?.set(running.runningVar);
    }
    return (dy, dx) => batchNormBackward(dy, saved, { out: dx });
  };
}

function forwardAs(method: string, xs: TensorLike, options: RecurrentBatchNormOptions) {
  const sizes = lstmSizes(method, xs, options);
  const settings = { ...options, eps: checkEps(method, options.eps) };
  const gates = "one for each of the four gates of a unit";
  const { gammaX, gammaH, gammaC, bias, betaC } = lstmVectors(method, options, sizes, 0.1, gates);
  return lstmForward(xs, options, sizes, {
    x: stepNorm(gammaX, bias, options.running?.x, settings),
    h: stepNorm(gammaH, null, options.running?.h, settings),
    c: stepNorm(gammaC, betaC, options.running?.c, settings),
  });
}

/** The gradients of a normalized LSTM under the names of its parameters. @internal */
export function namedLSTMGradients(
  method: string,
  dhs: TensorLike,
  saved: LSTMSaved | undefined,
): RecurrentBatchNormGradients {
  const { norms, ...rest } = lstmBackward(method, dhs, saved);
  const asTensor = (values: Float64Array) => vectorOf(values, (saved as LSTMSaved).sizes.dtype);
  return {
    ...rest,
    dbias: asTensor(norms.x.dbias),
    dgammaX: asTensor(norms.x.dweight),
    dgammaH: asTensor(norms.h.dweight),
    dgammaC: asTensor(norms.c.dweight),
    dbetaC: asTensor(norms.c.dbias),
  };
}

/**
 * The batch-normalized LSTM over a sequence: batch norm on what comes from the input, from the hidden state, and on the
 * cell before its output, each with the statistics of its own step.
 *
 * (f, i, o, g) = BN(W_x·x_t; γ_x) + BN(W_h·h_{t−1}; γ_h) + b, c_t = σ(f)·c_{t−1} + σ(i)·tanh(g),
 * h_t = σ(o)·tanh(BN(c_t; γ_c, β_c)).
 *
 * xs is `[T, N, I]`; weightIh `[4H, I]`, weightHh `[4H, H]`; the result has hs `[T, N, H]` and cLast `[N, H]`; f32 or f64.
 * Statistics are not shared between steps; γ, β are. Gains start at 0.1: with 1 the gradient vanishes through tanh. Where
 * all samples start alike (zero variance), add a little noise to h0. Throws where a shape does not fit, or in training
 * for a batch of one.
 *
 * Source: T. Cooijmans et al., "Recurrent Batch Normalization", 2017, arXiv:1603.09025.
 *
 * @example
 * const xs = { data: Float32Array.from({ length: 5 * 4 * 3 }, (_, i) => Math.sin(i)), shape: [5, 4, 3] };
 * const weightIh = { data: Float32Array.from({ length: 8 * 3 }, (_, i) => Math.cos(i)), shape: [8, 3] };
 * const weightHh = { data: Float32Array.from({ length: 8 * 2 }, (_, i) => Math.sin(3 * i)), shape: [8, 2] };
 * const h0 = { data: Float32Array.from({ length: 4 * 2 }, (_, i) => 0.1 * Math.sin(5 * i)), shape: [4, 2] };
 * const { hs, cLast } = recurrentBatchNorm(xs, { weightIh, weightHh, h0 });
 */
export function recurrentBatchNorm(xs: TensorLike, options: RecurrentBatchNormOptions): { hs: Tensor; cLast: Tensor } {
  const { hs, cLast, saved } = forwardAs("recurrentBatchNorm", xs, options);
  saved.dispose();
  return { hs, cLast };
}

/** `recurrentBatchNorm` that also returns what `recurrentBatchNormBackward` needs; `saved.dispose()` frees it unused. */
export function recurrentBatchNormForward(
  xs: TensorLike,
  options: RecurrentBatchNormOptions,
): { hs: Tensor; cLast: Tensor; saved: LSTMSaved } {
  return forwardAs("recurrentBatchNormForward", xs, options);
}

/**
 * Back through time: the gradients of everything that went into `recurrentBatchNorm`, from that of every hidden state,
 * through the batch statistics of each step. Frees `saved`.
 */
export function recurrentBatchNormBackward(dhs: TensorLike, saved: LSTMSaved): RecurrentBatchNormGradients {
  return namedLSTMGradients("recurrentBatchNormBackward", dhs, saved);
}

/** What the two normalized LSTM layers share: parameters, their gradients, and one sequence at a time. */
export abstract class NormalizedLSTM extends Layer {
  readonly weight = null;
  readonly bias = null;
  protected readonly values: ReturnType<typeof lstmParameters>;
  protected saved: LSTMSaved | undefined;
  /** The name of the class: minifiers change `constructor.name`. */
  readonly #kind: string;

  protected constructor(method: string, inputSize: number, hiddenSize: number, gain: number, config: LSTMConfig) {
    super();
    this.#kind = method;
    checkCount(method, "inputSize", inputSize);
    checkCount(method, "hiddenSize", hiddenSize);
    this.values = lstmParameters(inputSize, hiddenSize, gain, config.dtype ?? "float32", config.random ?? Math.random);
  }

  override parameters(): Record<string, Parameter> {
    return { ...this.values };
  }

  protected override stateEntries(): StateEntry[] {
    return entriesOf(this.values);
  }

  /** Gradients of all that went into the last forward; adds to those of the parameters, except in eval mode. */
  backward(dhs: TensorLike): { dxs: Tensor; dh0: Tensor; dc0: Tensor } {
    const grads = namedLSTMGradients(`${this.#kind}.backward`, dhs, this.saved);
    this.saved = undefined;
    if (this.mode !== "eval") {
      const { values } = this;
      for (const name of Object.keys(values) as Array<keyof typeof values>) {
        values[name].addGrad(grads[`d${name}`].data);
      }
    }
    return { dxs: grads.dxs, dh0: grads.dh0, dc0: grads.dc0 };
  }

  /** Keeps what backward needs of this forward, and frees that of the one before. */
  protected keep({ hs, cLast, saved }: { hs: Tensor; cLast: Tensor; saved: LSTMSaved }) {
    this.saved?.dispose();
    this.saved = saved;
    return { hs, cLast };
  }
}

export interface LSTMConfig {
  /** Default 1e-5. */
  eps?: number;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
  /** Uniform numbers in [0, 1) for the first weights. Default Math.random. */
  random?: () => number;
}

export interface BatchNormLSTMConfig extends LSTMConfig {
  /** Steps with statistics of their own; later ones use those of the last. */
  tMax: number;
  /** Weight of the new batch in the running statistics. Default 0.1. */
  momentum?: number;
}

/**
 * The batch-normalized LSTM as a layer: `recurrentBatchNorm` with its parameters, gradients, and running statistics for
 * each of the first `tMax` steps.
 *
 * @example
 * const lstm = new BatchNormLSTM(3, 2, { tMax: 5 });
 * const xs = { data: Float32Array.from({ length: 5 * 4 * 3 }, (_, i) => Math.sin(i)), shape: [5, 4, 3] };
 * const { hs } = lstm.forward(xs);
 * const { dxs } = lstm.backward(hs); // lstm.parameters().weightIh.grad
 */
export class BatchNormLSTM extends NormalizedLSTM {
  readonly eps: number;
  readonly momentum: number;
  /** Running statistics of the three normalized inputs, [tMax, features] each. */
  readonly running: Record<"x" | "h" | "c", StepStatistics>;
  readonly #tMax: number;

  constructor(inputSize: number, hiddenSize: number, config: BatchNormLSTMConfig) {
    super("BatchNormLSTM", inputSize, hiddenSize, 0.1, config);
    this.eps = checkEps("BatchNormLSTM", config.eps);
    this.momentum = checkNumber("BatchNormLSTM", "momentum", config.momentum ?? 0.1, 0);
    this.#tMax = checkCount("BatchNormLSTM", "tMax", config.tMax);
    const start = (features: number): StepStatistics => ({
      mean: new (arrayClass(config.dtype ?? "float32"))(this.#tMax * features),
      variance: new (arrayClass(config.dtype ?? "float32"))(this.#tMax * features).fill(1),
    });
    this.running = { x: start(4 * hiddenSize), h: start(4 * hiddenSize), c: start(hiddenSize) };
  }

  protected override stateEntries(): StateEntry[] {
    const entries = super.stateEntries();
    for (const [name, { mean, variance }] of Object.entries(this.running)) {
      const shape = [this.#tMax, mean.length / this.#tMax];
      entries.push({ name: `running_mean_${name}`, data: mean, shape });
      entries.push({ name: `running_var_${name}`, data: variance, shape });
    }
    return entries;
  }

  forward(xs: TensorLike, state: Pick<LSTMWeights, "h0" | "c0"> = {}): { hs: Tensor; cLast: Tensor } {
    const mode: Mode = this.mode;
    return this.keep(
      forwardAs("BatchNormLSTM.forward", xs, {
        ...this.values,
        ...state,
        eps: this.eps,
        momentum: this.momentum,
        mode: mode === "train" ? "train" : "eval",
        running: this.running,
      }),
    );
  }
}
