/**
 * Norms as the measure of what a network can do (Neyshabur, Tomioka and Srebro 2014, arXiv:1412.6614; the path norm
 * from their arXiv:1506.02617). Shown: gradient descent on least squares with more unknowns than rows, from zero, ends
 * at the solution of least length, without any penalty; the sum of squares of a ReLU network's weights changes when
 * units are rescaled, the path norm, like the function, does not; the largest singular values bound how far outputs
 * move.
 */
import { describe, expect, it } from "vitest";
import { matmul, type Tensor } from "../../src/index.js";
import { eigh } from "../../src/linalg/eigh.js";
import { Network } from "../support/network.js";
import { largestDifference, tensorOf, values } from "../support/numbers.js";
import { lengthOf, normalMatrix } from "../support/statistics.js";

describe("gradient descent on 8 equations with 30 unknowns", () => {
  const x = tensorOf([8, 30], 1);
  const y = values(8, 2);
  const column = (data: Float64Array): Tensor => ({ data, shape: [data.length, 1] });
  const descend = (start: Float64Array) => {
    let w = start;
    for (let step = 0; step < 3000; step++) {
      const residual = matmul(x, column(w)).data.map((value, i) => value - y[i]);
      const gradient = matmul(x, column(residual as Float64Array), { transposeA: true }).data;
      w = w.map((value, i) => value - 0.04 * gradient[i]);
    }
    return w;
  };
  /** Xᵀ(XXᵀ)⁻¹y, by the eigenvalues of XXᵀ. */
  const shortest = (() => {
    const { values: lambda, vectors } = eigh(matmul(x, x, { transposeB: true }));
    const along = matmul(vectors, column(y), { transposeA: true }).data.map((value, i) => value / lambda[i]);
    const dual = matmul(vectors, column(along as Float64Array));
    return matmul(x, dual, { transposeA: true }).data;
  })();

  it("ends at the shortest solution from zero", () => {
    expect(largestDifference(descend(new Float64Array(30)), shortest)).toBeLessThan(1e-9);
  });

  it("ends at a longer one from elsewhere, which solves the equations as well", () => {
    const found = descend(values(30, 3));
    expect(largestDifference(matmul(x, column(found)).data, y)).toBeLessThan(1e-9);
    expect(lengthOf(found)).toBeGreaterThan(lengthOf(shortest) + 0.5);
  });
});

describe("norms of a ReLU network", () => {
  const network = new Network({ sizes: [6, 10, 8, 3], seed: 1 });
  const x = normalMatrix(20, 6, 2);
  const frobenius = () => Math.hypot(...network.linears().map(({ weight }) => lengthOf(weight.data)));
  /** √ of the sum, over all paths from input to output, of the product of the squared weights. */
  const pathNorm = () => {
    let sums: Tensor = { data: new Float64Array(6).fill(1), shape: [1, 6] };
    for (const { weight, shape } of network.linears()) {
      sums = matmul(sums, { data: weight.data.map((value) => value * value), shape }, { transposeB: true });
    }
    return Math.sqrt((sums.data as Float64Array).reduce((sum, value) => sum + value, 0));
  };
  const spectral = (w: { weight: { data: Float64Array }; shape: number[] }) => {
    const matrix = { data: w.weight.data, shape: w.shape };
    return Math.sqrt(Math.max(...eigh(matmul(matrix, matrix, { transposeB: true })).values));
  };

  it("rescaling a unit by c in front and 1/c behind changes the sum of squares, not the function or the path norm", () => {
    const [y, path, sum] = [network.forward(x), pathNorm(), frobenius()];
    const [first, second] = network.linears();
    first.weight.data.forEach((_, i) => {
      if (Math.floor(i / 6) === 4) first.weight.data[i] *= 5;
    });
    second.weight.data.forEach((_, i) => {
      if (i % 10 === 4) second.weight.data[i] /= 5;
    });
    expect(largestDifference(network.forward(x).data, y.data)).toBeLessThan(1e-13);
    expect(pathNorm()).toBeCloseTo(path, 12);
    expect(frobenius()).toBeGreaterThan(1.1 * sum);
  });

  it("the path norm is a sum over paths", () => {
    const [first, second, third] = network.linears().map(({ weight }) => weight.data);
    let sum = 0;
    for (let i = 0; i < 6; i++) {
      for (let j = 0; j < 10; j++) {
        for (let k = 0; k < 8; k++) {
          for (let l = 0; l < 3; l++) sum += (first[j * 6 + i] * second[k * 10 + j] * third[l * 8 + k]) ** 2;
        }
      }
    }
    expect(pathNorm()).toBeCloseTo(Math.sqrt(sum), 12);
  });

  it("the product of the largest singular values bounds the change of the output", () => {
    const bound = network.linears().reduce((product, linear) => product * spectral(linear), 1);
    const other = normalMatrix(20, 6, 3);
    const [a, b] = [network.forward(x).data, network.forward(other).data];
    for (let row = 0; row < 20; row++) {
      const moved = lengthOf(a.subarray(row * 3, row * 3 + 3).map((value, i) => value - b[row * 3 + i]));
      const by = lengthOf(x.data.subarray(row * 6, row * 6 + 6).map((value, i) => value - other.data[row * 6 + i]));
      expect(moved).toBeLessThanOrEqual(bound * by);
    }
  });
});
