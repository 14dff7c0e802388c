/**
 * Where a normalization stands (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.2): before the nonlinearity it
 * makes the bias of the linear layer superfluous and keeps a sigmoid in its nearly linear part, unless weight and bias
 * move it out; with the right weight and bias it is the identity. Behind the nonlinearity, without weight and bias, it
 * is the standardization layer of Gülçehre and Bengio (2013, arXiv:1301.4083).
 */
import { describe, expect, it } from "vitest";
import { batchNorm, batchNormBackward, batchNormForward, type Tensor } from "../../src/index.js";
import { largestDifference, tensorOf, values } from "../support/numbers.js";
import { columnOf, lineThrough, meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

const x = normalMatrix(500, 4, 1, 3, 5);
const relu = ({ data, shape }: Tensor): Tensor => ({ data: (data as Float64Array).map((v) => Math.max(v, 0)), shape });
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

describe("before the nonlinearity", () => {
  it("the bias of the linear layer is subtracted again, and gets no gradient", () => {
    const bias = values(4, 2, 10, 5);
    const shifted = { data: x.data.map((value, i) => value + bias[i % 4]), shape: x.shape };
    expect(largestDifference(batchNorm(shifted).data, batchNorm(x).data)).toBeLessThan(1e-13);
    const { dx } = batchNormBackward(tensorOf(x.shape, 3), batchNormForward(shifted).saved);
    for (let c = 0; c < 4; c++) expect(Math.abs(columnOf(dx, c).reduce((a, b) => a + b, 0))).toBeLessThan(1e-13);
  });

  it("a sigmoid is nearly a line for normalized input, and is not for the input as it was", () => {
    const straightness = (input: ArrayLike<number>) => lineThrough(input, Array.from(input, sigmoid)).correlation ** 2;
    expect(straightness(batchNorm(x).data)).toBeGreaterThan(0.98);
    expect(straightness(x.data)).toBeLessThan(0.9);
  });

  it("weight and bias can take that back: with the deviation and the mean, batch norm is the identity", () => {
    const columns = [0, 1, 2, 3].map((c) => columnOf(x, c));
    const weight = columns.map((column) => Math.sqrt(varianceOf(column) + 1e-5));
    const bias = columns.map(meanOf);
    expect(largestDifference(batchNorm(x, { weight, bias }).data, x.data)).toBeLessThan(1e-13);
  });
});

describe("behind the nonlinearity", () => {
  it("what leaves the layer has mean 0 and variance 1, which it has not the other way round", () => {
    const behind = batchNorm(relu(x), { eps: 0 });
    const before = relu(batchNorm(x, { eps: 0 }));
    for (let c = 0; c < 4; c++) {
      expect(Math.abs(meanOf(columnOf(behind, c)))).toBeLessThan(1e-13);
      expect(varianceOf(columnOf(behind, c))).toBeCloseTo(1, 12);
      expect(meanOf(columnOf(before, c))).toBeGreaterThan(0.3);
      expect(varianceOf(columnOf(before, c))).toBeLessThan(0.5);
    }
  });

  it("no zeros are left of those that ReLU made", () => {
    const zeros = (y: Tensor) => y.data.filter((value) => value === 0).length;
    expect(zeros(relu(batchNorm(x)))).toBeGreaterThan(800);
    expect(zeros(batchNorm(relu(x)))).toBe(0);
  });
});
