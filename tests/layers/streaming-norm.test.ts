import { describe, expect, it } from "vitest";
import {
  batchNormBackward,
  batchNormForward,
  lpBatchNormBackward,
  lpBatchNormForward,
  memoryInfo,
  StreamingNorm,
  type StreamingNormSaved,
  streamingNorm,
  tensor,
} from "../../src/index.js";
import { bits, largestDifference, tensorOf, values } from "../support/numbers.js";

const shape = [4, 3, 5];
const steps = Array.from({ length: 6 }, (_, t) => tensorOf(shape, t + 1, "float64", t / 3));
const gradients = steps.map((_, t) => tensorOf(shape, t + 101));

/** Values of channel c. */
const channelOf = ({ data }: { data: ArrayLike<number> }, c: number) =>
  Array.from(data).filter((_, i) => Math.floor(i / 5) % 3 === c);
const average = (list: number[]) => list.reduce((a, b) => a + b, 0) / list.length;

/** A stream as the paper describes it: the averages since an update, and those of before, decayed. */
class Reference {
  long: number | null = null;
  seen: number[] = [];
  see(value: number) {
    this.seen.push(value);
  }
  update(old: number, fresh: number) {
    if (this.seen.length === 0) return;
    const short = average(this.seen);
    this.long = this.long === null ? short : old * this.long + fresh * short;
    this.seen = [];
  }
  mix(long: number, short: number) {
    const latest = average(this.seen);
    return long * (this.long ?? latest) + short * latest;
  }
}

it.each([2, 1, 3])("with alpha [0, 1] and beta [0, 0, 1] is batch norm with p %d, step by step and back", (p) => {
  for (const layout of ["channels-first", "channels-last"] as const) {
    const of = layout === "channels-first" ? shape : [20, 1, 3];
    const norm = new StreamingNorm(3, { p, alpha: [0, 1], beta: [0, 0, 1], layout, dtype: "float64" });
    norm.weight!.data.set([1, 2, 3]);
    norm.bias!.data.set([4, 5, 6]);
    for (const [t, { data }] of steps.entries()) {
      const [x, dy] = [
        { data, shape: of },
        { data: gradients[t].data, shape: of },
      ];
      const options = { weight: [1, 2, 3], bias: [4, 5, 6], layout };
      const plain = p === 2 ? batchNormForward(x, options) : lpBatchNormForward(x, { ...options, p });
      const backward = p === 2 ? batchNormBackward : lpBatchNormBackward;
      const want = backward(dy, plain.saved as never);
      expect(largestDifference(norm.forward(x).data, plain.y.data)).toBeLessThan(1e-13);
      norm.zeroGrad();
      expect(largestDifference(norm.backward(dy).data, want.dx.data)).toBeLessThan(1e-12);
      expect(largestDifference(norm.weight!.grad!, want.dweight!.data)).toBeLessThan(1e-12);
      expect(largestDifference(norm.bias!.grad!, want.dbias!.data)).toBeLessThan(1e-12);
      norm.onWeightUpdate();
    }
  }
});

