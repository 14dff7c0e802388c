/**
 * Matrices [n, c] of one position, normalized by statistics of their samples and of their channels together, where every
 * element is a cell of its own:
 *
 *     d = x − rowMean − colMean,  r = 1/√(rowVar + colVar + k·d²),  y = d·r·weight + bias
 *     dx = g·r·(1 − k·d²·r²) + (x − base)·(rowSlope + colSlope) + rowShift + colShift,  g = dy·weight
 */
import { copyF64, scratchF64, withScratch } from "./memory.js";
import { FUNCTIONS, kernelsOf } from "./parts.js";
import { stageF64, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

export interface CrossStatistics {
  rowMean: Float64Array;
  rowVar: Float64Array;
  colMean: Float64Array;
  /** With eps, so that no sum of variances is 0. */
  colVar: Float64Array;
  k: number;
}

/** What passes through the statistics, in x − base. */
export interface CrossThrough {
  base: number;
  rowSlope: Float64Array;
  rowShift: Float64Array;
  colSlope: Float64Array;
  colShift: Float64Array;
}

export interface CrossSums {
  /** Σg·r and Σg·d·r³ of each row, and of each column. */
  rowG: Float64Array;
  rowGD: Float64Array;
  colG: Float64Array;
  colGD: Float64Array;
  /** Σdy·d·r and Σdy of each column. */
  dweight: Float64Array;
  dbias: Float64Array;
}

function stage(cross: CrossStatistics) {
  return {
    rowMean: stageF64(cross.rowMean),
    rowVar: stageF64(cross.rowVar),
    colMean: stageF64(cross.colMean),
    colVar: stageF64(cross.colVar),
  };
}

/** y = d·r·weight + bias. */
export function crossStandardize(
  y: Target,
  x: Operand,
  cross: CrossStatistics,
  weight: Float64Array,
  bias: Float64Array,
): void {
  const plan = { rows: cross.rowMean.length, n: cross.colMean.length };
  const kernel = kernelsOf(FUNCTIONS, x.dtype).crossStandardize;
  withScratch(() => {
    const { rowMean, rowVar, colMean, colVar } = stage(cross);
    const w = stageF64(weight);
    const b = stageF64(bias);
    stream(plan, [x], [y], ([from, to], { row, rows, n }) => {
      kernel(to, from, rowMean + 8 * row, rowVar + 8 * row, colMean, colVar, w, b, rows, n, cross.k);
    });
  });
}

/** The sums that the gradients of weights, biases and statistics are made of. */
export function crossGradSums(dy: Operand, x: Operand, cross: CrossStatistics, weight: Float64Array): CrossSums {
  const rows = cross.rowMean.length;
  const cols = cross.colMean.length;
  const kernel = kernelsOf(FUNCTIONS, x.dtype).crossGradSums;
  return withScratch(() => {
    const { rowMean, rowVar, colMean, colVar } = stage(cross);
    const w = stageF64(weight);
    const [rowG, rowGD] = [scratchF64(rows), scratchF64(rows)];
    const [colG, colGD, colX, colDy] = [scratchF64(cols), scratchF64(cols), scratchF64(cols), scratchF64(cols)];
    stream({ rows, n: cols }, [dy, x], [], ([g, from], { row, rows: count, n }) => {
      const at = 8 * row;
      const [toG, toGD, means, variances] = [rowG + at, rowGD + at, rowMean + at, rowVar + at];
      kernel(toG, toGD, colG, colGD, colX, colDy, g, from, means, variances, colMean, colVar, w, count, n, cross.k);
    });
    return {
      rowG: copyF64(rowG, rows),
      rowGD: copyF64(rowGD, rows),
      colG: copyF64(colG, cols),
      colGD: copyF64(colGD, cols),
      dweight: copyF64(colX, cols),
      dbias: copyF64(colDy, cols),
    };
  });
}

/** Writes dx. */
export function crossGradient(
  dx: Target,
  dy: Operand,
  x: Operand,
  cross: CrossStatistics,
  weight: Float64Array,
  through: CrossThrough,
): void {
  const plan = { rows: cross.rowMean.length, n: cross.colMean.length };
  const kernel = kernelsOf(FUNCTIONS, x.dtype).crossGrad;
  withScratch(() => {
    const { rowMean, rowVar, colMean, colVar } = stage(cross);
    const w = stageF64(weight);
    const rowSlope = stageF64(through.rowSlope);
    const rowShift = stageF64(through.rowShift);
    const colSlope = stageF64(through.colSlope);
    const colShift = stageF64(through.colShift);
    stream(plan, [dy, x], [dx], ([g, from, to], { row, rows, n }) => {
      const at = 8 * row;
      kernel(
        to,
        g,
        from,
        rowMean + at,
        rowVar + at,
        colMean,
        colVar,
        w,
        rowSlope + at,
        rowShift + at,
        colSlope,
        colShift,
        rows,
        n,
        through.base,
        cross.k,
      );
    });
  });
}
