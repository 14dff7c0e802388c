/**
 * Linear maps y = x·wᵀ for methods that change x, w or y on the way: a dense layer is one sheet of rows, a convolution
 * a sheet of columns (its windows) for each sample. A sheet of x has p rows of k elements, one of y p rows of o, w is
 * [o, k]; convolutions store x as [k, p], and y as [o, p] in the channels-first layout.
 */
import { checkCount, fail, show } from "../core/errors.js";
import {
  colScratch,
  type DType,
  elementBytes,
  heapOf,
  matmulScratch,
  scratch,
  scratchF64,
  viewF64,
  withScratch,
} from "../core/memory.js";
import { kernelsOf, LINEAR } from "../core/parts.js";
import { type Slices, slicesOf } from "../core/slices.js";
import { stageValues, stageWhole } from "../core/stream.js";
import { elementsOf, type Operand, Target } from "../core/tensor.js";
import {
  columnsOf,
  eachSample,
  placesShape,
  type WindowOptions,
  type Windows,
  windowsOf,
  writeColumns,
  writeImage,
  writeSample,
} from "./im2col.js";

export interface Sheets {
  dtype: DType;
  count: number;
  p: number;
  k: number;
  o: number;
  xTransposed: boolean;
  yTransposed: boolean;
  /** Null for dense layers. */
  windows: Windows | null;
  /** The rows of a sheet of x, and those of w. */
  xSlices: Slices;
  wSlices: Slices;
  yShape: number[];
}

function checkTypes(method: string, x: Operand, w: Operand): void {
  if (w.dtype !== x.dtype) fail(method, `w is ${w.dtype} where x is ${x.dtype}; convert one of them`);
}

/** The shape of a dense layer's weight. */
export function denseShape(method: string, inFeatures: number, outFeatures: number): number[] {
  const inputs = checkCount(method, "inFeatures", inFeatures);
  return [checkCount(method, "outFeatures", outFeatures), inputs];
}

/** The shape of a convolution's filters. */
export function filterShape(
  method: string,
  inChannels: number,
  outChannels: number,
  kernelSize: readonly number[],
): number[] {
  const inputs = checkCount(method, "inChannels", inChannels);
  const units = checkCount(method, "outChannels", outChannels);
  return [units, inputs, ...kernelSize.map((size) => checkCount(method, "kernelSize", size))];
}

/** The sheet of x [rows, inputs] and w [units, inputs]. */
export function denseSheets(method: string, x: Operand, w: Operand): Sheets {
  for (const [name, rows, { shape }] of [
    ["x", "rows", x],
    ["w", "units", w],
  ] as const) {
    if (shape.length !== 2) fail(method, `${name} must be a matrix [${rows}, inputs], got shape ${show(shape)}`);
  }
  const [p, k] = x.shape;
  const [o, inputs] = w.shape;
  if (inputs !== k) {
    fail(method, `w has ${inputs} inputs where x has ${k} (shapes ${show(w.shape)} and ${show(x.shape)})`);
  }
  checkTypes(method, x, w);
  const along = (axis: number) => axis === 1;
  return {
    dtype: x.dtype,
    count: 1,
    p,
    k,
    o,
    xTransposed: false,
    yTransposed: false,
    windows: null,
    xSlices: slicesOf([p, k], along),
    wSlices: slicesOf([o, k], along),
    yShape: [p, o],
  };
}

/** The sheets of images x and filters w [units, channels, ...window]. */
function readConvolution(method: string, x: Operand, w: Operand, options: WindowOptions): Sheets {
  if (w.shape.length !== x.shape.length) {
    fail(
      method,
      `w must be [units, channels, ...window] with as many dimensions as x, ` +
        `got shapes ${show(w.shape)} and ${show(x.shape)}`,
    );
  }
  const windows = windowsOf(method, "x", x.shape, w.shape.slice(2), options);
  const [o, channels] = w.shape;
  if (channels !== windows.channels) {
    fail(
      method,
      `w has ${channels} channels where x has ${windows.channels} ` +
        `(shapes ${show(w.shape)} and ${show(x.shape)}, ${windows.layout})`,
    );
  }
  checkTypes(method, x, w);
  const { k, p } = columnsOf(windows);
  return {
    dtype: x.dtype,
    count: windows.n,
    p,
    k,
    o,
    xTransposed: true,
    yTransposed: windows.layout === "channels-first",
    windows,
    xSlices: slicesOf([k, p], (axis) => axis === 0),
    wSlices: slicesOf([o, k], (axis) => axis === 1),
    yShape: placesShape(windows, o),
  };
}

/** A part of linear memory as an argument, and as a place for results. */
export interface Block extends Operand {
  readonly target: Target;
}

/** A block of scratch for a sheet or a weight: rows of n elements. */
export function scratchBlock(dtype: DType, rows: number, n: number): Block {
  const pointer = scratch(rows * n * elementBytes(dtype));
  const operand: Operand = { name: "scratch", dtype, shape: [rows, n], length: rows * n, heap: null, pointer };
  const out = { data: elementsOf(operand), shape: operand.shape };
  return { ...operand, target: new Target("scratch", out, operand) };
}

