import { vectorOf } from "../core/channelwise.js";
import { checkNumber, fail } from "../core/errors.js";
import { geometryOf, type Layout, pooled } from "../core/geometry.js";
import { applyGroups, byChannel, channelMoments } from "../core/grouped.js";
import {
  entryOf,
  keepInput,
  Layer,
  Parameter,
  type Saved,
  type StateDict,
  type StateEntry,
  savedInput,
} from "../core/layer.js";
import { varianceOf } from "../core/moments.js";
import { directSlices, directSlicesGrad, type Slices, sliceLengths, slicesOf } from "../core/slices.js";
import {
  checkAxis,
  elementsOf,
  type Operand,
  readAlike,
  readTensor,
  readValues,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import type { LinearMap } from "./fold-batch-norm.js";

export interface WeightNormOptions {
  /** The length of each slice, `[v.shape[dim]]`; one number where dim is null. Default: ones. */
  g?: VectorLike | number | null;
  /**
   * The axis of the units: each gets one length. Default 0, the output channel in PyTorch; -1 is the last axis; null:
   * one length for the whole tensor. (PyTorch's former `weight_norm` took -1 for null.)
   */
  dim?: number | null;
  /** The least that a slice of v is divided by. Default 1e-12. */
  eps?: number;
  /** Where to write w; may be v. Default: a new heap array. */
  out?: TensorLike;
}

export interface WeightNormSaved extends Saved {
  /** ‖v‖ of each slice. */
  readonly length: Float64Array;
  /** @internal */
  readonly options: Omit<WeightNormOptions, "out">;
}

export interface WeightNormGradients {
  dv: Tensor;
  /** `[v.shape[dim]]`, or `[]` where dim is null. */
  dg: Tensor;
}

/** The axis that dim names, null for none. @internal */
export function readDim(
  method: string,
  dim: number | null | undefined,
  shape: readonly number[],
  name: string,
): number | null {
  if (dim === null) return null;
  return checkAxis(method, "dim", dim ?? 0, shape, name);
}

interface Units {
  slices: Slices;
  g: Float64Array;
  eps: number;
}

function readUnits(method: string, v: Operand, options: WeightNormOptions): Units {
  const dim = readDim(method, options.dim, v.shape, "v");
  const slices = slicesOf(v.shape, (axis) => axis !== dim);
  const given = typeof options.g === "number" ? [options.g] : options.g;
  const meaning = dim === null ? "the length of the whole tensor (dim is null)" : `one for each slice of dim ${dim}`;
  const g = readValues(method, "g", given, slices.count, meaning, 1);
  return { slices, g, eps: checkNumber(method, "eps", options.eps ?? 1e-12, 0, true) };
}

/** Weight norm under the caller's name. @internal */
export function weightNormForwardAs(
  method: string,
  v: TensorLike,
  options: WeightNormOptions,
): { w: Tensor; saved: WeightNormSaved } {
  const operand = readTensor(method, "v", v);
  const { slices, g, eps } = readUnits(method, operand, options);
  const w = new Target(method, options.out, operand, [operand]);
  const length = directSlices(w, operand, slices, g, eps);
  const { out, ...kept } = options;
  return { w: w.result, saved: { x: keepInput(v, operand, w), length, options: kept } };
}

/** The gradient of `weightNormForwardAs`. @internal */
export function weightNormBackwardAs(
  method: string,
  dw: TensorLike,
  saved: WeightNormSaved,
  out: TensorLike | undefined,
): WeightNormGradients {
  const v = savedInput(method, saved, "v");
  const gradient = readAlike(method, "dw", dw, v);
  const { slices, g, eps } = readUnits(method, v, saved.options);
  const dv = new Target(method, out, v, [v, gradient]);
  const dg = directSlicesGrad(dv, gradient, v, slices, g, eps, saved.length);
  return { dv: dv.result, dg: vectorOf(dg, v.dtype, slices.shape) };
}

/**
 * Weight normalization: each unit's weight is its length g times the direction of v.
 *
 * w = g·v/max(‖v‖, eps), ‖v‖ over all axes but `dim`.
 *
 * v is a tensor of any shape, f32 or f64; g is `[v.shape[dim]]`; w has the shape of v. A slice of zeros gives zeros.
 * Throws where dim names no axis, g has another length, or eps is not above 0.
 *
 * Source: T. Salimans, D. P. Kingma, "Weight Normalization", 2016, arXiv:1602.07868, equation 2; dim as in PyTorch.
 *
 * @example
 * const v = { data: new Float32Array([3, 4, 0, 2]), shape: [2, 2] };
 * const w = weightNorm(v, { g: [5, 1] }); // [3, 4, 0, 1]
 */
export function weightNorm(v: TensorLike, options: WeightNormOptions = {}): Tensor {
  return weightNormForwardAs("weightNorm", v, options).w;
}

/** `weightNorm` that also returns what `weightNormBackward` needs. */
export function weightNormForward(
  v: TensorLike,
  options: WeightNormOptions = {},
): { w: Tensor; saved: WeightNormSaved } {
  return weightNormForwardAs("weightNormForward", v, options);
}

/**
 * The gradient of weight normalization.
 *
 * dg = Σ dw·v/‖v‖ and dv = g/‖v‖·(dw − dg·v/‖v‖) over each slice: dv is orthogonal to v.
 *
 * @example
 * const v = { data: new Float32Array([3, 4, 0, 2]), shape: [2, 2] };
 * const { w, saved } = weightNormForward(v, { g: [5, 1] });
 * const { dv, dg } = weightNormBackward(w, saved); // the gradient of half the sum of squares of w
 */
export function weightNormBackward(
  dw: TensorLike,
  saved: WeightNormSaved,
  options: { out?: TensorLike } = {},
): WeightNormGradients {
  return weightNormBackwardAs("weightNormBackward", dw, saved, options.out);
}

export interface WeightNormInitOptions {
  /** The deviation that each unit's output gets on this batch. Default 1. */
  initScale?: number;
  /** Added to the variance. Default 1e-10. */
  eps?: number;
  /** Where the units are in the batch. Default "channels-first". */
  layout?: Layout;
  /** Leave the bias 0, for a mean-only batch norm behind the layer, which takes the mean out itself. Default false. */
  meanOnly?: boolean;
}

/**
 * Data-dependent initialization of weight norm: the lengths and biases that give each unit mean 0 and deviation
 * `initScale` on a batch.
 *
 * g = initScale/√(Var[t] + eps), bias = −mean[t]·g, y = (t − mean[t])·g, t the outputs of the layer on the batch with
 * weights v/‖v‖ and no bias.
 *
 * t is `[N, units, ...spatial]` or channels-last; y, the output of the initialized layer, is what the next layer is
 * initialized on. Throws where t has no units axis or initScale is not above 0.
 *
 * Source: T. Salimans, D. P. Kingma, "Weight Normalization", 2016, arXiv:1602.07868, section 3; with `meanOnly`,
 * section 4.
 *
 * @example
 * const v = { data: Float32Array.from({ length: 4 * 768 }, (_, i) => Math.sin(i)), shape: [4, 768] };
 * const t = matmul(x, weightNorm(v), { transposeB: true });
 * const { g, bias, y } = weightNormInit(t);
 */
export function weightNormInit(
  t: TensorLike,
  options: WeightNormInitOptions = {},
): { g: Tensor; bias: Tensor; y: Tensor } {
  const method = "weightNormInit";
  const operand = readTensor(method, "t", t);
  const geometry = pooled(geometryOf(method, operand, options.layout));
  const initScale = checkNumber(method, "initScale", options.initScale ?? 1, 0, true);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-10, 0);
  const channels = byChannel(geometry);
  const moments = channelMoments(operand, geometry);
  const g = varianceOf(moments).map((variance) => initScale / Math.sqrt(variance + eps));
  const y = new Target(method, undefined, operand);
  const { mean } = moments;
  const none = new Float64Array(geometry.c);
  applyGroups(
    y,
    operand,
    geometry,
    channels,
    { mean, rstd: g },
    none.map(() => 1),
    none,
  );
  const bias = options.meanOnly ? none : g.map((value, i) => -mean[i] * value);
  return { g: vectorOf(g, operand.dtype), bias: vectorOf(bias, operand.dtype), y: y.result };
}

