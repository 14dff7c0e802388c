/**
 * The heavy steps on either side of a channel-wise method, over cells in either layout:
 *
 *     x ──cellMoments──▶ Moments ──the method──▶ coefficients ──applyAffine──▶ y = (x − mean)·scale + shift
 *     dy, x ──cellGradSums──▶ Σdy, Σdy·(x − mean) ──the method──▶ coefficients ──applyGradient──▶ dx = rstd·(weight·dy + slope·(x − mean) + constant)
 *
 * Coefficients are f64, one a cell (n·c) or one a channel (c).
 */
import type { Geometry } from "./geometry.js";
import {
  copyF64,
  elementBytes,
  heap8,
  heapOf,
  kernels,
  kernelsOf,
  scratch,
  scratchF64,
  withScratch,
} from "./memory.js";
import type { Moments } from "./moments.js";
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

/** Σdy and Σdy·(x − mean) of each cell. */
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
    const k = kernels();
    const cut = (inputs[0] ?? outputs[0]).dtype === "float64" ? k.rowBlock_f64() : k.rowBlock_f32();
    stream({ rows: n * c, n: s, cut, fixed }, inputs, outputs, (p, chunk) => run(p, chunk, chunk.row));
    return;
  }
  const rowMultiple = kernels().colBlockRows(c);
  for (let sample = 0; sample < n; sample++) {
    const plan = { rows: sample < n - 1 ? s : tail, n: c, firstRow: sample * s, rowMultiple, fixed };
    stream(plan, inputs, outputs, (p, chunk) => run(p, chunk, sample * c));
  }
}

/** Count, mean and M2 of each cell; masked positions are left out. */
export function cellMoments(x: Operand, geometry: Geometry, mask?: Mask): Moments {
  const { c, s, order } = geometry;
  const cells = geometry.n * c;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  const count = new Float64Array(cells);
  return withScratch(() => {
    const mean = scratchF64(cells);
    const m2 = scratchF64(cells);
    const workspace = scratch(kernels().colScratchBytes());
    const maskAt = stageMask(mask);
    streamCells(geometry, [x], [], mask !== undefined, ([at], chunk, cell) => {
      const { row, rows, offset, n } = chunk;
      if (!maskAt) {
        if (order === "rows") {
          k.rowMoments(mean + 8 * cell, m2 + 8 * cell, at, rows, n, offset);
          count.fill(offset + n, cell, cell + rows);
        } else {
          k.colMoments(mean + 8 * cell, m2 + 8 * cell, at, rows, n, count[cell], workspace);
          count.fill(count[cell] + rows, cell, cell + c);
        }
        return;
      }
      withScratch(() => {
        const packed = scratch(rows * n * width);
        if (order === "rows") {
          for (let r = 0; r < rows; r++) {
            const i = cell + r;
            const maskOfRow = maskAt + Math.floor(i / c) * s + offset;
            const kept = k.compactRows(packed, at + r * n * width, maskOfRow, n, 1);
            k.rowMoments(mean + 8 * i, m2 + 8 * i, packed, 1, kept, count[i]);
            count[i] += kept;
          }
        } else {
          const kept = k.compactRows(packed, at, maskAt + row, rows, n);
          k.colMoments(mean + 8 * cell, m2 + 8 * cell, packed, kept, n, count[cell], workspace);
          count.fill(count[cell] + kept, cell, cell + c);
        }
      });
    });
    return { count, mean: copyF64(mean, cells), m2: copyF64(m2, cells) };
  });
}

/**
 * Stages the center that x is taken about, in the element type, and what is added to (x − center)·factor where `sum` is
 * to be added to (x − mean)·factor: the f64 remainder of the mean goes there.
 */
function stageCenters(
  mean: Float64Array,
  sum: Float64Array,
  factor: Float64Array,
  dtype: Operand["dtype"],
): { centers: number; sums: number } {
  const width = elementBytes(dtype);
  const centers = scratch(mean.length * width);
  const sums = scratch(mean.length * width);
  const heap = heapOf(dtype);
  for (let i = 0, at = centers / width, to = sums / width; i < mean.length; i++, at++, to++) {
    const about = mean[i];
    heap[at] = about;
    heap[to] = sum[i] + (heap[at] - about) * factor[i];
  }
  return { centers, sums };
}

