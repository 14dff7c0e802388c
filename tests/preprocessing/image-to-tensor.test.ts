import { afterEach, describe, expect, it } from "vitest";
import {
  type ImageLike,
  type ImageToTensorOptions,
  imagePresets,
  imageToTensor,
  memoryInfo,
  type TensorLike,
  tensor,
  tensorToImage,
} from "../../src/index.js";
import { bits, random } from "../support/numbers.js";

const layouts = ["channels-first", "channels-last"] as const;
const presets = Object.entries(imagePresets);
const unit = 2 ** -24;

afterEach(() => expect(memoryInfo().usedBytes).toBe(0));

function pixels(width: number, height: number, channels: 3 | 4, seed = width + height) {
  const next = random(seed);
  const data = Uint8Array.from({ length: width * height * channels }, () => Math.floor(128 * next()) + 128);
  return { data, width, height, channels };
}

/** The byte of channel c at (x, y), in f64, as it is or between its neighbours. */
function sampleOf({ data, width, height }: ImageLike, resize: ImageToTensorOptions["resize"]) {
  const channels = data.length / (width * height);
  const at = (x: number, y: number, c: number) => data[(y * width + x) * channels + c];
  if (resize === undefined) return at;
  const place = (i: number, from: number, to: number) => {
    const center = (i + 0.5) * (from / to);
    if (resize.method === "nearest") return Math.floor(center);
    return Math.min(from - 1, Math.max(0, center - 0.5));
  };
  return (x: number, y: number, c: number) => {
    const u = place(x, width, resize.width);
    const v = place(y, height, resize.height);
    const [x0, y0] = [Math.floor(u), Math.floor(v)];
    const [x1, y1] = [Math.ceil(u), Math.ceil(v)];
    const top = at(x0, y0, c) * (1 - (u - x0)) + at(x1, y0, c) * (u - x0);
    const bottom = at(x0, y1, c) * (1 - (u - x0)) + at(x1, y1, c) * (u - x0);
    return top * (1 - (v - y0)) + bottom * (v - y0);
  };
}

/** (byte − 255·mean)/(255·std) in f64, and how far a result may be from it. */
function reference(images: readonly ImageLike[], options: ImageToTensorOptions) {
  const { resize, layout = "channels-first" } = options;
  const mean = (options.mean ?? [0, 0, 0]) as number[];
  const std = (options.std ?? [1, 1, 1]) as number[];
  const { width, height } = resize ?? images[0];
  const want: number[] = [];
  images.forEach((image, n) => {
    const sample = sampleOf(image, resize);
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const at = layout === "channels-first" ? [c, y, x] : [y, x, c];
          const sizes = layout === "channels-first" ? [3, height, width] : [height, width, 3];
          const index = ((n * sizes[0] + at[0]) * sizes[1] + at[1]) * sizes[2] + at[2];
          want[index] = (sample(x, y, c) - 255 * mean[c]) / (255 * std[c]);
        }
      }
    }
  });
  return want;
}

/** The largest error in units of 2⁻²⁴ of the value. */
function largestRelativeError(got: ArrayLike<number>, want: readonly number[]): number {
  expect(got.length).toBe(want.length);
  return want.reduce((largest, value, i) => {
    const error = Math.abs(got[i] - value);
    return Math.max(largest, error === 0 ? 0 : error / (unit * Math.abs(value)));
  }, 0);
}

