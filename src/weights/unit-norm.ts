import { checkNumber, fail, show } from "../core/errors.js";
import { keepInput, type Saved, savedInput } from "../core/layer.js";
import { directSlices, directSlicesGrad, type Slices, slicesOf } from "../core/slices.js";
import { type Operand, readAlike, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface UnitNormOptions {
  /**
   * The axes that lengths are taken along, one or several; -1 is the last. Default: all but the first, so that each
   * unit of [units, ...] gets length 1. Keras: -1 for the layer, 0 for the constraint.
   */
  axes?: number | readonly number[];
  /** The least that a slice is divided by. Default 1e-12. */
  eps?: number;
  /** Where to write the result; may be w. Default: a new heap array. */
  out?: TensorLike;
}

export interface UnitNormSaved extends Saved {
  /** ‖w‖ of each slice. */
  readonly length: Float64Array;
  /** @internal */
  readonly options: Omit<UnitNormOptions, "out">;
}

function readSlices(method: string, w: Operand, axes: UnitNormOptions["axes"]): Slices {
  const rank = w.shape.length;
  if (axes === undefined) return slicesOf(w.shape, (axis) => axis > 0 || rank === 1);
  const along = new Set<number>();
  for (const axis of typeof axes === "number" ? [axes] : axes) {
    const found = axis < 0 ? axis + rank : axis;
    if (!Number.isSafeInteger(found) || found < 0 || found >= rank || along.has(found)) {
      fail(method, `axes must name dimensions of w, whose shape is ${show(w.shape)}, each once, got ${show(axes)}`);
    }
    along.add(found);
  }
  if (along.size === 0) fail(method, "axes must name at least one dimension of w, got []");
  return slicesOf(w.shape, (axis) => along.has(axis));
}

function forwardAs(method: string, w: TensorLike, options: UnitNormOptions): { y: Tensor; saved: UnitNormSaved } {
  const operand = readTensor(method, "w", w);
  const slices = readSlices(method, operand, options.axes);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-12, 0, true);
  const y = new Target(method, options.out, operand, [operand]);
  const length = directSlices(y, operand, slices, new Float64Array(slices.count).fill(1), eps);
  return { y: y.result, saved: { x: keepInput(w, operand, y), length, options: { axes: options.axes, eps } } };
}

/**
 * Weights of unit length along axes: a projection for after an optimizer's step, or a layer.
 *
 * y = w/max(‖w‖, eps), ‖w‖ = √Σw² along `axes`.
 *
 * w is a tensor of any shape, f32 or f64; y has the shape of w. A slice of zeros stays zeros. Throws where axes name no
 * dimension or eps is not above 0.
 *
 * Source: the direction of weight normalization, T. Salimans, D. P. Kingma, 2016, arXiv:1602.07868; eps as in PyTorch's
 * `normalize` and Keras' `UnitNormalization`.
 *
 * @example
 * const w = { data: new Float32Array([3, 4, 0, 2]), shape: [2, 2] };
 * unitNorm(w); // [0.6, 0.8, 0, 1]
 * unitNorm(w, { axes: 0, out: w }); // columns, in place
 */
export function unitNorm(w: TensorLike, options: UnitNormOptions = {}): Tensor {
  return forwardAs("unitNorm", w, options).y;
}

/** `unitNorm` that also returns what `unitNormBackward` needs. */
export function unitNormForward(w: TensorLike, options: UnitNormOptions = {}): { y: Tensor; saved: UnitNormSaved } {
  return forwardAs("unitNormForward", w, options);
}

/**
 * The gradient of `unitNorm`: dw = (dy − y·Σ dy·y)/‖w‖ along the axes.
 *
 * @example
 * const w = { data: new Float32Array([3, 1, 0, 2]), shape: [2, 2] };
 * const { y, saved } = unitNormForward(w);
 * const { dw } = unitNormBackward(w, saved);
 */
export function unitNormBackward(
  dy: TensorLike,
  saved: UnitNormSaved,
  options: { out?: TensorLike } = {},
): { dw: Tensor } {
  const method = "unitNormBackward";
  const w = savedInput(method, saved, "w");
  const gradient = readAlike(method, "dy", dy, w);
  const slices = readSlices(method, w, saved.options.axes);
  const dw = new Target(method, options.out, w, [w, gradient]);
  const ones = new Float64Array(slices.count).fill(1);
  directSlicesGrad(dw, gradient, w, slices, ones, saved.options.eps as number, saved.length);
  return { dw: dw.result };
}
