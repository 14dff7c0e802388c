import { describe, expect, it } from "vitest";
import { Centering } from "../../src/index.js";
import { values } from "../support/numbers.js";

describe("Centering", () => {
  it("subtracts the mean and nothing else", () => {
    const centering = new Centering().fit([
      [1, 10],
      [3, NaN],
    ]);
    expect([...centering.mean]).toEqual([2, 10]);
    expect(centering.nSamplesSeen).toEqual(Float64Array.of(2, 1));
    expect([...centering.transform([[0, 11]]).data]).toEqual([-2, 1]);
    expect([...centering.inverseTransform([[-2, 1]]).data]).toEqual([0, 11]);
  });

  it("takes over the mean that scikit-learn fitted", () => {
    const centering = Centering.fromSklearn({ mean_: [2, 10], n_samples_seen_: [2, 1] });
    expect([...centering.transform([[0, 11]]).data]).toEqual([-2, 1]);
    expect([...centering.partialFit([[5, 12]]).mean]).toEqual([3, 11]);
  });

  it("takes weights", () => {
    expect([...new Centering().fit([[1], [4]], { sampleWeight: [2, 1] }).mean]).toEqual([2]);
  });

  it("leaves little behind however large the mean is", () => {
    const x = { data: Float32Array.from(values(1000, 1, 1e6)), shape: [1000, 1] };
    const y = new Centering().fitTransform(x).data;
    let sum = 0;
    for (const value of y) sum += value;
    // Each y is within half an ulp of its own size, below 1.
    expect(Math.abs(sum / 1000)).toBeLessThan(6e-8);
  });

  it("centers values whose squares overflow", () => {
    const centering = new Centering().fit([[1e200], [3e200]]);
    expect([...centering.transform([[2e200]]).data]).toEqual([0]);
  });
});
