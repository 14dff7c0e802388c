import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  memoryInfo,
  SpectralNorm,
  spectralNorm,
  spectralNormBackward,
  spectralNormForward,
  tensor,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const kinds = [
  { shape: [3, 5], dim: 0 },
  { shape: [17, 4], dim: 0 },
  { shape: [5, 3], dim: 1 },
  { shape: [4, 3, 3, 3], dim: 0 },
  { shape: [3, 4, 5], dim: 1 },
  { shape: [2, 17, 31], dim: -1 },
  { shape: [1, 127], dim: 0 },
  { shape: [127, 1], dim: 0 },
  { shape: [2, 1, 9], dim: 1 },
  { shape: [1023], dim: 0 },
];

/** Singular vectors given exactly: the largest singular value of s·p·qᵀ + t·p₂·q₂ᵀ with orthogonal p, p₂ and q, q₂. */
function known(rows: number, columns: number) {
  const pair = (n: number, seed: number) => {
    const a = values(n, seed);
    const unit = (x: Float64Array) => x.map((value) => value / Math.sqrt(dot(x, x)));
    const p = unit(a);
    const b = values(n, seed + 1);
    const along = dot(b, p);
    return [p, unit(b.map((value, i) => value - along * p[i]))];
  };
  const [p, p2] = pair(rows, 11);
  const [q, q2] = pair(columns, 13);
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) data[i * columns + j] = 3 * p[i] * q[j] + 2 * p2[i] * q2[j];
  }
  return { w: { data, shape: [rows, columns] }, p, q };
}

