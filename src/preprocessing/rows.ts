/**
 * What every scaler stands on: rows of samples come in, statistics of their columns (features) come out, and an affine
 * of each column goes back over rows.
 */
import type { Affine } from "../core/cells.js";
import { fail, show } from "../core/errors.js";
import {
  arraysF64,
  colScratch,
  copyF64,
  type DType,
  elementBytes,
  heap64,
  heapOf,
  scratch,
  scratchF64,
  type TypedArray,
  withScratch,
} from "../core/memory.js";
import type { Moments } from "../core/moments.js";
import { COLUMNS, kernels, kernelsOf } from "../core/parts.js";
import { stageValues, stageWhole, stream } from "../core/stream.js";
import { elementsOf, type Operand, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

/** Samples as rows: a tensor `[n, features]`, f32 or f64, or a list of rows (worked on as f64). NaN is missing. */
export type RowsLike = TensorLike | readonly ArrayLike<number>[];

function fromRows(method: string, name: string, rows: readonly ArrayLike<number>[]): Operand {
  const n = rows[0]?.length ?? 0;
  if (!(n > 0)) fail(method, `${name} has no elements; pass rows such as [[1, 2], [3, 4]]`);
  const heap = new Float64Array(rows.length * n);
  rows.forEach((row, i) => {
    if (row?.length !== n) {
      fail(method, `${name}[${i}] has ${row?.length ?? "no"} columns where ${name}[0] has ${n}; rows must be alike`);
    }
    for (let j = 0; j < n; j++) {
      const value = row[j];
      if (typeof value !== "number") {
        fail(method, `${name}[${i}][${j}] must be a number (NaN where it is missing), got ${show(value)}`);
      }
      heap[i * n + j] = value;
    }
  });
  return { name, dtype: "float64", shape: [rows.length, n], length: heap.length, heap, pointer: 0 };
}

/** Checks an argument of rows; its shape is [rows, features]. */
export function readRows(method: string, name: string, value: RowsLike): Operand {
  if (Array.isArray(value)) return fromRows(method, name, value);
  const operand = readTensor(method, name, value);
  if (operand.shape.length !== 2) {
    fail(method, `${name} must be [rows, features], got shape ${show(operand.shape)}; one feature is [rows, 1]`);
  }
  return operand;
}

/** What scalers refuse to learn from: an infinity in column j, or sums too large for f64. */
function failOnColumn(method: string, x: Operand, j: number): never {
  const values = elementsOf(x);
  const n = x.shape[1];
  for (let at = j; at < values.length; at += n) {
    if (Math.abs(values[at]) === Infinity) {
      fail(method, `x[${(at - j) / n}, ${j}] is ${values[at]}; remove the row, or put NaN there for a missing value`);
    }
  }
  fail(method, `the squares in column ${j} of x leave the range of float64; divide it by a power of ten first`);
}

function plainMoments(x: Operand): Moments {
  const [rows, n] = x.shape;
  const k = kernelsOf(COLUMNS, x.dtype);
  return withScratch(() => {
    const mean = scratch(8 * n);
    const m2 = scratch(8 * n);
    const workspace = colScratch();
    stream({ rows, n, rowMultiple: kernels(COLUMNS).colBlockRows(n) }, [x], [], ([at], { row, rows: count }) => {
      k.colMomentsWide(mean, m2, at, count, n, row, workspace);
    });
    const [count, means, m2s] = arraysF64(3, n);
    const found = heap64();
    for (let j = 0; j < n; j++) {
      count[j] = rows;
      means[j] = found[mean / 8 + j];
      m2s[j] = found[m2 / 8 + j];
    }
    return { count, mean: means, m2: m2s };
  });
}

/** Weights are one a row; absent, all are 1. NaN is left out. */
function weightedMoments(x: Operand, weights: Operand | undefined): Moments {
  const [rows, n] = x.shape;
  const k = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  const blockRows = kernels(COLUMNS).colBlockRows(n);
  return withScratch(() => {
    // Count, mean and M2 in a row, of the whole and of a block. The kernel goes row by row, and each row rounds the mean:
    // blocks that are merged keep the error from growing with their number.
    const whole = scratchF64(3 * n);
    const block = scratch(3 * n * 8);
    const partsOf = (cells: number) => [cells, cells + 8 * n, cells + 16 * n] as const;
    const weightsAt = stageWhole(weights, "float64");
    stream({ rows, n, rowMultiple: blockRows }, [x], [], ([at], { row, rows: part }) => {
      for (let r = 0; r < part; r += blockRows) {
        heap64().fill(0, block / 8, block / 8 + 3 * n);
        const weightsOfBlock = weightsAt && weightsAt + 8 * (row + r);
        const height = Math.min(blockRows, part - r);
        k.colMomentsWeighted(...partsOf(block), at + r * n * width, weightsOfBlock, height, n);
        kernels(COLUMNS).mergeMoments(...partsOf(whole), ...partsOf(block), n);
      }
    });
    const [count, mean, m2] = partsOf(whole).map((cells) => copyF64(cells, n));
    return { count, mean, m2 };
  });
}

/**
 * Count (or sum of weights), mean and M2 of each column in f64; NaN is left out. Throws on infinities. `meanOnly`: an
 * M2 that overflows does no harm.
 */
export function columnMoments(method: string, x: Operand, weights: Operand | undefined, meanOnly: boolean): Moments {
  const n = x.shape[1];
  const isGood = ({ mean, m2 }: Moments, j: number) =>
    Number.isFinite(mean[j]) && (Number.isFinite(m2[j]) || (meanOnly && !Number.isNaN(m2[j])));
  const moments = weights === undefined ? plainMoments(x) : weightedMoments(x, weights);
  // The blocked kernel has no place for a count of each column. Columns without NaN keep what it gave.
  let careful = weights === undefined ? undefined : moments;
  for (let j = 0; j < n; j++) {
    if (isGood(moments, j)) continue;
    careful ??= weightedMoments(x, undefined);
    if (!isGood(careful, j)) failOnColumn(method, x, j);
    moments.count[j] = careful.count[j];
    moments.mean[j] = careful.mean[j];
    moments.m2[j] = careful.m2[j];
  }
  return moments;
}

/** Least and greatest of each column; NaN is passed over: +Infinity and −Infinity where there is nothing else. */
export function columnExtremes(method: string, x: Operand): { low: Float64Array; high: Float64Array } {
  const [rows, n] = x.shape;
  const k = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  // So many rows of few columns are taken as one: vectors are full then.
  const fold = kernels(COLUMNS).colFold(n);
  const wide = n * fold;
  return withScratch(() => {
    const lows = scratch(wide * width);
    const highs = scratch(wide * width);
    const heap = heapOf(x.dtype);
    const lowAt = lows / width;
    const highAt = highs / width;
    heap.fill(Infinity, lowAt, lowAt + wide);
    heap.fill(-Infinity, highAt, highAt + wide);
    stream({ rows, n }, [x], [], ([at], { rows: part }) => {
      const whole = Math.floor(part / fold);
      k.colMinMax(lows, highs, at, whole, wide);
      k.colMinMax(lows, highs, at + whole * wide * width, part - whole * fold, n);
    });
    const found = heapOf(x.dtype);
    const [low, high] = arraysF64(2, n);
    for (let j = 0; j < n; j++) {
      let least = Infinity;
      let greatest = -Infinity;
      for (let i = j; i < wide; i += n) {
        least = Math.min(least, found[lowAt + i]);
        greatest = Math.max(greatest, found[highAt + i]);
      }
      if (least === -Infinity || greatest === Infinity) failOnColumn(method, x, j);
      low[j] = least;
      high[j] = greatest;
    }
    return { low, high };
  });
}

/** Whether f32 arithmetic can carry out the affine: nothing overflows, and no factor is subnormal. */
function fitsFloat32({ mean, scale, shift }: Affine): boolean {
  for (let j = 0; j < mean.length; j++) {
    const factor = Math.abs(scale[j]);
    if (Math.max(Math.abs(mean[j]), Math.abs(shift[j]), factor) > 2 ** 127 || factor < 2 ** -126) return false;
  }
  return true;
}

/**
 * The work on rows y = (x − mean)·scale + shift by columns, then brought into `limits` where given; NaN stays. It is made
 * for one element type of x, and worth keeping: a fitted scaler transforms many small batches.
 */
export class ColumnAffine {
  readonly dtype: DType;
  readonly #limits: readonly number[] | null;
  /** Centers, scales and shifts one after the other; f64 for f32 rows where f32 arithmetic cannot carry it out. */
  readonly #coefficients: TypedArray;

  constructor(dtype: DType, affine: Affine, limits: readonly number[] | null) {
    this.dtype = dtype;
    this.#limits = limits;
    const { mean, scale, shift } = affine;
    const n = mean.length;
    const isNarrow = dtype === "float32" && fitsFloat32(affine);
    const values = isNarrow ? new Float32Array(3 * n) : new Float64Array(3 * n);
    for (let j = 0; j < n; j++) {
      values[j] = mean[j];
      values[n + j] = scale[j];
      // With what rounding the mean left out.
      values[2 * n + j] = shift[j] + (values[j] - mean[j]) * scale[j];
    }
    this.#coefficients = values;
  }

  /** The rows transformed into `out` or a new tensor. */
  transform(method: string, x: Operand, out: TensorLike | undefined): Tensor {
    const y = new Target(method, out, x, [x]);
    if (this.#coefficients.BYTES_PER_ELEMENT === elementBytes(x.dtype)) this.#apply(y, x);
    else {
      const heap = Float64Array.from(elementsOf(x));
      const wide: Operand = { ...x, dtype: "float64", heap, pointer: 0 };
      this.#apply(new Target(method, { data: heap, shape: x.shape }, wide), wide);
      y.elements.set(heap);
    }
    return y.result;
  }

  #apply(y: Target, x: Operand): void {
    const [rows, n] = x.shape;
    const k = kernelsOf(COLUMNS, x.dtype);
    const step = n * elementBytes(x.dtype);
    const limits = this.#limits;
    withScratch(() => {
      const centers = stageValues(this.#coefficients, x.dtype);
      stream({ rows, n }, [x], [y], ([from, to], { rows: part }) => {
        k.colAffine(to, from, centers, centers + step, centers + 2 * step, part, n);
        if (limits !== null) k.eachClamp(to, to, part * n, limits[0], limits[1]);
      });
    });
  }
}
