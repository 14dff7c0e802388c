/**
 * The statistics of a batch-normalized LSTM differ from step to step at the start of a sequence and settle later, which
 * is why each step has statistics of its own, the last of which serve all longer sequences (Cooijmans et al. 2017,
 * arXiv:1603.09025, section 3 and appendix). Layer norm needs none of that: its statistics are of one sample and step.
 */
import { describe, expect, it } from "vitest";
import { layerNormLSTM, recurrentBatchNorm } from "../../src/index.js";
import { largestDifference, tensorOf } from "../support/numbers.js";
import { lengthOf, normals } from "../support/statistics.js";

const [steps, samples, inputs, units] = [24, 400, 3, 6];
const xs = { data: normals(steps * samples * inputs, 1), shape: [steps, samples, inputs] };
const weights = {
  weightIh: tensorOf([4 * units, inputs], 2),
  weightHh: tensorOf([4 * units, units], 3),
  // All samples start alike but for a little noise: without it the first step has no variance.
  h0: tensorOf([samples, units], 4, "float64", 0, 0.01),
  // Cells that forget slowly, as is usual at the start of training.
  bias: Float64Array.from({ length: 4 * units }, (_, i) => (i < units ? 1 : 0)),
};
const statisticsOf = (features: number) => ({
  mean: new Float64Array(steps * features),
  variance: new Float64Array(steps * features).fill(1),
});

describe("the statistics of each step", () => {
  const running = { x: statisticsOf(4 * units), h: statisticsOf(4 * units), c: statisticsOf(units) };
  recurrentBatchNorm(xs, { ...weights, running, momentum: 1 });
  const at = ({ variance }: { variance: ArrayLike<number> }, step: number, features: number) =>
    Float64Array.from({ length: features }, (_, i) => variance[step * features + i]);
  const change = (kind: "x" | "h" | "c", from: number, to: number, features: number) => {
    const [a, b] = [at(running[kind], from, features), at(running[kind], to, features)];
    return lengthOf(a.map((value, i) => value - b[i])) / lengthOf(b);
  };

  it.each([
    { name: "the hidden state's", kind: "h" as const, features: 4 * units },
    { name: "the cell's", kind: "c" as const, features: units },
  ])("$name are far from the settled ones at first, and near them later", ({ kind, features }) => {
    const distances = Array.from({ length: steps - 1 }, (_, step) => change(kind, step, steps - 1, features));
    expect(distances[0]).toBeGreaterThan(0.4);
    expect(distances[2]).toBeGreaterThan(0.3);
    for (const later of distances.slice(10)) expect(later).toBeLessThan(0.25);
  });

  it("those of the input, which is of one kind all along, are the same at every step but for the batch's noise", () => {
    for (let step = 0; step < steps - 1; step++) expect(change("x", step, steps - 1, 4 * units)).toBeLessThan(0.25);
  });
});

describe("what a sample gives depends", () => {
  const first = {
    data: Float64Array.from({ length: steps * 2 * inputs }, (_, i) => {
      const [t, rest] = [Math.floor(i / (2 * inputs)), i % (2 * inputs)];
      return xs.data[t * samples * inputs + rest];
    }),
    shape: [steps, 2, inputs],
  };
  const h0 = { data: weights.h0.data.slice(0, 2 * units), shape: [2, units] };
  const ofFirst = (hs: { data: ArrayLike<number>; shape: readonly number[] }) =>
    Array.from({ length: units }, (_, i) => hs.data[(steps - 1) * hs.shape[1] * units + i]);

  it("on the others in its batch with batch norm", () => {
    const all = recurrentBatchNorm(xs, weights);
    const few = recurrentBatchNorm(first, { ...weights, h0 });
    expect(largestDifference(ofFirst(few.hs), ofFirst(all.hs))).toBeGreaterThan(1e-3);
  });

  it("on nothing else with layer norm", () => {
    const all = layerNormLSTM(xs, weights);
    const few = layerNormLSTM(first, { ...weights, h0 });
    expect(largestDifference(ofFirst(few.hs), ofFirst(all.hs))).toBeLessThan(1e-13);
  });
});
