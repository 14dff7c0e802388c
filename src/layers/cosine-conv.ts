import type { Tensor, TensorLike } from "../core/tensor.js";
import type { WindowOptions } from "../linalg/im2col.js";
import { convolutionSheets, filterShape } from "../linalg/sheets.js";
import {
  type CosineConfig,
  type CosineGradients,
  CosineLayer,
  type CosineOptions,
  type CosineSaved,
  cosineBackwardAs,
  cosineForwardAs,
} from "./cosine-linear.js";

export interface CosineConvOptions extends CosineOptions, WindowOptions {}

export interface CosineConvSaved extends CosineSaved {
  /** @internal */
  readonly windows: WindowOptions;
}

function forwardAs(
  method: string,
  x: TensorLike,
  w: TensorLike,
  options: CosineConvOptions,
): { y: Tensor; saved: CosineConvSaved } {
  const { stride, padding, dilation, layout, ...rest } = options;
  const windows = { stride, padding, dilation, layout };
  const { y, saved } = cosineForwardAs(method, x, w, convolutionSheets(windows), rest);
  return { y, saved: { ...saved, windows } };
}

/**
 * A convolution of cosines: each output is the cosine of the angle between a window of the input and a filter.
 *
 * y[n, u, p] = scale·⟨patch, w⟩/(‖patch‖·‖w‖), the patch being the window of all channels at place p, zeros outside the
 * image; `centered` and `bias` as for `cosineLinear`. A patch or filter of zeros gives 0.
 *
 * x is `[N, C, H, W]` or `[N, C, L]`, or channels-last; w is `[units, C, ...window]` in either layout; y has the places
 * in x's layout. f32 or f64. Throws where the channels differ or the window does not fit.
 *
 * Source: C. Luo, J. Zhan, L. Wang, Q. Yang, "Cosine Normalization", 2017, arXiv:1702.05870, section 3.
 *
 * @example
 * const x = { data: new Float32Array(3 * 8 * 8).fill(1), shape: [1, 3, 8, 8] };
 * const w = { data: new Float32Array(4 * 27).fill(1), shape: [4, 3, 3, 3] };
 * const y = cosineConv(x, w, { padding: 1 }); // [1, 4, 8, 8], 1 where the window is inside
 */
export function cosineConv(x: TensorLike, w: TensorLike, options: CosineConvOptions = {}): Tensor {
  return forwardAs("cosineConv", x, w, options).y;
}

/** `cosineConv` that also returns what `cosineConvBackward` needs. */
export function cosineConvForward(
  x: TensorLike,
  w: TensorLike,
  options: CosineConvOptions = {},
): { y: Tensor; saved: CosineConvSaved } {
  return forwardAs("cosineConvForward", x, w, options);
}

/**
 * The gradient of a convolution of cosines: that of `cosineLinear` for each patch, summed into the places the patches
 * were taken from.
 *
 * @example
 * const w = { data: new Float32Array(8 * 64 * 9).fill(1), shape: [8, 64, 3, 3] };
 * const { y, saved } = cosineConvForward(images, w, { padding: 1 });
 * const { dx, dw } = cosineConvBackward(y, saved); // the gradient of half the sum of squares of y
 */
export function cosineConvBackward(
  dy: TensorLike,
  saved: CosineConvSaved,
  options: { out?: TensorLike } = {},
): CosineGradients {
  return cosineBackwardAs("cosineConvBackward", dy, saved, convolutionSheets(saved?.windows), options.out);
}

export interface CosineConvConfig extends CosineConfig, WindowOptions {}

/**
 * A convolution of cosines as a layer: `cosineConv` with its weight (normal numbers of a seed), bias, factor and
 * gradients.
 *
 * @example
 * const layer = new CosineConv(64, 16, [3, 3], { padding: 1 });
 * const y = layer.forward(images);
 * const dx = layer.backward(y); // layer.weight.grad
 */
export class CosineConv extends CosineLayer {
  /** kernelSize has an entry for each spatial dimension: [3, 3] for images, [3] for series. */
  constructor(inChannels: number, outChannels: number, kernelSize: readonly number[], config: CosineConvConfig = {}) {
    const method = "CosineConv";
    super(method, filterShape(method, inChannels, outChannels, kernelSize), config, convolutionSheets(config));
  }
}
