import { describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import { AdaIN, adaIN, adaINBackward, adaINForward, memoryInfo, tensor } from "../../src/index.js";
import { bits, channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf } from "../support/numbers.js";

const cases = [
  { content: [2, 3, 5], style: [2, 3, 5] },
  { content: [1, 3, 17], style: [1, 3, 2, 2] },
  { content: [2, 2, 3, 5], style: [2, 2, 31] },
  { content: [1, 1, 1023], style: [1, 1, 127] },
];

describe.each(cases)("content of $content, style of $style", ({ content: shape, style: styleShape }) => {
  const content = tensorOf(shape, 1, "float64", 4);
  const style = tensorOf(styleShape, 2, "float64", -3, 2);
  const dy = tensorOf(shape, 3);

  it("gives the content the mean and deviation of the style", () => {
    const y = adaIN(content, style, { eps: 0 });
    const [n, c] = shape;
    const statistics = (data: ArrayLike<number>, cell: number) => {
      const s = data.length / (n * c);
      const list = Array.from({ length: s }, (_, i) => data[cell * s + i]);
      const mean = list.reduce((a, b) => a + b) / s;
      return [mean, Math.sqrt(list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / s)];
    };
    for (let cell = 0; cell < n * c; cell++) {
      expect(largestDifference(statistics(y.data, cell), statistics(style.data, cell))).toBeLessThan(1e-12);
    }
  });

  it("is the content where that is the style, or where alpha is 0", () => {
    expect(largestDifference(adaIN(content, content).data, content.data)).toBeLessThan(1e-13);
    expect(largestDifference(adaIN(content, style, { alpha: 0 }).data, content.data)).toBeLessThan(1e-13);
  });

  it.each([1, 0.3])("has the gradients of finite differences with alpha %d", (alpha) => {
    for (const layout of ["channels-first", "channels-last"] as const) {
      const [x, s, g] = [content, style, dy].map((t) => (layout === "channels-first" ? t : channelsLast(t)));
      const { saved } = adaINForward(x, s, { alpha, layout });
      const { dcontent, dstyle } = adaINBackward(g, saved);
      const loss = () => dot(adaIN(x, s, { alpha, layout }).data, g.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dcontent.data)).toBeLessThan(1e-7);
      // A longer step: a thousand terms of the loss round away more of a short one than this bends.
      expect(differenceFromNumerical(loss, s.data as Float64Array, dstyle.data, { h: 1e-4 })).toBeLessThan(1e-7);
    }
  });

  it.each(["float32", "float64"] as const)("gives the same bits from heap, tensors and any chunks, %s", (dtype) => {
    const [x, s, g] = [content, style, dy].map(({ data, shape: of }) => ({
      data: dtype === "float64" ? Float64Array.from(data) : Float32Array.from(data),
      shape: of,
    }));
    const run = () => {
      const { y, saved } = adaINForward(x, s);
      const { dcontent, dstyle } = adaINBackward(g, saved);
      return [y, dcontent, dstyle].map(({ data }) => bits(data));
    };
    const want = run();
    for (const bytes of [64, 1000]) {
      const former = setStageBytes(bytes);
      expect(run()).toEqual(want);
      setStageBytes(former);
    }
    const made = [x, s, g].map((t) => tensor(t.shape, { data: t.data, dtype }));
    const { saved } = adaINForward(made[0], made[1]);
    const { dstyle } = adaINBackward(made[2], saved, { out: made[2] });
    expect([bits(made[2].data), bits(dstyle.data)]).toEqual([want[1], want[2]]);
    adaIN(made[0], made[1], { out: made[0] });
    expect(bits(made[0].data)).toBe(want[0]);
    for (const used of made) used.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

it("writes dcontent over style only once that is read", () => {
  const [content, style, dy] = [1, 2, 3].map((seed) => tensorOf([2, 3, 5], seed));
  const want = adaINBackward(dy, adaINForward(content, style).saved);
  const { saved } = adaINForward(content, style);
  const { dcontent, dstyle } = adaINBackward(dy, saved, { out: style });
  expect(dcontent).toBe(style);
  expect(bits(dcontent.data)).toBe(bits(want.dcontent.data));
  expect(bits(dstyle.data)).toBe(bits(want.dstyle.data));
});

it("is a layer without parameters", () => {
  const norm = new AdaIN({ alpha: 0.5, layout: "channels-last" });
  const [content, style, dy] = [1, 2, 3].map((seed) => tensorOf([2, 5, 3], seed));
  expect(() => norm.backward(dy)).toThrow(/call forward first/);
  const y = norm.forward(content, style);
  expect(bits(y.data)).toBe(bits(adaIN(content, style, { alpha: 0.5, layout: "channels-last" }).data));
  expect(norm.backward(dy).dstyle.shape).toEqual([2, 5, 3]);
  expect([norm.parameters(), norm.stateDict()]).toEqual([{}, {}]);
});

it("rejects bad input by name", () => {
  const [content, style] = [tensorOf([2, 3, 5], 1), tensorOf([2, 3, 4], 2)];
  const given = (options: object, other: object = style) => adaIN(content, other as never, options);
  expect(() => given({}, tensorOf([2, 2, 5], 1))).toThrow(/style has 2 samples of 2 channels.*content has 2 of 3/);
  expect(() => given({}, tensorOf([2, 3, 4], 1, "float32"))).toThrow(/style is float32 where content is float64/);
  expect(() => given({}, { data: new Float64Array(3), shape: [3] })).toThrow(/style must have at least two dimensions/);
  expect(() => given({ alpha: 1.5 })).toThrow(/alpha must be at most 1/);
  expect(() => given({ alpha: -1 })).toThrow(/alpha must be/);
  expect(() => given({ eps: -1 })).toThrow(/eps must be/);
  const { saved } = adaINForward(content, style, { out: content });
  expect(() => adaINBackward(content, saved)).toThrow(/wrote its result over x/);
  const over = tensorOf([2, 3, 5], 1);
  const other = adaINForward(tensorOf([2, 3, 5], 1), over, { out: over });
  expect(() => adaINBackward(over, other.saved)).toThrow(/wrote its result over style/);
  expect(memoryInfo().usedBytes).toBe(0);
});
