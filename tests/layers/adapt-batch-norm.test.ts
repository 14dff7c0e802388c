import { describe, expect, it } from "vitest";
import {
  adaptBatchNorm,
  BatchInstanceNorm,
  BatchNorm,
  GhostBatchNorm,
  type LinearTensor,
  memoryInfo,
  type Tensor,
} from "../../src/index.js";
import { largestDifference, tensorOf } from "../support/numbers.js";

/** Mean and variance (n − ddof) of each channel of [N, C] tensors laid end to end. */
function statistics(batches: Array<{ data: ArrayLike<number>; shape: readonly number[] }>, ddof: number) {
  const c = batches[0].shape[1];
  const columns = Array.from({ length: c }, (_, j) =>
    batches.flatMap(({ data }) => Array.from(data).filter((_, i) => i % c === j)),
  );
  const means = columns.map((list) => list.reduce((a, b) => a + b) / list.length);
  const variances = columns.map(
    (list, j) => list.reduce((sum, value) => sum + (value - means[j]) ** 2, 0) / (list.length - ddof),
  );
  return { means, variances };
}

const batches = [tensorOf([4, 3], 1, "float64", 5), tensorOf([7, 3], 2, "float64", -3), tensorOf([1, 3], 3)];

describe("one layer", () => {
  it.each([
    { unbiasedRunningVar: true, ddof: 1 },
    { unbiasedRunningVar: false, ddof: 0 },
  ])(
    "takes the statistics of all samples, n − $ddof, and keeps weight, bias and mode",
    ({ unbiasedRunningVar, ddof }) => {
      const norm = new BatchNorm(3, { dtype: "float64", unbiasedRunningVar });
      norm.weight!.data.set([1, 2, 3]);
      norm.runningMean!.fill(1e6);
      adaptBatchNorm(norm, batches);
      const { means, variances } = statistics(batches, ddof);
      expect(largestDifference(norm.runningMean!, means)).toBeLessThan(1e-14);
      expect(largestDifference(norm.runningVar!, variances)).toBeLessThan(1e-13);
      expect([...norm.weight!.data, norm.mode, norm.numBatchesTracked]).toEqual([1, 2, 3, "train", 3]);
    },
  );

  it("of the same domain gets what averaging equal batches gives, up to the spread of their means", () => {
    const equal = [tensorOf([50, 3], 1), tensorOf([50, 3], 2)];
    const [adapted, averaged] = [new BatchNorm(3, { dtype: "float64" }), new BatchNorm(3, { dtype: "float64" })];
    adaptBatchNorm(adapted, equal);
    averaged.recalibrate(equal);
    expect(largestDifference(adapted.runningMean!, averaged.runningMean!)).toBeLessThan(1e-15);
    expect(largestDifference(adapted.runningVar!, averaged.runningVar!)).toBeLessThan(0.02);
  });

  it("moves by its momentum in mode ema", () => {
    const several = batches.slice(0, 2);
    const [norm, trained] = [new BatchNorm(3, { dtype: "float64" }), new BatchNorm(3, { dtype: "float64" })];
    adaptBatchNorm(norm, several, { mode: "ema" });
    for (const batch of several) trained.forward(batch);
    expect(norm.stateDict()).toEqual(trained.stateDict());
    expect(() => adaptBatchNorm(norm, batches, { mode: "ema" })).toThrow(/a batch has 1 value a channel/);
    expect(norm.stateDict()).toEqual(trained.stateDict());
  });

  it("may be any that keeps running statistics", () => {
    const images = [tensorOf([3, 2, 5], 1), tensorOf([2, 2, 4], 2)];
    const [ghost, mixed, plain] = [GhostBatchNorm, BatchInstanceNorm, BatchNorm].map((Class) => {
      const norm = new Class(2, { dtype: "float64" });
      adaptBatchNorm(norm, images);
      return norm;
    });
    expect(ghost.runningVar).toEqual(plain.runningVar);
    expect(mixed.runningMean).toEqual(plain.runningMean);
  });
});

