import { applyAffine, cellGradSums } from "../core/cells.js";
import { vectorOf } from "../core/channelwise.js";
import { fail } from "../core/errors.js";
import { type Geometry, geometryOf, pooled } from "../core/geometry.js";
import { entryOf, Layer, Parameter, type Saved, type StateEntry, savedInput } from "../core/layer.js";
import { type DType, withScratch } from "../core/memory.js";
import { COLUMNS, FUNCTIONS, kernelsOf, ROWS } from "../core/parts.js";
import { scaleWhole } from "../core/slices.js";
import { square } from "../core/special.js";
import { stageValues, stream } from "../core/stream.js";
import {
  elementsOf,
  type Operand,
  readAlike,
  readTensor,
  readValues,
  shaped,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import { writeSample } from "../linalg/im2col.js";
import {
  type Block,
  denseShape,
  denseSheets,
  eachSheet,
  inMemory,
  multiply,
  type ReadSheets,
  readSheet,
  type Sheets,
  WeightGradient,
  wBlock,
  writeInputGradient,
  writeProductForInput,
} from "../linalg/sheets.js";
import { lecunNormal } from "../weights/lecun-normal.js";
import { type WeightNormSaved, weightNormBackwardAs, weightNormForwardAs } from "../weights/weight-norm.js";

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
  gamma: 0.8256452711765564,
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
 * An activation for normalization propagation from a function of one number and its derivative: tensors element by
 * element, constants by `gaussianMoments`.
 *
 * @example
 * const tanh = normPropActivation(Math.tanh, (z) => 1 - Math.tanh(z) ** 2);
 * const w = { data: Float32Array.from({ length: 10 * 768 }, (_, i) => Math.sin(i)), shape: [10, 768] };
 * const y = normPropLinear(x, w, { activation: tanh });
 */
export function normPropActivation(
  fn: (z: number) => number,
  derivative: (z: number) => number,
  options: GaussianMomentsOptions = {},
): NormPropActivation {
  const { mean, deviation } = gaussianMoments(fn, options);
  if (deviation === 0) fail("normPropActivation", "fn must not be constant; its result has no deviation to divide by");
  const slope = gaussianMoments((z) => square(derivative(z)), options).mean;
  return {
    forward: ({ data, shape }) => ({ data: data.map((value) => fn(value)), shape }),
    backward: (dy, z) => ({ data: dy.data.map((value, i) => value * derivative(z.data[i])), shape: dy.shape }),
    mean,
    deviation,
    gamma: deviation / Math.sqrt(slope),
  };
}

/** Where the units are in z and y. */
function unitsOf(method: string, z: Operand, { windows }: Sheets): Geometry {
  return pooled(geometryOf(method, z, windows?.layout));
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
  const out = { data: elementsOf(block), shape };
  return { block, saved: weightNormForwardAs(method, w, { g: gamma, out }).saved };
}

/** (max(z, 0) − mean)/deviation, or that of another activation. */
function activate(y: Target, z: Operand, tensor: Tensor, activation: NormPropActivation | null | undefined): void {
  if (activation) {
    const { mean, deviation } = activation;
    const result = readAlike("activation.forward", "its result", activation.forward(tensor), z);
    scaleWhole(y, result, 1 / deviation, mean);
    return;
  }
  const { mean, deviation } = normPropRelu;
  const onColumns = kernelsOf(COLUMNS, z.dtype);
  const onRows = kernelsOf(ROWS, z.dtype);
  withScratch(() => {
    const [center, scale, shift] = [mean, 1 / deviation, 0].map((value) => stageValues([value], z.dtype));
    stream({ rows: 1, n: z.length, cut: 1 }, [z], [y], ([from, to], { n }) => {
      onColumns.eachClamp(to, from, n, 0, Infinity);
      onRows.rowAffine(to, to, center, scale, shift, 1, n, 0, 1);
    });
  });
}

/** dz, from dy. */
function deactivate(dy: Operand, saved: NormPropSaved): Operand {
  const { activation } = saved.options;
  const scaled = new Target("normProp", undefined, dy);
  const z = readTensor("normProp", "z", saved.z);
  if (!activation) {
    const k = kernelsOf(FUNCTIONS, dy.dtype);
    stream({ rows: 1, n: dy.length, cut: 1 }, [dy, z], [scaled], ([g, from, to], { n }) => {
      k.eachGate(to, g, from, n, 1 / normPropRelu.deviation);
    });
    return readTensor("normProp", "dz", scaled.result);
  }
  scaleWhole(scaled, dy, 1 / activation.deviation);
  return readAlike("activation.backward", "its result", activation.backward(scaled.result, saved.z), z);
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
  const like = shaped(dtype, yShape);
  const inputs = [input, weight];
  const y = new Target(method, options.out, like, inputs);
  for (const operand of inputs) {
    if (y.isPlaceOf(operand))
      fail(method, `out must not be ${operand.name}, which the gradient needs; pass another tensor`);
  }
  const z = new Target(method, undefined, like);
  const weightNorm = withScratch(() => {
    const { block, saved } = scaledWeight(method, w, weight.shape, sheets, gamma);
    eachSheet(input, sheets, (sheet, index) => {
      const staged = inMemory(sheet);
      writeSample(z, sheets.count, index, (at) => multiply(at, staged, block, sheets));
    });
    return saved;
  });
  const made = readTensor(method, "z", z.result);
  const geometry = unitsOf(method, made, sheets);
  const none = new Float64Array(o);
  applyAffine(new Target(method, z.result, made), made, geometry, {
    mean: none,
    scale: none.map(() => 1),
    shift: beta,
  });
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
  const gradient = readAlike(method, "dy", dy, { name: "the result", dtype, shape: yShape });
  const dx = new Target(method, out, input, [input, gradient]);
  const gamma = readGamma(method, options, o);
  const dz = deactivate(gradient, saved);
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
        sum.add(from, inMemory(sheet));
        writeInputGradient(dx, sheets, index, (target) => writeProductForInput(target, from, block, sheets));
      });
    });
    const dw = { data: elementsOf(sum.sum), shape: weight.shape };
    return weightNormBackwardAs(method, dw, weightNorm, undefined);
  });
  return {
    dx: dx.result,
    dw: dweight.dv,
    dgamma: dweight.dg,
    dbeta: vectorOf(dbeta, dtype),
  };
}

