import { expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { adaptedEpochs, squareRootLearningRate } from "../../src/index.js";

it("scales the learning rate by the root of the batch sizes' ratio, the epochs by the ratio", () => {
  expect(squareRootLearningRate(0.1, { batchSize: 4096, baseBatchSize: 256 })).toBe(0.4);
  expect(squareRootLearningRate(0.1, { batchSize: 32, baseBatchSize: 128 })).toBe(0.05);
  expect(adaptedEpochs(80, { batchSize: 512, baseBatchSize: 128 })).toBe(320);
});

it("keeps the deviation of a step: lr·(the mean of a batch of noise)", () => {
  const steps = 2000;
  const deviationOf = (batchSize: number) => {
    const lr = squareRootLearningRate(0.1, { batchSize, baseBatchSize: 16 });
    const noise = normalValues(steps * batchSize, "float64", readSeed("test", batchSize));
    let square = 0;
    for (let step = 0; step < steps; step++) {
      const part = Array.from(noise.subarray(step * batchSize, (step + 1) * batchSize));
      square += ((lr * part.reduce((a, b) => a + b, 0)) / batchSize) ** 2;
    }
    return Math.sqrt(square / steps);
  };
  expect(deviationOf(64) / deviationOf(16)).toBeCloseTo(1, 1);
});

it("names what does not fit", () => {
  expect(() => squareRootLearningRate(0, { batchSize: 1, baseBatchSize: 1 })).toThrow(
    /lr must be a finite number above 0/,
  );
  expect(() => squareRootLearningRate(1, { batchSize: 0, baseBatchSize: 1 })).toThrow(/batchSize must be/);
  expect(() => adaptedEpochs(1, { batchSize: 1, baseBatchSize: -1 })).toThrow(/baseBatchSize must be/);
});