describe.each(kinds)("spectral norm of $shape along $dim", ({ shape, dim }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });
  const d = shape.at(dim)!;

  it("has the gradient of finite differences where u and v are constants", () => {
    const w = tensorOf(shape, 1);
    const dw = tensorOf(shape, 2);
    const { saved, u, v } = spectralNormForward(w, { u: values(d, 3), dim, nPowerIterations: 3 });
    const fixed = () => spectralNorm(w, { u, v, dim, nPowerIterations: 0 }).data;
    const { dw: gradient } = spectralNormBackward(dw, saved);
    const loss = () => dot(fixed(), dw.data);
    expect(differenceFromNumerical(loss, w.data as Float64Array, gradient.data)).toBeLessThan(1e-7);
  });

  it("gives the singular value that longer iteration gives, and vectors of length 1", () => {
    const w = tensorOf(shape, 4);
    const found = spectralNormForward(w, { u: values(d, 5), dim, nPowerIterations: 300 });
    expect(dot(found.u.data, found.u.data)).toBeCloseTo(1, 12);
    expect(dot(found.v.data, found.v.data)).toBeCloseTo(1, 12);
    const again = spectralNormForward(found.w, { u: found.u, dim });
    expect(again.sigma).toBeCloseTo(1, 6);
  });

  it.each(["float32", "float64"] as const)("gives the same bits from %s arrays, tensors and in place", (dtype) => {
    const w = tensorOf(shape, 6, dtype);
    const dw = tensorOf(shape, 7, dtype);
    const start = values(d, 8);
    const run = (input: Parameters<typeof spectralNorm>[0], gradient: Parameters<typeof spectralNorm>[0]) => {
      const found = spectralNormForward(input, { u: start, dim, nPowerIterations: 2 });
      const all = [found.w, found.u, found.v, spectralNormBackward(gradient, found.saved).dw];
      return [...all.map(({ data }) => bits(data)), found.sigma];
    };
    const want = run(w, dw);
    for (const bytes of [64, 1000, 1 << 24]) {
      setStageBytes(bytes);
      expect(run(w, dw)).toEqual(want);
    }
    const [lw, ldw] = [tensor(shape, { data: w.data, dtype }), tensor(shape, { data: dw.data, dtype })];
    expect(run(lw, ldw)).toEqual(want);
    const { saved } = spectralNormForward(lw, { u: start, dim, nPowerIterations: 2 });
    spectralNormBackward(ldw, saved, { out: ldw });
    expect(bits(ldw.data)).toBe(want[3]);
    spectralNorm(lw, { u: start, dim, nPowerIterations: 2, out: lw });
    expect(bits(lw.data)).toBe(want[0]);
    for (const used of [lw, ldw]) used.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

describe("spectral norm", () => {
  it("finds the first singular value and its vectors", () => {
    for (const [rows, columns] of [
      [3, 5],
      [17, 9],
      [127, 31],
    ]) {
      const { w, p, q } = known(rows, columns);
      const { sigma, u, v } = spectralNormForward(w, { u: values(rows, 1), nPowerIterations: 60 });
      expect(sigma).toBeCloseTo(3, 12);
      const sign = Math.sign(u.data[0] * p[0]);
      expect(
        largestDifference(
          u.data,
          p.map((value) => sign * value),
        ),
      ).toBeLessThan(1e-10);
      expect(
        largestDifference(
          v.data,
          q.map((value) => sign * value),
        ),
      ).toBeLessThan(1e-10);
    }
  });

  it("leaves zeros, forward and backward", () => {
    const w = { data: new Float32Array(6), shape: [2, 3] };
    const { w: y, saved, sigma } = spectralNormForward(w, { u: [1, 0] });
    expect([...y.data, sigma]).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(spectralNormBackward(tensorOf([2, 3], 1, "float32"), saved).dw.data.every((value) => value === 0)).toBe(
      true,
    );
  });

  it("warms up at construction, steps in training, and stands still in eval", () => {
    const { w } = known(31, 17);
    const norm = new SpectralNorm(w, { warmupIterations: 40 });
    expect(
      largestDifference(
        norm.forward().data,
        w.data.map((value) => value / 3),
      ),
    ).toBeLessThan(1e-12);
    const cold = new SpectralNorm(w, { warmupIterations: 0, seed: 5 });
    const start = bits(cold.u);
    cold.eval().forward();
    expect(bits(cold.u)).toBe(start);
    const early = Math.abs(Math.hypot(...cold.train().forward().data) - Math.hypot(...w.data) / 3);
    expect(bits(cold.u)).not.toBe(start);
    for (let i = 0; i < 40; i++) cold.forward();
    expect(Math.abs(Math.hypot(...cold.forward().data) - Math.hypot(...w.data) / 3)).toBeLessThan(early / 100);
    expect(bits(new SpectralNorm(w, { seed: 5 }).u)).toBe(bits(new SpectralNorm(w, { seed: 5 }).u));
  });

  it("learns the original, and keeps it under PyTorch's names, old and new", () => {
    const weight = tensorOf([3, 4, 2], 1, "float32");
    const norm = new SpectralNorm(weight);
    expect(() => norm.backward(weight)).toThrow(/call forward first/);
    norm.forward();
    const dw = tensorOf([3, 4, 2], 2, "float32");
    const gradient = norm.backward(dw);
    norm.backward(dw);
    expect(Array.from(norm.original.grad!)).toEqual(Array.from(gradient.data, (value) => 2 * value));
    norm.zeroGrad();
    norm.eval().backward(dw);
    expect(norm.original.grad).toBeNull();
    const state = norm.stateDict();
    expect(Object.entries(state).map(([key, { shape }]) => [key, shape])).toEqual([
      ["parametrizations.weight.original", [3, 4, 2]],
      ["parametrizations.weight.0._u", [3]],
      ["parametrizations.weight.0._v", [8]],
    ]);
    const fresh = () => new SpectralNorm(tensorOf([3, 4, 2], 9, "float32"));
    expect(fresh().loadStateDict(state).stateDict()).toEqual(state);
    const legacy = norm.stateDict({ legacy: true });
    expect(Object.keys(legacy)).toEqual(["weight_orig", "weight_u", "weight_v"]);
    expect(fresh().loadStateDict(legacy).stateDict()).toEqual(state);
    expect(() => fresh().loadStateDict({ weight_orig: weight })).toThrow(/state lacks/);
    const vector = new SpectralNorm(tensorOf([5], 3));
    expect(Object.keys(vector.stateDict())).toEqual(["parametrizations.weight.original"]);
    expect(Math.hypot(...vector.forward().data)).toBeCloseTo(1, 14);
  });

  it("names what does not fit, and keeps u and v where it throws", () => {
    const w = tensorOf([3, 4], 1);
    expect(() => spectralNorm(w, {} as never)).toThrow(
      /u must be given; pass that of the call before, or use the class/,
    );
    expect(() => spectralNorm(w, { u: [1, 2] })).toThrow(/u has 2 elements where 3 are needed/);
    expect(() => spectralNorm(w, { u: [1, 2, 3], v: [1] })).toThrow(/v has 1 elements where 4 are needed/);
    expect(() => spectralNorm(w, { u: [1, 2, 3], nPowerIterations: 0 })).toThrow(/v must be given where/);
    expect(() => spectralNorm(w, { u: [1, 2, 3], dim: 2 })).toThrow(/dim must name a dimension of w/);
    expect(() => new SpectralNorm(w, { nPowerIterations: 0 })).toThrow(/nPowerIterations must be/);
    const norm = new SpectralNorm(w);
    const before = norm.stateDict();
    expect(() => norm.forward({ out: tensorOf([4, 3], 1) })).toThrow(/out has shape/);
    expect(norm.stateDict()).toEqual(before);
    norm.forward();
    expect(() => norm.backward(tensorOf([4, 3], 1))).toThrow(/dw has shape \[4, 3\] where w has \[3, 4\]/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
