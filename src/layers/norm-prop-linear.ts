import { applyAffine, cellGradSums } from "../core/cells.js";
import { checkCount, fail } from "../core/errors.js";
import { type Geometry, geometryOf, type Layout } from "../core/geometry.js";
import { Layer, Parameter, type Saved, type StateEntry, savedInput } from "../core/layer.js";
import { type DType, elementBytes, heapOf, kernelsOf, withScratch } from "../core/memory.js";
import { stageValues, stream } from "../core/stream.js";
import {
  arrayClass,
  checkSame,
  type Operand,
  readTensor,
  readValues,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import {
  type Block,
  denseSheets,
  eachSheet,
  multiply,
  readSheet,
  type Sheets,
  WeightGradient,
  wBlock,
  writeInputGradient,
  writeProductForInput,
  writeSheet,
} from "../linalg/sheets.js";
import { lecunNormal } from "../weights/lecun-normal.js";
import { type WeightNormSaved, weightNormBackwardAs, weightNormForwardAs } from "../weights/weight-norm.js";
import type { ReadSheets } from "./cosine-linear.js";
import { type GaussianMomentsOptions, gaussianMoments } from "./gaussian-moments.js";

/** An activation and what it does to a standard normal number. */
export interface NormPropActivation {
  forward(z: Tensor): Tensor;
  /** dz, given that of the result. */
  backward(dy: Tensor, z: Tensor): Tensor;
  /** E[f(z)] and the deviation of f(z). */
  mean: number;
  deviation: number;
  /** The first gamma, deviation/√E[f′(z)²], with which the layer's Jacobian has singular values around 1. */
  gamma: number;
}

/** The constants of the ReLU: √(1/2π), √((1 − 1/π)/2) and the inverse of 1.2111738962363165. */
export const normPropRelu = {
  mean: 0.3989422804014327,
  deviation: 0.5838193701035489,
  gamma: 0.8256452711765565,
} as const;

export interface NormPropOptions {
  /** Factor of each unit's input, `[units]`. Default: the activation's, 0.8256 (1/1.21) for the ReLU. */
  gamma?: VectorLike | null;
  /** Summand of each unit's input, `[units]`. Default: zeros. */
  beta?: VectorLike | null;
  /** Default: the ReLU. */
  activation?: NormPropActivation | null;
  /** Where to write y. Default: a new heap array. */
  out?: TensorLike;
}

export interface NormPropSaved extends Saved {
  /** What goes into the activation. */
  readonly z: Tensor;
  /** @internal */
  readonly weightNorm: WeightNormSaved;
  /** @internal */
  readonly options: Omit<NormPropOptions, "out">;
}

export interface NormPropGradients {
  dx: Tensor;
  dw: Tensor;
  dgamma: Tensor;
  dbeta: Tensor;
}

/**
 * An activation for normalization propagation from a function of one number and its derivative: tensors element by element,
 * constants by `gaussianMoments`.
 *
 * @example
 * const tanh = normPropActivation(Math.tanh, (z) => 1 - Math.tanh(z) ** 2);
 * const y = normPropLinear(x, w, { activation: tanh });
 */
export function normPropActivation(
  fn: (z: number) => number,
  derivative: (z: number) => number,
  options: GaussianMomentsOptions = {},
): NormPropActivation {
  const { mean, deviation } = gaussianMoments(fn, options);
  if (deviation === 0) fail("normPropActivation", "fn must not be constant; its result has no deviation to divide by");
  const slope = gaussianMoments((z) => derivative(z) ** 2, options).mean;
  return {
    forward: ({ data, shape }) => ({ data: data.map(fn), shape }),
    backward: (dy, z) => ({ data: dy.data.map((value, i) => value * derivative(z.data[i])), shape: dy.shape }),
    mean,
    deviation,
    gamma: deviation / Math.sqrt(slope),
  };
}

/** Where the units are in z and y. */
function unitsOf(method: string, z: Operand, sheets: Sheets): Geometry {
  const layout: Layout = sheets.windows?.layout ?? "channels-first";
  return geometryOf(method, z, layout);
}

/** gamma·w/‖w‖ in scratch. */
function scaledWeight(
  method: string,
  w: TensorLike,
  shape: readonly number[],
  sheets: Sheets,
  gamma: Float64Array,
): { block: Block; saved: WeightNormSaved } {
  const block = wBlock(sheets);
  const at = block.pointer / elementBytes(sheets.dtype);
  const out = { data: heapOf(sheets.dtype).subarray(at, at + block.length), shape };
  return { block, saved: weightNormForwardAs(method, w, { g: gamma, out }).saved };
}

/** (max(z, 0) − mean)/deviation, or that of another activation. */
function activate(y: Target, z: Operand, tensor: Tensor, activation: NormPropActivation | null | undefined): void {
  if (activation) {
    const { mean, deviation } = activation;
    const result = readTensor("activation.forward", "its result", activation.forward(tensor));
    checkSame("activation.forward", "its result", result, z, "z");
    const whole: Geometry = { n: 1, c: 1, s: z.length, order: "rows" };
    const [at, scale, shift] = [mean, 1 / deviation, 0].map((value) => Float64Array.of(value));
    applyAffine(y, result, whole, { mean: at, scale, shift });
    return;
  }
  const { mean, deviation } = normPropRelu;
  const k = kernelsOf(z.dtype);
  withScratch(() => {
    const [center, scale, shift] = [mean, 1 / deviation, 0].map((value) => stageValues([value], z.dtype));
    stream({ rows: 1, n: z.length, cut: 1 }, [z], [y], ([from, to], { n }) => {
      k.rowClamp(to, from, n, 0, Infinity);
      k.rowAffine(to, to, center, scale, shift, 1, n, 0, 1);
    });
  });
}

/** dz, from dy. */
function deactivate(dy: Operand, tensor: TensorLike, saved: NormPropSaved): Operand {
  const { activation } = saved.options;
  const scaled = new Target("normProp", undefined, dy);
  const z = readTensor("normProp", "z", saved.z);
  if (!activation) {
    const k = kernelsOf(dy.dtype);
    stream({ rows: 1, n: dy.length, cut: 1 }, [dy, z], [scaled], ([g, from, to], { n }) => {
      k.eachGate(to, g, from, n, 1 / normPropRelu.deviation);
    });
    return readTensor("normProp", "dz", scaled.result);
  }
  const whole: Geometry = { n: 1, c: 1, s: dy.length, order: "rows" };
  const zero = new Float64Array(1);
  applyAffine(scaled, dy, whole, { mean: zero, scale: zero.map(() => 1 / activation.deviation), shift: zero });
  const dz = readTensor("activation.backward", "its result", activation.backward(scaled.result, saved.z));
  checkSame("activation.backward", "its result", dz, z, "z");
  return dz;
}

function readGamma(method: string, { gamma, activation }: NormPropOptions, units: number): Float64Array {
  const fallback = activation?.gamma ?? normPropRelu.gamma;
  return readValues(method, "gamma", gamma, units, "one for each unit", fallback);
}

/** Normalization propagation for dense layers and convolutions, under the caller's name. @internal */
export function normPropForwardAs(
  method: string,
  x: TensorLike,
  w: TensorLike,
  read: ReadSheets,
  options: NormPropOptions,
): { y: Tensor; saved: NormPropSaved } {
  const input = readTensor(method, "x", x);
  const weight = readTensor(method, "w", w);
  const sheets = read(method, input, weight);
  const { dtype, yShape, o } = sheets;
  const gamma = readGamma(method, options, o);
  const beta = readValues(method, "beta", options.beta, o, "one for each unit", 0);
  const length = yShape.reduce((all, size) => all * size, 1);
  const like: Operand = { dtype, shape: yShape, length, heap: null, pointer: 0 };
  const y = new Target(method, options.out, like);
  for (const [name, operand] of [
    ["x", input],
    ["w", weight],
  ] as const) {
    y.checkOverlap(method, name, operand);
    if (y.isPlaceOf(operand)) fail(method, `out must not be ${name}, which the gradient needs; pass another tensor`);
  }
  const z = new Target(method, undefined, like);
  const weightNorm = withScratch(() => {
    const { block, saved } = scaledWeight(method, w, weight.shape, sheets, gamma);
    eachSheet(input, sheets, (sheet, index) => {
      const staged = stagedSheet(sheet);
      writeSheet(z, sheets, index, (at) => multiply(at, staged, block, sheets));
    });
    return saved;
  });
  const made = readTensor(method, "z", z.result);
  const geometry = unitsOf(method, made, sheets);
  const none = new Float64Array(o);
  applyAffine(new Target(method, z.result, made), made, geometry, { mean: none, scale: none.map(() => 1), shift: beta });
  activate(y, made, z.result, options.activation);
  const { out, ...kept } = options;
  return { y: y.result, saved: { x, z: z.result, weightNorm, options: kept } };
}

/** The gradient of `normPropForwardAs`. @internal */
export function normPropBackwardAs(
  method: string,
  dy: TensorLike,
  saved: NormPropSaved,
  read: ReadSheets,
  out: TensorLike | undefined,
): NormPropGradients {
  const input = savedInput(method, saved);
  const { weightNorm, options } = saved;
  const weight = savedInput(method, weightNorm);
  const sheets = read(method, input, weight);
  const { dtype, yShape, o } = sheets;
  const gradient = readTensor(method, "dy", dy);
  checkSame(method, "dy", gradient, { ...gradient, dtype, shape: yShape }, "the result");
  const dx = new Target(method, out, input);
  dx.checkOverlap(method, "x", input);
  dx.checkOverlap(method, "dy", gradient);
  const gamma = readGamma(method, options, o);
  const dz = deactivate(gradient, dy, saved);
  const none = new Float64Array(o);
  const sums = cellGradSums(dz, dz, unitsOf(method, dz, sheets), none).dy;
  const dbeta = new Float64Array(o);
  for (let cell = 0; cell < sums.length; cell++) dbeta[cell % o] += sums[cell];
  const dweight = withScratch(() => {
    const { block } = scaledWeight(method, weightNorm.x as TensorLike, weight.shape, sheets, gamma);
    const sum = new WeightGradient(sheets);
    eachSheet(input, sheets, (sheet, index) => {
      withScratch(() => {
        const from = readSheet(dz, sheets, index);
        sum.add(from, stagedSheet(sheet));
        writeInputGradient(dx, sheets, index, (target) => writeProductForInput(target, from, block, sheets));
      });
    });
    const { pointer } = sum.sum;
    const at = pointer / elementBytes(dtype);
    const dw = { data: heapOf(dtype).subarray(at, at + weight.length), shape: weight.shape };
    return weightNormBackwardAs(method, dw, weightNorm, undefined);
  });
  return {
    dx: dx.result,
    dw: dweight.dv,
    dgamma: dweight.dg,
    dbeta: { data: new (arrayClass(dtype))(dbeta), shape: [o] },
  };
}
