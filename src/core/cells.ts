/**
 * The heavy steps on either side of a channel-wise method, over cells in either layout:
 *
 *     x ──cellMoments──▶ Moments ──the method──▶ coefficients ──applyAffine──▶ y = (x − mean)·scale + shift
 *     dy, x ──cellGradSums──▶ Σdy, Σdy·(x − mean) ──the method──▶ coefficients ──applyGradient──▶ dx = rstd·(weight·dy + slope·(x − mean) + constant)
 *
 * Coefficients are f64, one a cell (n·c) or one a channel (c). Each step has a form for vectors that stay in linear memory
 * from one step to the next (measureCells, transformCells, sumCells, gradientCells), given by address.
 */
import type { Geometry } from "./geometry.js";
import type { TypedKernels } from "./instance.js";
import type { PlanesKernels } from "./kernels.generated.js";
import { clearF64, elementBytes, heap8, passingCopyF64, passingF64, scratch, withScratch } from "./memory.js";
import type { Moments } from "./moments.js";
import { COLUMNS, kernels, kernelsOf, PLANES } from "./parts.js";
import { type Chunk, stageValues, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

/** y = (x − mean)·scale + shift. */
export interface Affine {
  mean: Float64Array;
  scale: Float64Array;
  shift: Float64Array;
}

/** dx = rstd·(weight·dy + slope·(x − mean) + constant). */
export interface GradientAffine {
  mean: Float64Array;
  rstd: Float64Array;
  weight: Float64Array;
  slope: Float64Array;
  constant: Float64Array;
}

/** Where vectors of f64 lie in linear memory. */
export type AddressesOf<Vectors> = { readonly [Name in keyof Vectors]: number };

/** Σdy and Σdy·(x − mean) of each cell, for the length of a call. */
export interface GradSums {
  dy: Float64Array;
  dyx: Float64Array;
}

/** One byte for each sample and position, 0 = left out of statistics and cleared in results. */
export type Mask = Uint8Array;

function stageMask(mask: Mask | undefined): number {
  if (mask === undefined) return 0;
  const pointer = scratch(mask.length);
  heap8().set(mask, pointer);
  return pointer;
}

/** A copy of n f64 values in scratch, rounded to `dtype`. */
function round(values: number, n: number, dtype: Operand["dtype"]): number {
  const rounded = scratch(n * elementBytes(dtype));
  kernelsOf(COLUMNS, dtype).eachRound(rounded, values, n);
  return rounded;
}

/**
 * Streams [n·c, s] rows or [s, c] matrices. `run` gets `cell`, the first cell of the chunk: in rows order the chunk's
 * row, in cols order the first channel of the matrix's sample.
 */
export function streamCells(
  geometry: Geometry,
  inputs: Operand[],
  outputs: Target[],
  fixed: boolean,
  run: (pointers: number[], chunk: Chunk, cell: number) => void,
): void {
  const { n, c, s, order, tail = s } = geometry;
  if (order === "rows") {
    const k = kernels(PLANES);
    const cut = (inputs[0] ?? outputs[0]).dtype === "float64" ? k.planeRunBlock_f64() : k.planeRunBlock_f32();
    stream({ rows: n * c, n: s, cut, fixed }, inputs, outputs, (p, chunk) => run(p, chunk, chunk.row));
    return;
  }
  const rowMultiple = kernels(COLUMNS).colBlockRows(c);
  for (let sample = 0; sample < n; sample++) {
    const plan = { rows: sample < n - 1 ? s : tail, n: c, firstRow: sample * s, rowMultiple, fixed };
    stream(plan, inputs, outputs, (p, chunk) => run(p, chunk, sample * c));
  }
}

/** Count, mean and M2 of each cell; masked positions are left out. */
export function cellMoments(x: Operand, geometry: Geometry, mask?: Mask): Moments {
  const cells = geometry.n * geometry.c;
  return withScratch(() => {
    const mean = scratch(8 * cells);
    const m2 = scratch(8 * cells);
    const count = measureCells(mean, m2, x, geometry, mask);
    return { count, mean: passingCopyF64(mean, cells), m2: passingCopyF64(m2, cells) };
  });
}

/** Writes mean and M2 of each cell; returns the counts. */
export function measureCells(mean: number, m2: number, x: Operand, geometry: Geometry, mask?: Mask): Float64Array {
  const { c, s, order } = geometry;
  const cells = geometry.n * c;
  const onPlanes = kernelsOf(PLANES, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  const counts = passingF64(cells);
  clearF64(mean, cells);
  clearF64(m2, cells);
  withScratch(() => {
    const workspace = scratch(kernels(COLUMNS).colScratchBytes());
    const maskAt = stageMask(mask);
    streamCells(geometry, [x], [], mask !== undefined, ([at], chunk, cell) => {
      const { row, rows, offset, n } = chunk;
      if (!maskAt) {
        if (order === "rows") {
          onPlanes.planeRunMoments(mean + 8 * cell, m2 + 8 * cell, at, rows, n, offset);
          counts.fill(offset + n, cell, cell + rows);
        } else {
          onColumns.colMoments(mean + 8 * cell, m2 + 8 * cell, at, rows, n, counts[cell], workspace);
          counts.fill(counts[cell] + rows, cell, cell + c);
        }
        return;
      }
      withScratch(() => {
        const packed = scratch(rows * n * width);
        if (order === "rows") {
          for (let r = 0; r < rows; r++) {
            const i = cell + r;
            const maskOfRow = maskAt + Math.floor(i / c) * s + offset;
            const kept = onPlanes.compactRows(packed, at + r * n * width, maskOfRow, n, 1);
            onPlanes.planeRunMoments(mean + 8 * i, m2 + 8 * i, packed, 1, kept, counts[i]);
            counts[i] += kept;
          }
        } else {
          const kept = onPlanes.compactRows(packed, at, maskAt + row, rows, n);
          onColumns.colMoments(mean + 8 * cell, m2 + 8 * cell, packed, kept, n, counts[cell], workspace);
          counts.fill(counts[cell] + kept, cell, cell + c);
        }
      });
    });
  });
  return counts;
}

/** y = (x − mean)·scale + shift; 0 at masked positions. */
export function applyAffine(y: Target, x: Operand, geometry: Geometry, affine: Affine, mask?: Mask): void {
  withScratch(() => {
    const vectors = {
      mean: stageValues(affine.mean, "float64"),
      scale: stageValues(affine.scale, "float64"),
      shift: stageValues(affine.shift, "float64"),
    };
    transformCells(y, x, geometry, vectors, affine.mean.length, mask);
  });
}

/** `applyAffine` with `period` coefficients of each kind, in linear memory. */
export function transformCells(
  y: Target,
  x: Operand,
  geometry: Geometry,
  { mean, scale, shift }: AddressesOf<Affine>,
  period: number,
  mask?: Mask,
): void {
  const { c, s, order } = geometry;
  const onPlanes = kernelsOf(PLANES, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  withScratch(() => {
    const maskAt = stageMask(mask);
    if (order === "rows") {
      streamCells(geometry, [x], [y], false, ([from, to], chunk, cell) => {
        onPlanes.planeAffine(to, from, mean, scale, shift, chunk.rows, chunk.n, cell, period);
        if (maskAt) clearRows(onPlanes, to, maskAt, chunk, c, s, width);
      });
      return;
    }
    // x is taken about the rounded mean; what is left of the mean goes into the shift.
    const centers = round(mean, period, x.dtype);
    const scales = round(scale, period, x.dtype);
    const shifts = scratch(period * width);
    onColumns.eachSummand(shifts, shift, mean, scale, period);
    streamCells(geometry, [x], [y], false, ([from, to], { row, rows, n }, cell) => {
      const at = (cell % period) * width;
      onColumns.colAffine(to, from, centers + at, scales + at, shifts + at, rows, n);
      if (maskAt) onPlanes.zeroRows(to, maskAt + row, rows, n);
    });
  });
}

function clearRows(
  k: TypedKernels<PlanesKernels>,
  to: number,
  maskAt: number,
  { row, rows, offset, n }: Chunk,
  c: number,
  s: number,
  width: number,
): void {
  for (let r = 0; r < rows; r++) {
    k.zeroRows(to + r * n * width, maskAt + Math.floor((row + r) / c) * s + offset, n, 1);
  }
}

/** Σdy and Σdy·(x − mean) of each cell, about the mean of the cell or of its channel; masked positions are left out. */
export function cellGradSums(dy: Operand, x: Operand, geometry: Geometry, mean: Float64Array, mask?: Mask): GradSums {
  const cells = geometry.n * geometry.c;
  return withScratch(() => {
    const sumDy = scratch(8 * cells);
    const sumDyx = scratch(8 * cells);
    const means = stageValues(mean, "float64");
    sumCells({ dy: sumDy, dyx: sumDyx }, dy, x, geometry, means, mean.length, mask);
    return { dy: passingCopyF64(sumDy, cells), dyx: passingCopyF64(sumDyx, cells) };
  });
}

/** `cellGradSums` about `period` means, from linear memory to linear memory. */
export function sumCells(
  { dy: sumDy, dyx: sumDyx }: AddressesOf<GradSums>,
  dy: Operand,
  x: Operand,
  geometry: Geometry,
  mean: number,
  period: number,
  mask?: Mask,
): void {
  const { c, s, order } = geometry;
  const cells = geometry.n * c;
  const onPlanes = kernelsOf(PLANES, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  clearF64(sumDy, cells);
  clearF64(sumDyx, cells);
  withScratch(() => {
    const centers = order === "rows" ? mean : round(mean, period, x.dtype);
    const workspace = scratch(kernels(COLUMNS).colScratchBytes());
    const maskAt = stageMask(mask);
    streamCells(geometry, [dy, x], [], mask !== undefined, ([g, at], chunk, cell) => {
      const { row, rows, offset, n } = chunk;
      const first = (cell % period) * width;
      if (!maskAt) {
        if (order === "rows")
          onPlanes.planeGradSums(sumDy + 8 * cell, sumDyx + 8 * cell, g, at, centers, rows, n, cell, period);
        else onColumns.colGradSums(sumDy + 8 * cell, sumDyx + 8 * cell, g, at, centers + first, rows, n, workspace);
        return;
      }
      withScratch(() => {
        const packedG = scratch(rows * n * width);
        const packedX = scratch(rows * n * width);
        if (order === "rows") {
          for (let r = 0; r < rows; r++) {
            const i = cell + r;
            const maskOfRow = maskAt + Math.floor(i / c) * s + offset;
            onPlanes.compactRows(packedG, g + r * n * width, maskOfRow, n, 1);
            const kept = onPlanes.compactRows(packedX, at + r * n * width, maskOfRow, n, 1);
            onPlanes.planeGradSums(sumDy + 8 * i, sumDyx + 8 * i, packedG, packedX, centers, 1, kept, i, period);
          }
        } else {
          onPlanes.compactRows(packedG, g, maskAt + row, rows, n);
          const kept = onPlanes.compactRows(packedX, at, maskAt + row, rows, n);
          onColumns.colGradSums(
            sumDy + 8 * cell,
            sumDyx + 8 * cell,
            packedG,
            packedX,
            centers + first,
            kept,
            n,
            workspace,
          );
        }
      });
    });
    // The kernel's sums are about the rounded mean.
    for (let i = 0; i < cells; i += period) onColumns.eachAboutMean(sumDyx + 8 * i, sumDy + 8 * i, mean, period);
  });
}

/** dx = rstd·(weight·dy + slope·(x − mean) + constant); 0 at masked positions. */
export function applyGradient(
  dx: Target,
  dy: Operand,
  x: Operand,
  geometry: Geometry,
  gradient: GradientAffine,
  mask?: Mask,
): void {
  withScratch(() => {
    const vectors = {
      mean: stageValues(gradient.mean, "float64"),
      rstd: stageValues(gradient.rstd, "float64"),
      weight: stageValues(gradient.weight, "float64"),
      slope: stageValues(gradient.slope, "float64"),
      constant: stageValues(gradient.constant, "float64"),
    };
    gradientCells(dx, dy, x, geometry, vectors, gradient.mean.length, mask);
  });
}

/** `applyGradient` with `period` coefficients of each kind, in linear memory. */
export function gradientCells(
  dx: Target,
  dy: Operand,
  x: Operand,
  geometry: Geometry,
  { mean, rstd, weight, slope, constant }: AddressesOf<GradientAffine>,
  period: number,
  mask?: Mask,
): void {
  const { c, s, order } = geometry;
  const onPlanes = kernelsOf(PLANES, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  withScratch(() => {
    const maskAt = stageMask(mask);
    if (order === "rows") {
      streamCells(geometry, [dy, x], [dx], false, ([g, from, to], chunk, cell) => {
        onPlanes.planeGradAffine(to, g, from, mean, rstd, weight, slope, constant, chunk.rows, chunk.n, cell, period);
        if (maskAt) clearRows(onPlanes, to, maskAt, chunk, c, s, width);
      });
      return;
    }
    const centers = round(mean, period, x.dtype);
    const rstds = round(rstd, period, x.dtype);
    const weights = round(weight, period, x.dtype);
    const slopes = round(slope, period, x.dtype);
    const constants = scratch(period * width);
    onColumns.eachSummand(constants, constant, mean, slope, period);
    streamCells(geometry, [dy, x], [dx], false, ([g, from, to], { row, rows, n }, cell) => {
      const at = (cell % period) * width;
      onColumns.colGradAffine(
        to,
        g,
        from,
        centers + at,
        rstds + at,
        weights + at,
        slopes + at,
        constants + at,
        rows,
        n,
      );
      if (maskAt) onPlanes.zeroRows(to, maskAt + row, rows, n);
    });
  });
}
