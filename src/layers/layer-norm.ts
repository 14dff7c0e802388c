import { checkEps, fail, show } from "../core/errors.js";
import { keepInput, Layer, Parameter, type Saved, savedInput } from "../core/layer.js";
import type { DType } from "../core/memory.js";
import { normalizeRows, normalizeRowsGrad, rowStatistics } from "../core/rows.js";
import {
  arrayClass,
  type Operand,
  readAlike,
  readTensor,
  readVector,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";

export interface LayerNormOptions {
  /** The last dimensions of x, normalized together; a number stands for one dimension. */
  normalizedShape: number | readonly number[];
  /** One factor for each normalized element. Default: ones. */
  weight?: VectorLike | null;
  /** One summand for each normalized element. Default: zeros. */
  bias?: VectorLike | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface LayerNormSaved extends Saved {
  /** Mean and 1/√(var + eps) of each row. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** @internal */
  readonly options: Omit<LayerNormOptions, "out">;
}

export interface RowGradients {
  dx: Tensor;
  /** Null where there was no weight. */
  dweight: Tensor | null;
  /** Null where there was no bias. */
  dbias: Tensor | null;
}

function isSize(size: unknown): boolean {
  return Number.isSafeInteger(size) && (size as number) >= 1;
}

/** The normalized dimensions as a list. */
export function checkNormalizedShape(method: string, given: number | readonly number[]): readonly number[] {
  const shape = typeof given === "number" ? [given] : given;
  if (!Array.isArray(shape) || shape.length === 0 || !shape.every(isSize)) {
    fail(method, `normalizedShape must hold whole numbers of at least 1, got ${show(given)}`);
  }
  return shape;
}

/** How x falls into rows of the normalized dimensions. */
export function rowsOf(
  method: string,
  x: Operand,
  normalizedShape: number | readonly number[],
): { rows: number; n: number; shape: readonly number[] } {
  const shape = checkNormalizedShape(method, normalizedShape);
  const before = x.shape.length - shape.length;
  let n = 1;
  for (let i = 0; i < shape.length; i++) {
    n *= shape[i];
    if (shape[i] === x.shape[before + i]) continue;
    const tail = show(x.shape.slice(-shape.length));
    fail(
      method,
      `normalizedShape ${show(shape)} must be the last dimensions of x, whose shape is ${show(x.shape)}; pass ${tail}`,
    );
  }
  return { rows: x.length / n, n, shape };
}

/** What layer norm and RMS norm share: rows normalized by their own statistics, which are kept with `keep`. @internal */
export function normRowsForward(
  method: string,
  x: TensorLike,
  options: LayerNormOptions,
  centered: boolean,
  keep: boolean,
): { y: Tensor; saved: LayerNormSaved | undefined } {
  const operand = readTensor(method, "x", x);
  const { rows, n } = rowsOf(method, operand, options.normalizedShape);
  const eps = checkEps(method, options.eps);
  const weight = readVector(method, "weight", options.weight, n, "one for each normalized element");
  const bias = centered ? readVector(method, "bias", options.bias, n, "one for each normalized element") : undefined;
  const y = new Target(method, options.out, operand, [operand]);
  const statistics = keep ? rowStatistics(rows) : undefined;
  normalizeRows(y, operand, { rows, n, weight, bias, period: 1, centered }, eps, statistics);
  return { y: y.result, saved: statistics && { x: keepInput(x, operand, y), ...statistics, options } };
}

/** The gradient of `normRowsForward`. @internal */
export function normRowsBackward(
  method: string,
  dy: TensorLike,
  saved: LayerNormSaved,
  out: TensorLike | undefined,
  centered: boolean,
): RowGradients {
  const x = savedInput(method, saved);
  const gradient = readAlike(method, "dy", dy, x);
  const { options } = saved;
  const { rows, n, shape } = rowsOf(method, x, options.normalizedShape);
  const weight = readVector(method, "weight", options.weight, n, "one for each normalized element");
  const dx = new Target(method, out, x, [x, gradient]);
  // Of NaN the kernels have seen to.
  const rounded = (sums: Float64Array) => ({ data: new (arrayClass(x.dtype))(sums), shape: [...shape] });
  const grads = normalizeRowsGrad(dx, gradient, x, { rows, n, weight, period: 1, centered }, saved);
  return {
    dx: dx.result,
    dweight: options.weight ? rounded(grads.dweight) : null,
    dbias: options.bias ? rounded(grads.dbias) : null,
  };
}

/**
 * Layer normalization: each row over the last dimensions is brought to mean 0 and variance 1, then scaled and shifted.
 *
 * y = (x − mean)/√(var + eps)·weight + bias, mean and (biased) variance over `normalizedShape`.
 *
 * x is `[..., ...normalizedShape]`, f32 or f64; weight and bias have `normalizedShape`; y has the shape of x. Throws where
 * normalizedShape is not the end of x's shape, a length differs, or eps is negative.
 *
 * Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer Normalization", 2016, arXiv:1607.06450; eps as in PyTorch.
 *
 * @example
 * const y = layerNorm({ data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] }, { normalizedShape: 2 });
 */
export function layerNorm(x: TensorLike, options: LayerNormOptions): Tensor {
  return normRowsForward("layerNorm", x, options, true, false).y;
}

/** `layerNorm` that also returns what `layerNormBackward` needs. */
export function layerNormForward(x: TensorLike, options: LayerNormOptions): { y: Tensor; saved: LayerNormSaved } {
  const { y, saved } = normRowsForward("layerNormForward", x, options, true, true);
  return { y, saved: saved as LayerNormSaved };
}

/**
 * The gradient of layer normalization.
 *
 * With g = dy·weight and x̂ = (x − mean)·rstd: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dweight = Σ dy·x̂, dbias = Σ dy,
 * the sums over all rows. dy has the shape of x; dx is written to `out` where given (it may be dy).
 *
 * @example
 * const { y, saved } = layerNormForward(x, { normalizedShape: 768, weight, bias });
 * const { dx, dweight, dbias } = layerNormBackward(dy, saved);
 */
export function layerNormBackward(
  dy: TensorLike,
  saved: LayerNormSaved,
  options: { out?: TensorLike } = {},
): RowGradients {
  return normRowsBackward("layerNormBackward", dy, saved, options.out, true);
}

export interface LayerNormConfig {
  /** Default 1e-5. */
  eps?: number;
  /** Whether weight and bias are learned. Default true. */
  elementwiseAffine?: boolean;
  /** Whether there is a bias beside the weight. Default true. */
  bias?: boolean;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
}

/**
 * Layer normalization as a layer: `layerNorm` with its weight (ones at first), bias (zeros) and gradients.
 *
 * @example
 * const norm = new LayerNorm(768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad, norm.bias.grad
 */
export class LayerNorm extends Layer {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  #saved: LayerNormSaved | undefined;

  constructor(normalizedShape: number | readonly number[], config: LayerNormConfig = {}) {
    super();
    const shape = [...checkNormalizedShape("LayerNorm", normalizedShape)];
    this.normalizedShape = shape;
    this.eps = checkEps("LayerNorm", config.eps);
    const affine = config.elementwiseAffine ?? true;
    const dtype = config.dtype ?? "float32";
    this.weight = affine ? new Parameter(shape, dtype, 1) : null;
    this.bias = affine && (config.bias ?? true) ? new Parameter(shape, dtype, 0) : null;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { y, saved } = layerNormForward(x, {
      normalizedShape: this.normalizedShape,
      weight: this.weight?.data,
      bias: this.bias?.data,
      eps: this.eps,
      out: options.out,
    });
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward; adds to the gradients of weight and bias, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    return this.learn(normRowsBackward("LayerNorm.backward", dy, this.#saved as LayerNormSaved, options.out, true)).dx;
  }
}
