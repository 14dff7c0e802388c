/** What holds for every method that normalizes activations. */
import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import { memoryInfo, tensor } from "../../src/index.js";
import { bits, differenceFromNumerical, dot, tensorOf, values } from "../support/numbers.js";
import { methods } from "./table.js";

describe.each(methods)("$name", (method) => {
  const affineOf = (shape: number[]) => ({
    weight: values(method.weights(shape), 11, 1, 0.5),
    bias: method.hasBias ? values(method.weights(shape), 12) : undefined,
  });

  it.each(method.shapes.map((shape) => ({ shape })))(
    "has the gradient of finite differences for $shape",
    ({ shape }) => {
      const x = tensorOf(shape, 1);
      const dy = tensorOf(shape, 2);
      const affine = affineOf(shape);
      const { saved } = method.forward(x, affine);
      const { dx, dweight, dbias } = method.backward(dy, saved);
      const loss = () => dot(method.forward(x, affine).y.data, dy.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, affine.weight, dweight?.data ?? [])).toBeLessThan(1e-7);
      if (affine.bias) expect(differenceFromNumerical(loss, affine.bias, dbias?.data ?? [])).toBeLessThan(1e-7);
    },
  );

  describe.each(["float32", "float64"] as const)("%s", (dtype) => {
    afterEach(() => {
      setStageBytes(1 << 17);
    });

    it("gives the same bits from heap arrays, tensors, in place, and in any chunks", () => {
      for (const shape of method.shapes) {
        const x = tensorOf(shape, 3, dtype, 2);
        const dy = tensorOf(shape, 4, dtype);
        const affine = affineOf(shape);
        const run = () => {
          const { y, saved } = method.forward(x, affine);
          const { dx, dweight, dbias } = method.backward(dy, saved);
          return [y, dx, dweight, dbias].map((found) => (found ? bits(found.data) : ""));
        };
        const want = run();
        for (const bytes of [64, 1000, 40000, 1 << 24]) {
          setStageBytes(bytes);
          expect(run()).toEqual(want);
        }
        const lx = tensor(shape, { data: x.data, dtype });
        const ldy = tensor(shape, { data: dy.data, dtype });
        const out = tensor(shape, { dtype });
        const { y, saved } = method.forward(lx, { ...affine, out });
        expect(y).toBe(out);
        expect(bits(out.data)).toBe(want[0]);
        const { dx, dweight } = method.backward(ldy, saved, { out: ldy });
        expect(dx).toBe(ldy);
        expect(bits(ldy.data)).toBe(want[1]);
        expect(bits(dweight!.data)).toBe(want[2]);
        method.forward(lx, { ...affine, out: lx });
        expect(bits(lx.data)).toBe(want[0]);
        method.forward(x, { ...affine, out: x });
        expect(bits(x.data)).toBe(want[0]);
        for (const used of [lx, ldy, out]) used.dispose();
      }
      expect(memoryInfo().usedBytes).toBe(0);
    });

    it("gives the same bits for rows and planes longer than a staging block, whole or cut", () => {
      const channels = method.shapes[0].length > 2;
      const shape = !channels ? [2, 40001] : method.name.includes("last") ? [1, 40001, 2] : [1, 2, 40001];
      const x = tensorOf(shape, 3, dtype, 2);
      const dy = tensorOf(shape, 4, dtype);
      const affine = affineOf(shape);
      const lx = tensor(shape, { data: x.data, dtype });
      const ldy = tensor(shape, { data: dy.data, dtype });
      const run = (a: typeof x | typeof lx, b: typeof x | typeof ldy) => {
        const { y, saved } = method.forward(a, affine);
        const { dx, dweight, dbias } = method.backward(b, saved);
        return [y, dx, dweight, dbias].map((found) => (found ? bits(found.data) : ""));
      };
      const want = run(lx, ldy);
      for (const bytes of [1 << 15, 1 << 16, 1 << 17, 1 << 24]) {
        setStageBytes(bytes);
        const got = run(x, dy);
        expect(got.map((one, i) => one === want[i])).toEqual([true, true, true, true]);
      }
      lx.dispose();
      ldy.dispose();
    });

    it("does not care how large the mean is: base, base + 1, ... is -1, 1, ...", () => {
      if (method.keepsMeans) return;
      for (const base of [1e3, 1e4, 1e5, 1e6]) {
        const [n, c, s] = [2, 2, 4096];
        const shape = method.name.includes("last") ? [n, s, c] : [n, c, s];
        const x = tensorOf(shape, 0, dtype);
        const along = method.name.includes("last") ? c : 1;
        for (let i = 0; i < x.data.length; i++) x.data[i] = base + (Math.floor(i / along) % 2);
        const { y } = method.forward(x, {});
        for (let i = 0; i < x.data.length; i++) {
          const want = Math.floor(i / along) % 2 === 0 ? -0.9999799728 : 0.9999799728;
          if (!(Math.abs(y.data[i] - want) < 1e-6)) expect({ base, i, got: y.data[i] }).toEqual({ base, i, got: want });
        }
      }
    });
  });

  it("rejects bad input by name, and a backward that does not fit", () => {
    const shape = method.shapes[0];
    const x = tensorOf(shape, 1);
    const dy = tensorOf(shape, 2);
    const run = (replaced: object, options: object = {}) =>
      method.forward({ ...x, ...replaced } as never, options as never);
    expect(() => run({ data: x.data.subarray(1) })).toThrow(/x\.data has \d+ elements where its shape \[.*\] takes/);
    expect(() => run({ data: new Float64Array(0), shape: shape.map(() => 0) })).toThrow(
      /x has no elements|normalizedShape/,
    );
    expect(() => run({ data: [1, 2, 3] })).toThrow(/x must be \{ data: Float32Array \| Float64Array, shape \}/);
    expect(() => run({ shape: undefined })).toThrow(/shape of x must be an array/);
    expect(() => run({}, { weight: new Float64Array(1000) })).toThrow(/weight has 1000 elements where \d+ are needed/);
    expect(() => run({}, { eps: -1 })).toThrow(/eps must be a finite number of at least 0, got -1/);
    expect(() => run({}, { eps: Number.NaN })).toThrow(/eps must be/);
    expect(() => run({}, { out: tensorOf([3], 0) })).toThrow(/out has shape \[3\] where the input has/);
    const gone = tensor(shape, { dtype: "float64" });
    gone.dispose();
    expect(() => method.forward(gone, {})).toThrow(/x was disposed of/);
    const { saved } = method.forward(x, {});
    expect(() => method.backward(tensorOf([7, 7], 1), saved)).toThrow(/dy has shape \[7, 7\] where x has/);
    expect(() => method.backward(tensorOf(shape, 1, "float32"), saved)).toThrow(/dy is float32 where x is float64/);
    expect(() => method.backward(dy, undefined as never)).toThrow(/forward/);
    const shifted = { data: new Float64Array(x.data.buffer, 8, x.data.length - 1), shape: [x.data.length - 1] };
    expect(() => method.forward(x, { out: shifted })).toThrow(/out/);
    const over = method.forward(x, { out: x });
    expect(() => method.backward(dy, over.saved)).toThrow(/wrote its result over x/);
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("is a layer: gradients add up, eval leaves them alone, backward needs a forward", () => {
    const shape = method.shapes[0];
    const x = tensorOf(shape, 1);
    const dy = tensorOf(shape, 2);
    const layer = method.layer(shape, "float64");
    expect(() => layer.backward(dy)).toThrow(/call forward first/);
    const y = layer.forward(x);
    const { y: want, saved } = method.forward(x, {
      weight: layer.weight!.data as Float64Array,
      bias: layer.bias?.data as never,
    });
    expect(bits(y.data)).toBe(bits(want.data));
    const grads = method.backward(dy, saved);
    expect(bits(layer.backward(dy).data)).toBe(bits(grads.dx.data));
    layer.backward(dy);
    expect(Array.from(layer.weight!.grad!)).toEqual(Array.from(grads.dweight!.data, (value) => 2 * value));
    layer.zeroGrad();
    expect(layer.weight!.grad).toBeNull();
    layer.eval();
    layer.forward(x);
    layer.backward(dy);
    expect(layer.weight!.grad).toBeNull();
    layer.freeze();
    layer.forward(x);
    layer.backward(dy);
    expect(layer.weight!.grad).not.toBeNull();
  });

  it("saves its state and takes it over, whole or not at all", () => {
    const shape = method.shapes[0];
    const layer = method.layer(shape, "float32");
    layer.forward(tensorOf(shape, 1, "float32"));
    layer.weight!.data.set(values(layer.weight!.data.length, 5));
    const state = layer.stateDict();
    const copy = method.layer(shape, "float32");
    copy.loadStateDict(state);
    expect(copy.stateDict()).toEqual(state);
    copy.loadStateDict(
      Object.fromEntries(Object.entries(state).map(([key, value]) => [`encoder.0.norm.${key}`, value])),
    );
    expect(() => copy.loadStateDict({ ...state, weight: new Float32Array(99) })).toThrow(/"weight" has 99 elements/);
    expect(() => copy.loadStateDict({})).toThrow(/state lacks "weight"/);
    expect(() => copy.loadStateDict({ ...state, extra: [1] })).toThrow(/state has an entry "extra"/);
    expect(copy.stateDict()).toEqual(state);
  });
});
