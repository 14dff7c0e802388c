import { afterEach, describe, expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { setStageBytes } from "../../src/core/stream.js";
import {
  memoryInfo,
  NormPropLinear,
  normPropActivation,
  normPropLinear,
  normPropLinearBackward,
  normPropLinearForward,
  normPropRelu,
  tensor,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, tensorOf, values } from "../support/numbers.js";

const sizes = [
  [1, 1, 1],
  [3, 5, 2],
  [5, 17, 3],
  [2, 31, 17],
  [17, 3, 31],
  [3, 127, 5],
  [2, 1023, 3],
];
const tanh = normPropActivation(Math.tanh, (z) => 1 - Math.tanh(z) ** 2);

describe.each([
  { name: "ReLU", activation: undefined, at: (z: number) => Math.max(z, 0) },
  { name: "tanh", activation: tanh, at: Math.tanh },
])("normalization propagation, $name", ({ activation, at }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it.each(sizes)("%i rows of %i, %i units: the definition and its gradient", (rows, inputs, units) => {
    const x = tensorOf([rows, inputs], 1, "float64", 0, 1.5);
    const w = tensorOf([units, inputs], 2);
    const [gamma, beta] = [values(units, 3, 1, 0.5), values(units, 4)];
    const options = { gamma, beta, activation };
    const { y, saved } = normPropLinearForward(x, w, options);
    const { mean, deviation } = activation ?? normPropRelu;
    for (let n = 0; n < rows; n++) {
      for (let u = 0; u < units; u++) {
        const row = w.data.slice(u * inputs, (u + 1) * inputs);
        const z =
          (gamma[u] * dot(x.data.slice(n * inputs, (n + 1) * inputs), row)) / Math.sqrt(dot(row, row)) + beta[u];
        expect(Math.abs(y.data[n * units + u] - (at(z) - mean) / deviation)).toBeLessThan(1e-13);
      }
    }
    const dy = tensorOf([rows, units], 5);
    const { dx, dw, dgamma, dbeta } = normPropLinearBackward(dy, saved);
    const loss = () => dot(normPropLinear(x, w, options).data, dy.data);
    for (const [list, gradient] of [
      [x.data, dx],
      [w.data, dw],
      [gamma, dgamma],
      [beta, dbeta],
    ] as const) {
      if (list === w.data && inputs === 1) continue;
      expect(differenceFromNumerical(loss, list as Float64Array, gradient.data, { h: 1e-7 })).toBeLessThan(1e-6);
    }
    expect([dw.shape, dgamma.shape, dbeta.shape]).toEqual([[units, inputs], [units], [units]]);
  });

  it.each(["float32", "float64"] as const)(
    "gives the same bits from %s arrays, tensors, and in any chunks",
    (dtype) => {
      for (const [rows, inputs, units] of sizes) {
        const x = tensorOf([rows, inputs], 4, dtype, 1);
        const w = tensorOf([units, inputs], 5, dtype);
        const dy = tensorOf([rows, units], 6, dtype);
        const options = { beta: values(units, 7), activation };
        const run = (input: typeof x, weight: typeof x, gradient: typeof x, out?: object) => {
          const { y, saved } = normPropLinearForward(input, weight, options);
          const found = normPropLinearBackward(gradient, saved, out);
          return [y, found.dx, found.dw, found.dgamma, found.dbeta].map(({ data }) => bits(data));
        };
        const want = run(x, w, dy);
        for (const bytes of [64, 1000, 1 << 24]) {
          setStageBytes(bytes);
          expect(run(x, w, dy)).toEqual(want);
        }
        const linear = [x, w, dy].map(({ data, shape }) => tensor(shape, { data, dtype }));
        const [lx, lw, ldy] = linear as never[];
        expect(run(lx, lw, ldy)).toEqual(want);
        const out = tensor([rows, units], { dtype });
        const { saved } = normPropLinearForward(lx, lw, { ...options, out });
        expect(bits(out.data)).toBe(want[0]);
        normPropLinearBackward(ldy, saved, { out: lx });
        expect(bits(linear[0].data)).toBe(want[1]);
        for (const used of [...linear, out]) used.dispose();
      }
      expect(memoryInfo().usedBytes).toBe(0);
    },
  );
});

describe("normalization propagation", () => {
  it("keeps outputs of standard normal inputs at mean 0 and variance 1, layer by layer", () => {
    const [rows, width] = [400, 200];
    let x = { data: normalValues(rows * width, "float32", readSeed("test", 3)), shape: [rows, width] };
    for (let layer = 0; layer < 4; layer++) {
      const w = { data: normalValues(width * width, "float32", readSeed("test", 10 + layer)), shape: [width, width] };
      x = normPropLinear(x, w, { gamma: values(width, 1, 1, 0) }) as typeof x;
      const mean = Array.from(x.data).reduce((a, b) => a + b, 0) / x.data.length;
      const square = Array.from(x.data).reduce((a, b) => a + b * b, 0) / x.data.length;
      expect(Math.abs(mean)).toBeLessThan(0.05);
      expect(Math.abs(square - 1)).toBeLessThan(0.1);
    }
  });

  it("does not care about the lengths of units, and works on one sample", () => {
    const x = tensorOf([1, 9], 1);
    const w = tensorOf([4, 9], 2);
    const scaled = { data: w.data.map((value) => 8 * value), shape: w.shape };
    expect(bits(normPropLinear(x, scaled).data)).toBe(bits(normPropLinear(x, w).data));
    const zero = normPropLinear(x, { data: new Float64Array(9), shape: [1, 9] }, { beta: [0] });
    expect(zero.data[0]).toBeCloseTo(-normPropRelu.mean / normPropRelu.deviation, 14);
  });

  it("is a layer", () => {
    const layer = new NormPropLinear(5, 3, { dtype: "float64", seed: 2 });
    const x = tensorOf([6, 5], 1);
    const dy = tensorOf([6, 3], 2);
    expect(() => layer.backward(dy)).toThrow(/NormPropLinear\.backward: .*call forward first/);
    const y = layer.forward(x);
    expect(bits(y.data)).toBe(bits(normPropLinear(x, layer.weight).data));
    layer.backward(dy);
    expect(Object.keys(layer.parameters())).toEqual(["weight", "gamma", "beta"]);
    for (const parameter of Object.values(layer.parameters())) expect(parameter.grad).not.toBeNull();
    layer.zeroGrad();
    layer.eval().forward(x);
    layer.backward(dy);
    expect(layer.gamma.grad).toBeNull();
    const copy = new NormPropLinear(5, 3, { dtype: "float64" }).loadStateDict(layer.stateDict());
    expect(bits(copy.forward(x).data)).toBe(bits(y.data));
    expect(new NormPropLinear(2, 2, { activation: tanh, dtype: "float64" }).gamma.data[0]).toBe(tanh.gamma);
  });

  it("names what does not fit", () => {
    const x = tensorOf([3, 4], 1);
    const w = tensorOf([2, 4], 2);
    expect(() => normPropLinear(x, tensorOf([2, 5], 1))).toThrow(/w has 5 inputs where x has 4/);
    expect(() => normPropLinear(x, w, { gamma: [1] })).toThrow(/gamma has 1 elements where 2 are needed/);
    expect(() => normPropLinear(x, w, { beta: [1, 2, 3] })).toThrow(/beta has 3 elements where 2 are needed/);
    const square = tensorOf([4, 4], 1);
    expect(() => normPropLinear(square, tensorOf([4, 4], 2), { out: square })).toThrow(/out must not be x/);
    const { saved } = normPropLinearForward(x, w);
    expect(() => normPropLinearBackward(tensorOf([3, 3], 1), saved)).toThrow(/dy has shape \[3, 3\] where the result/);
    const wrong = { ...tanh, forward: () => tensorOf([1], 1) };
    expect(() => normPropLinear(x, w, { activation: wrong })).toThrow(
      /activation\.forward: its result has shape \[1\]/,
    );
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
