/**
 * Rows normalized by their own statistics: y = (x − mean)·rstd·weight + bias with a weight and bias for each element, and
 * its gradient. Rows that fit the staging block go through the fused kernels; longer ones are cut, to the same bits.
 */
import {
  type DType,
  elementBytes,
  heap64,
  mapF64,
  passingCopyF64,
  scratch,
  scratchF64,
  viewF64,
  withScratch,
} from "./memory.js";
import { kernels, kernelsOf, ROWS } from "./parts.js";
import { type Chunk, stageF64, stageWhole, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

/** Longer rows are worked on in parts, wherever they are: the order of the sums over rows is then another. */
export const LONG_ROW_BYTES = 1 << 17;

export interface RowStatistics {
  /** Zeros where the method does not center. */
  mean: Float64Array;
  rstd: Float64Array;
}

/** Statistics of so many rows, to be filled in. */
export function rowStatistics(rows: number): RowStatistics {
  return { mean: new Float64Array(rows), rstd: new Float64Array(rows) };
}

export interface RowOptions {
  rows: number;
  n: number;
  /** [period, n] each: row r takes row r mod period. */
  weight?: Operand;
  bias?: Operand;
  period: number;
  /** False: x/√(mean x² + eps), the root mean square form. */
  centered: boolean;
}

/** Elements of the blocks that a row is reduced in. */
export function rowBlockOf(dtype: Operand["dtype"]): number {
  return dtype === "float64" ? kernels(ROWS).rowBlock_f64() : kernels(ROWS).rowBlock_f32();
}

/** A row of ones where a bias comes without a weight. */
function onesFor(options: RowOptions): Operand | undefined {
  if (options.weight !== undefined || options.bias === undefined) return options.weight;
  const length = options.bias.length;
  return {
    name: "weight",
    dtype: "float64",
    shape: [length],
    length,
    heap: new Float64Array(length).fill(1),
    pointer: 0,
  };
}

/** Writes y, and the statistics of each row to `statistics` where it is given. */
export function normalizeRows(
  y: Target,
  x: Operand,
  options: RowOptions,
  eps: number,
  statistics?: RowStatistics,
): void {
  const { rows, n, period, centered } = options;
  const k = kernelsOf(ROWS, x.dtype);
  const width = elementBytes(x.dtype);
  withScratch(() => {
    const mean = scratch(rows * 8);
    const rstd = scratch(rows * 8);
    const weight = stageWhole(onesFor(options), x.dtype);
    const bias = stageWhole(options.bias, x.dtype);
    const inPlace = x.heap === null && !y.staged;
    if (inPlace || n * width <= LONG_ROW_BYTES) {
      stream({ rows, n }, [x], [y], ([from, to], chunk) => {
        const at = 8 * chunk.row;
        k.rowNormalize(
          to,
          from,
          weight,
          bias,
          mean + at,
          rstd + at,
          chunk.rows,
          n,
          chunk.row,
          period,
          eps,
          centered ? 1 : 0,
        );
      });
    } else {
      const plan = { rows, n, cut: rowBlockOf(x.dtype) };
      stream(plan, [x], [], ([from], { row, rows: count, offset, n: length }) => {
        if (centered) k.rowMoments(mean + 8 * row, rstd + 8 * row, from, count, length, offset);
        else k.rowSquares(rstd + 8 * row, from, count, length, offset);
      });
      const values = heap64();
      for (let r = 0; r < rows; r++) {
        if (!centered) values[mean / 8 + r] = 0;
        values[rstd / 8 + r] = 1 / Math.sqrt(values[rstd / 8 + r] / n + eps);
      }
      stream(plan, [x], [y], ([from, to], chunk) => {
        const { w, first, turns } = weightOf(weight, chunk, n, period, width);
        const b = bias && bias + (w - weight);
        const at = 8 * chunk.row;
        k.rowStandardize(to, from, w, b, mean + at, rstd + at, chunk.rows, chunk.n, first, turns);
      });
    }
    if (statistics !== undefined) {
      statistics.mean.set(viewF64(mean, rows));
      statistics.rstd.set(viewF64(rstd, rows));
    }
  });
}

/** Where the weights of a chunk start: whole rows take them in turns, a part of a row has its own. */
function weightOf(weight: number, { row, offset, n: length }: Chunk, n: number, period: number, width: number) {
  if (length === n) return { w: weight, first: row, turns: period };
  return { w: weight && weight + ((row % period) * n + offset) * width, first: 0, turns: 1 };
}

/** y = (x − mean)·rstd·weight + bias with statistics that are given. */
export function standardizeRows(y: Target, x: Operand, options: RowOptions, statistics: RowStatistics): void {
  const { rows, n, period } = options;
  const k = kernelsOf(ROWS, x.dtype);
  const width = elementBytes(x.dtype);
  withScratch(() => {
    const mean = stageF64(statistics.mean);
    const rstd = stageF64(statistics.rstd);
    const weight = stageWhole(onesFor(options), x.dtype);
    const bias = stageWhole(options.bias, x.dtype);
    stream({ rows, n, cut: rowBlockOf(x.dtype) }, [x], [y], ([from, to], chunk) => {
      const { w, first, turns } = weightOf(weight, chunk, n, period, width);
      const b = bias && bias + (w - weight);
      const at = 8 * chunk.row;
      k.rowStandardize(to, from, w, b, mean + at, rstd + at, chunk.rows, chunk.n, first, turns);
    });
  });
}

export interface RowGradSums {
  /** Σg and Σg·(x − mean) of each row, g = dy·weight. */
  sumG: Float64Array;
  sumGD: Float64Array;
  /** Σdy·x̂ and Σdy over the rows that share a weight, [period, n] each. */
  dweight: Float64Array;
  dbias: Float64Array;
}

/** The sums that the gradients of rows and of their weights are made of. */
export function rowGradSums(dy: Operand, x: Operand, options: RowOptions, statistics: RowStatistics): RowGradSums {
  const { rows, n, period } = options;
  const k = kernelsOf(ROWS, x.dtype);
  const width = elementBytes(x.dtype);
  return withScratch(() => {
    const mean = stageF64(statistics.mean);
    const rstd = stageF64(statistics.rstd);
    const weight = stageWhole(options.weight, x.dtype);
    const sumG = scratchF64(rows);
    const sumGD = scratchF64(rows);
    const weights = new WeightGrads(options, mean, rstd, x.dtype);
    const long = n * width > LONG_ROW_BYTES;
    // Whole blocks of rows in each chunk keep the tree of the weights' sums the same for any chunking.
    const plan = long ? { rows, n, cut: rowBlockOf(x.dtype) } : { rows, n, rowMultiple: weights.rowMultiple };
    stream(plan, [dy, x], [], ([g, from], chunk) => {
      const { row, rows: count, offset, n: length } = chunk;
      const { w, first, turns } = weightOf(weight, chunk, n, period, width);
      const at = 8 * row;
      k.rowWeightedGradSums(sumG + at, sumGD + at, g, from, w, mean + at, count, length, first, turns);
      const step = long ? 1 : count;
      for (let r = 0; r < count; r += step) {
        weights.add(g + r * n * width, from + r * n * width, row + r, step, offset, length);
      }
    });
    // The kernel's sums are about the rounded mean.
    const rest = mapF64(statistics.mean, (value) => (x.dtype === "float64" ? 0 : Math.fround(value) - value));
    const sums = passingCopyF64(sumG, rows);
    const about = mapF64(passingCopyF64(sumGD, rows), (sum, r) => sum + rest[r] * sums[r]);
    return { sumG: sums, sumGD: about, ...weights.result };
  });
}

/** Σdy·x̂ and Σdy over the rows that share a weight, in scratch. */
class WeightGrads {
  readonly #options: RowOptions;
  readonly #mean: number;
  readonly #rstd: number;
  readonly #dtype: DType;
  readonly #dweight: number;
  readonly #dbias: number;
  readonly #workspace: number;

  constructor(options: RowOptions, mean: number, rstd: number, dtype: DType) {
    this.#options = options;
    this.#mean = mean;
    this.#rstd = rstd;
    this.#dtype = dtype;
    this.#dweight = scratchF64(options.period * options.n);
    this.#dbias = scratchF64(options.period * options.n);
    this.#workspace = scratch(kernels(ROWS).weightGradScratchBytes());
  }

  /** Rows that a chunk holds a multiple of, so that the sums do not depend on the chunks. */
  get rowMultiple(): number {
    return kernels(ROWS).weightGradBlockRows() * this.#options.period;
  }

  /** Adds the rows [row, row + count), or part of one long row. */
  add(g: number, from: number, row: number, count: number, offset: number, length: number): void {
    const { n, period } = this.#options;
    const k = kernelsOf(ROWS, this.#dtype);
    for (let p = 0; p < Math.min(period, count); p++) {
      const share = Math.ceil((count - p) / period);
      const skip = p * n * elementBytes(this.#dtype);
      const stat = 8 * (row + p);
      const at = 8 * (((row + p) % period) * n + offset);
      k.colWeightGrad(
        this.#dweight + at,
        this.#dbias + at,
        g + skip,
        from + skip,
        this.#mean + stat,
        this.#rstd + stat,
        share,
        length,
        period * n,
        period,
        this.#workspace,
      );
    }
  }

  get result(): { dweight: Float64Array; dbias: Float64Array } {
    const { n, period } = this.#options;
    return { dweight: passingCopyF64(this.#dweight, period * n), dbias: passingCopyF64(this.#dbias, period * n) };
  }
}

/** Writes dx and returns Σdy·x̂ and Σdy over the rows that share a weight, [period, n] each, for the length of a call. */
export function normalizeRowsGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  options: RowOptions,
  statistics: RowStatistics,
): { dweight: Float64Array; dbias: Float64Array } {
  const { rows, n, period } = options;
  const k = kernelsOf(ROWS, x.dtype);
  const width = elementBytes(x.dtype);
  const centered = options.centered ? 1 : 0;
  if (n * width <= LONG_ROW_BYTES) {
    return withScratch(() => {
      const mean = stageF64(statistics.mean);
      const rstd = stageF64(statistics.rstd);
      const weight = stageWhole(options.weight, x.dtype);
      const dweight = scratchF64(period * n);
      const dbias = scratchF64(period * n);
      const workspace = scratch(k.rowNormalizeGradScratchBytes(n));
      // Whole blocks of rows in each chunk keep the tree of the weights' sums the same for any chunking.
      const plan = { rows, n, rowMultiple: kernels(ROWS).weightGradBlockRows() * period };
      stream(plan, [dy, x], [dx], ([g, from, to], { row, rows: count }) => {
        const [m, r] = [mean + 8 * row, rstd + 8 * row];
        k.rowNormalizeGrad(to, dweight, dbias, g, from, weight, m, r, count, n, period, centered, workspace);
      });
      return { dweight: passingCopyF64(dweight, period * n), dbias: passingCopyF64(dbias, period * n) };
    });
  }
  const sums = rowGradSums(dy, x, options, statistics);
  withScratch(() => {
    const mean = stageF64(statistics.mean);
    const rstd = stageF64(statistics.rstd);
    const weight = stageWhole(options.weight, x.dtype);
    const sumG = stageF64(sums.sumG);
    const sumGD = stageF64(sums.sumGD);
    stream({ rows, n, cut: rowBlockOf(x.dtype) }, [dy, x], [dx], ([g, from, to], chunk) => {
      const { w, first, turns } = weightOf(weight, chunk, n, period, width);
      const at = 8 * chunk.row;
      const [m, r, s, q] = [mean + at, rstd + at, sumG + at, sumGD + at];
      k.rowStandardizeGrad(to, g, from, w, m, r, s, q, chunk.rows, chunk.n, first, turns, n, centered);
    });
  });
  return { dweight: sums.dweight, dbias: sums.dbias };
}
