import { expect, it } from "vitest";
import { coherence, memoryInfo, weightNorm } from "../../src/index.js";
import { dot, tensorOf } from "../support/numbers.js";

it("is the largest magnitude of a cosine between two units", () => {
  for (const [units, inputs] of [
    [2, 3],
    [5, 17],
    [31, 4],
  ]) {
    const w = tensorOf([units, inputs], units, "float64", 0.1);
    const unit = weightNorm(w).data;
    let want = 0;
    for (let i = 0; i < units; i++) {
      for (let j = 0; j < i; j++) {
        const [a, b] = [i, j].map((row) => unit.slice(row * inputs, (row + 1) * inputs));
        want = Math.max(want, Math.abs(dot(a, b)));
      }
    }
    expect(coherence(w)).toBeCloseTo(want, 13);
  }
  expect(coherence({ data: new Float32Array([1, 0, 0, 5, 0, 0]), shape: [3, 2, 1] })).toBe(0);
  expect(() => coherence(tensorOf([1, 3], 1))).toThrow(/w must have two units at least/);
  expect(memoryInfo().usedBytes).toBe(0);
});