describe("imageToTensor", () => {
  it.each(layouts)("holds to the formula for every width, %s", (layout) => {
    for (const channels of [3, 4] as const) {
      for (let width = 1; width <= 40; width++) {
        const image = pixels(width, 1 + (width % 3), channels);
        const options = { ...imagePresets.imagenet, layout };
        const y = imageToTensor(image, options);
        const { height } = image;
        expect(y.shape).toEqual(layout === "channels-first" ? [1, 3, height, width] : [1, height, width, 3]);
        expect(y.data).toBeInstanceOf(Float32Array);
        // The scale, the product and the sum, each to half a place.
        expect(largestRelativeError(y.data, reference([image], options))).toBeLessThan(3.1);
      }
    }
  });

  it.each(presets)("is right to three roundings for every byte, %s", (_, preset) => {
    const data = Uint8Array.from({ length: 3 * 256 }, (_, i) => i / 3);
    const image = { data, width: 16, height: 16 };
    for (const layout of layouts) {
      const y = imageToTensor(image, { ...preset, layout });
      expect(
        largestRelativeError(y.data, reference([image], { ...preset, layout } as ImageToTensorOptions)),
      ).toBeLessThan(3.1);
    }
  });

  it("reaches the ends of [0, 1] and [-1, 1] exactly", () => {
    const image = { data: Uint8Array.of(0, 255, 0, 255, 0, 255), width: 2, height: 1 };
    expect([...imageToTensor(image).data]).toEqual([0, 1, 1, 0, 0, 1]);
    expect([...imageToTensor(image, imagePresets.inception).data]).toEqual([-1, 1, 1, -1, -1, 1]);
  });

  it("takes means outside of the range, and very small and large deviations", () => {
    const image = pixels(9, 5, 4);
    for (const options of [
      { mean: [-7.3, 2.5, 1000], std: [1e-3, 12, 1 / 255] },
      { mean: [0.1, 0.2, 0.3], std: [1e-17, 1e17, 1] },
    ]) {
      // The difference is rounded as well.
      expect(largestRelativeError(imageToTensor(image, options).data, reference([image], options))).toBeLessThan(4.1);
    }
  });

  it("takes vectors of any kind, and an ImageData as it is", () => {
    const image = pixels(3, 3, 4);
    const want = imageToTensor(image, imagePresets.clip);
    const { mean, std } = imagePresets.clip;
    const given = { mean: Float64Array.from(mean), std: { data: Float64Array.from(std), shape: [3] } };
    const imageData = { data: Uint8ClampedArray.from(image.data), width: 3, height: 3, colorSpace: "srgb" };
    expect(imageToTensor(imageData, given)).toEqual(want);
  });

  it("is the same in one piece, in chunks, in linear memory and in batches", () => {
    for (const channels of [3, 4] as const) {
      for (const layout of layouts) {
        const [width, height] = [131, 61];
        const images = [1, 2, 3].map((seed) => pixels(width, height, channels, seed));
        const options = { ...imagePresets.imagenet, layout };
        const [whole, ...others] = images.map((image) => imageToTensor(image, options));
        // Chunks end at other places where the image is wider.
        const wide = imageToTensor({ ...images[0], width: width * height, height: 1 }, options);
        expect(bits(wide.data)).toBe(bits(whole.data));
        expect(largestRelativeError(whole.data, reference([images[0]], options))).toBeLessThan(3.1);
        const shape = [3, ...whole.shape.slice(1)];
        using inPlace = tensor(shape);
        inPlace.data.fill(7);
        expect(imageToTensor(images, { ...options, out: inPlace })).toBe(inPlace);
        const out = { data: new Float32Array(inPlace.length), shape };
        expect(imageToTensor(images, { ...options, out })).toBe(out);
        const batch = imageToTensor(images, options);
        expect(batch.shape).toEqual(shape);
        const want = Buffer.concat([whole, ...others].map(({ data }) => Buffer.from(data.buffer))).toString("base64");
        expect(bits(batch.data)).toBe(want);
        expect(bits(out.data)).toBe(want);
        expect(bits(inPlace.data)).toBe(want);
      }
    }
  });

  it("stages images larger than the stage in parts", () => {
    const image = pixels(1000, 300, 4);
    const y = imageToTensor(image, imagePresets.clip);
    using inPlace = tensor(y.shape);
    imageToTensor(image, { ...imagePresets.clip, out: inPlace });
    expect(bits(inPlace.data)).toBe(bits(y.data));
    for (const row of [0, 131, 132, 299]) {
      const part = { ...image, height: 1, data: image.data.subarray(row * 4000, (row + 1) * 4000) };
      const want = imageToTensor(part, imagePresets.clip).data;
      for (let c = 0; c < 3; c++) {
        const at = (c * 300 + row) * 1000;
        expect(bits(y.data.subarray(at, at + 1000))).toBe(bits(want.subarray(c * 1000, (c + 1) * 1000)));
      }
    }
  });

  it("writes nothing outside of its tensor", () => {
    for (const layout of layouts) {
      for (const width of [1, 2, 3, 5, 33]) {
        using whole = tensor([5, 3 * width]);
        whole.data.fill(42);
        const shape = layout === "channels-first" ? [1, 3, 1, width] : [1, 1, width, 3];
        const out = { data: whole.data.subarray(3 * width, 6 * width), shape };
        imageToTensor(pixels(width, 1, 4), { layout, out });
        imageToTensor(pixels(7, 7, 3), { layout, out, resize: { width, height: 1 } });
        expect(whole.data.subarray(0, 3 * width).every((value) => value === 42)).toBe(true);
        expect(whole.data.subarray(6 * width).every((value) => value === 42)).toBe(true);
      }
    }
  });
});

