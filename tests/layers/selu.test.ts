import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import { memoryInfo, SELU, SELU_ALPHA, SELU_LAMBDA, selu, seluBackward, seluForward, tensor } from "../../src/index.js";
import { bits, differenceFromNumerical, dot, tensorOf } from "../support/numbers.js";

describe("selu", () => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it("has a relative error of a few ulps, next to 0 and far from it", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const ulp = dtype === "float32" ? 2 ** -23 : 2 ** -52;
      const size = [1e-30, 1e-12, 1e-5, 1e-3, 0.1, 0.3, 0.3465, 0.35, 0.7, 1, 2.5, 10, 17, 40, 80];
      const x = { data: Float64Array.from([...size, ...size.map((value) => -value)]), shape: [30] };
      const data = dtype === "float32" ? Float32Array.from(x.data) : x.data;
      const { y, saved } = seluForward({ data, shape: [30] });
      const { dx } = seluBackward({ data: data.map(() => 1) as typeof data, shape: [30] }, saved);
      data.forEach((value, i) => {
        const want = SELU_LAMBDA * (value > 0 ? value : SELU_ALPHA * Math.expm1(value));
        const slope = SELU_LAMBDA * (value > 0 ? 1 : SELU_ALPHA * Math.exp(value));
        expect(Math.abs(y.data[i] / want - 1)).toBeLessThan(3 * ulp);
        expect(Math.abs(dx.data[i] / slope - 1)).toBeLessThan(4 * ulp);
      });
    }
  });

  it("keeps NaN and infinities where they belong", () => {
    const data = new Float32Array([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, -1000]);
    const low = Math.fround(-SELU_LAMBDA * SELU_ALPHA);
    const { y, saved } = seluForward({ data, shape: [5] });
    expect([...y.data].map((value) => value + 0)).toEqual([Number.NaN, Number.POSITIVE_INFINITY, low, 0, low]);
    const ones = { data: new Float32Array(5).fill(1), shape: [5] };
    const [first, ...others] = seluBackward(ones, saved).dx.data;
    expect(first).toBeNaN();
    expect(others).toEqual([Math.fround(SELU_LAMBDA), 0, -low, 0]);
  });

  it.each([1, 3, 5, 17, 31, 127, 1023])("has the gradient of finite differences for %i elements", (n) => {
    const x = tensorOf([n], 1, "float64", 0, 3);
    const dy = tensorOf([n], 2);
    for (const constants of [{}, { alpha: 0.5, lambda: 2 }]) {
      const { saved } = seluForward(x, constants);
      const loss = () => dot(selu(x, constants).data, dy.data);
      const { dx } = seluBackward(dy, saved);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data, { h: 1e-6 })).toBeLessThan(1e-7);
    }
  });

  it.each(["float32", "float64"] as const)(
    "gives the same bits from %s arrays, tensors, in place and in chunks",
    (dtype) => {
      for (const n of [1, 5, 17, 1023]) {
        const x = tensorOf([n], 3, dtype, 0, 5);
        const dy = tensorOf([n], 4, dtype);
        const run = (input: typeof x, gradient: typeof x) => {
          const { y, saved } = seluForward(input);
          return [bits(y.data), bits(seluBackward(gradient, saved).dx.data)];
        };
        const want = run(x, dy);
        for (const bytes of [40, 1000]) {
          setStageBytes(bytes);
          expect(run(x, dy)).toEqual(want);
        }
        const [lx, ldy] = [tensor([n], { data: x.data, dtype }), tensor([n], { data: dy.data, dtype })];
        expect(run(lx as never, ldy as never)).toEqual(want);
        seluBackward(ldy, seluForward(lx).saved, { out: ldy });
        selu(lx, { out: lx });
        expect([bits(lx.data), bits(ldy.data)]).toEqual(want);
        lx.dispose();
        ldy.dispose();
      }
      expect(memoryInfo().usedBytes).toBe(0);
    },
  );

  it("is a layer", () => {
    const layer = new SELU();
    const x = tensorOf([3, 4], 1);
    expect(() => layer.backward(x)).toThrow(/call forward first/);
    expect(bits(layer.forward(x).data)).toBe(bits(selu(x).data));
    expect(bits(layer.backward(x).data)).toBe(bits(seluBackward(x, seluForward(x).saved).dx.data));
    expect(layer.parameters()).toEqual({});
    layer.forward(x, { out: x });
    expect(() => layer.backward(x)).toThrow(/wrote its result over x/);
  });

  it("names what does not fit", () => {
    const x = tensorOf([3], 1);
    expect(() => selu(x, { alpha: 0 })).toThrow(/alpha must be a finite number above 0, got 0/);
    expect(() => new SELU({ lambda: Number.NaN })).toThrow(/SELU: lambda must be/);
    expect(() => seluBackward(tensorOf([4], 1), seluForward(x).saved)).toThrow(/dy has shape \[4\] where x has \[3\]/);
    expect(() => selu(x, { out: tensorOf([4], 1) })).toThrow(/out has shape/);
  });
});
