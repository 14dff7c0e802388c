/**
 * Slices of a tensor along some of its axes: what is left when the other axes are held. Their lengths, and the two maps
 * that every method with unit-length slices needs:
 *
 *     x ──sliceLengths──▶ mean, length ──the method──▶ y = (x − mean)·scale
 *     dy, x ──sliceDots──▶ Σdy, Σdy·(x − mean) ──the method──▶ dx = rlength·(weight·dy + slope·(x − mean) + constant)
 *
 * Coefficients are f64, one a slice.
 */

import { applyAffine, applyGradient, cellGradSums, cellMoments } from "./cells.js";
import { type Geometry, oneCell } from "./geometry.js";
import { copyF64, elementBytes, heap64, scratch, scratchF64, withScratch } from "./memory.js";
import { mergeCells } from "./moments.js";
import { kernelsOf, ROWS } from "./parts.js";
import { LONG_ROW_BYTES, rowBlockOf } from "./rows.js";
import { square } from "./special.js";
import { stageF64, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

export interface Slices {
  /** Cells of the data; a slice may be made of several. */
  geometry: Geometry;
  cells: number;
  sliceOf(cell: number): number;
  /** Slices, and elements in each. */
  count: number;
  size: number;
  /** The shape without the axes that the slices run along. */
  shape: number[];
}

/** y = (x − mean)·scale, with one mean and scale for the whole tensor. */
export function scaleWhole(y: Target, x: Operand, scale: number, mean = 0): void {
  const affine = { mean: Float64Array.of(mean), scale: Float64Array.of(scale), shift: new Float64Array(1) };
  applyAffine(y, x, oneCell(x), affine);
}

/** Slices along the axes for which `along` is true. */
export function slicesOf(shape: readonly number[], along: (axis: number) => boolean): Slices {
  let end = shape.length;
  const product = (from: number, to: number) => {
    let all = 1;
    for (let axis = from; axis < to; axis++) all *= shape[axis];
    return all;
  };
  // Axes of one element go either way: they are passed over where a run of like axes is sought.
  const runFrom = (to: number, kind: boolean) => {
    let from = to;
    while (from > 0 && (along(from - 1) === kind || shape[from - 1] === 1)) from--;
    return from;
  };
  // The last axes are columns where they are held, else the elements of rows.
  const columns = runFrom(end, false);
  const c = product(columns, end);
  end = columns;
  const elements = runFrom(end, true);
  const s = product(elements, end);
  const n = product(0, elements);
  const held = shape.filter((_, axis) => !along(axis));
  let count = 1;
  for (const size of held) count *= size;
  const rowSlice = (cell: number) => {
    let slice = 0;
    let rest = cell;
    let stride = 1;
    for (let axis = elements - 1; axis >= 0; axis--) {
      const index = rest % shape[axis];
      rest = (rest - index) / shape[axis];
      if (along(axis)) continue;
      slice += index * stride;
      stride *= shape[axis];
    }
    return slice;
  };
  const size = (n * s * c) / count;
  if (c === 1) {
    const geometry: Geometry = { n: 1, c: n, s, order: "rows" };
    return { geometry, cells: n, sliceOf: rowSlice, count, size, shape: held };
  }
  const geometry: Geometry = { n, c, s, order: "cols" };
  const sliceOf = (cell: number) => rowSlice(Math.floor(cell / c)) * c + (cell % c);
  return { geometry, cells: n * c, sliceOf, count, size, shape: held };
}

/** The rows of a matrix. */
export function rowSlices(rows: number, n: number): Slices {
  return slicesOf([rows, n], (axis) => axis === 1);
}

export interface SliceLengths {
  /** Zeros where lengths are not taken about the mean. */
  mean: Float64Array;
  /** √Σ(x − mean)². */
  length: Float64Array;
}

/** A deviation from the mean of less than this share of it is what rounding leaves of equal elements. */
const CONSTANT = 2 ** -49;

/**
 * The length of each slice, about its mean where `centered`; then 0 for slices whose elements are the same. Elements
 * whose squares underflow (below about 1e-22 in f32) count as 0.
 */
export function sliceLengths(x: Operand, slices: Slices, centered = false): SliceLengths {
  if (!centered && slices.geometry.order === "rows") return rowLengths(x, slices);
  const { count, mean, m2 } = mergeCells(cellMoments(x, slices.geometry), slices.count, slices.sliceOf);
  if (!centered) {
    return {
      mean: new Float64Array(slices.count),
      length: m2.map((v, i) => Math.sqrt(v + count[i] * square(mean[i]))),
    };
  }
  const isConstant = (i: number) => m2[i] <= count[i] * square(CONSTANT * mean[i]);
  return { mean, length: m2.map((v, i) => (isConstant(i) ? 0 : Math.sqrt(v))) };
}

/** The lengths of slices made of rows. */
function rowLengths(x: Operand, slices: Slices): SliceLengths {
  const { cells, count } = slices;
  const n = slices.geometry.s;
  const k = kernelsOf(ROWS, x.dtype);
  const length = new Float64Array(count);
  withScratch(() => {
    const squares = scratch(8 * cells);
    stream({ rows: cells, n, cut: rowBlockOf(x.dtype) }, [x], [], ([from], { row, rows, offset, n: part }) => {
      k.rowSquares(squares + 8 * row, from, rows, part, offset);
    });
    const found = heap64();
    for (let cell = 0; cell < cells; cell++) {
      length[cells === count ? cell : slices.sliceOf(cell)] += found[squares / 8 + cell];
    }
  });
  for (let i = 0; i < count; i++) length[i] = Math.sqrt(length[i]);
  return { mean: new Float64Array(count), length };
}

/** 1/length, 0 for slices of length 0: they stay zeros. */
export function inverseLengths({ length }: SliceLengths): Float64Array {
  return length.map((value) => (value === 0 ? 0 : 1 / value));
}

/** The values of the slices for each cell. */
function ofCells(slices: Slices, values: Float64Array): Float64Array {
  if (slices.cells === slices.count) return values;
  return Float64Array.from({ length: slices.cells }, (_, cell) => values[slices.sliceOf(cell)]);
}

/** y = (x − mean)·scale. */
export function scaleSlices(y: Target, x: Operand, slices: Slices, mean: Float64Array, scale: Float64Array): void {
  const shift = new Float64Array(slices.cells);
  applyAffine(y, x, slices.geometry, { mean: ofCells(slices, mean), scale: ofCells(slices, scale), shift });
}

/** Σdy and Σdy·(x − mean) over each slice. */
export function sliceDots(
  dy: Operand,
  x: Operand,
  slices: Slices,
  mean: Float64Array,
): { dy: Float64Array; dyx: Float64Array } {
  const cells = cellGradSums(dy, x, slices.geometry, ofCells(slices, mean));
  const sums = { dy: new Float64Array(slices.count), dyx: new Float64Array(slices.count) };
  for (let cell = 0; cell < slices.cells; cell++) {
    const slice = slices.sliceOf(cell);
    sums.dy[slice] += cells.dy[cell];
    sums.dyx[slice] += cells.dyx[cell];
  }
  return sums;
}

/** Coefficients of dx = rlength·(weight·dy + slope·(x − mean) + constant), one a slice. */
export interface SliceGradient {
  mean: Float64Array;
  rlength: Float64Array;
  weight: Float64Array;
  slope: Float64Array;
  constant: Float64Array;
}

export function applySliceGradient(
  dx: Target,
  dy: Operand,
  x: Operand,
  slices: Slices,
  { mean, rlength, weight, slope, constant }: SliceGradient,
): void {
  applyGradient(dx, dy, x, slices.geometry, {
    mean: ofCells(slices, mean),
    rstd: ofCells(slices, rlength),
    weight: ofCells(slices, weight),
    slope: ofCells(slices, slope),
    constant: ofCells(slices, constant),
  });
}

/** y = g·x/max(‖x‖, eps) for each slice; returns ‖x‖. */
export function directSlices(y: Target, x: Operand, slices: Slices, g: Float64Array, eps: number): Float64Array {
  const { cells, count } = slices;
  const n = slices.geometry.s;
  const isWhole = isOneRowEach(slices);
  if (!isWhole || !staysWhole(n, [x], y)) {
    const { mean, length } = sliceLengths(x, slices);
    const scale = g.map((value, i) => value / Math.max(length[i], eps));
    if (isWhole) scaleRows(y, x, cells, n, scale);
    else scaleSlices(y, x, slices, mean, scale);
    return length;
  }
  const k = kernelsOf(ROWS, x.dtype);
  return withScratch(() => {
    const lengths = scratch(8 * count);
    const gains = stageF64(g);
    stream({ rows: count, n }, [x], [y], ([from, to], { row, rows }) => {
      k.rowToLength(to, lengths + 8 * row, from, gains + 8 * row, rows, n, eps);
    });
    return copyF64(lengths, count);
  });
}

/** Whether each slice is a row of its own. */
function isOneRowEach({ geometry, cells, count }: Slices): boolean {
  return geometry.order === "rows" && cells === count;
}

/** Whether rows are worked on whole: those in linear memory, and those short enough to be staged. */
function staysWhole(n: number, inputs: Operand[], output: Target): boolean {
  if (n * elementBytes(output.dtype) <= LONG_ROW_BYTES) return true;
  return !output.staged && inputs.every((input) => input.heap === null);
}

/** y = x·scale, without a sum that would take the sign from zeros. */
function scaleRows(y: Target, x: Operand, rows: number, n: number, scale: Float64Array): void {
  const k = kernelsOf(ROWS, x.dtype);
  withScratch(() => {
    const means = scratchF64(rows);
    const scales = stageF64(scale);
    stream({ rows, n, cut: rowBlockOf(x.dtype) }, [x], [y], ([from, to], { row, rows: count, n: part }) => {
      k.rowStandardize(to, from, 0, 0, means + 8 * row, scales + 8 * row, count, part, 0, 1);
    });
  });
}

/** The gradient of `directSlices`: dx = g/‖x‖·(dy − dg·x/‖x‖), and dg = Σ dy·x/‖x‖, which it returns. */
export function directSlicesGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  slices: Slices,
  g: Float64Array,
  eps: number,
  length: Float64Array,
): Float64Array {
  const { count } = slices;
  const n = slices.geometry.s;
  if (isOneRowEach(slices) && staysWhole(n, [dy, x], dx)) {
    const k = kernelsOf(ROWS, x.dtype);
    return withScratch(() => {
      const sums = scratch(8 * count);
      const lengths = stageF64(length);
      const gains = stageF64(g);
      stream({ rows: count, n }, [dy, x], [dx], ([d, from, to], { row, rows }) => {
        const at = 8 * row;
        k.rowToLengthGrad(to, sums + at, d, from, lengths + at, gains + at, rows, n, eps);
      });
      return copyF64(sums, count);
    });
  }
  const none = new Float64Array(count);
  const rlength = length.map((value) => 1 / Math.max(value, eps));
  const dg = sliceDots(dy, x, slices, none).dyx.map((dot, i) => dot * rlength[i]);
  // Below eps the divisor is a constant, and nothing is taken out of the gradient.
  const slope = dg.map((value, i) => (length[i] < eps ? 0 : -g[i] * value * rlength[i]));
  applySliceGradient(dx, dy, x, slices, { mean: none, rlength, weight: g, slope, constant: none });
  return dg;
}
