import { describe, expect, it } from "vitest";
import { MaxAbsScaler } from "../../src/index.js";

describe("MaxAbsScaler", () => {
  it("takes over what scikit-learn fitted, and fits the same", () => {
    const fitted = new MaxAbsScaler().fit([
      [1, 10],
      [2, -30],
      [-8, 20],
      [4, NaN],
    ]);
    for (const scaler of [MaxAbsScaler.fromSklearn({ max_abs_: [8, 30], n_samples_seen_: 4 }), fitted]) {
      expect([...scaler.maxAbs, ...scaler.scale]).toEqual([8, 30, 8, 30]);
      expect(scaler.nSamplesSeen).toBe(4);
      expect([...scaler.transform([[3, 15]]).data]).toEqual([0.375, 0.5]);
    }
  });

  it("leaves columns of zeros, and zeros, alone", () => {
    const scaler = new MaxAbsScaler().fit([
      [0, 0],
      [0, -4],
    ]);
    expect([...scaler.maxAbs]).toEqual([0, 4]);
    expect([...scaler.scale]).toEqual([1, 4]);
    expect([...scaler.transform([[0, 0]]).data]).toEqual([0, 0]);
  });

  it("knows nothing of a column without values, until there are some", () => {
    const scaler = new MaxAbsScaler().fit([[NaN]]);
    expect([...scaler.maxAbs]).toEqual([NaN]);
    expect([...scaler.partialFit([[-2]]).transform([[1]]).data]).toEqual([0.5]);
  });
});