describe("resize", () => {
  const sizes = [
    [1, 1],
    [2, 3],
    [5, 5],
    [17, 4],
    [31, 33],
  ];

  it.each(["bilinear", "nearest"] as const)("is what the formula says, %s", (method) => {
    for (const channels of [3, 4] as const) {
      for (const layout of layouts) {
        for (const [width, height] of sizes) {
          const image = pixels(13, 9, channels);
          const options = { ...imagePresets.imagenet, layout, resize: { width, height, method } };
          const got = imageToTensor(image, options).data;
          const want = reference([image], options);
          // Weights, two differences, products and sums of up to 255 in f32, then the scale, against deviations of 58.
          const bound = method === "nearest" ? 4 * unit * 3 : (12 * unit * 255) / 57;
          want.forEach((value, i) => {
            expect(Math.abs(got[i] - value)).toBeLessThan(bound);
          });
        }
      }
    }
  });

  it("agrees with torch.nn.functional.interpolate", () => {
    const data = Uint8Array.from([10, 20, 30, 40, 50, 60].flatMap((value) => [value, 2 * value, 3 * value]));
    const image = { data, width: 3, height: 2 };
    const options = { std: [1 / 255, 1 / 255, 1 / 255], resize: { width: 2, height: 3 } };
    const red = [...imageToTensor(image, options).data.subarray(0, 6)];
    // interpolate(x, (3, 2), mode="bilinear", align_corners=False)
    [12.5, 27.5, 27.5, 42.5, 42.5, 57.5].forEach((value, i) => {
      expect(red[i]).toBeCloseTo(value, 4);
    });
    const nearest = { ...options, resize: { width: 5, height: 4, method: "nearest" as const } };
    // interpolate(x, (4, 5), mode="nearest-exact")
    const want = [10, 10, 20, 30, 30, 10, 10, 20, 30, 30, 40, 40, 50, 60, 60, 40, 40, 50, 60, 60];
    imageToTensor(image, nearest)
      .data.subarray(0, 20)
      .forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 4);
      });
  });

  it("leaves an image of that size as it is, and makes a batch of images of any size", () => {
    const images = [pixels(5, 7, 3), pixels(4, 3, 4), pixels(50, 61, 4)];
    const options = { ...imagePresets.unit, resize: { width: 4, height: 3 } };
    const batch = imageToTensor(images, options);
    expect(batch.shape).toEqual([3, 3, 3, 4]);
    images.forEach((image, i) => {
      expect(bits(batch.data.subarray(36 * i, 36 * i + 36))).toBe(bits(imageToTensor(image, options).data));
    });
    expect(bits(batch.data.subarray(36, 72))).toBe(bits(imageToTensor(images[1], imagePresets.unit).data));
  });

  it("has the same bits in chunks and in linear memory", () => {
    const image = pixels(37, 41, 4);
    for (const layout of layouts) {
      const options = { ...imagePresets.imagenet, layout, resize: { width: 83, height: 67 } };
      const y = imageToTensor(image, options);
      using inPlace = tensor(y.shape);
      imageToTensor(image, { ...options, out: inPlace });
      expect(bits(inPlace.data)).toBe(bits(y.data));
    }
    const wide = imageToTensor(image, { resize: { width: 5000, height: 2 } });
    expect(wide.data.every((value) => value >= 0 && value <= 1)).toBe(true);
  });
});

describe("tensorToImage", () => {
  it.each(presets)("gives back every byte, %s", (_, preset) => {
    for (const channels of [3, 4] as const) {
      for (const layout of layouts) {
        const data = Uint8ClampedArray.from({ length: 256 * channels }, (_, i) => i / channels + 85 * (i % channels));
        if (channels === 4) for (let i = 3; i < data.length; i += 4) data[i] = 255;
        const image = { data, width: 32, height: 8, channels };
        const y = imageToTensor(image, { ...preset, layout });
        expect(tensorToImage(y, { ...preset, layout, channels })).toEqual(image);
        using inPlace = tensor(y.shape, { data: y.data });
        expect(tensorToImage(inPlace, { ...preset, layout, channels })).toEqual(image);
        using wide = tensor(y.shape, { data: y.data, dtype: "float64" });
        expect(tensorToImage(wide, { ...preset, layout, channels })).toEqual(image);
        expect(
          tensorToImage({ data: Float64Array.from(y.data), shape: y.shape }, { ...preset, layout, channels }),
        ).toEqual(image);
      }
    }
  });

  it("gives back images of every width, of one chunk or several, alone or from a batch", () => {
    for (const layout of layouts) {
      for (const width of [...Array.from({ length: 40 }, (_, i) => i + 1), 1999]) {
        const images = [1, 2].map((seed) => pixels(width, 3, 3, seed));
        const batch = imageToTensor(images, { ...imagePresets.clip, layout });
        const rest = { data: batch.data.subarray(9 * width), shape: batch.shape.slice(1) };
        for (const [x, index] of [
          [batch, 1],
          [rest, undefined],
        ] as Array<[TensorLike, number | undefined]>) {
          const three = tensorToImage(x, { ...imagePresets.clip, layout, channels: 3, index });
          expect([...three.data]).toEqual([...images[1].data]);
          const four = tensorToImage(x, { ...imagePresets.clip, layout, index });
          expect(four.channels).toBe(4);
          expect(
            four.data.every((byte, i) => byte === (i % 4 === 3 ? 255 : images[1].data[(i >> 2) * 3 + (i % 4)])),
          ).toBe(true);
        }
      }
    }
  });

  it("rounds ties to even, holds values within 0 to 255, and makes NaN 0", () => {
    const values = [0.5, 1.5, 2.5, 254.5, 255.5, 1e30, -0.5, -3, -Infinity, Infinity, NaN, 127.49];
    const want = [0, 2, 2, 254, 255, 255, 0, 0, 0, 255, 0, 127];
    const std = [1 / 255, 1 / 255, 1 / 255];
    const x = { data: Float32Array.from([...values, ...values, ...values]), shape: [3, 1, 12] };
    const { data } = tensorToImage(x, { std, channels: 3 });
    expect([...data]).toEqual(want.flatMap((value) => [value, value, value]));
    const last = { data: Float32Array.from(values.flatMap((value) => [value, value, value])), shape: [1, 12, 3] };
    expect(tensorToImage(last, { std, channels: 3, layout: "channels-last" }).data).toEqual(data);
  });
});