/** y = (x − mean)·scale + shift; 0 at masked positions. */
export function applyAffine(y: Target, x: Operand, geometry: Geometry, affine: Affine, mask?: Mask): void {
  const { c, s, order } = geometry;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  const period = affine.mean.length;
  withScratch(() => {
    const maskAt = stageMask(mask);
    if (order === "rows") {
      const mean = stageValues(affine.mean, "float64");
      const scale = stageValues(affine.scale, "float64");
      const shift = stageValues(affine.shift, "float64");
      streamCells(geometry, [x], [y], false, ([from, to], chunk, cell) => {
        k.planeAffine(to, from, mean, scale, shift, chunk.rows, chunk.n, cell, period);
        if (maskAt) clearRows(k, to, maskAt, chunk, c, s, width);
      });
      return;
    }
    const { centers, sums: shift } = stageCenters(affine.mean, affine.shift, affine.scale, x.dtype);
    const scale = stageValues(affine.scale, x.dtype);
    streamCells(geometry, [x], [y], false, ([from, to], { row, rows, n }, cell) => {
      const at = (cell % period) * width;
      k.colAffine(to, from, centers + at, scale + at, shift + at, rows, n);
      if (maskAt) k.zeroRows(to, maskAt + row, rows, n);
    });
  });
}

function clearRows(
  k: ReturnType<typeof kernelsOf>,
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
  const { c, s, order } = geometry;
  const cells = geometry.n * c;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  const period = mean.length;
  return withScratch(() => {
    const sumDy = scratchF64(cells);
    const sumDyx = scratchF64(cells);
    const centers = stageValues(mean, order === "rows" ? "float64" : x.dtype);
    const workspace = scratch(kernels().colScratchBytes());
    const maskAt = stageMask(mask);
    streamCells(geometry, [dy, x], [], mask !== undefined, ([g, at], chunk, cell) => {
      const { row, rows, offset, n } = chunk;
      const first = (cell % period) * width;
      if (!maskAt) {
        if (order === "rows")
          k.planeGradSums(sumDy + 8 * cell, sumDyx + 8 * cell, g, at, centers, rows, n, cell, period);
        else k.colGradSums(sumDy + 8 * cell, sumDyx + 8 * cell, g, at, centers + first, rows, n, workspace);
        return;
      }
      withScratch(() => {
        const packedG = scratch(rows * n * width);
        const packedX = scratch(rows * n * width);
        if (order === "rows") {
          for (let r = 0; r < rows; r++) {
            const i = cell + r;
            const maskOfRow = maskAt + Math.floor(i / c) * s + offset;
            k.compactRows(packedG, g + r * n * width, maskOfRow, n, 1);
            const kept = k.compactRows(packedX, at + r * n * width, maskOfRow, n, 1);
            k.planeGradSums(sumDy + 8 * i, sumDyx + 8 * i, packedG, packedX, centers, 1, kept, i, period);
          }
        } else {
          k.compactRows(packedG, g, maskAt + row, rows, n);
          const kept = k.compactRows(packedX, at, maskAt + row, rows, n);
          k.colGradSums(sumDy + 8 * cell, sumDyx + 8 * cell, packedG, packedX, centers + first, kept, n, workspace);
        }
      });
    });
    const sums = { dy: copyF64(sumDy, cells), dyx: copyF64(sumDyx, cells) };
    // The kernel's sums are about the rounded mean.
    if (x.dtype === "float64") return sums;
    for (let i = 0; i < cells; i++) {
      const about = mean[i % period];
      sums.dyx[i] += (Math.fround(about) - about) * sums.dy[i];
    }
    return sums;
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
  const { c, s, order } = geometry;
  const k = kernelsOf(x.dtype);
  const width = elementBytes(x.dtype);
  const period = gradient.mean.length;
  withScratch(() => {
    const maskAt = stageMask(mask);
    if (order === "rows") {
      const mean = stageValues(gradient.mean, "float64");
      const rstd = stageValues(gradient.rstd, "float64");
      const weight = stageValues(gradient.weight, "float64");
      const slope = stageValues(gradient.slope, "float64");
      const constant = stageValues(gradient.constant, "float64");
      streamCells(geometry, [dy, x], [dx], false, ([g, from, to], chunk, cell) => {
        k.planeGradAffine(to, g, from, mean, rstd, weight, slope, constant, chunk.rows, chunk.n, cell, period);
        if (maskAt) clearRows(k, to, maskAt, chunk, c, s, width);
      });
      return;
    }
    const { centers, sums: constant } = stageCenters(gradient.mean, gradient.constant, gradient.slope, x.dtype);
    const rstd = stageValues(gradient.rstd, x.dtype);
    const weight = stageValues(gradient.weight, x.dtype);
    const slope = stageValues(gradient.slope, x.dtype);
    streamCells(geometry, [dy, x], [dx], false, ([g, from, to], { row, rows, n }, cell) => {
      const at = (cell % period) * width;
      k.colGradAffine(to, g, from, centers + at, rstd + at, weight + at, slope + at, constant + at, rows, n);
      if (maskAt) k.zeroRows(to, maskAt + row, rows, n);
    });
  });
}
