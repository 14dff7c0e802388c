import { checkEps } from "../core/errors.js";
import { Layer, Parameter } from "../core/layer.js";
import type { DType } from "../core/memory.js";
import type { Tensor, TensorLike } from "../core/tensor.js";
import {
  checkNormalizedShape,
  type LayerNormOptions,
  type LayerNormSaved,
  normRowsBackward,
  normRowsForward,
  type RowGradients,
} from "./layer-norm.js";

/** As `LayerNormOptions`, without a bias. */
export type RMSNormOptions = Omit<LayerNormOptions, "bias">;
export type RMSNormSaved = LayerNormSaved;
export type RMSNormGradients = Omit<RowGradients, "dbias">;

/**
 * Root mean square normalization: each row over the last dimensions is divided by its root mean square; no mean is taken.
 *
 * y = x/√(mean(x²) + eps)·weight, the mean over `normalizedShape`.
 *
 * x is `[..., ...normalizedShape]`, f32 or f64; weight has `normalizedShape`; y has the shape of x. eps is 1e-5 by default
 * (PyTorch's null is the epsilon of the element type, Keras and Flax use 1e-6). Throws as `layerNorm` does.
 *
 * Source: B. Zhang, R. Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467.
 *
 * @example
 * const y = rmsNorm({ data: new Float32Array([3, 4]), shape: [1, 2] }, { normalizedShape: 2 });
 */
export function rmsNorm(x: TensorLike, options: RMSNormOptions): Tensor {
  return normRowsForward("rmsNorm", x, options, false, false).y;
}

/** `rmsNorm` that also returns what `rmsNormBackward` needs. */
export function rmsNormForward(x: TensorLike, options: RMSNormOptions): { y: Tensor; saved: RMSNormSaved } {
  const { y, saved } = normRowsForward("rmsNormForward", x, { ...options, bias: null }, false, true);
  return { y, saved: saved as RMSNormSaved };
}

/**
 * The gradient of RMS normalization.
 *
 * With g = dy·weight, r = 1/√(mean(x²) + eps) and x̂ = x·r: dx = r·(g − x̂·mean(g·x̂)), dweight = Σ dy·x̂ over all rows.
 *
 * @example
 * const { y, saved } = rmsNormForward(x, { normalizedShape: 768, weight });
 * const { dx, dweight } = rmsNormBackward(dy, saved);
 */
export function rmsNormBackward(
  dy: TensorLike,
  saved: RMSNormSaved,
  options: { out?: TensorLike } = {},
): RMSNormGradients {
  const { dx, dweight } = normRowsBackward("rmsNormBackward", dy, saved, options.out, false);
  return { dx, dweight };
}

export interface RMSNormConfig {
  /** Default 1e-5. */
  eps?: number;
  /** Whether a weight is learned. Default true. */
  elementwiseAffine?: boolean;
  /** Element type of the weight. Default "float32". */
  dtype?: DType;
}

/**
 * RMS normalization as a layer: `rmsNorm` with its weight (ones at first) and gradient.
 *
 * @example
 * const norm = new RMSNorm(768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy); // norm.weight.grad
 */
export class RMSNorm extends Layer {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly weight: Parameter | null;
  readonly bias = null;
  #saved: RMSNormSaved | undefined;

  constructor(normalizedShape: number | readonly number[], config: RMSNormConfig = {}) {
    super();
    const shape = [...checkNormalizedShape("RMSNorm", normalizedShape)];
    this.normalizedShape = shape;
    this.eps = checkEps("RMSNorm", config.eps);
    this.weight = (config.elementwiseAffine ?? true) ? new Parameter(shape, config.dtype ?? "float32", 1) : null;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { y, saved } = rmsNormForward(x, {
      normalizedShape: this.normalizedShape,
      weight: this.weight?.data,
      eps: this.eps,
      out: options.out,
    });
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward; adds to the gradient of the weight, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as RMSNormSaved;
    return this.learn(normRowsBackward("RMSNorm.backward", dy, saved, options.out, false)).dx;
  }
}
