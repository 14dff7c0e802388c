import type { Tensor, TensorLike } from "../core/tensor.js";
import type { WindowOptions } from "../linalg/im2col.js";
import { convolutionSheets, filterShape } from "../linalg/sheets.js";
import {
  type NormPropConfig,
  type NormPropGradients,
  NormPropLayer,
  type NormPropOptions,
  type NormPropSaved,
  normPropBackwardAs,
  normPropForwardAs,
} from "./norm-prop-linear.js";

export interface NormPropConvOptions extends NormPropOptions, WindowOptions {}

export interface NormPropConvSaved extends NormPropSaved {
  /** @internal */
  readonly windows: WindowOptions;
}

function forwardAs(
  method: string,
  x: TensorLike,
  w: TensorLike,
  options: NormPropConvOptions,
): { y: Tensor; saved: NormPropConvSaved } {
  const { stride, padding, dilation, layout, ...rest } = options;
  const windows = { stride, padding, dilation, layout };
  const { y, saved } = normPropForwardAs(method, x, w, convolutionSheets(windows), rest);
  return { y, saved: { ...saved, windows } };
}

/**
 * A convolution by normalization propagation: `normPropLinear` on each window of the input, with the length of the
 * whole filter.
 *
 * y = (f(z) − mean)/deviation, z[n, u, p] = gamma·⟨patch, w⟩/‖w‖ + beta, the patch being the window of all channels at
 * place p, zeros outside the image.
 *
 * x is `[N, C, H, W]` or `[N, C, L]`, or channels-last; w is `[units, C, ...window]` in either layout, gamma and beta
 * `[units]`; y has the places in x's layout. f32 or f64. Throws where the channels differ or the window does not fit.
 *
 * Source: D. Arpit, Y. Zhou, B. U. Kota, V. Govindaraju, "Normalization Propagation", 2016, arXiv:1603.01431.
 *
 * @example
 * const x = { data: new Float32Array(3 * 8 * 8), shape: [1, 3, 8, 8] };
 * const w = { data: new Float32Array(4 * 27).fill(1), shape: [4, 3, 3, 3] };
 * const y = normPropConv(x, w, { padding: 1 }); // [1, 4, 8, 8]
 */
export function normPropConv(x: TensorLike, w: TensorLike, options: NormPropConvOptions = {}): Tensor {
  return forwardAs("normPropConv", x, w, options).y;
}

/** `normPropConv` that also returns what `normPropConvBackward` needs. */
export function normPropConvForward(
  x: TensorLike,
  w: TensorLike,
  options: NormPropConvOptions = {},
): { y: Tensor; saved: NormPropConvSaved } {
  return forwardAs("normPropConvForward", x, w, options);
}

/**
 * The gradient of `normPropConv`: that of `normPropLinear` for each patch, summed into the places the patches were
 * taken from.
 *
 * @example
 * const w = { data: new Float32Array(8 * 64 * 9).fill(1), shape: [8, 64, 3, 3] };
 * const { y, saved } = normPropConvForward(images, w, { padding: 1 });
 * const { dx, dw, dgamma, dbeta } = normPropConvBackward(y, saved); // of half the sum of squares of y
 */
export function normPropConvBackward(
  dy: TensorLike,
  saved: NormPropConvSaved,
  options: { out?: TensorLike } = {},
): NormPropGradients {
  return normPropBackwardAs("normPropConvBackward", dy, saved, convolutionSheets(saved?.windows), options.out);
}

export interface NormPropConvConfig extends NormPropConfig, WindowOptions {}

/**
 * A convolution by normalization propagation as a layer: `normPropConv` with its weight (normal numbers of a seed),
 * gamma (0.8256 at first for the ReLU), beta (zeros) and gradients.
 *
 * @example
 * const layer = new NormPropConv(64, 16, [3, 3], { padding: 1 });
 * const y = layer.forward(images);
 * const dx = layer.backward(y); // layer.weight.grad, layer.gamma.grad, layer.bias.grad
 */
export class NormPropConv extends NormPropLayer {
  /** kernelSize has an entry for each spatial dimension: [3, 3] for images, [3] for series. */
  constructor(inChannels: number, outChannels: number, kernelSize: readonly number[], config: NormPropConvConfig = {}) {
    const method = "NormPropConv";
    super(method, filterShape(method, inChannels, outChannels, kernelSize), config, convolutionSheets(config));
  }
}
