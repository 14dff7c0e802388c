import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  CosineConv,
  cosineConv,
  cosineConvBackward,
  cosineConvForward,
  cosineLinear,
  im2col,
  memoryInfo,
  tensor,
} from "../../src/index.js";
import {
  bits,
  channelsLast,
  differenceFromNumerical,
  dot,
  largestDifference,
  tensorOf,
  values,
} from "../support/numbers.js";

const kinds = [
  { shape: [2, 3, 5, 6], filters: [4, 3, 3, 3], windows: { padding: 1 } },
  { shape: [1, 2, 7, 5], filters: [3, 2, 2, 3], windows: { stride: [2, 1], dilation: [1, 2] } },
  { shape: [3, 2, 17], filters: [5, 2, 4], windows: { stride: 3, padding: 2 } },
  { shape: [2, 1, 1, 31], filters: [1, 1, 1, 5], windows: {} },
];
const variants = [
  { name: "cosine", options: {} },
  { name: "centered", options: { centered: true } },
  { name: "bias", options: { bias: true, scale: 2 } },
];

describe.each(kinds)("a convolution of cosines, $shape with $filters", ({ shape, filters, windows }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  describe.each(variants)("$name", ({ options: { bias: withBias, ...rest } }: (typeof variants)[number]) => {
    const bias = withBias ? values(filters[0], 9) : undefined;
    const options = { ...rest, ...windows, bias };

    it("is a dense layer of cosines on each window, in both layouts, with that gradient", () => {
      const x = tensorOf(shape, 1, "float64", 0.2);
      const w = tensorOf(filters, 2);
      const { y, saved } = cosineConvForward(x, w, options);
      const columns = im2col(x, { kernelSize: filters.slice(2), ...windows });
      const [n, k, p] = columns.shape;
      const matrix = { data: w.data, shape: [filters[0], k] };
      for (let sample = 0; sample < n; sample++) {
        const rows = { data: new Float64Array(p * k), shape: [p, k] };
        for (let i = 0; i < p * k; i++) rows.data[(i % p) * k + Math.floor(i / p)] = columns.data[sample * p * k + i];
        const want = cosineLinear(rows, matrix, { ...rest, bias });
        for (let i = 0; i < want.data.length; i++) {
          const [place, unit] = [Math.floor(i / filters[0]), i % filters[0]];
          expect(Math.abs(y.data[(sample * filters[0] + unit) * p + place] - want.data[i])).toBeLessThan(1e-14);
        }
      }
      const dy = tensorOf(y.shape, 3);
      const { dx, dw, dbias } = cosineConvBackward(dy, saved);
      const loss = () => dot(cosineConv(x, w, options).data, dy.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, w.data as Float64Array, dw.data)).toBeLessThan(1e-7);
      if (bias && dbias) expect(differenceFromNumerical(loss, bias, dbias.data)).toBeLessThan(1e-7);

      const last = cosineConvForward(channelsLast(x), w, { ...options, layout: "channels-last" });
      expect(last.y.shape).toEqual(channelsLast(y).shape);
      expect(largestDifference(last.y.data, channelsLast(y).data)).toBeLessThan(1e-14);
      const grads = cosineConvBackward(channelsLast(dy), last.saved);
      expect(largestDifference(grads.dx.data, channelsLast(dx).data)).toBeLessThan(1e-13);
      expect(largestDifference(grads.dw.data, dw.data)).toBeLessThan(1e-13);
    });

    it.each(["float32", "float64"] as const)("gives the same bits from %s arrays and tensors", (dtype) => {
      const x = tensorOf(shape, 4, dtype);
      const w = tensorOf(filters, 5, dtype);
      const run = (input: typeof x, weight: typeof x, gradient: (y: { shape: number[] }) => typeof x) => {
        const { y, saved } = cosineConvForward(input, weight, options);
        const { dx, dw, dbias, dscale } = cosineConvBackward(gradient(y), saved);
        return [...[y, dx, dw, dbias].map((found) => (found ? bits(found.data) : "")), dscale];
      };
      const want = run(x, w, (y) => tensorOf(y.shape, 6, dtype));
      setStageBytes(100);
      expect(run(x, w, (y) => tensorOf(y.shape, 6, dtype))).toEqual(want);
      const linear = [tensor(shape, { data: x.data, dtype }), tensor(filters, { data: w.data, dtype })];
      expect(
        run(linear[0] as never, linear[1] as never, (y) => {
          linear.push(tensor(y.shape, { data: tensorOf(y.shape, 6, dtype).data, dtype }));
          return linear[2] as never;
        }),
      ).toEqual(want);
      const { saved } = cosineConvForward(x, w, options);
      cosineConvBackward(linear[2], saved, { out: linear[0] });
      expect(bits(linear[0].data)).toBe(want[1]);
      for (const used of linear) used.dispose();
      expect(memoryInfo().usedBytes).toBe(0);
    });
  });
});

describe("cosine convolution", () => {
  it("is a layer", () => {
    const layer = new CosineConv(3, 4, [3, 3], { padding: 1, dtype: "float64", learnScale: true });
    const x = tensorOf([2, 3, 5, 5], 1);
    const y = layer.forward(x);
    expect(y.shape).toEqual([2, 4, 5, 5]);
    const dx = layer.backward(tensorOf(y.shape, 2));
    expect(dx.shape).toEqual(x.shape);
    expect(layer.weight.grad!.length).toBe(108);
    expect(() => new CosineConv(3, 4, [0, 3])).toThrow(/kernelSize must be/);
  });

  it("names what does not fit", () => {
    const x = tensorOf([2, 3, 5, 5], 1);
    expect(() => cosineConv(x, tensorOf([4, 2, 3, 3], 1))).toThrow(/w has 2 channels where x has 3/);
    expect(() => cosineConv(x, tensorOf([4, 3, 3], 1))).toThrow(/w must be \[units, channels, \.\.\.window\]/);
    expect(() => cosineConv(x, tensorOf([4, 3, 7, 7], 1))).toThrow(/does not fit into x/);
    expect(() => cosineConvBackward(x, undefined as never)).toThrow(/call forward first/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
