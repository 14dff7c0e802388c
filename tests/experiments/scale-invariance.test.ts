/**
 * Scale invariance: a weight that feeds a normalization may be multiplied by any a > 0 without a change of the output,
 * its gradient is orthogonal to it, and shrinks as 1/c for c times the weight. Exact for eps = 0 only; with eps the
 * output shrinks by a factor that is worked out and checked. (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.3;
 * Salimans and Kingma 2016, arXiv:1602.07868, section 2.1; Ba, Kiros and Hinton 2016, arXiv:1607.06450, section 5.)
 */
import { describe, expect, it } from "vitest";
import {
  batchNorm,
  batchNormBackward,
  batchNormForward,
  layerNormBackward,
  layerNormForward,
  matmul,
  type Tensor,
  weightNormBackward,
  weightNormForward,
} from "../../src/index.js";
import { dot, largestDifference, tensorOf } from "../support/numbers.js";
import { columnOf, lengthOf, varianceOf } from "../support/statistics.js";

const [rows, inputs, units] = [24, 7, 5];
const x = tensorOf([rows, inputs], 1, "float64", 0.5);
const weight = tensorOf([units, inputs], 2);
const dy = tensorOf([rows, units], 3);
const times = (w: Tensor, a: number): Tensor => ({ data: Float64Array.from(w.data, (v) => a * v), shape: w.shape });
const linear = (w: Tensor): Tensor => matmul(x, w, { transposeB: true });
const ofLinear = (dz: Tensor): Tensor => matmul(dz, x, { transposeA: true });

/** What a normalization behind (or of) a weight gives, and the gradient of Σ y·dy with respect to the weight. */
const methods: Record<string, (w: Tensor, eps: number) => { y: Tensor; dw: Tensor }> = {
  "batch norm": (w, eps) => {
    const { y, saved } = batchNormForward(linear(w), { eps });
    return { y, dw: ofLinear(batchNormBackward(dy, saved).dx) };
  },
  "layer norm": (w, eps) => {
    const { y, saved } = layerNormForward(linear(w), { normalizedShape: units, eps });
    return { y, dw: ofLinear(layerNormBackward(dy, saved).dx) };
  },
  "weight norm": (w) => {
    const { w: normalized, saved } = weightNormForward(w, { g: [1, 2, 3, 4, 5] });
    return { y: linear(normalized), dw: weightNormBackward(ofLinear(dy), saved).dv };
  },
};

describe.each(Object.entries(methods))("%s", (_, method) => {
  it("does not see the length of the weight", () => {
    const { y } = method(weight, 0);
    for (const a of [0.01, 3, 1e4])
      expect(largestDifference(method(times(weight, a), 0).y.data, y.data)).toBeLessThan(1e-13);
    // The sign is not part of the length.
    expect(largestDifference(method(times(weight, -1), 0).y.data, y.data)).toBeGreaterThan(1);
  });

  it("has a gradient orthogonal to the weight, so that gradient descent only lengthens it", () => {
    const { dw } = method(weight, 0);
    const cosine = dot(dw.data, weight.data) / (lengthOf(dw.data) * lengthOf(weight.data));
    expect(Math.abs(cosine)).toBeLessThan(1e-14);
    const after = weight.data.map((value, i) => value - 0.3 * dw.data[i]);
    const pythagoras = Math.hypot(lengthOf(weight.data), 0.3 * lengthOf(dw.data));
    expect(lengthOf(after) / pythagoras).toBeCloseTo(1, 13);
  });

  it("has 1/c of the gradient at c times the weight", () => {
    const { dw } = method(weight, 0);
    for (const c of [0.1, 8]) {
      expect(largestDifference(method(times(weight, c), 0).dw.data, times(dw, 1 / c).data)).toBeLessThan(1e-12);
    }
  });
});

describe("with eps above 0 batch norm", () => {
  it("gives √((σ² + eps)/(σ² + eps/a²)) of what it gave, so that invariance is a limit", () => {
    const z = linear(weight);
    const before = batchNorm(z, { eps: 0.1 }).data;
    for (const a of [0.1, 0.5, 4]) {
      const after = batchNorm(times(z, a), { eps: 0.1 }).data;
      const want = before.map((value, i) => {
        const variance = varianceOf(columnOf(z, i % units));
        return value * Math.sqrt((variance + 0.1) / (variance + 0.1 / a ** 2));
      });
      expect(largestDifference(after, want)).toBeLessThan(1e-13);
    }
  });

  it("comes nearer to it in proportion to eps", () => {
    const change = (eps: number) =>
      largestDifference(
        methods["batch norm"](times(weight, 0.1), eps).y.data,
        methods["batch norm"](weight, eps).y.data,
      );
    const changes = [1e-2, 1e-4, 1e-6, 1e-8].map(change);
    expect(changes[0]).toBeGreaterThan(0.1);
    for (let i = 1; i < 4; i++) expect(changes[i]).toBeLessThan(changes[i - 1] / 20);
    expect(changes[3]).toBeLessThan(1e-5);
  });

  it("has a gradient that leans on the weight a little", () => {
    const { dw } = methods["batch norm"](weight, 0.1);
    const cosine = dot(dw.data, weight.data) / (lengthOf(dw.data) * lengthOf(weight.data));
    expect(Math.abs(cosine)).toBeGreaterThan(1e-3);
  });
});

it("does not hold for the norm's own weight and bias", () => {
  const z = linear(weight);
  const gamma = Float64Array.of(1, 2, 3, 4, 5);
  const { y, saved } = batchNormForward(z, { weight: gamma, eps: 0 });
  const doubled = batchNorm(z, { weight: gamma.map((value) => 2 * value), eps: 0 });
  expect(largestDifference(doubled.data, y.data)).toBeGreaterThan(1);
  const { dweight } = batchNormBackward(dy, saved);
  expect(Math.abs(dot(dweight!.data, gamma)) / (lengthOf(dweight!.data) * lengthOf(gamma))).toBeGreaterThan(0.01);
});