describe("errors", () => {
  const image = pixels(2, 3, 3);
  const x = imageToTensor(image);

  it.each<[string, () => unknown, RegExp]>([
    ["no image", () => imageToTensor(undefined as never), /image must be \{ data.*got undefined/],
    ["an empty batch", () => imageToTensor([]), /image must be .*at least one, got \[\]/],
    [
      "floats",
      () => imageToTensor({ ...image, data: new Float32Array(18) as never }),
      /got data of Float32Array\(18\)/,
    ],
    ["no width", () => imageToTensor({ ...image, width: undefined as never }), /image.width must be a whole number/],
    ["no pixels", () => imageToTensor({ data: new Uint8Array(0), width: 0, height: 3 }), /image.width must be/],
    ["two channels", () => imageToTensor({ ...image, channels: 2 }), /channels must be 3 \(r g b\) or 4.*got 2/],
    ["a short image", () => imageToTensor({ ...image, data: new Uint8Array(17) }), /17 bytes where 2 x 3 pixels of 3/],
    [
      "another length",
      () => imageToTensor({ data: new Uint8Array(12), width: 2, height: 3 }),
      /pixels of 4 .* take 24/,
    ],
    ["a short mean", () => imageToTensor(image, { mean: [1, 2] }), /mean has 2 elements where 3 are needed/],
    ["a mean that is none", () => imageToTensor(image, { mean: [0, NaN, 0] }), /mean must .*got NaN for channel 1/],
    ["a std of 0", () => imageToTensor(image, { std: [1, 1, 0] }), /std must .*above 0, got 0 for channel 2/],
    ["a negative std", () => imageToTensor(image, { std: [1, -1, 1] }), /std must .*got -1 for channel 1/],
    ["a layout", () => imageToTensor(image, { layout: "NCHW" as never }), /layout must be "channels-first" or/],
    ["sizes", () => imageToTensor([image, pixels(3, 2, 3)]), /image\[1\] is 3 x 2 where image\[0\] is 2 x 3.*resize/],
    ["a bad one", () => imageToTensor([image, { ...image, height: 4 }]), /image\[1\].data has 18 bytes/],
    ["a size", () => imageToTensor(image, { resize: { width: 0, height: 2 } }), /resize.width must be a whole number/],
    [
      "a method",
      () => imageToTensor(image, { resize: { width: 1, height: 2, method: "cubic" as never } }),
      /resize.method must be "bilinear" or "nearest", got "cubic"/,
    ],
    [
      "an out of another shape",
      () => imageToTensor(image, { out: { data: new Float32Array(18), shape: [1, 3, 2, 3] } }),
      /out has shape \[1, 3, 2, 3\]/,
    ],
    [
      "an out of f64",
      () => imageToTensor(image, { out: { data: new Float64Array(18), shape: [1, 3, 3, 2] } }),
      /out is float64/,
    ],
    ["a matrix", () => tensorToImage({ data: new Float32Array(6), shape: [2, 3] }), /x must be \[N, 3, H, W\]/],
    ["the other layout", () => tensorToImage(x, { layout: "channels-last" }), /x must be \[N, H, W, 3\]/],
    ["one channel", () => tensorToImage(x, { channels: 1 as never }), /channels must be 3 or 4, got 1/],
    ["an index", () => tensorToImage(x, { index: 1 }), /index must be a whole number from 0 to 0.*got 1/],
    ["a batch", () => tensorToImage(imageToTensor([image, image])), /index must be .* 0 to 1.*got undefined/],
    ["a std of 0 back", () => tensorToImage(x, { std: [0, 1, 1] }), /std must/],
  ])("names %s", (_, call, message) => {
    expect(call).toThrow(RangeError);
    expect(call).toThrow(message);
  });
});
