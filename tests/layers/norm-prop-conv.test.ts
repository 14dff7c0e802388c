import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  im2col,
  memoryInfo,
  NormPropConv,
  normPropConv,
  normPropConvBackward,
  normPropConvForward,
  normPropLinear,
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

describe.each([
  { shape: [2, 3, 5, 6], filters: [4, 3, 3, 3], windows: { padding: 1 } },
  { shape: [1, 2, 7, 5], filters: [3, 2, 2, 3], windows: { stride: [2, 1], dilation: [1, 2] } },
  { shape: [3, 2, 17], filters: [5, 2, 4], windows: { stride: 3, padding: 2 } },
])("a convolution by normalization propagation, $shape with $filters", ({ shape, filters, windows }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });
  const [units] = filters;
  const [gamma, beta] = [values(units, 8, 1, 0.3), values(units, 9)];
  const options = { gamma, beta, ...windows };

  it("is the dense layer on each window, in both layouts, with that gradient", () => {
    const x = tensorOf(shape, 1, "float64", 0.2);
    const w = tensorOf(filters, 2);
    const { y, saved } = normPropConvForward(x, w, options);
    const columns = im2col(x, { kernelSize: filters.slice(2), ...windows });
    const [n, k, p] = columns.shape;
    for (let sample = 0; sample < n; sample++) {
      const rows = { data: new Float64Array(p * k), shape: [p, k] };
      for (let i = 0; i < p * k; i++) rows.data[(i % p) * k + Math.floor(i / p)] = columns.data[sample * p * k + i];
      const want = normPropLinear(rows, { data: w.data, shape: [units, k] }, { gamma, beta }).data;
      want.forEach((value, i) => {
        const at = (sample * units + (i % units)) * p + Math.floor(i / units);
        expect(Math.abs(y.data[at] - value)).toBeLessThan(1e-13);
      });
    }
    const dy = tensorOf(y.shape, 3);
    const { dx, dw, dgamma, dbeta } = normPropConvBackward(dy, saved);
    const loss = () => dot(normPropConv(x, w, options).data, dy.data);
    for (const [list, gradient] of [
      [x.data, dx],
      [w.data, dw],
      [gamma, dgamma],
      [beta, dbeta],
    ] as const) {
      expect(differenceFromNumerical(loss, list as Float64Array, gradient.data, { h: 1e-7 })).toBeLessThan(1e-6);
    }
    const last = normPropConvForward(channelsLast(x), w, { ...options, layout: "channels-last" });
    expect(largestDifference(last.y.data, channelsLast(y).data)).toBeLessThan(1e-13);
    const grads = normPropConvBackward(channelsLast(dy), last.saved);
    expect(largestDifference(grads.dx.data, channelsLast(dx).data)).toBeLessThan(1e-12);
    expect(largestDifference(grads.dw.data, dw.data)).toBeLessThan(1e-12);
    expect(largestDifference(grads.dbeta.data, dbeta.data)).toBeLessThan(1e-12);
  });

  it.each(["float32", "float64"] as const)("gives the same bits from %s arrays and tensors", (dtype) => {
    const x = tensorOf(shape, 4, dtype);
    const w = tensorOf(filters, 5, dtype);
    const dy = tensorOf(normPropConv(x, w, options).shape, 6, dtype);
    const run = (input: typeof x, weight: typeof x, gradient: typeof x) => {
      const { y, saved } = normPropConvForward(input, weight, options);
      const found = normPropConvBackward(gradient, saved);
      return [y, found.dx, found.dw, found.dgamma, found.dbeta].map(({ data }) => bits(data));
    };
    const want = run(x, w, dy);
    setStageBytes(100);
    expect(run(x, w, dy)).toEqual(want);
    const linear = [x, w, dy].map((found) => tensor(found.shape, { data: found.data, dtype }));
    expect(run(linear[0] as never, linear[1] as never, linear[2] as never)).toEqual(want);
    for (const used of linear) used.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

it("is a layer", () => {
  const layer = new NormPropConv(3, 4, [3, 3], { padding: 1, dtype: "float64" });
  const x = tensorOf([2, 3, 5, 5], 1);
  const y = layer.forward(x);
  expect(y.shape).toEqual([2, 4, 5, 5]);
  expect(layer.backward(tensorOf(y.shape, 2)).shape).toEqual(x.shape);
  expect(layer.weight.grad!.length).toBe(108);
  expect(() => new NormPropConv(3, 4, [3, 0])).toThrow(/kernelSize must be/);
  expect(() => normPropConv(x, tensorOf([4, 2, 3, 3], 1))).toThrow(/w has 2 channels where x has 3/);
});
