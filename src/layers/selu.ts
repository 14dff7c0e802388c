import { checkNumber } from "../core/errors.js";
import { keepInput, Layer, type Saved, savedInput } from "../core/layer.js";
import { FUNCTIONS, kernelsOf } from "../core/parts.js";
import { stream } from "../core/stream.js";
import { readAlike, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

/** The constants for which mean 0 and variance 1 are a fixed point: `selfNormalizingConstants(0, 1)`. */
export const SELU_ALPHA = 1.6732632423543772;
export const SELU_LAMBDA = 1.0507009873554805;

export interface SeluOptions {
  /** How far below 0 the function goes, before lambda. Default 1.6732632423543772. */
  alpha?: number;
  /** Factor of the function, its slope above 0. Default 1.0507009873554805. */
  lambda?: number;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface SeluSaved extends Saved {
  /** @internal */
  readonly alpha: number;
  /** @internal */
  readonly lambda: number;
}

/** alpha and lambda, checked. */
export function readConstants(
  method: string,
  options: { alpha?: number; lambda?: number },
): { alpha: number; lambda: number } {
  const alpha = checkNumber(method, "alpha", options.alpha ?? SELU_ALPHA, 0, true);
  const lambda = checkNumber(method, "lambda", options.lambda ?? SELU_LAMBDA, 0, true);
  return { alpha, lambda };
}

function forwardAs(method: string, x: TensorLike, options: SeluOptions): { y: Tensor; saved: SeluSaved } {
  const operand = readTensor(method, "x", x);
  const { alpha, lambda } = readConstants(method, options);
  const y = new Target(method, options.out, operand, [operand]);
  const k = kernelsOf(FUNCTIONS, operand.dtype);
  stream({ rows: 1, n: operand.length, cut: 1 }, [operand], [y], ([from, to], { n }) => {
    k.eachExpLinear(to, from, n, lambda, lambda * alpha);
  });
  return { y: y.result, saved: { x: keepInput(x, operand, y), alpha, lambda } };
}

function backwardAs(method: string, dy: TensorLike, saved: SeluSaved, out: TensorLike | undefined): { dx: Tensor } {
  const x = savedInput(method, saved);
  const gradient = readAlike(method, "dy", dy, x);
  const dx = new Target(method, out, x, [x, gradient]);
  const { alpha, lambda } = saved;
  const k = kernelsOf(FUNCTIONS, x.dtype);
  stream({ rows: 1, n: x.length, cut: 1 }, [gradient, x], [dx], ([g, from, to], { n }) => {
    k.eachExpLinearGrad(to, g, from, n, lambda, lambda * alpha);
  });
  return { dx: dx.result };
}

/**
 * The scaled exponential linear unit of self-normalizing networks.
 *
 * y = lambda·x for x > 0, lambda·alpha·(e^x − 1) else.
 *
 * x is a tensor of any shape, f32 or f64; y has the shape of x. With the default constants, standardized inputs and
 * `lecunNormal` weights, activations stay near mean 0 and variance 1 through any number of layers. Throws where alpha
 * or lambda is not above 0.
 *
 * Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-Normalizing Neural Networks", 2017,
 * arXiv:1706.02515, equation 2.
 *
 * @example
 * const y = selu({ data: new Float32Array([-1, 0, 1]), shape: [3] }); // [-1.1113, 0, 1.0507]
 */
export function selu(x: TensorLike, options: SeluOptions = {}): Tensor {
  return forwardAs("selu", x, options).y;
}

/** `selu` that also returns what `seluBackward` needs. */
export function seluForward(x: TensorLike, options: SeluOptions = {}): { y: Tensor; saved: SeluSaved } {
  return forwardAs("seluForward", x, options);
}

/**
 * The gradient of `selu`: dx = dy·lambda for x > 0, dy·lambda·alpha·e^x else (at 0 too).
 *
 * @example
 * const { y, saved } = seluForward(x);
 * const { dx } = seluBackward(dy, saved);
 */
export function seluBackward(dy: TensorLike, saved: SeluSaved, options: { out?: TensorLike } = {}): { dx: Tensor } {
  return backwardAs("seluBackward", dy, saved, options.out);
}

/**
 * `selu` as a layer. It learns nothing.
 *
 * @example
 * const activation = new SELU();
 * const y = activation.forward(x);
 * const dx = activation.backward(dy);
 */
export class SELU extends Layer {
  readonly weight = null;
  readonly bias = null;
  readonly alpha: number;
  readonly lambda: number;
  #saved: SeluSaved | undefined;

  constructor(constants: { alpha?: number; lambda?: number } = {}) {
    super();
    const { alpha, lambda } = readConstants("SELU", constants);
    this.alpha = alpha;
    this.lambda = lambda;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { alpha, lambda } = this;
    const { y, saved } = forwardAs("SELU.forward", x, { alpha, lambda, out: options.out });
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    return backwardAs("SELU.backward", dy, this.#saved as SeluSaved, options.out).dx;
  }
}
