import { describe, expect, it } from "vitest";
import { matmul, tensor } from "../../src/index.js";
import { bits, largestDifference, tensorOf } from "../support/numbers.js";

type Matrix = ReturnType<typeof tensorOf>;

function transpose({ data, shape: [rows, cols] }: Matrix): Matrix {
  const moved = data.slice();
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) moved[j * rows + i] = data[i * cols + j];
  return { data: moved, shape: [cols, rows] };
}

function reference(a: Matrix, b: Matrix): Float64Array {
  const [m, k] = a.shape;
  const n = b.shape[1];
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) for (let j = 0; j < n; j++) c[i * n + j] += a.data[i * k + p] * b.data[p * n + j];
  }
  return c;
}

const sizes = [
  [1, 1, 1],
  [3, 5, 1],
  [1, 17, 31],
  [4, 8, 8],
  [5, 300, 9],
  [65, 31, 127],
  [130, 257, 521],
];

describe.each(["float32", "float64"] as const)("matmul of %s", (dtype) => {
  // Each product and sum rounds once: k·ulp/2 of Σ|a||b| at the most, far less on the average.
  const ulp = dtype === "float32" ? 6e-8 : 1.2e-16;

  it.each(sizes)("%i x %i x %i, plain and transposed, agrees with the sum", (m, k, n) => {
    const a = tensorOf([m, k], m, dtype);
    const b = tensorOf([k, n], n, dtype);
    const want = reference(a, b);
    const plain = matmul(a, b);
    expect(plain.shape).toEqual([m, n]);
    expect(largestDifference(plain.data, want)).toBeLessThanOrEqual(k * ulp);
    for (const [x, y, options] of [
      [transpose(a), b, { transposeA: true }],
      [a, transpose(b), { transposeB: true }],
      [transpose(a), transpose(b), { transposeA: true, transposeB: true }],
    ] as const) {
      expect(bits(matmul(x, y, options).data)).toBe(bits(plain.data));
    }
  });

  it("works on tensors in linear memory, into out", () => {
    const [a, b] = [tensorOf([33, 20], 1, dtype), tensorOf([20, 18], 2, dtype)];
    const x = tensor(a.shape, { data: a.data });
    const y = tensor(b.shape, { data: b.data });
    const out = tensor([33, 18], { dtype });
    expect(matmul(x, y, { out })).toBe(out);
    expect(bits(out.data)).toBe(bits(matmul(a, b).data));
    for (const used of [x, y, out]) used.dispose();
  });
});

describe("matmul", () => {
  const a = { data: new Float32Array(6), shape: [2, 3] };

  it("names what does not fit", () => {
    expect(() => matmul(a, a)).toThrow(/b has 2 rows where a has 3 columns/);
    expect(() => matmul(a, { data: new Float64Array(6), shape: [3, 2] })).toThrow(/b is float64 where a is float32/);
    expect(() => matmul({ data: a.data, shape: [6] }, a)).toThrow(/a must be a matrix/);
    expect(() => matmul(a, a, { transposeB: true, out: { data: new Float32Array(4), shape: [4] } })).toThrow(
      /out has shape/,
    );
    const square = { data: new Float32Array(4), shape: [2, 2] };
    expect(() => matmul(square, square, { out: square })).toThrow(/out must not be a/);
  });
});
