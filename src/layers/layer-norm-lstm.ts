import { checkEps } from "../core/errors.js";
import type { Tensor, TensorLike, VectorLike } from "../core/tensor.js";
import { layerNormBackward, layerNormForward } from "./layer-norm.js";
import {
  type LSTMSaved,
  type LSTMVectors,
  type LSTMWeights,
  lstmForward,
  lstmSizes,
  lstmVectors,
  type StepNorm,
} from "./lstm.js";
import {
  type LSTMConfig,
  NormalizedLSTM,
  namedLSTMGradients,
  type RecurrentBatchNormGradients,
} from "./recurrent-batch-norm.js";

export interface LayerNormLSTMOptions extends LSTMWeights, LSTMVectors {
  /** [4H]; the gates in the order f, i, o, g. Default: zeros. */
  bias?: VectorLike | null;
  /** Gains of the normalized inputs, [4H]. Default: ones. */
  gammaX?: VectorLike | null;
  gammaH?: VectorLike | null;
  /** Gain and shift of the normalized cell, [H]. Default: ones and zeros. */
  gammaC?: VectorLike | null;
  betaC?: VectorLike | null;
  /** Added to the variances. Default 1e-5. */
  eps?: number;
}

export type LayerNormLSTMGradients = RecurrentBatchNormGradients;

function stepNorm(weight: VectorLike, bias: VectorLike | null, eps: number): StepNorm {
  return (_, input, out) => {
    const { saved } = layerNormForward(input, { normalizedShape: input.shape[1], weight, bias, eps, out });
    return (dy, dx) => layerNormBackward(dy, saved, { out: dx });
  };
}

function forwardAs(method: string, xs: TensorLike, options: LayerNormLSTMOptions) {
  const sizes = lstmSizes(method, xs, options);
  const eps = checkEps(method, options.eps);
  const gates = "one for each gate of a unit";
  const { gammaX, gammaH, gammaC, bias, betaC } = lstmVectors(method, options, sizes, 1, gates);
  return lstmForward(xs, options, sizes, {
    x: stepNorm(gammaX, bias, eps),
    h: stepNorm(gammaH, null, eps),
    c: stepNorm(gammaC, betaC, eps),
  });
}

/**
 * The layer-normalized LSTM over a sequence: layer norm on what comes from the input, from the hidden state, and on the
 * cell before its output.
 *
 * (f, i, o, g) = LN(W_x·x_t; γ_x) + LN(W_h·h_{t−1}; γ_h) + b, c_t = σ(f)·c_{t−1} + σ(i)·tanh(g),
 * h_t = σ(o)·tanh(LN(c_t; γ_c, β_c)).
 *
 * xs is `[T, N, I]`; weightIh `[4H, I]`, weightHh `[4H, H]`; the result has hs `[T, N, H]` and cLast `[N, H]`; f32 or f64.
 * The same at any batch size and step, in training and inference. Throws where a shape does not fit.
 *
 * Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer Normalization", 2016, arXiv:1607.06450, supplement.
 *
 * @example
 * const xs = { data: Float32Array.from({ length: 5 * 3 }, (_, i) => Math.sin(i)), shape: [5, 1, 3] };
 * const weightIh = { data: Float32Array.from({ length: 8 * 3 }, (_, i) => Math.cos(i)), shape: [8, 3] };
 * const weightHh = { data: Float32Array.from({ length: 8 * 2 }, (_, i) => Math.sin(3 * i)), shape: [8, 2] };
 * const { hs } = layerNormLSTM(xs, { weightIh, weightHh });
 */
export function layerNormLSTM(xs: TensorLike, options: LayerNormLSTMOptions): { hs: Tensor; cLast: Tensor } {
  const { hs, cLast, saved } = forwardAs("layerNormLSTM", xs, options);
  saved.dispose();
  return { hs, cLast };
}

/** `layerNormLSTM` that also returns what `layerNormLSTMBackward` needs; `saved.dispose()` frees it unused. */
export function layerNormLSTMForward(
  xs: TensorLike,
  options: LayerNormLSTMOptions,
): { hs: Tensor; cLast: Tensor; saved: LSTMSaved } {
  return forwardAs("layerNormLSTMForward", xs, options);
}

/** Back through time: the gradients of everything that went into `layerNormLSTM`. Frees `saved`. */
export function layerNormLSTMBackward(dhs: TensorLike, saved: LSTMSaved): LayerNormLSTMGradients {
  return namedLSTMGradients("layerNormLSTMBackward", dhs, saved);
}

/**
 * The layer-normalized LSTM as a layer: `layerNormLSTM` with its parameters and gradients.
 *
 * @example
 * const lstm = new LayerNormLSTM(3, 2);
 * const xs = { data: Float32Array.from({ length: 5 * 4 * 3 }, (_, i) => Math.sin(i)), shape: [5, 4, 3] };
 * const { hs } = lstm.forward(xs);
 * const { dxs } = lstm.backward(hs); // lstm.parameters().weightIh.grad
 */
export class LayerNormLSTM extends NormalizedLSTM {
  readonly eps: number;

  constructor(inputSize: number, hiddenSize: number, config: LSTMConfig = {}) {
    super("LayerNormLSTM", inputSize, hiddenSize, 1, config);
    this.eps = checkEps("LayerNormLSTM", config.eps);
  }

  forward(xs: TensorLike, state: Pick<LSTMWeights, "h0" | "c0"> = {}): { hs: Tensor; cLast: Tensor } {
    return this.keep(forwardAs("LayerNormLSTM.forward", xs, { ...this.values, ...state, eps: this.eps }));
  }
}