it.each([2, 1])("streams statistics and their gradients as described, p %d", (p) => {
  const [alpha, beta, kappa, gradientKappa] = [
    [0.6, 0.4],
    [0.5, 0.2, 0.3],
    [0.8, 0.2],
    [0.9, 0.1],
  ] as const;
  const norm = new StreamingNorm(3, { p, alpha, beta, kappa, gradientKappa, eps: 1e-3, dtype: "float64" });
  norm.weight!.data.set([1, -2, 0.5]);
  const c = 1;
  const [means, moments, meanGrads, momentGrads] = Array.from({ length: 4 }, () => new Reference());
  for (const [t, x] of steps.entries()) {
    const dy = gradients[t];
    const y = norm.forward(x);
    const dx = norm.backward(dy);
    const list = channelOf(x, c);
    means.see(average(list));
    const mean = means.mix(...alpha);
    moments.see(average(list.map((value) => Math.abs(value - mean) ** p)));
    const moment = moments.mix(...alpha) + 1e-3;
    const s = moment ** (1 / p);
    expect(
      largestDifference(
        channelOf(y, c),
        list.map((value) => (-2 * (value - mean)) / s),
      ),
    ).toBeLessThan(1e-12);

    const g = channelOf(dy, c).map((value) => -2 * value);
    const slope = (d: number) => Math.abs(d) ** (p - 1) * Math.sign(d);
    const ofMoment = -g.reduce((sum, value, i) => sum + value * (list[i] - mean), 0) / (p * s * moment);
    momentGrads.see(ofMoment);
    const streamedMoment = momentGrads.mix(beta[0], beta[1]) + beta[2] * ofMoment;
    const slopes = list.map((value) => slope(value - mean));
    const ofMean = -g.reduce((a, b) => a + b) / s - p * average(slopes) * streamedMoment;
    meanGrads.see(ofMean);
    const streamedMean = meanGrads.mix(beta[0], beta[1]) + beta[2] * ofMean;
    const want = g.map((value, i) => value / s + (streamedMean + p * slopes[i] * streamedMoment) / list.length);
    expect(largestDifference(channelOf(dx, c), want)).toBeLessThan(1e-12);

    if (t % 2 === 1) {
      norm.onWeightUpdate();
      for (const stream of [means, moments]) stream.update(...kappa);
      for (const stream of [meanGrads, momentGrads]) stream.update(...gradientKappa);
    }
  }
});

it("goes back through several steps of a sequence with what each kept", () => {
  const norm = new StreamingNorm(3, { dtype: "float64", alpha: [0, 1], beta: [0, 0, 1] });
  const kept = steps.slice(0, 3).map((x) => {
    norm.forward(x);
    return norm.saved as StreamingNormSaved;
  });
  const last = norm.backward(gradients[2]);
  const first = norm.backward(gradients[0], { saved: kept[0] });
  expect(bits(norm.backward(gradients[2], { saved: kept[2] }).data)).toBe(bits(last.data));
  const alone = new StreamingNorm(3, { dtype: "float64", alpha: [0, 1], beta: [0, 0, 1] });
  alone.forward(steps[0]);
  expect(bits(alone.backward(gradients[0]).data)).toBe(bits(first.data));
});

describe("batches of one", () => {
  it.each([1, 2, 1.5])("come out finite, and standardized once there is a history, p %d", (p) => {
    const norm = new StreamingNorm(2, {
      p,
      alpha: [0.7, 0.3],
      beta: [0.7, 0, 0.3],
      kappa: [0.9, 0.1],
      dtype: "float64",
    });
    const ys: number[] = [];
    for (let t = 0; t < 2000; t++) {
      const x = tensorOf([1, 2], t, "float64", 10, 3);
      const y = norm.forward(x);
      const dx = norm.backward(tensorOf([1, 2], t + 5000));
      norm.onWeightUpdate();
      expect(y.data.every(Number.isFinite) && dx.data.every(Number.isFinite)).toBe(true);
      if (t >= 200) ys.push(y.data[0]);
    }
    expect(Math.abs(average(ys))).toBeLessThan(0.2);
    const spread = average(ys.map((value) => Math.abs(value - average(ys)) ** p));
    expect(spread).toBeGreaterThan(0.3);
    expect(spread).toBeLessThan(1.5);
  });
});

