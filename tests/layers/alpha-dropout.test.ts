import { afterEach, describe, expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { setStageBytes } from "../../src/core/stream.js";
import {
  AlphaDropout,
  alphaDropout,
  alphaDropoutBackward,
  alphaDropoutForward,
  memoryInfo,
  SELU_ALPHA,
  SELU_LAMBDA,
  tensor,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, tensorOf } from "../support/numbers.js";

const moments = (x: ArrayLike<number>) => {
  const list = Array.from(x);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  return { mean, variance: list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length };
};

describe("alpha dropout", () => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it("keeps mean and variance, those given", () => {
    const n = 200000;
    for (const [mean, variance] of [
      [0, 1],
      [0.5, 2],
    ]) {
      const deviation = Math.sqrt(variance);
      const x = { data: normalValues(n, "float64", readSeed("test", 1), { mean, deviation }), shape: [n] };
      for (const rate of [0.05, 0.5]) {
        const found = moments(alphaDropout(x, { rate, seed: 2, mean, variance }).data);
        expect(Math.abs(found.mean - mean)).toBeLessThan(0.02);
        expect(Math.abs(found.variance / variance - 1)).toBeLessThan(0.02);
      }
    }
  });

  it.each([1, 3, 17, 127, 1023])("has the gradient of finite differences for %i elements", (n) => {
    const x = tensorOf([n], 1);
    const dy = tensorOf([n], 2);
    const { y, saved } = alphaDropoutForward(x, { rate: 0.3, seed: 5 });
    const { dx } = alphaDropoutBackward(dy, saved);
    const loss = () => dot(alphaDropout(x, { rate: 0.3, seed: 5 }).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    const low = y.data.filter((_, i) => dx.data[i] === 0);
    const [q, limit] = [0.7, -SELU_LAMBDA * SELU_ALPHA];
    const a = 1 / Math.sqrt(q + limit * limit * q * (1 - q));
    for (const value of low) expect(value).toBeCloseTo(a * limit - a * (1 - q) * limit, 14);
  });

  it.each(["float32", "float64"] as const)("makes the same choice for %s arrays and tensors, of any chunk", (dtype) => {
    for (const n of [1, 5, 17, 1023, 50000]) {
      const x = tensorOf([n], 3, dtype);
      const dy = tensorOf([n], 4, dtype);
      const run = (input: typeof x, gradient: typeof x) => {
        const { y, saved } = alphaDropoutForward(input, { rate: 0.4, seed: 11, call: 3 });
        return [bits(y.data), bits(alphaDropoutBackward(gradient, saved).dx.data)];
      };
      const want = run(x, dy);
      setStageBytes(1000);
      expect(run(x, dy)).toEqual(want);
      const [lx, ldy] = [tensor([n], { data: x.data, dtype }), tensor([n], { data: dy.data, dtype })];
      expect(run(lx as never, ldy as never)).toEqual(want);
      const { saved } = alphaDropoutForward(lx, { rate: 0.4, seed: 11, call: 3, out: lx });
      alphaDropoutBackward(ldy, saved, { out: ldy });
      expect([bits(lx.data), bits(ldy.data)]).toEqual(want);
      const keep = Array.from(alphaDropoutBackward(dy, saved).dx.data, (value) => value !== 0);
      expect(bits(alphaDropout(x, { rate: 0.4, keep }).data)).toBe(want[0]);
      lx.dispose();
      ldy.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("is a layer that drops differently each time, and nothing in eval mode", () => {
    const x = tensorOf([1000], 1, "float32");
    const layer = new AlphaDropout({ rate: 0.2, seed: 3 });
    expect(() => layer.backward(x)).toThrow(/call forward first/);
    const [first, second] = [layer.forward(x), layer.forward(x)];
    expect(bits(first.data)).not.toBe(bits(second.data));
    expect(bits(first.data)).toBe(bits(alphaDropout(x, { rate: 0.2, seed: 3 }).data));
    expect(bits(second.data)).toBe(bits(alphaDropout(x, { rate: 0.2, seed: 3, call: 1 }).data));
    const kept = Array.from(layer.backward(x).data).filter((value) => value !== 0).length;
    expect(Math.abs(kept - 800)).toBeLessThan(80);
    expect(bits(layer.eval().forward(x).data)).toBe(bits(x.data));
    expect(bits(layer.backward(x).data)).toBe(bits(x.data));
    expect(layer.calls).toBe(2);
    layer.train().calls = 0;
    expect(bits(layer.forward(x).data)).toBe(bits(first.data));
  });

  it("names what does not fit", () => {
    const x = tensorOf([3], 1);
    expect(() => alphaDropout(x, { rate: 0.1 })).toThrow(/keep or seed must be given/);
    expect(() => alphaDropout(x, { rate: 1, seed: 1 })).toThrow(/rate must be below 1/);
    expect(() => alphaDropout(x, {} as never)).toThrow(/rate must be a finite number of at least 0, got undefined/);
    expect(() => alphaDropout(x, { rate: 0.1, keep: [1] })).toThrow(/keep has 1 elements where 3 are needed/);
    expect(() => alphaDropout(x, { rate: 0.1, seed: 1, call: -1 })).toThrow(/call must be a whole number/);
    expect(() => alphaDropout(x, { rate: 0.1, seed: 1, variance: 0 })).toThrow(/variance must be/);
    expect(() => new AlphaDropout({ rate: -1 })).toThrow(/AlphaDropout: rate must be/);
    const { saved } = alphaDropoutForward(x, { rate: 0.1, seed: 1 });
    expect(() => alphaDropoutBackward(tensorOf([4], 1), saved)).toThrow(/dy has shape \[4\] where x has \[3\]/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
