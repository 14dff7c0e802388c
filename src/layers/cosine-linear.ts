import { vectorOf } from "../core/channelwise.js";
import { checkFinite, fail } from "../core/errors.js";
import { entriesOf, keepInput, Layer, Parameter, type Saved, type StateEntry, savedInput } from "../core/layer.js";
import { colScratch, copyF64, type DType, scratchF64, withScratch } from "../core/memory.js";
import { kernelsOf, LINEAR } from "../core/parts.js";
import {
  applySliceGradient,
  inverseLengths,
  type SliceLengths,
  type Slices,
  scaleSlices,
  sliceDots,
  sliceLengths,
} from "../core/slices.js";
import { stageValues } from "../core/stream.js";
import {
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
  asMatrix,
  denseShape,
  denseSheets,
  eachSheet,
  multiply,
  multiplyForInput,
  type ReadSheets,
  readSheet,
  type Sheets,
  WeightGradient,
  wBlock,
  writeInputGradient,
  xBlock,
} from "../linalg/sheets.js";
import { lecunNormal } from "../weights/lecun-normal.js";

export interface CosineOptions {
  /** A further coordinate of each unit, beside a further input of 1, `[units]`. Not with centered. Default: none. */
  bias?: VectorLike | null;
  /** Take inputs and weights about their means, so that y is Pearson's correlation. Default false. */
  centered?: boolean;
  /** Factor of y; a softmax on top needs one, since cosines are small. Default 1. */
  scale?: number;
  /** Where to write y. Default: a new heap array. */
  out?: TensorLike;
}

/** Rows of a sheet, or the units: what their direction takes. */
interface Directions {
  mean: Float64Array;
  /** 1/length, 0 for what has no direction. */
  rlength: Float64Array;
}

export interface CosineSaved extends Saved {
  /** @internal */
  readonly w: TensorLike | null;
  /** @internal */
  readonly rows: readonly Directions[];
  /** @internal */
  readonly units: Directions;
  /** @internal */
  readonly options: Omit<CosineOptions, "out">;
}

export interface CosineGradients {
  dx: Tensor;
  dw: Tensor;
  /** Null where there was no bias. */
  dbias: Tensor | null;
  dscale: number;
}

/** The directions of slices with a further coordinate each. */
function directionsOf(x: Operand, slices: Slices, centered: boolean, further: Float64Array | null): Directions {
  const found: SliceLengths = sliceLengths(x, slices, centered);
  if (further === null) return { mean: found.mean, rlength: inverseLengths(found) };
  const length = found.length.map((value, i) => Math.sqrt(value * value + further[i] * further[i]));
  return { mean: found.mean, rlength: inverseLengths({ mean: found.mean, length }) };
}

function product(a: Float64Array, b: Float64Array | number): Float64Array {
  return a.map((value, i) => value * (typeof b === "number" ? b : b[i]));
}

interface Arguments {
  x: Operand;
  w: Operand;
  sheets: Sheets;
  bias: Float64Array | null;
  centered: boolean;
  scale: number;
}

function readArguments(method: string, x: Operand, w: Operand, read: ReadSheets, options: CosineOptions): Arguments {
  const sheets = read(method, x, w);
  const { centered = false, scale = 1 } = options;
  checkFinite(method, "scale", scale);
  const bias = options.bias ? readValues(method, "bias", options.bias, sheets.o, "one for each unit", 0) : null;
  if (bias !== null && centered)
    fail(method, "bias must be absent where centered is true; a constant has no correlation");
  return { x, w, sheets, bias, centered, scale };
}