export function xBlock({ dtype, p, k, xTransposed }: Sheets): Block {
  return xTransposed ? scratchBlock(dtype, k, p) : scratchBlock(dtype, p, k);
}

export function wBlock({ dtype, o, k }: Sheets): Block {
  return scratchBlock(dtype, o, k);
}

/** w as a matrix [units, elements of a unit]. */
export function asMatrix(w: Operand, { o, k }: Sheets): Operand {
  return { ...w, shape: [o, k] };
}

/** Calls `each` with every sheet of x. */
export function eachSheet(x: Operand, sheets: Sheets, each: (sheet: Operand, index: number) => void): void {
  const { windows } = sheets;
  if (windows === null) {
    each(x, 0);
    return;
  }
  withScratch(() => {
    const block = xBlock(sheets);
    eachSample(x, sheets.count, (at, index) => {
      writeColumns(x.dtype, block.pointer, at, windows);
      each(block, index);
    });
  });
}

/** A sheet with its elements in linear memory. */
export function inMemory(sheet: Operand): Operand {
  return { ...sheet, heap: null, pointer: stageWhole(sheet, sheet.dtype) };
}

/** The address of sheet `index` of y or dy, copied to scratch where it is on the heap. */
export function readSheet(y: Operand, { p, o }: Sheets, index: number): number {
  const width = elementBytes(y.dtype);
  if (y.heap === null) return y.pointer + index * p * o * width;
  const at = scratch(p * o * width);
  heapOf(y.dtype).set(y.heap.subarray(index * p * o, (index + 1) * p * o), at / width);
  return at;
}

/** Has `write` fill sheet `index` of dx: for convolutions a block of columns, summed into the sample's image. */
export function writeInputGradient(dx: Target, sheets: Sheets, index: number, write: (target: Target) => void): void {
  const { windows, dtype, count } = sheets;
  if (windows === null) {
    write(dx);
    return;
  }
  withScratch(() => {
    const columns = xBlock(sheets);
    write(columns.target);
    writeSample(dx, count, index, (at) => writeImage(dtype, at, columns.pointer, windows));
  });
}

/** y = x·wᵀ for a sheet. */
export function multiply(
  y: number,
  x: Operand,
  w: Operand,
  { dtype, p, k, o, xTransposed, yTransposed }: Sheets,
): void {
  const { matmul } = kernelsOf(LINEAR, dtype);
  withScratch(() => {
    const workspace = matmulScratch();
    if (yTransposed) matmul(y, w.pointer, x.pointer, o, p, k, 0, xTransposed ? 0 : 1, workspace);
    else matmul(y, x.pointer, w.pointer, p, o, k, xTransposed ? 1 : 0, 1, workspace);
  });
}

/** dx = dy·w for a sheet. */
export function multiplyForInput(
  dx: number,
  dy: number,
  w: Operand,
  { dtype, p, k, o, xTransposed, yTransposed }: Sheets,
): void {
  const { matmul } = kernelsOf(LINEAR, dtype);
  withScratch(() => {
    const workspace = matmulScratch();
    if (xTransposed) matmul(dx, w.pointer, dy, k, p, o, 1, yTransposed ? 0 : 1, workspace);
    else matmul(dx, dy, w.pointer, p, k, o, yTransposed ? 1 : 0, 0, workspace);
  });
}

/** dx = dy·w for a sheet, to where its result goes. */
export function writeProductForInput(dx: Target, dy: number, w: Operand, sheets: Sheets): void {
  withScratch(() => {
    const at = dx.staged ? scratch(dx.length * elementBytes(sheets.dtype)) : dx.pointer;
    multiplyForInput(at, dy, w, sheets);
    if (dx.staged) dx.take(at, 0, dx.length);
  });
}

/** dw = dyᵀ·x of all sheets, summed in f64. */
export class WeightGradient {
  readonly #sheets: Sheets;
  readonly #sums: number;
  readonly #part: Block;

  /** In scratch of the caller. */
  constructor(sheets: Sheets) {
    this.#sheets = sheets;
    this.#sums = scratchF64(sheets.o * sheets.k);
    this.#part = wBlock(sheets);
  }

  /** Adds that of a sheet. */
  add(dy: number, x: Operand): void {
    const { dtype, p, k, o, xTransposed, yTransposed } = this.#sheets;
    const kernel = kernelsOf(LINEAR, dtype);
    withScratch(() => {
      const workspace = matmulScratch();
      kernel.matmul(this.#part.pointer, dy, x.pointer, o, k, p, yTransposed ? 0 : 1, xTransposed ? 1 : 0, workspace);
      const one = stageValues([1], dtype);
      kernel.colCombine(this.#sums, this.#part.pointer, one, 1, o * k, colScratch());
    });
  }

  /** The sum, rounded. */
  get sum(): Block {
    const { o, k } = this.#sheets;
    elementsOf(this.#part).set(viewF64(this.#sums, o * k));
    return this.#part;
  }
}

/** How a unit reads its input and weight as sheets: `denseSheets`, or what `convolutionSheets` gives. */
export type ReadSheets = (method: string, x: Operand, w: Operand) => Sheets;

/** The reader of a convolution whose windows lie as the options say. */
export function convolutionSheets(windows: WindowOptions): ReadSheets {
  return (method, x, w) => readConvolution(method, x, w, windows);
}
