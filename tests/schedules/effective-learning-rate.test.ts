import { describe, expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { effectiveLearningRate, equilibriumLearningRate, equilibriumNorm, tensor } from "../../src/index.js";
import { dot, tensorOf } from "../support/numbers.js";

describe("the effective learning rate", () => {
  it("is lr/‖w‖², for Adam lr/‖w‖, of tensors and lengths", () => {
    const w = tensorOf([3, 5], 1);
    const square = dot(w.data, w.data);
    expect(effectiveLearningRate(w, 0.1)).toBeCloseTo(0.1 / square, 13);
    expect(effectiveLearningRate(w, 0.1, { optimizer: "adam" })).toBeCloseTo(0.1 / Math.sqrt(square), 13);
    expect(effectiveLearningRate(4, 0.1)).toBe(0.1 / 16);
    using t = tensor([3, 5], { data: w.data, dtype: "float64" });
    expect(effectiveLearningRate(t, 0.1)).toBe(effectiveLearningRate(w, 0.1));
  });

  it("settles, with weight decay, where the formula says", () => {
    const dimension = 64;
    for (const [lr, weightDecay] of [
      [0.1, 5e-3],
      [0.4, 2e-3],
      [0.05, 2e-2],
    ]) {
      // Gradients of unit length at ‖w‖ = 1, orthogonal to w, in directions that no step follows for long.
      const w = normalValues(dimension, "float64", readSeed("test", 1), { deviation: 0.2 }) as Float64Array;
      const steps = 4000;
      let mean = 0;
      for (let step = 0; step < steps; step++) {
        const g = normalValues(dimension, "float64", readSeed("test", 2), { number: step }) as Float64Array;
        const square = dot(w, w);
        const along = dot(g, w) / square;
        for (let i = 0; i < dimension; i++) g[i] -= along * w[i];
        const length = Math.sqrt(dot(g, g) * square);
        for (let i = 0; i < dimension; i++) w[i] -= lr * (g[i] / length + weightDecay * w[i]);
        if (step >= steps / 2) mean += Math.sqrt(dot(w, w)) / (steps / 2);
      }
      const equilibrium = { lr, weightDecay, gradientNorm: 1 };
      expect(mean / equilibriumNorm(equilibrium)).toBeCloseTo(1, 2);
      expect(effectiveLearningRate(mean, lr) / equilibriumLearningRate(equilibrium)).toBeCloseTo(1, 1);
      const exact = effectiveLearningRate(equilibriumNorm(equilibrium), lr);
      expect(exact).toBeCloseTo(equilibriumLearningRate(equilibrium), 13);
    }
  });

  it("names what does not fit", () => {
    expect(() => effectiveLearningRate(0, 0.1)).toThrow(/w must not be 0/);
    expect(() => effectiveLearningRate(1, -1)).toThrow(/lr must be/);
    expect(() => effectiveLearningRate(1, 1, { optimizer: "lamb" as never })).toThrow(
      /optimizer must be "sgd" or "adam"/,
    );
    expect(() => equilibriumNorm({ lr: 1, weightDecay: 0, gradientNorm: 1 })).toThrow(/weightDecay must be/);
    expect(() => equilibriumLearningRate({ lr: 0, weightDecay: 1, gradientNorm: 1 })).toThrow(/lr must be/);
  });
});
