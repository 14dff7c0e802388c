/**
 * Which changes of weights and data the normalizations do not see: the table of the layer normalization paper (Ba,
 * Kiros and Hinton 2016, arXiv:1607.06450, section 5.1) with eps = 0, and the line that the RMS norm paper adds (Zhang
 * and Sennrich 2019, arXiv:1910.07467). Each "yes" is an equality to rounding, each "no" a visible change.
 */
import { describe, expect, it } from "vitest";
import { batchNorm, layerNorm, matmul, rmsNorm, type Tensor, weightNorm } from "../../src/index.js";
import { largestDifference, tensorOf, values } from "../support/numbers.js";

const [rows, inputs, units] = [12, 6, 8];
const x = tensorOf([rows, inputs], 1, "float64", 0.3);
const weight = tensorOf([units, inputs], 2);
const shift = values(inputs, 3);
const change = (tensor: Tensor, value: (old: number, row: number, column: number) => number): Tensor => ({
  data: Float64Array.from(tensor.data, (old, i) => value(old, Math.floor(i / tensor.shape[1]), i % tensor.shape[1])),
  shape: tensor.shape,
});
const linear = (w: Tensor, from: Tensor) => matmul(from, w, { transposeB: true });

/** What a layer of the kind makes of data with a weight. */
const layers: Record<string, (w: Tensor, x: Tensor) => Tensor> = {
  "batch norm": (w, from) => batchNorm(linear(w, from), { eps: 0 }),
  "weight norm": (w, from) => linear(weightNorm(w, { g: new Float64Array(units).fill(1) }), from),
  "layer norm": (w, from) => layerNorm(linear(w, from), { normalizedShape: units, eps: 0 }),
  "RMS norm": (w, from) => rmsNorm(linear(w, from), { normalizedShape: units, eps: 0 }),
};

const changes: Record<string, { w?: Tensor; data?: Tensor }> = {
  "the weight matrix scaled": { w: change(weight, (old) => 3 * old) },
  "the weight matrix shifted, each unit alike": { w: change(weight, (old, _, column) => old + shift[column]) },
  "one unit's weight scaled": { w: change(weight, (old, row) => (row === 2 ? 3 * old : old)) },
  "the data scaled": { data: change(x, (old) => 3 * old) },
  "the data shifted": { data: change(x, (old, _, column) => old + shift[column]) },
  "one sample scaled": { data: change(x, (old, row) => (row === 2 ? 3 * old : old)) },
};

const invariant: Record<string, boolean[]> = {
  "batch norm": [true, false, true, true, true, false],
  "weight norm": [true, false, true, false, false, false],
  "layer norm": [true, true, false, true, false, true],
  "RMS norm": [true, false, false, true, false, true],
};

describe.each(Object.entries(layers))("%s", (name, layer) => {
  it.each(Object.entries(changes).map(([what, changed], i) => ({ what, changed, same: invariant[name][i] })))(
    "sees nothing of $what: $same",
    ({ changed: { w = weight, data = x }, same }) => {
      const difference = largestDifference(layer(w, data).data, layer(weight, x).data);
      if (same) expect(difference).toBeLessThan(1e-12);
      else expect(difference).toBeGreaterThan(0.1);
    },
  );
});