export interface WeightNormConfig {
  /** The axis of the units, null for one length of the whole tensor. Default 0. */
  dim?: number | null;
  /** The least that a slice of v is divided by. Default 1e-12. */
  eps?: number;
}

/**
 * Weight normalization as a reparametrization of a weight: it learns `g` and `v`, and `forward` makes the weight of
 * them.
 *
 * At first g = ‖weight‖ and v = weight, so that forward gives the weight back.
 *
 * @example
 * const norm = new WeightNorm({ data: new Float32Array([3, 4, 0, 2]), shape: [2, 2] });
 * const w = norm.forward(); // use it as the weight of a linear map
 * norm.backward(w); // norm.g.grad, norm.v.grad
 */
export class WeightNorm extends Layer {
  /** A reparametrization learns g and v in place of a weight, and leaves the bias to the layer. */
  readonly weight = null;
  readonly bias = null;
  readonly dim: number | null;
  readonly eps: number;
  readonly g: Parameter;
  readonly v: Parameter;
  #saved: WeightNormSaved | undefined;

  constructor(weight: TensorLike, config: WeightNormConfig = {}) {
    super();
    const method = "WeightNorm";
    const operand = readTensor(method, "weight", weight);
    this.dim = readDim(method, config.dim, operand.shape, "weight");
    this.eps = checkNumber(method, "eps", config.eps ?? 1e-12, 0, true);
    // PyTorch's shape of g: that of the weight with ones in all places but dim.
    const shape = this.dim === null ? [] : operand.shape.map((size, axis) => (axis === this.dim ? size : 1));
    this.g = new Parameter(shape, operand.dtype, 0);
    this.v = new Parameter([...operand.shape], operand.dtype, 0);
    this.v.data.set(elementsOf(operand));
    this.g.data.set(
      sliceLengths(
        operand,
        slicesOf(operand.shape, (axis) => axis !== this.dim),
      ).length,
    );
  }

