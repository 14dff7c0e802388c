/**
 * Absolute powers of deviations over cells, for methods that measure a deviation by mean |x − mean|^p:
 *
 *     x ──cellPowers──▶ Σ|x − mean|^p, Σ|x − mean|^(p−1)·sign(x − mean)
 *     dy, x ──applyPowerGradient──▶ dx = weight·dy + slope·|x − mean|^(p−1)·sign(x − mean) + constant
 *
 * Coefficients are f64, one a cell (n·c) or one a channel (c).
 */
import { streamCells } from "./cells.js";
import { checkNumber } from "./errors.js";
import type { Geometry } from "./geometry.js";
import {
  colScratch,
  type DType,
  elementBytes,
  mapF64,
  passingCopyF64,
  passingF64,
  scratch,
  scratchF64,
  withScratch,
} from "./memory.js";
import { FUNCTIONS, kernels, kernelsOf, ROWS } from "./parts.js";
import type { RowOptions } from "./rows.js";
import { stageF64, stageValues, stageWhole, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

/** Σ|x − mean|^p of each cell, and Σ|x − mean|^(p−1)·sign(x − mean), its slope; for the length of a call. */
export interface PowerSums {
  powers: Float64Array;
  slopes: Float64Array;
}

/** dx = weight·dy + slope·|x − mean|^(p−1)·sign(x − mean) + constant. */
export interface PowerGradient {
  mean: Float64Array;
  weight: Float64Array;
  slope: Float64Array;
  constant: Float64Array;
}

/** An exponent of deviations: any number above 0. */
export function checkPower(method: string, p: unknown): number {
  return checkNumber(method, "p", p, 0, true);
}

/** x^(1/p), the same bits on every engine. */
export function root(x: number, p: number): number {
  if (p === 1) return x;
  return p === 2 ? Math.sqrt(x) : kernels(FUNCTIONS).pow(x, 1 / p);
}

/** The type of the kernels' lanes: f32 for |d| of f32 data whose squares do not come near to overflow. */
function lanesOf(x: Operand, p: number, largestSquares: number): DType {
  return x.dtype === "float32" && p === 1 && largestSquares < 1e70 ? "float32" : "float64";
}

/** The mean rounded to the type of the lanes, and what is left of it. */
function stageMean(mean: Float64Array, lanes: DType): { center: number; rest: number } {
  const rest = lanes === "float64" ? passingF64(mean.length) : mapF64(mean, (value) => value - Math.fround(value));
  return { center: stageValues(mean, lanes), rest: stageValues(rest, lanes) };
}

/** Both sums of each cell. `largestSquares` is the largest Σ(x − mean)² of a cell, or more. */
export function cellPowers(
  x: Operand,
  geometry: Geometry,
  mean: Float64Array,
  p: number,
  largestSquares: number,
): PowerSums {
  const cells = geometry.n * geometry.c;
  const k = kernelsOf(FUNCTIONS, x.dtype);
  const period = mean.length;
  const lanes = lanesOf(x, p, largestSquares);
  const wide = lanes === "float64" ? 1 : 0;
  return withScratch(() => {
    const powers = scratchF64(cells);
    const slopes = scratchF64(cells);
    const { center, rest } = stageMean(mean, lanes);
    const workspace = colScratch();
    streamCells(geometry, [x], [], false, ([at], { rows, n }, cell) => {
      const [to, toSlopes] = [powers + 8 * cell, slopes + 8 * cell];
      if (geometry.order === "rows") {
        k.rowPowerSums(to, toSlopes, at, center, rest, rows, n, cell, period, p, wide);
      } else {
        const skip = (cell % period) * elementBytes(lanes);
        k.colPowerSums(to, toSlopes, at, center + skip, rest + skip, rows, n, p, wide, workspace);
      }
    });
    return { powers: passingCopyF64(powers, cells), slopes: passingCopyF64(slopes, cells) };
  });
}

/** Writes dx. `largestSquares` as in `cellPowers`. */
export function applyPowerGradient(
  dx: Target,
  dy: Operand,
  x: Operand,
  geometry: Geometry,
  gradient: PowerGradient,
  p: number,
  largestSquares: number,
): void {
  const k = kernelsOf(FUNCTIONS, x.dtype);
  const period = gradient.mean.length;
  const lanes = lanesOf(x, p, largestSquares);
  const wide = lanes === "float64" ? 1 : 0;
  withScratch(() => {
    const { center, rest } = stageMean(gradient.mean, lanes);
    const weight = stageValues(gradient.weight, lanes);
    const slope = stageValues(gradient.slope, lanes);
    const constant = stageValues(gradient.constant, lanes);
    streamCells(geometry, [dy, x], [dx], false, ([g, from, to], { rows, n }, cell) => {
      if (geometry.order === "rows") {
        k.rowGradPower(to, g, from, center, rest, weight, slope, constant, rows, n, cell, period, p, wide);
      } else {
        const at = (cell % period) * elementBytes(lanes);
        const [c, r, w, s, k0] = [center, rest, weight, slope, constant].map((start) => start + at);
        k.colGradPower(to, g, from, c, r, w, s, k0, rows, n, p, wide);
      }
    });
  });
}

/** Writes dx of rows with a weight for each element: `gradient`, one a row, with dy·weight in place of dy. */
export function applyPowerRowsGradient(
  dx: Target,
  dy: Operand,
  x: Operand,
  { rows, n, period, weight }: RowOptions,
  gradient: PowerGradient,
  p: number,
  largestSquares: number,
): void {
  const onRows = kernelsOf(ROWS, x.dtype);
  const functions = kernelsOf(FUNCTIONS, x.dtype);
  const width = elementBytes(x.dtype);
  const lanes = lanesOf(x, p, largestSquares);
  const wide = lanes === "float64" ? 1 : 0;
  withScratch(() => {
    const { center, rest } = stageMean(gradient.mean, lanes);
    const scale = stageValues(gradient.weight, lanes);
    const slope = stageValues(gradient.slope, lanes);
    const constant = stageValues(gradient.constant, lanes);
    const weights = stageWhole(weight, x.dtype);
    // dy·1·weight: with mean 0 and deviation 1 nothing else happens to dy.
    const zeros = stageF64(passingF64(rows));
    const ones = stageF64(passingF64(rows).fill(1));
    stream({ rows, n, fixed: true }, [dy, x], [dx], ([g, from, to], { row, rows: count }) => {
      withScratch(() => {
        let weighted = g;
        if (weights) {
          weighted = scratch(count * n * width);
          onRows.rowStandardize(weighted, g, weights, 0, zeros, ones, count, n, row, period);
        }
        functions.rowGradPower(to, weighted, from, center, rest, scale, slope, constant, count, n, row, rows, p, wide);
      });
    });
  });
}