/** Cosines for dense layers and convolutions, under the caller's name. @internal */
export function cosineForwardAs(
  method: string,
  x: TensorLike,
  w: TensorLike,
  read: ReadSheets,
  options: CosineOptions,
): { y: Tensor; saved: CosineSaved } {
  const input = readTensor(method, "x", x);
  const weight = readTensor(method, "w", w);
  const { sheets, bias, centered, scale } = readArguments(method, input, weight, read, options);
  const { dtype, yShape, yTransposed, p, o } = sheets;
  const y = new Target(method, options.out, shaped(dtype, yShape), [input, weight]);
  const rows: Directions[] = [];
  const units = directionsOf(weight, sheets.wSlices, centered, bias);
  withScratch(() => {
    const unitsBlock = wBlock(sheets);
    scaleSlices(unitsBlock.target, asMatrix(weight, sheets), sheets.wSlices, units.mean, units.rlength);
    const rowsBlock = xBlock(sheets);
    eachSheet(input, sheets, (sheet, index) => {
      const found = directionsOf(sheet, sheets.xSlices, centered, bias && new Float64Array(p).fill(1));
      rows.push(found);
      const factors = product(found.rlength, scale);
      scaleSlices(rowsBlock.target, sheet, sheets.xSlices, found.mean, factors);
      writeSample(y, sheets.count, index, (at) => {
        multiply(at, rowsBlock, unitsBlock, sheets);
        if (bias === null) return;
        const last = product(bias, units.rlength);
        const [down, across] = yTransposed ? [last, factors] : [factors, last];
        const [count, n] = yTransposed ? [o, p] : [p, o];
        kernelsOf(LINEAR, dtype).rowOuter(
          at,
          at,
          stageValues(down, dtype),
          stageValues(across, dtype),
          count,
          n,
          0,
          count,
          1,
        );
      });
    });
  });
  const { out, ...kept } = options;
  const saved = { x: keepInput(x, input, y), w: keepInput(w, weight, y), rows, units, options: kept };
  return { y: y.result, saved };
}

/** Σ dy·factor over the units for each row of a sheet, or over the rows for each unit. */
function combine(dy: number, sheets: Sheets, factors: Float64Array, overUnits: boolean): Float64Array {
  const { dtype, p, o, yTransposed } = sheets;
  const k = kernelsOf(LINEAR, dtype);
  return withScratch(() => {
    const count = overUnits ? p : o;
    const sums = scratchF64(count);
    const at = stageValues(factors, dtype);
    const [rows, n] = yTransposed ? [o, p] : [p, o];
    if (overUnits === yTransposed) k.colCombine(sums, dy, at, rows, n, colScratch());
    else k.rowDot(sums, dy, at, rows, n);
    return copyF64(sums, count);
  });
}

/**
 * The coefficients of the gradient through directions of slices: with d = Σ dy·(the other direction), further its
 * element beside them and s = ⟨d, direction⟩, dx = scale·rlength·(d − direction·s), less its mean where centered.
 */
function throughDirections(
  target: Target,
  d: Operand,
  x: Operand,
  slices: Slices,
  { mean, rlength }: Directions,
  further: Float64Array,
  scale: number,
  centered: boolean,
): Float64Array {
  const dots = sliceDots(d, x, slices, mean);
  const along = dots.dyx.map((value, i) => (value + further[i]) * rlength[i]);
  applySliceGradient(target, d, x, slices, {
    mean,
    rlength,
    weight: along.map(() => scale),
    slope: along.map((value, i) => -scale * value * rlength[i]),
    constant: along.map((_, i) => (centered ? -scale * (dots.dy[i] / slices.size) : 0)),
  });
  return along;
}