  /** The weight, g·v/‖v‖. */
  forward(options: { out?: TensorLike } = {}): Tensor {
    const { dim, eps, g, v } = this;
    const { w, saved } = weightNormForwardAs("WeightNorm.forward", v, { g: g.data, dim, eps, out: options.out });
    this.#saved = saved;
    return w;
  }

  /** Adds to the gradients of g and v, given that of the weight. */
  backward(dw: TensorLike): WeightNormGradients {
    const grads = weightNormBackwardAs("WeightNorm.backward", dw, this.#saved as WeightNormSaved, undefined);
    if (this.mode !== "eval") {
      this.g.addGrad(grads.dg.data);
      this.v.addGrad(grads.dv.data);
    }
    return grads;
  }

  /**
   * Data-dependent initialization: sets g, and returns the bias and the output of the initialized layer, given what the
   * layer does with a weight (without bias). See `weightNormInit`.
   *
   * @example
   * const v = { data: Float32Array.from({ length: 4 * 768 }, (_, i) => Math.sin(i)), shape: [4, 768] };
   * const norm = new WeightNorm(v);
   * const { bias, y } = norm.initialize((w) => matmul(x, w, { transposeB: true }));
   */
  initialize(layer: (weight: Tensor) => TensorLike, options: WeightNormInitOptions = {}): { bias: Tensor; y: Tensor } {
    const { dim, eps, v } = this;
    const { g, bias, y } = weightNormInit(layer(weightNorm(v, { dim, eps })), options);
    if (g.data.length !== this.g.data.length) {
      fail(
        "WeightNorm.initialize",
        `the layer gave ${g.data.length} units where the weight has ${this.g.data.length}; check dim and layout`,
      );
    }
    this.g.data.set(g.data);
    return { bias, y };
  }

  /**
   * Weight and bias for inference, where the weight is a plain tensor again. A mean-only batch norm behind the layer
   * goes into the bias: bias − runningMean.
   */
  fold(norm?: { readonly runningMean: VectorLike | null; readonly bias?: Parameter | null }): LinearMap {
    const { dim, eps, g, v } = this;
    const weight = weightNorm(v, { g: g.data, dim, eps });
    if (norm === undefined) return { weight };
    const method = "WeightNorm.fold";
    const units = g.data.length;
    if (!norm.runningMean) fail(method, "the norm must have a runningMean; without running statistics it cannot fold");
    const mean = readValues(method, "runningMean", norm.runningMean, units, "one for each unit", 0);
    const bias = readValues(method, "the norm's bias", norm.bias?.data, units, "one for each unit", 0);
    return { weight, bias: { data: g.data.map((_, i) => bias[i] - mean[i]), shape: [units] } };
  }

  override parameters(): Record<string, Parameter> {
    return { g: this.g, v: this.v };
  }

  protected override stateEntries(): StateEntry[] {
    const prefix = "parametrizations.weight.original";
    return [
      entryOf(`${prefix}0`, this.g, ["original0", "weight_g", "g"]),
      entryOf(`${prefix}1`, this.v, ["original1", "weight_v", "v"]),
    ];
  }

  /**
   * A copy of g and v under PyTorch's names; `legacy`: those of `torch.nn.utils.weight_norm`, weight_g and weight_v.
   */
  override stateDict(options: { legacy?: boolean } = {}): StateDict {
    const state = super.stateDict();
    if (!options.legacy) return state;
    const [g, v] = Object.values(state);
    return { weight_g: g, weight_v: v };
  }
}