/**
 * A linear layer by normalization propagation: where the input is standard normal, so, nearly, is the output, without
 * any statistics of the batch.
 *
 * y = (f(z) − mean)/deviation, z = gamma·⟨x, w⟩/‖w‖ + beta, f the ReLU with mean √(1/2π) and deviation √((1 − 1/π)/2)
 * of f(z) for a standard normal z, or another activation with its constants.
 *
 * x is `[N, inputs]`, standardized once for the whole data, w `[units, inputs]`, gamma and beta `[units]`, y `[N,
 * units]`; f32 or f64. Training and inference are the same, and one sample is enough. A unit of zeros has z = beta.
 * Throws where the inputs or lengths differ.
 *
 * Source: D. Arpit, Y. Zhou, B. U. Kota, V. Govindaraju, "Normalization Propagation", 2016, arXiv:1603.01431.
 *
 * @example
 * const x = { data: new Float32Array([1, -1, 0, 2]), shape: [2, 2] };
 * const w = { data: new Float32Array([3, 4]), shape: [1, 2] };
 * const y = normPropLinear(x, w, { gamma: [1], beta: [0] }); // [-0.6833, 2.0572]
 */
export function normPropLinear(x: TensorLike, w: TensorLike, options: NormPropOptions = {}): Tensor {
  return normPropForwardAs("normPropLinear", x, w, denseSheets, options).y;
}

