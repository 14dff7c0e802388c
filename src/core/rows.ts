/**
 * Rows normalized by their own statistics: y = (x − mean)·rstd·weight + bias with a weight and bias for each element, and
 * its gradient. Rows that fit the staging block go through the fused kernels; longer ones are cut, to the same bits.
 */
import { copyF64, elementBytes, heap64, kernels, kernelsOf, scratch, scratchF64, withScratch } from "./memory.js";
import { stageWhole, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

/** Longer rows are worked on in parts, wherever they are: the order of the sums over rows is then another. */
const LONG_ROW_BYTES = 1 << 17;

export interface RowStatistics {
  /** Zeros where the method does not center. */
  mean: Float64Array;
  rstd: Float64Array;
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
function rowBlock(dtype: Operand["dtype"]): number {
  return dtype === "float64" ? kernels().rowBlock_f64() : kernels().rowBlock_f32();
}

/** A row of ones where a bias comes without a weight. */
function onesFor(options: RowOptions): Operand | undefined {
  if (options.weight !== undefined || options.bias === undefined) return options.weight;
  const length = options.bias.length;
  return { dtype: "float64", shape: [length], length, heap: new Float64Array(length).fill(1), pointer: 0 };
}

/** Writes y and returns the statistics of each row. */
export function normalizeRows(y: Target, x: Operand, options: RowOptions, eps: number): RowStatistics {
  const { rows, n, period, centered } = options;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  return withScratch(() => {
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
      const plan = { rows, n, cut: rowBlock(x.dtype) };
      stream(plan, [x], [], ([from], { row, rows: count, offset, n: length }) => {
        if (centered) k.rowMoments(mean + 8 * row, rstd + 8 * row, from, count, length, offset);
        else k.rowSquares(rstd + 8 * row, from, count, length, offset);
      });
      const values = heap64();
      for (let r = 0; r < rows; r++) {
        if (!centered) values[mean / 8 + r] = 0;
        values[rstd / 8 + r] = 1 / Math.sqrt(values[rstd / 8 + r] / n + eps);
      }
      stream(plan, [x], [y], ([from, to], { row, rows: count, offset, n: length }) => {
        const skip = ((row % period) * n + offset) * width;
        const w = weight && weight + skip;
        const b = bias && bias + skip;
        k.rowStandardize(to, from, w, b, mean + 8 * row, rstd + 8 * row, count, length, 0, 1);
      });
    }
    return { mean: copyF64(mean, rows), rstd: copyF64(rstd, rows) };
  });
}

/** Writes dx and returns Σdy·x̂ and Σdy over the rows that share a weight, [period, n] each. */
export function normalizeRowsGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  options: RowOptions,
  statistics: RowStatistics,
): { dweight: Float64Array; dbias: Float64Array } {
  const { rows, n, period, centered } = options;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  return withScratch(() => {
    const mean = scratch(rows * 8);
    const rstd = scratch(rows * 8);
    heap64().set(statistics.mean, mean / 8);
    heap64().set(statistics.rstd, rstd / 8);
    const weight = stageWhole(options.weight, x.dtype);
    const dweight = scratchF64(period * n);
    const dbias = scratchF64(period * n);
    const workspace = scratch(kernels().colScratchBytes());

    /** Adds the rows [row, row + count) of each weight's share, or part of one long row. */
    const addWeightGrads = (g: number, from: number, row: number, count: number, offset: number, length: number) => {
      for (let p = 0; p < Math.min(period, count); p++) {
        const share = Math.ceil((count - p) / period);
        const skip = p * n * width;
        const stat = 8 * (row + p);
        const at = 8 * (((row + p) % period) * n + offset);
        k.colWeightGrad(
          dweight + at,
          dbias + at,
          g + skip,
          from + skip,
          mean + stat,
          rstd + stat,
          share,
          length,
          period * n,
          period,
          workspace,
        );
      }
    };

    if (n * width <= LONG_ROW_BYTES) {
      // Whole blocks of rows in each chunk keep the tree of the weights' sums the same for any chunking.
      const rowMultiple = kernels().colBlockRows() * period;
      stream({ rows, n, rowMultiple }, [dy, x], [dx], ([g, from, to], { row, rows: count }) => {
        addWeightGrads(g, from, row, count, 0, n);
        const at = 8 * row;
        k.rowNormalizeGrad(to, g, from, weight, mean + at, rstd + at, count, n, row, period, centered ? 1 : 0);
      });
    } else {
      const sumG = scratchF64(rows);
      const sumGD = scratchF64(rows);
      const plan = { rows, n, cut: rowBlock(x.dtype) };
      stream(plan, [dy, x], [], ([g, from], { row, rows: count, offset, n: length }) => {
        const w = weight && weight + ((row % period) * n + offset) * width;
        k.rowWeightedGradSums(sumG + 8 * row, sumGD + 8 * row, g, from, w, mean + 8 * row, count, length, 0, 1);
      });
      stream(plan, [dy, x], [dx], ([g, from, to], { row, rows: count, offset, n: length }) => {
        for (let r = 0; r < count; r++) {
          addWeightGrads(g + r * n * width, from + r * n * width, row + r, 1, offset, length);
        }
        const w = weight && weight + ((row % period) * n + offset) * width;
        k.rowStandardizeGrad(
          to,
          g,
          from,
          w,
          mean + 8 * row,
          rstd + 8 * row,
          sumG + 8 * row,
          sumGD + 8 * row,
          count,
          length,
          0,
          1,
          n,
          centered ? 1 : 0,
        );
      });
    }
    return { dweight: copyF64(dweight, period * n), dbias: copyF64(dbias, period * n) };
  });
}