describe("the layer", () => {
  it("uses the averages as they are in eval mode, and is an affine there", () => {
    const norm = new StreamingNorm(3, { dtype: "float64" });
    expect(() => norm.eval().forward(steps[0])).toThrow(/there are no statistics yet/);
    norm.train().forward(steps[0]);
    norm.onWeightUpdate();
    norm.forward(steps[1]);
    const before = norm.stateDict();
    norm.eval();
    const [a, b] = [norm.forward(steps[2]), norm.forward(steps[3])];
    const dx = norm.backward(gradients[3]);
    expect(norm.stateDict()).toEqual(before);
    // One slope for all of a channel, and it is that of dx.
    const slopes = channelOf(a, 0).map((value, i) => {
      return (value - channelOf(b, 0)[i]) / (channelOf(steps[2], 0)[i] - channelOf(steps[3], 0)[i]);
    });
    for (const slope of slopes) expect(slope).toBeCloseTo(channelOf(dx, 0)[0] / channelOf(gradients[3], 0)[0], 8);
    expect(norm.weight!.grad).toBeNull();
  });

  it("goes on from a saved state to the bit", () => {
    const norm = new StreamingNorm(3, { dtype: "float64" });
    for (const t of [0, 1, 2]) {
      norm.forward(steps[t]);
      norm.backward(gradients[t]);
      if (t === 1) norm.onWeightUpdate();
    }
    norm.onWeightUpdate();
    const copy = new StreamingNorm(3, { dtype: "float64" }).loadStateDict(norm.stateDict());
    for (const t of [3, 4]) {
      expect(bits(copy.forward(steps[t]).data)).toBe(bits(norm.forward(steps[t]).data));
      expect(bits(copy.backward(gradients[t]).data)).toBe(bits(norm.backward(gradients[t]).data));
    }
    norm.resetStatistics();
    expect(() => norm.eval().forward(steps[0])).toThrow(/no statistics yet/);
  });

  it("stays as it was where a call throws", () => {
    const norm = new StreamingNorm(3, { dtype: "float64" });
    expect(() => norm.backward(gradients[0])).toThrow(/call forward first/);
    norm.forward(steps[0]);
    const before = norm.stateDict();
    expect(() => norm.forward(tensorOf([4, 2, 5], 1))).toThrow(/x has 2 channels/);
    expect(() => norm.forward(steps[0], { out: tensorOf([3], 1) })).toThrow(/out has shape/);
    expect(() => norm.backward(tensorOf([4, 3], 1))).toThrow(/dy has shape/);
    expect(norm.stateDict()).toEqual(before);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

describe("a sequence", () => {
  const xs = { data: Float64Array.from(steps.flatMap(({ data }) => Array.from(data))), shape: [6, ...shape] };
  const updates = [true, false, false, true, true, false];

  it("is the layer, step by step, wherever it lies", () => {
    for (const p of [1, 2]) {
      const options = { p, updates, weight: values(3, 1), bias: values(3, 2), alpha: [0.3, 0.7] } as const;
      const norm = new StreamingNorm(3, { p, alpha: [0.3, 0.7], dtype: "float64" });
      norm.weight!.data.set(options.weight);
      norm.bias!.data.set(options.bias);
      const want = steps.flatMap((x, t) => {
        const y = Array.from(norm.forward(x).data);
        if (updates[t]) norm.onWeightUpdate();
        return y;
      });
      expect(Array.from(streamingNorm(xs, options).data)).toEqual(want);
      const lxs = tensor(xs.shape, { data: xs.data });
      expect(streamingNorm(lxs, { ...options, out: lxs })).toBe(lxs);
      expect(Array.from(lxs.data)).toEqual(want);
      lxs.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("rejects bad input by name", () => {
    expect(() => streamingNorm(steps[0], { updates: [true] })).toThrow(/updates must be a list of 4/);
    expect(() => streamingNorm(tensorOf([4, 3], 1))).toThrow(/xs must be at least \[T, N, C\]/);
    expect(() => streamingNorm(xs, { p: -1 })).toThrow(/p must be a finite number above 0/);
    expect(() => streamingNorm(xs, { alpha: [1] as never })).toThrow(/alpha must be a list of 2 numbers/);
    expect(() => streamingNorm(xs, { kappa: [1, -1] })).toThrow(/each of kappa must be/);
    expect(() => new StreamingNorm(3, { beta: [1, 2] as never })).toThrow(/beta must be a list of 3/);
  });
});