/** The gradient of `cosineForwardAs`. @internal */
export function cosineBackwardAs(
  method: string,
  dy: TensorLike,
  saved: CosineSaved,
  read: ReadSheets,
  out: TensorLike | undefined,
): CosineGradients {
  const input = savedInput(method, saved);
  if (saved.w === null) fail(method, "the forward pass wrote its result over w (out: w); give it another out");
  const weight = readTensor(method, "the w of the forward pass", saved.w);
  const { sheets, bias, centered, scale } = readArguments(method, input, weight, read, saved.options);
  const { dtype, p, o, yShape } = sheets;
  const gradient = readAlike(method, "dy", dy, { name: "the result", dtype, shape: yShape });
  const dx = new Target(method, out, input, [input, gradient]);
  const dw = new Target(method, undefined, weight);
  const { rows, units } = saved;
  const unitsLast = bias && product(bias, units.rlength);
  const dLast = new Float64Array(o);
  const none = new Float64Array(p);
  let dscale = 0;
  const dbias = withScratch(() => {
    const unitsBlock = wBlock(sheets);
    const matrix = asMatrix(weight, sheets);
    scaleSlices(unitsBlock.target, matrix, sheets.wSlices, units.mean, units.rlength);
    const rowsBlock = xBlock(sheets);
    const dRows = xBlock(sheets);
    const dUnits = new WeightGradient(sheets);
    eachSheet(input, sheets, (sheet, index) => {
      const found = rows[index];
      withScratch(() => {
        const from = readSheet(gradient, sheets, index);
        scaleSlices(rowsBlock.target, sheet, sheets.xSlices, found.mean, found.rlength);
        dUnits.add(from, rowsBlock);
        multiplyForInput(dRows.pointer, from, unitsBlock, sheets);
        if (unitsLast !== null) {
          const last = combine(from, sheets, found.rlength, false);
          for (let unit = 0; unit < o; unit++) dLast[unit] += last[unit];
        }
        const further = unitsLast === null ? none : combine(from, sheets, unitsLast, true);
        writeInputGradient(dx, sheets, index, (target) => {
          const along = throughDirections(target, dRows, sheet, sheets.xSlices, found, further, scale, centered);
          for (const value of along) dscale += value;
        });
      });
    });
    const further = bias === null ? new Float64Array(o) : product(dLast, bias);
    const along = throughDirections(dw, dUnits.sum, matrix, sheets.wSlices, units, further, scale, centered);
    if (unitsLast === null) return null;
    return dLast.map((value, unit) => scale * units.rlength[unit] * (value - unitsLast[unit] * along[unit]));
  });
  return {
    dx: dx.result,
    dw: dw.result,
    dbias: dbias && vectorOf(dbias, dtype),
    dscale,
  };
}

/**
 * A linear layer of cosines: each output is the cosine of the angle between the input and a unit's weight.
 *
 * y[n, u] = scale·⟨x, w⟩/(‖x‖·‖w‖), in [−1, 1] for scale 1; centered: of x − mean(x) and w − mean(w), Pearson's
 * correlation; with a bias: scale·(⟨x, w⟩ + b)/(√(‖x‖² + 1)·√(‖w‖² + b²)). A row or unit of zeros (centered: of equal
 * elements) gives 0.
 *
 * x is `[N, inputs]`, w `[units, inputs]`, bias `[units]`, y `[N, units]`; f32 or f64. There are no statistics of the
 * batch: training and inference are the same. Throws where the inputs differ, scale is not finite, or bias meets
 * centered.
 *
 * Source: C. Luo, J. Zhan, L. Wang, Q. Yang, "Cosine Normalization", 2017, arXiv:1702.05870.
 *
 * @example
 * const x = { data: new Float32Array([3, 4]), shape: [1, 2] };
 * const w = { data: new Float32Array([1, 0, 6, 8]), shape: [2, 2] };
 * const y = cosineLinear(x, w); // [0.6, 1]
 */
export function cosineLinear(x: TensorLike, w: TensorLike, options: CosineOptions = {}): Tensor {
  return cosineForwardAs("cosineLinear", x, w, denseSheets, options).y;
}

/** `cosineLinear` that also returns what `cosineLinearBackward` needs. */
export function cosineLinearForward(
  x: TensorLike,
  w: TensorLike,
  options: CosineOptions = {},
): { y: Tensor; saved: CosineSaved } {
  return cosineForwardAs("cosineLinearForward", x, w, denseSheets, options);
}

