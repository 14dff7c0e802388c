import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  CosineLinear,
  cosineLinear,
  cosineLinearBackward,
  cosineLinearForward,
  memoryInfo,
  tensor,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const sizes = [
  [1, 1, 1],
  [3, 5, 2],
  [5, 17, 3],
  [2, 31, 17],
  [17, 3, 31],
  [3, 127, 5],
  [2, 1023, 3],
];
const variants = [
  { name: "cosine", options: {} },
  { name: "centered", options: { centered: true } },
  { name: "scaled", options: { scale: -2.5 } },
  { name: "bias", options: { bias: true, scale: 3 } },
];
const optionsOf = ({ bias, ...rest }: { bias?: boolean; centered?: boolean; scale?: number }, units: number) => ({
  ...rest,
  bias: bias ? values(units, 9) : undefined,
});

describe.each(variants)("$name", ({ options }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it.each(sizes)("%i rows of %i, %i units: the definition and its gradient", (rows, inputs, units) => {
    const x = tensorOf([rows, inputs], 1, "float64", 0.3);
    const w = tensorOf([units, inputs], 2, "float64", -0.2);
    const dy = tensorOf([rows, units], 3);
    const all = optionsOf(options, units);
    const { y, saved } = cosineLinearForward(x, w, all);
    const row = ({ data }: { data: ArrayLike<number> }, i: number, further: number | undefined) => {
      const list = Array.from(data).slice(i * inputs, (i + 1) * inputs);
      const mean = all.centered ? list.reduce((a, b) => a + b, 0) / inputs : 0;
      return [...list.map((value) => value - mean), ...(further === undefined ? [] : [further])];
    };
    for (let n = 0; n < rows; n++) {
      for (let u = 0; u < units; u++) {
        const [a, b] = [row(x, n, all.bias && 1), row(w, u, all.bias?.[u])];
        const size = Math.sqrt(dot(a, a) * dot(b, b));
        const want = size === 0 ? 0 : ((all.scale ?? 1) * dot(a, b)) / size;
        expect(Math.abs(y.data[n * units + u] - want)).toBeLessThan(1e-14);
      }
    }
    const { dx, dw, dbias, dscale } = cosineLinearBackward(dy, saved);
    const loss = () => dot(cosineLinear(x, w, all).data, dy.data);
    if (inputs > 1) {
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, w.data as Float64Array, dw.data)).toBeLessThan(1e-7);
    }
    expect(dbias === null).toBe(all.bias === undefined);
    if (all.bias && dbias) expect(differenceFromNumerical(loss, all.bias, dbias.data)).toBeLessThan(1e-7);
    expect(dscale).toBeCloseTo(loss() / (all.scale ?? 1), 12);
  });

  it.each(["float32", "float64"] as const)(
    "gives the same bits from %s arrays, tensors, and in any chunks",
    (dtype) => {
      for (const [rows, inputs, units] of sizes) {
        const x = tensorOf([rows, inputs], 4, dtype, 1);
        const w = tensorOf([units, inputs], 5, dtype);
        const dy = tensorOf([rows, units], 6, dtype);
        const all = optionsOf(options, units);
        const run = (input: typeof x, weight: typeof x, gradient: typeof x, out?: object) => {
          const { y, saved } = cosineLinearForward(input, weight, all);
          const { dx, dw, dbias, dscale } = cosineLinearBackward(gradient, saved, out);
          return [...[y, dx, dw, dbias].map((found) => (found ? bits(found.data) : "")), dscale];
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
        cosineLinear(lx, lw, { ...all, out });
        expect(bits(out.data)).toBe(want[0]);
        const { saved } = cosineLinearForward(x, w, all);
        cosineLinearBackward(dy, saved, { out: x });
        expect(bits(x.data)).toBe(want[1]);
        for (const used of [...linear, out]) used.dispose();
      }
      expect(memoryInfo().usedBytes).toBe(0);
    },
  );
});

