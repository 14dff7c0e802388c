import { expect, it } from "vitest";
import { batchSizeSchedule, noiseScale } from "../../src/index.js";

const decays = [
  { from: 60, factor: 5 },
  { from: 120, factor: 5 },
  { from: 160, factor: 5 },
];

it("grows the batch in place of decaying the rate, and has the noise of the decay", () => {
  const phases = batchSizeSchedule({ lr: 0.1, batchSize: 128, decays });
  expect(phases).toEqual([
    { from: 0, lr: 0.1, batchSize: 128 },
    { from: 60, lr: 0.1, batchSize: 640 },
    { from: 120, lr: 0.1, batchSize: 3200 },
    { from: 160, lr: 0.1, batchSize: 16000 },
  ]);
  const scales = phases.map(({ lr, batchSize }) => noiseScale({ lr, batchSize, datasetSize: 50000, momentum: 0.9 }));
  scales.forEach((scale, i) => {
    expect(scale / scales[0]).toBeCloseTo(5 ** -i, 14);
  });
});

it("decays the rate where no larger batch fits, or no whole one", () => {
  const phases = batchSizeSchedule({ lr: 0.1, batchSize: 128, decays, maxBatchSize: 1000 });
  expect(phases.map(({ batchSize }) => batchSize)).toEqual([128, 640, 1000, 1000]);
  phases.forEach(({ lr, batchSize }, i) => {
    expect(((lr / batchSize) * 128 * 5 ** i) / 0.1).toBeCloseTo(1, 13);
  });
  const [, odd] = batchSizeSchedule({ lr: 0.1, batchSize: 5, decays: [{ from: 1, factor: 1.5 }] });
  expect(odd.batchSize).toBe(8);
  expect(odd.lr / 8).toBeCloseTo(0.1 / 7.5, 14);
});

it("names what does not fit", () => {
  const good = { lr: 0.1, batchSize: 128, decays };
  expect(() => batchSizeSchedule({ ...good, maxBatchSize: 100 })).toThrow(/maxBatchSize must be at least batchSize/);
  expect(() => batchSizeSchedule({ ...good, batchSize: 1.5 })).toThrow(/batchSize must be a whole number/);
  expect(() => batchSizeSchedule({ ...good, decays: [...decays].reverse() })).toThrow(
    /one after another, got 120 after 160/,
  );
  expect(() => batchSizeSchedule({ ...good, decays: [{ from: 1, factor: 0.5 }] })).toThrow(/factor must be/);
  expect(() => batchSizeSchedule({ ...good, decays: undefined as never })).toThrow(/decays must be a list/);
  expect(() => noiseScale({ lr: 1, batchSize: 1, datasetSize: 1, momentum: 1 })).toThrow(/momentum must be below 1/);
});