describe("a network", () => {
  const make = () => {
    const layers = [new BatchNorm(3, { dtype: "float64" }), new BatchNorm(3, { dtype: "float64" })];
    const bend = ({ data, shape }: Tensor | LinearTensor) => ({ data: Float64Array.from(data, (v) => v * v), shape });
    const run = (batch: Tensor) => layers[1].forward(bend(layers[0].forward(batch)) as Tensor);
    return { layers, run, bend };
  };

  it("is adapted layer by layer, each to what those before it make of the samples then", () => {
    const { layers, run, bend } = make();
    layers[1].freeze();
    adaptBatchNorm(layers, batches, { run });
    expect(layers.map(({ mode }) => mode)).toEqual(["train", "frozen"]);
    const first = statistics(batches, 1);
    expect(largestDifference(layers[0].runningMean!, first.means)).toBeLessThan(1e-14);
    layers[0].eval();
    const seen = batches.map((batch) => bend(layers[0].forward(batch)));
    const second = statistics(seen, 1);
    expect(largestDifference(layers[1].runningMean!, second.means)).toBeLessThan(1e-13);
    expect(largestDifference(layers[1].runningVar!, second.variances)).toBeLessThan(1e-13);
  });

  it("is adapted in one sweep in mode ema", () => {
    const [adapted, trained] = [make(), make()];
    const several = batches.slice(0, 2);
    adapted.layers[0].eval();
    adaptBatchNorm(adapted.layers, several, { run: adapted.run, mode: "ema" });
    for (const batch of several) trained.run(batch);
    expect(adapted.layers.map((layer) => layer.stateDict())).toEqual(trained.layers.map((layer) => layer.stateDict()));
    expect(adapted.layers[0].mode).toBe("eval");
  });

  it("stays as it was where anything throws", () => {
    for (const mode of ["population", "ema"] as const) {
      const { layers, run } = make();
      const before = layers.map((layer) => layer.stateDict());
      let calls = 0;
      const failing = (batch: Tensor) => {
        run(batch);
        if (++calls === (mode === "ema" ? 2 : 5)) throw new Error("network down");
      };
      expect(() => adaptBatchNorm(layers, batches.slice(0, 2).concat(batches[0]), { run: failing, mode })).toThrow(
        "network down",
      );
      expect(layers.map((layer) => layer.stateDict())).toEqual(before);
      expect(layers.map((layer) => [layer.mode, layer.observer])).toEqual([
        ["train", null],
        ["train", null],
      ]);
    }
  });
});

it("rejects bad input by name", () => {
  const norm = new BatchNorm(3);
  expect(() => adaptBatchNorm(norm, [])).toThrow(/batches must hold at least one batch/);
  expect(() => adaptBatchNorm(norm, [batches[2]])).toThrow(/batches have 1 value a channel/);
  expect(() => adaptBatchNorm(norm, [tensorOf([4, 2], 1)])).toThrow(/x has 2 channels/);
  expect(() => adaptBatchNorm(norm, batches, { mode: "mean" as never })).toThrow(/mode must be "population" or "ema"/);
  expect(() => adaptBatchNorm([norm] as never, batches)).toThrow(/run must be given with a list of layers/);
  expect(() => adaptBatchNorm([], batches, { run: () => 0 })).toThrow(/layers must hold at least one layer/);
  expect(() => adaptBatchNorm([norm], batches, { run: () => 0 })).toThrow(/that reaches every layer, got none/);
  expect(() => adaptBatchNorm({} as never, batches)).toThrow(/layers must be layers with running statistics/);
  expect(() => adaptBatchNorm(new BatchNorm(3, { trackRunningStats: false }), batches)).toThrow(
    /no running statistics/,
  );
  expect(memoryInfo().usedBytes).toBe(0);
});