describe("cosine linear", () => {
  it("does not care about the lengths of rows and units, nor, centered, about their means", () => {
    const x = tensorOf([4, 33], 1, "float32");
    const w = tensorOf([3, 33], 2, "float32");
    const moved = (from: typeof x, factor: number, offset: number) => ({
      data: Float32Array.from(from.data, (value) => factor * value + offset),
      shape: from.shape,
    });
    const want = cosineLinear(x, w).data;
    expect(largestDifference(cosineLinear(moved(x, 1e15, 0), moved(w, 1e-12, 0)).data, want)).toBeLessThan(3e-7);
    const pearson = cosineLinear(x, w, { centered: true }).data;
    // The inputs are rounded at the offset: 33 elements of deviation 0.6, half an ulp of 1000 each.
    expect(largestDifference(cosineLinear(moved(x, 1, 1e3), w, { centered: true }).data, pearson)).toBeLessThan(1e-4);
    const exact = { data: Float32Array.from({ length: 66 }, (_, i) => 1e6 + (i % 2)), shape: [2, 33] };
    const small = { data: Float32Array.from({ length: 66 }, (_, i) => i % 2), shape: [2, 33] };
    const centered = { centered: true };
    expect(
      largestDifference(cosineLinear(exact, w, centered).data, cosineLinear(small, w, centered).data),
    ).toBeLessThan(1e-6);
  });

  it("gives 0, and no gradient, where there is no direction", () => {
    const x = { data: new Float32Array([0, 0, 0, 0.1, 0.1, 0.1]), shape: [2, 3] };
    const w = tensorOf([2, 3], 1, "float32");
    const { y, saved } = cosineLinearForward(x, w, { centered: true });
    expect([...y.data]).toEqual([0, 0, 0, 0]);
    const dy = tensorOf([2, 2], 2, "float32");
    expect(cosineLinearBackward(dy, saved).dx.data.every((value) => value === 0)).toBe(true);
    const plain = cosineLinearForward(x, w);
    expect([...plain.y.data.slice(0, 2)]).toEqual([0, 0]);
    expect([...cosineLinearBackward(dy, plain.saved).dx.data].every(Number.isFinite)).toBe(true);
  });

  it("is a layer with a learned factor", () => {
    const layer = new CosineLinear(5, 3, { bias: true, scale: 4, learnScale: true, dtype: "float64", seed: 7 });
    const x = tensorOf([6, 5], 1);
    const dy = tensorOf([6, 3], 2);
    expect(() => layer.backward(dy)).toThrow(/CosineLinear\.backward: .*call forward first/);
    const y = layer.forward(x);
    expect(bits(y.data)).toBe(bits(cosineLinear(x, layer.weight, { bias: layer.bias!.data, scale: 4 }).data));
    layer.backward(dy);
    expect(Object.keys(layer.parameters())).toEqual(["weight", "bias", "scale"]);
    expect(layer.learnedScale!.grad![0]).toBeCloseTo(dot(y.data, dy.data) / 4, 12);
    layer.zeroGrad();
    layer.eval().forward(x);
    layer.backward(dy);
    expect(layer.weight.grad).toBeNull();
    const copy = new CosineLinear(5, 3, { bias: true, learnScale: true, dtype: "float64" });
    expect(bits(copy.weight.data)).not.toBe(bits(layer.weight.data));
    copy.loadStateDict(layer.stateDict());
    expect(bits(copy.forward(x).data)).toBe(bits(y.data));
    expect(new CosineLinear(2, 2, { scale: 3 }).scale).toBe(3);
    expect(() => new CosineLinear(2, 2, { bias: true, centered: true })).toThrow(/bias must be false where centered/);
    expect(() => new CosineLinear(0, 2)).toThrow(/inFeatures must be/);
  });

  it("names what does not fit", () => {
    const x = tensorOf([3, 4], 1);
    const w = tensorOf([2, 4], 2);
    expect(() => cosineLinear(x, tensorOf([2, 5], 1))).toThrow(/w has 5 inputs where x has 4/);
    expect(() => cosineLinear(x, tensorOf([2, 4], 1, "float32"))).toThrow(/w is float32 where x is float64/);
    expect(() => cosineLinear(tensorOf([4], 1), w)).toThrow(/x must be a matrix \[rows, inputs\], got shape \[4\]/);
    expect(() => cosineLinear(x, w, { scale: Number.NaN })).toThrow(/scale must be a finite number, got NaN/);
    expect(() => cosineLinear(x, w, { bias: [1] })).toThrow(/bias has 1 elements where 2 are needed/);
    expect(() => cosineLinear(x, w, { bias: [1, 2], centered: true })).toThrow(/bias must be absent where centered/);
    const { saved } = cosineLinearForward(x, w);
    expect(() => cosineLinearBackward(tensorOf([3, 3], 1), saved)).toThrow(
      /dy has shape \[3, 3\] where the result has/,
    );
    expect(() => cosineLinearBackward(tensorOf([3, 2], 1, "float32"), saved)).toThrow(/dy is float32 where/);
    const square = tensorOf([4, 4], 3);
    const over = cosineLinearForward(square, tensorOf([4, 4], 4), { out: square });
    expect(() => cosineLinearBackward(tensorOf([4, 4], 1), over.saved)).toThrow(/wrote its result over x/);
    const weight = tensorOf([4, 4], 3);
    const overWeight = cosineLinearForward(square, weight, { out: weight });
    expect(() => cosineLinearBackward(tensorOf([4, 4], 1), overWeight.saved)).toThrow(/wrote its result over w/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
