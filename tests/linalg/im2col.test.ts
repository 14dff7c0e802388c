import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import { col2im, im2col, memoryInfo, tensor } from "../../src/index.js";
import { bits, channelsLast, dot, largestDifference, tensorOf } from "../support/numbers.js";

interface Kind {
  shape: number[];
  kernelSize: number | number[];
  stride?: number | number[];
  padding?: number | number[];
  dilation?: number | number[];
}

const kinds: Kind[] = [
  { shape: [2, 3, 5, 7], kernelSize: 3 },
  { shape: [1, 2, 6, 5], kernelSize: [2, 3], stride: [2, 1], padding: [1, 0] },
  { shape: [2, 1, 9, 8], kernelSize: 3, padding: 4, dilation: [2, 3] },
  { shape: [1, 4, 4, 4], kernelSize: 1, stride: 3 },
  { shape: [3, 2, 3, 17], kernelSize: [1, 5], stride: 2, padding: [0, 3] },
  { shape: [2, 3, 31], kernelSize: 4, stride: 1, padding: 2 },
  { shape: [2, 2, 1], kernelSize: 3, padding: 1 },
  { shape: [1, 1, 127], kernelSize: 7, stride: 5, dilation: 2 },
];

/** The definition, element by element; images of one dimension are rows of height 1. */
function reference({ shape, kernelSize, stride = 1, padding = 0, dilation = 1 }: Kind, data: ArrayLike<number>) {
  const flat = shape.length === 3;
  const pair = (value: number | number[], first: number) =>
    typeof value === "number" ? (flat ? [first, value] : [value, value]) : value;
  const [[kh, kw], [sy, sx]] = [pair(kernelSize, 1), pair(stride, 1)];
  const [[py, px], [dy, dx]] = [pair(padding, 0), pair(dilation, 1)];
  const [n, c] = shape;
  const [h, w] = flat ? [1, shape[2]] : shape.slice(2);
  const oh = Math.floor((h + 2 * py - dy * (kh - 1) - 1) / sy) + 1;
  const ow = Math.floor((w + 2 * px - dx * (kw - 1) - 1) / sx) + 1;
  const out: number[] = [];
  for (let sample = 0; sample < n; sample++) {
    for (let k = 0; k < c * kh * kw; k++) {
      const [channel, i, j] = [Math.floor(k / (kh * kw)), Math.floor(k / kw) % kh, k % kw];
      for (let p = 0; p < oh * ow; p++) {
        const y = Math.floor(p / ow) * sy + i * dy - py;
        const x = (p % ow) * sx + j * dx - px;
        const inside = y >= 0 && y < h && x >= 0 && x < w;
        out.push(inside ? data[((sample * c + channel) * h + y) * w + x] : 0);
      }
    }
  }
  return { data: Float64Array.from(out), shape: [n, c * kh * kw, oh * ow] };
}

describe.each(kinds)("columns of $shape, window $kernelSize, stride $stride, padding $padding", (kind) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });
  const { shape, ...windows } = kind;
  const x = tensorOf(shape, 1);

  it("are what the definition says, in both layouts", () => {
    const want = reference(kind, x.data);
    const got = im2col(x, windows);
    expect(got.shape).toEqual(want.shape);
    expect(largestDifference(got.data, want.data)).toBe(0);
    const last = im2col(channelsLast(x), { ...windows, layout: "channels-last" });
    expect(last.shape).toEqual(want.shape);
    expect(largestDifference(last.data, want.data)).toBe(0);
  });

  it("go back by the adjoint: ⟨im2col(x), y⟩ = ⟨x, col2im(y)⟩", () => {
    const columns = im2col(x, windows);
    const y = tensorOf(columns.shape, 2);
    const back = col2im(y, { ...windows, shape });
    expect(back.shape).toEqual(shape);
    expect(dot(columns.data, y.data)).toBeCloseTo(dot(x.data, back.data), 10);
    const last = col2im(y, { ...windows, shape: channelsLast(x).shape, layout: "channels-last" });
    expect(largestDifference(last.data, channelsLast(back).data)).toBe(0);
  });

  it.each(["float32", "float64"] as const)("have the same bits from %s arrays and tensors", (dtype) => {
    const image = tensorOf(shape, 3, dtype);
    const want = im2col(image, windows);
    const back = col2im(want, { ...windows, shape });
    const [linear, out] = [tensor(shape, { data: image.data, dtype }), tensor(want.shape, { dtype })];
    for (const bytes of [64, 1 << 24]) {
      setStageBytes(bytes);
      expect(bits(im2col(image, windows).data)).toBe(bits(want.data));
      im2col(linear, { ...windows, out });
      expect(bits(out.data)).toBe(bits(want.data));
      expect(bits(col2im(want, { ...windows, shape }).data)).toBe(bits(back.data));
      col2im(out, { ...windows, shape, out: linear });
      expect(bits(linear.data)).toBe(bits(back.data));
      linear.data.set(image.data);
    }
    for (const used of [linear, out]) used.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

it("names what does not fit", () => {
  const x = tensorOf([1, 2, 4, 4], 1);
  expect(() => im2col(tensorOf([4, 4], 1), { kernelSize: 2 })).toThrow(/x must have one or two dimensions beside/);
  expect(() => im2col(x, { kernelSize: 5 })).toThrow(/the window \(kernelSize 5\) does not fit into x/);
  expect(() => im2col(x, { kernelSize: [1, 2, 3] })).toThrow(/kernelSize must be a whole number of at least 1, or 2/);
  expect(() => im2col(x, { kernelSize: 2, stride: 0 })).toThrow(/stride must be/);
  expect(() => im2col(x, { kernelSize: 2, padding: -1 })).toThrow(/padding must be/);
  expect(() => im2col(x, { kernelSize: 2, layout: "NCHW" as never })).toThrow(/layout must be/);
  expect(() => col2im(tensorOf([1, 8, 8], 1), { kernelSize: 2, shape: [1, 2, 4, 4] })).toThrow(/\[1, 8, 9\] is needed/);
  expect(() => col2im(tensorOf([1, 8, 9], 1), { kernelSize: 2, shape: [1, 2, 4, 0] })).toThrow(/shape must be that of/);
});
