/** The two normalized LSTMs. */
import { describe, expect, it } from "vitest";
import {
  BatchNormLSTM,
  LayerNormLSTM,
  layerNorm,
  layerNormLSTM,
  layerNormLSTMBackward,
  layerNormLSTMForward,
  memoryInfo,
  recurrentBatchNorm,
  recurrentBatchNormBackward,
  recurrentBatchNormForward,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, random, tensorOf, values } from "../support/numbers.js";

const [steps, batch, inputs, units] = [4, 5, 3, 2];

function setting(dtype: "float32" | "float64" = "float64") {
  return {
    xs: tensorOf([steps, batch, inputs], 1, dtype),
    options: {
      weightIh: tensorOf([4 * units, inputs], 2, dtype),
      weightHh: tensorOf([4 * units, units], 3, dtype),
      h0: tensorOf([batch, units], 4, dtype),
      c0: tensorOf([batch, units], 5, dtype),
      bias: values(4 * units, 6),
      gammaX: values(4 * units, 7, 1, 0.3),
      gammaH: values(4 * units, 8, 1, 0.3),
      gammaC: values(units, 9, 1, 0.3),
      betaC: values(units, 10),
    },
  };
}

describe.each([
  { name: "recurrentBatchNorm", forward: recurrentBatchNormForward, backward: recurrentBatchNormBackward },
  { name: "layerNormLSTM", forward: layerNormLSTMForward, backward: layerNormLSTMBackward },
])("$name", ({ forward, backward }) => {
  it("has the gradient of finite differences, through time", () => {
    const { xs, options } = setting();
    const dhs = tensorOf([steps, batch, units], 11);
    const grads = backward(dhs, forward(xs, options).saved);
    const loss = () => {
      const { hs, saved } = forward(xs, options);
      saved.dispose();
      return dot(hs.data, dhs.data);
    };
    const pairs = [
      [xs.data, grads.dxs],
      [options.weightIh.data, grads.dweightIh],
      [options.weightHh.data, grads.dweightHh],
      [options.h0.data, grads.dh0],
      [options.c0.data, grads.dc0],
      [options.bias, grads.dbias],
      [options.gammaX, grads.dgammaX],
      [options.gammaH, grads.dgammaH],
      [options.gammaC, grads.dgammaC],
      [options.betaC, grads.dbetaC],
    ] as const;
    for (const [x, { data }] of pairs) {
      expect(differenceFromNumerical(loss, x as Float64Array, data)).toBeLessThan(1e-7);
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("frees what it kept once, and says so", () => {
    const { xs, options } = setting();
    const { hs, saved } = forward(xs, options);
    expect(() => backward(tensorOf([1, 1, 1], 1), saved)).toThrow(/dhs has shape \[1, 1, 1\]/);
    backward(hs, saved);
    expect(() => backward(hs, saved)).toThrow(/saved was used or disposed of/);
    expect(() => forward(xs, { ...options, bias: [1] })).toThrow(/bias has 1 elements/);
    expect(() => forward(tensorOf([2, 3], 1), options)).toThrow(/xs must have the dimensions/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

describe("layerNormLSTM", () => {
  it("is the cell of the paper, step by step", () => {
    const { xs, options } = setting();
    const { hs } = layerNormLSTM(xs, options);
    const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
    const rows = (weight: { data: ArrayLike<number>; shape: number[] }, x: ArrayLike<number>) =>
      Float64Array.from({ length: weight.shape[0] }, (_, r) => {
        let sum = 0;
        for (let j = 0; j < x.length; j++) sum += weight.data[r * x.length + j] * x[j];
        return sum;
      });
    const norm = (data: Float64Array, weight: Float64Array, bias?: Float64Array) =>
      layerNorm({ data, shape: [data.length] }, { normalizedShape: data.length, weight, bias }).data;
    let h = options.h0.data.slice(0, units);
    let c = options.c0.data.slice(0, units);
    for (let t = 0; t < steps; t++) {
      const x = xs.data.subarray(t * batch * inputs, t * batch * inputs + inputs);
      const fromX = norm(rows(options.weightIh, x), options.gammaX, options.bias);
      const fromH = norm(rows(options.weightHh, h), options.gammaH);
      const gate = (index: number, unit: number) => fromX[index * units + unit] + fromH[index * units + unit];
      c = c.map((value, u) => sigmoid(gate(0, u)) * value + sigmoid(gate(1, u)) * Math.tanh(gate(3, u)));
      const out = norm(Float64Array.from(c), options.gammaC, options.betaC);
      h = h.map((_, u) => sigmoid(gate(2, u)) * Math.tanh(out[u]));
      for (let u = 0; u < units; u++) expect(hs.data[t * batch * units + u]).toBeCloseTo(h[u], 12);
    }
  });
});

describe("BatchNormLSTM", () => {
  const make = () => new BatchNormLSTM(inputs, units, { tMax: 3, dtype: "float64", random: random01(3) });

  it("keeps statistics for each step up to tMax, and uses the last beyond it", () => {
    const { xs } = setting();
    const lstm = make();
    const noise = tensorOf([batch, units], 20);
    lstm.forward(xs, { h0: noise });
    const { mean } = lstm.running.x;
    expect(mean.length).toBe(3 * 4 * units);
    expect(new Set(Array.from({ length: 3 }, (_, t) => mean[t * 4 * units])).size).toBe(3);
    const before = lstm.stateDict();
    lstm.eval();
    const first = lstm.forward(xs, { h0: noise });
    expect(lstm.stateDict()).toEqual(before);
    // In eval mode samples do not depend on each other.
    const alone = {
      data: Float64Array.from(
        { length: steps * inputs },
        (_, i) => xs.data[Math.floor(i / inputs) * batch * inputs + (i % inputs)],
      ),
      shape: [steps, 1, inputs],
    };
    const one = lstm.forward(alone, { h0: { data: noise.data.slice(0, units), shape: [1, units] } });
    for (let t = 0; t < steps; t++) {
      for (let u = 0; u < units; u++)
        expect(one.hs.data[t * units + u]).toBeCloseTo(first.hs.data[t * batch * units + u], 12);
    }
    const copy = make();
    copy.loadStateDict(before);
    copy.eval();
    expect(bits(copy.forward(xs, { h0: noise }).hs.data)).toBe(bits(first.hs.data));
    const dhs = tensorOf([steps, batch, units], 1);
    lstm.forward(xs, { h0: noise });
    lstm.backward(dhs);
    expect(lstm.parameters().weightIh.grad).toBeNull();
    expect(() => lstm.backward(dhs)).toThrow(/call forward first/);
    lstm.freeze();
    lstm.forward(xs, { h0: noise });
    lstm.backward(dhs);
    expect(lstm.parameters().weightIh.grad).not.toBeNull();
    copy.backward(dhs);
  });

  it("equals the function with batch statistics while it trains", () => {
    const { xs, options } = setting();
    const lstm = new BatchNormLSTM(inputs, units, { tMax: 4, dtype: "float64" });
    const { weightIh, weightHh, ...vectors } = options;
    for (const [name, value] of Object.entries({ weightIh: weightIh.data, weightHh: weightHh.data, ...vectors })) {
      const parameter = lstm.parameters()[name];
      if (parameter) parameter.data.set(value as Float64Array);
    }
    const { h0, c0 } = options;
    const { hs } = lstm.forward(xs, { h0, c0 });
    expect(bits(hs.data)).toBe(bits(recurrentBatchNorm(xs, options).hs.data));
    lstm.backward(hs);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

describe("LayerNormLSTM", () => {
  it("learns: some steps down the gradient lower the loss", () => {
    const lstm = new LayerNormLSTM(inputs, units, { dtype: "float64", random: random01(1) });
    const { xs } = setting();
    const target = tensorOf([steps, batch, units], 30, "float64", 0, 0.5);
    const losses: number[] = [];
    for (let step = 0; step < 30; step++) {
      const { hs } = lstm.forward(xs);
      const difference = hs.data.map((value, i) => value - target.data[i]) as Float64Array;
      losses.push(dot(difference, difference));
      lstm.zeroGrad();
      lstm.backward({ data: difference, shape: hs.shape });
      for (const { data, grad } of Object.values(lstm.parameters())) {
        for (let i = 0; i < data.length; i++) data[i] -= 0.02 * grad![i];
      }
    }
    expect(losses[29]).toBeLessThan(0.8 * losses[0]);
  });
});

function random01(seed: number): () => number {
  const next = random(seed);
  return () => (next() + 1) / 2;
}