/**
 * The gradient of a linear layer of cosines.
 *
 * With x̂ = x/‖x‖ and ŵ = w/‖w‖: dx = scale·(Σ dy·ŵ − x̂·⟨Σ dy·ŵ, x̂⟩)/‖x‖ over the units, dw likewise over the rows;
 * centered: each less its mean.
 *
 * @example
 * const w = { data: Float32Array.from({ length: 10 * 768 }, (_, i) => Math.sin(i)), shape: [10, 768] };
 * const { y, saved } = cosineLinearForward(x, w);
 * const { dx, dw } = cosineLinearBackward(y, saved); // the gradient of half the sum of squares of y
 */
export function cosineLinearBackward(
  dy: TensorLike,
  saved: CosineSaved,
  options: { out?: TensorLike } = {},
): CosineGradients {
  return cosineBackwardAs("cosineLinearBackward", dy, saved, denseSheets, options.out);
}

export interface CosineConfig {
  /** Whether units have a further coordinate, 0 at first. Default false. */
  bias?: boolean;
  /** Pearson's correlation in place of the cosine. Default false. */
  centered?: boolean;
  /** Factor of the outputs. Default 1. */
  scale?: number;
  /** Whether the factor is learned. Default false. */
  learnScale?: boolean;
  /** Of the first weights. Default 0. */
  seed?: number;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
}

/** What layers of cosines share. @internal */
export abstract class CosineLayer extends Layer {
  readonly centered: boolean;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  /** The factor of the outputs where it is learned, else null. */
  readonly learnedScale: Parameter | null;
  readonly #scale: number;
  readonly #name: string;
  readonly #read: ReadSheets;
  #saved: CosineSaved | undefined;

  /** `read`: how this layer's tensors fall into sheets. */
  constructor(method: string, shape: readonly number[], config: CosineConfig, read: ReadSheets) {
    super();
    this.#name = method;
    this.#read = read;
    const dtype = config.dtype ?? "float32";
    this.centered = config.centered ?? false;
    if (config.bias && this.centered) {
      fail(method, "bias must be false where centered is true; a constant has no correlation");
    }
    this.#scale = checkFinite(method, "scale", config.scale ?? 1);
    this.weight = new Parameter(shape, dtype, 0);
    this.weight.data.set(lecunNormal(shape, { seed: config.seed, dtype }).data);
    this.bias = config.bias ? new Parameter([shape[0]], dtype, 0) : null;
    this.learnedScale = config.learnScale ? new Parameter([], dtype, this.#scale) : null;
  }

  /** The factor of the outputs. */
  get scale(): number {
    return this.learnedScale?.data[0] ?? this.#scale;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { weight, bias, centered, scale } = this;
    const all = { bias: bias?.data, centered, scale, out: options.out };
    const { y, saved } = cosineForwardAs(`${this.#name}.forward`, x, weight, this.#read, all);
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward; adds to the gradients of the parameters, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const saved = this.#saved as CosineSaved;
    const { dx, dw, dbias, dscale } = cosineBackwardAs(`${this.#name}.backward`, dy, saved, this.#read, options.out);
    if (this.mode !== "eval") {
      this.weight.addGrad(dw.data);
      if (dbias) this.bias?.addGrad(dbias.data);
      this.learnedScale?.addGrad([dscale]);
    }
    return dx;
  }

  override parameters(): Record<string, Parameter> {
    return this.learnedScale ? { ...super.parameters(), scale: this.learnedScale } : super.parameters();
  }

  protected override stateEntries(): StateEntry[] {
    return entriesOf(this.parameters());
  }
}

/**
 * A linear layer of cosines as a layer: `cosineLinear` with its weight (normal numbers of a seed), bias, factor and
 * gradients.
 *
 * @example
 * const layer = new CosineLinear(768, 10, { scale: 10, learnScale: true });
 * const y = layer.forward(x);
 * const dx = layer.backward(y); // layer.weight.grad
 */
export class CosineLinear extends CosineLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;

  constructor(inFeatures: number, outFeatures: number, config: CosineConfig = {}) {
    super("CosineLinear", denseShape("CosineLinear", inFeatures, outFeatures), config, denseSheets);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
  }
}
