import { fail, show } from "../core/errors.js";
import { copyF64, elementBytes, heapOf, scratchF64, withScratch } from "../core/memory.js";
import { kernelsOf, ROWS } from "../core/parts.js";
import { inverseLengths, rowSlices, scaleSlices, sliceLengths } from "../core/slices.js";
import { readTensor, type TensorLike } from "../core/tensor.js";
import { denseSheets, multiply, scratchBlock, wBlock } from "../linalg/sheets.js";

/**
 * The coherence of a weight: the largest magnitude of the cosine between two of its units.
 *
 * max |⟨w_i, w_j⟩|/(‖w_i‖·‖w_j‖) over i ≠ j, from 0 (orthogonal) to 1.
 *
 * Normalization propagation takes the covariance of a layer's outputs for diagonal; the error grows with this number. w
 * is `[units, inputs]` or `[units, channels, ...window]`, f32 or f64; a unit of zeros counts as orthogonal to all.
 * Throws where there are no two units.
 *
 * Source: D. Arpit, Y. Zhou, B. U. Kota, V. Govindaraju, "Normalization Propagation", 2016, arXiv:1603.01431,
 * proposition 1.
 *
 * @example
 * coherence({ data: new Float32Array([1, 0, 3, 4]), shape: [2, 2] }); // 0.6
 */
export function coherence(w: TensorLike): number {
  const method = "coherence";
  const weight = readTensor(method, "w", w);
  const { dtype, shape } = weight;
  const units = shape[0];
  if (shape.length < 2 || units < 2)
    fail(method, `w must have two units at least, [units, ...], got shape ${show(shape)}`);
  const matrix = { ...weight, shape: [units, weight.length / units] };
  const slices = rowSlices(units, matrix.shape[1]);
  const sheets = denseSheets(method, matrix, matrix);
  return withScratch(() => {
    const found = sliceLengths(matrix, slices);
    const directions = wBlock(sheets);
    scaleSlices(directions.target, matrix, slices, found.mean, inverseLengths(found));
    const cosines = scratchBlock(dtype, units, units);
    multiply(cosines.pointer, directions, directions, sheets);
    const at = cosines.pointer / elementBytes(dtype);
    for (let unit = 0; unit < units; unit++) heapOf(dtype)[at + unit * (units + 1)] = 0;
    const largest = scratchF64(1);
    kernelsOf(ROWS, dtype).rowMaxAbs(largest, cosines.pointer, 1, units * units);
    return copyF64(largest, 1)[0];
  });
}
