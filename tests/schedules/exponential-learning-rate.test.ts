import { describe, expect, it } from "vitest";
import {
  ExponentialLearningRate,
  exponentialLearningRate,
  exponentialMomentumBuffer,
  memoryInfo,
  tensor,
} from "../../src/index.js";
import { bits, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const dimension = 12;
const a = values(dimension * dimension, 1);
const target = values(dimension, 2);

/** The gradient of −⟨target, A·w/‖w‖⟩ + ½·‖A·w/‖w‖‖², which does not see the length of w. */
function gradientAt(w: Float64Array): Float64Array {
  const length = Math.sqrt(dot(w, w));
  const unit = w.map((value) => value / length);
  const rows = Array.from({ length: dimension }, (_, i) => a.subarray(i * dimension, (i + 1) * dimension));
  const residual = rows.map((row, i) => dot(row, unit) - target[i]);
  const g = unit.map((_, j) => rows.reduce((sum, row, i) => sum + row[j] * residual[i], 0));
  const along = dot(g, unit);
  return g.map((value, j) => (value - along * unit[j]) / length);
}

const unitOf = (w: Float64Array) => w.map((value) => value / Math.sqrt(dot(w, w)));

/** Both trainings side by side: the largest difference of their directions, and of w̃ from c·w. */
function compare(
  lr: number | { from: number; lr: number }[],
  weightDecay: number,
  momentum: number,
  steps: number,
  { zeroBuffer = false, rescaleAt = -1 } = {},
) {
  const config = { lr, weightDecay, momentum };
  const schedule = new ExponentialLearningRate(config);
  const w = values(dimension, 3);
  const grown = w.slice();
  const buffer = new Float64Array(dimension);
  const start = exponentialMomentumBuffer({ data: w, shape: [dimension] }, config).data as Float64Array;
  const other = zeroBuffer ? new Float64Array(dimension) : start;
  let directions = 0;
  let lengths = 0;
  for (let step = 0; step < steps; step++) {
    if (step === rescaleAt) {
      schedule.rescale(1 / 8);
      for (let i = 0; i < dimension; i++) {
        grown[i] /= 8;
        other[i] *= 8;
      }
    }
    const rate = typeof lr === "number" ? lr : lr.filter(({ from }) => from <= step).at(-1)!.lr;
    const [g, h] = [gradientAt(w), gradientAt(grown)];
    const next = schedule.next();
    for (let i = 0; i < dimension; i++) {
      buffer[i] = momentum * buffer[i] + g[i] + weightDecay * w[i];
      w[i] -= rate * buffer[i];
      other[i] = momentum * other[i] + h[i];
      grown[i] -= next * other[i];
    }
    directions = Math.max(directions, largestDifference(unitOf(grown), unitOf(w)));
    const scaled = w.map((value) => value * schedule.length);
    lengths = Math.max(lengths, largestDifference(grown, scaled) / Math.sqrt(dot(scaled, scaled)));
  }
  return { directions, lengths, length: schedule.length };
}

describe("an exponential learning rate", () => {
  it.each([
    [0.1, 5e-3, 0.9],
    [0.1, 5e-3, 0],
    [0.1, 2e-3, 0.5],
    [0.02, 1e-4, 0.99],
  ])(
    "without weight decay goes the way of lr %f, decay %f, momentum %f, for 400 steps",
    (lr, weightDecay, momentum) => {
      const found = compare(lr, weightDecay, momentum, 400);
      expect(found.directions).toBeLessThan(1e-10);
      expect(found.lengths).toBeLessThan(1e-10);
      expect(found.length).toBeGreaterThan(1);
    },
  );

  it("needs the buffer it says: from zeros the directions differ", () => {
    expect(compare(0.1, 5e-3, 0.9, 400, { zeroBuffer: true }).directions).toBeGreaterThan(1e-6);
  });

  it("goes the same way through the phases of a step decay, and of a warm-up", () => {
    const decay = [
      { from: 0, lr: 0.1 },
      { from: 150, lr: 0.01 },
      { from: 300, lr: 0.002 },
    ];
    expect(compare(decay, 5e-3, 0.9, 400).directions).toBeLessThan(1e-10);
    const rise = [0, 1, 2, 3, 4].map((i) => ({ from: 10 * i, lr: 0.02 * (i + 1) }));
    expect(compare(rise, 5e-3, 0.9, 200).directions).toBeLessThan(1e-10);
  });

  it("goes the same way after weights and buffer were scaled down", () => {
    expect(compare(0.1, 5e-3, 0.9, 400, { rescaleAt: 200 }).directions).toBeLessThan(1e-10);
  });

  it("is lr·alpha^(−2t − 1), by steps and at once", () => {
    const config = { lr: 0.1, weightDecay: 5e-4, momentum: 0.9 };
    const lrs = exponentialLearningRate({ ...config, steps: 300 });
    const b = 1 + 0.9 - 5e-5;
    const alpha = (b + Math.sqrt(b * b - 3.6)) / 2;
    lrs.forEach((lr, t) => {
      expect(Math.abs(lr / (0.1 * alpha ** (-2 * t - 1)) - 1)).toBeLessThan(1e-11);
    });
    const schedule = new ExponentialLearningRate(config);
    expect(Array.from({ length: 300 }, () => schedule.next())).toEqual(Array.from(lrs));
    expect(schedule.step).toBe(300);
    expect([...exponentialLearningRate({ lr: 0.3, weightDecay: 0, momentum: 0.9, steps: 3 })]).toEqual([0.3, 0.3, 0.3]);
    expect(exponentialLearningRate({ ...config, steps: 0 }).length).toBe(0);
  });

  it("starts the buffer of tensors in place too", () => {
    const w = tensorOf([3, 4], 1, "float32");
    const config = { lr: 0.1, weightDecay: 5e-3, momentum: 0.9 };
    const want = exponentialMomentumBuffer(w, config);
    const linear = tensor([3, 4], { data: w.data });
    exponentialMomentumBuffer(linear, config, { out: linear });
    expect(bits(linear.data)).toBe(bits(want.data));
    linear.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("names what does not fit", () => {
    const good = { lr: 0.1, weightDecay: 5e-4, momentum: 0.9, steps: 3 };
    const run = (replaced: object) => () => exponentialLearningRate({ ...good, ...replaced });
    expect(run({ lr: 1, weightDecay: 0.5 })).toThrow(/weightDecay·lr \(0\.5\) must be at most/);
    expect(run({ momentum: 1 })).toThrow(/momentum must be below 1/);
    expect(run({ steps: -1 })).toThrow(/steps must be a whole number of at least 0/);
    expect(run({ lr: 0 })).toThrow(/lr must be a finite number above 0/);
    expect(run({ lr: [] })).toThrow(/lr must be a number or a list of phases/);
    expect(run({ lr: [{ from: 1, lr: 0.1 }] })).toThrow(/the first phase of lr must be from step 0, got 1/);
    expect(
      run({
        lr: [
          { from: 0, lr: 0.1 },
          { from: 0, lr: 0.2 },
        ],
      }),
    ).toThrow(/must start one after another/);
    expect(() => new ExponentialLearningRate(undefined as never)).toThrow(/the first argument must be/);
  });
});