/** `normPropLinear` that also returns what `normPropLinearBackward` needs. */
export function normPropLinearForward(
  x: TensorLike,
  w: TensorLike,
  options: NormPropOptions = {},
): { y: Tensor; saved: NormPropSaved } {
  return normPropForwardAs("normPropLinearForward", x, w, denseSheets, options);
}

/**
 * The gradient of `normPropLinear`.
 *
 * dz = dy·f′(z)/deviation; dx = dz·(gamma·w/‖w‖) and dbeta = Σ dz; dw and dgamma are those of weight norm for dzᵀ·x.
 *
 * @example
 * const w = { data: Float32Array.from({ length: 10 * 768 }, (_, i) => Math.sin(i)), shape: [10, 768] };
 * const { y, saved } = normPropLinearForward(x, w);
 * const { dx, dw, dgamma, dbeta } = normPropLinearBackward(y, saved); // of half the sum of squares of y
 */
export function normPropLinearBackward(
  dy: TensorLike,
  saved: NormPropSaved,
  options: { out?: TensorLike } = {},
): NormPropGradients {
  return normPropBackwardAs("normPropLinearBackward", dy, saved, denseSheets, options.out);
}

export interface NormPropConfig {
  /** Default: the ReLU. */
  activation?: NormPropActivation | null;
  /** Of the first weights. Default 0. */
  seed?: number;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
}

/** What layers of normalization propagation share. @internal */
export abstract class NormPropLayer extends Layer {
  readonly weight: Parameter;
  /** beta. */
  readonly bias: Parameter;
  readonly gamma: Parameter;
  readonly activation: NormPropActivation | null;
  readonly #name: string;
  readonly #read: ReadSheets;
  #saved: NormPropSaved | undefined;

  /** `read`: how this layer's tensors fall into sheets. */
  constructor(method: string, shape: readonly number[], config: NormPropConfig, read: ReadSheets) {
    super();
    this.#name = method;
    this.#read = read;
    const dtype = config.dtype ?? "float32";
    this.activation = config.activation ?? null;
    this.weight = new Parameter(shape, dtype, 0);
    this.weight.data.set(lecunNormal(shape, { seed: config.seed, dtype }).data);
    this.gamma = new Parameter([shape[0]], dtype, this.activation?.gamma ?? normPropRelu.gamma);
    this.bias = new Parameter([shape[0]], dtype, 0);
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { weight, gamma, bias, activation } = this;
    const all = { gamma: gamma.data, beta: bias.data, activation, out: options.out };
    const { y, saved } = normPropForwardAs(`${this.#name}.forward`, x, weight, this.#read, all);
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward; adds to the gradients of the parameters, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as NormPropSaved;
    const found = normPropBackwardAs(`${this.#name}.backward`, dy, saved, this.#read, options.out);
    if (this.mode !== "eval") {
      this.weight.addGrad(found.dw.data);
      this.gamma.addGrad(found.dgamma.data);
      this.bias.addGrad(found.dbeta.data);
    }
    return found.dx;
  }

  override parameters(): Record<string, Parameter> {
    return { weight: this.weight, gamma: this.gamma, beta: this.bias };
  }

  protected override stateEntries(): StateEntry[] {
    return [
      entryOf("weight", this.weight),
      entryOf("gamma", this.gamma, ["scale"]),
      entryOf("beta", this.bias, ["bias"]),
    ];
  }
}

/**
 * A linear layer by normalization propagation as a layer: `normPropLinear` with its weight (normal numbers of a seed),
 * gamma (0.8256 at first for the ReLU), beta (zeros) and gradients.
 *
 * @example
 * const layer = new NormPropLinear(768, 64);
 * const y = layer.forward(x);
 * const dx = layer.backward(y); // layer.weight.grad, layer.gamma.grad, layer.bias.grad
 */
export class NormPropLinear extends NormPropLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;

  constructor(inFeatures: number, outFeatures: number, config: NormPropConfig = {}) {
    super("NormPropLinear", denseShape("NormPropLinear", inFeatures, outFeatures), config, denseSheets);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
  }
}
