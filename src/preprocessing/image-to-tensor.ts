import { checkCount, checkOneOf, fail, show } from "../core/errors.js";
import type { Layout } from "../core/geometry.js";
import { checkLayout } from "../core/geometry.js";
import { heap8, heapOf, scratch, type TypedArray, withScratch } from "../core/memory.js";
import { DATA, kernels } from "../core/parts.js";
import { stageValues } from "../core/stream.js";
import {
  elementsOf,
  readTensor,
  readValues,
  shaped,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";

/** Pixels side by side, row by row, r g b or r g b a; an `ImageData` of a canvas goes straight in. */
export interface ImageLike {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** 3 or 4. Default: what the length of data says. */
  readonly channels?: number;
}

/** Mean and standard deviation of r, g and b, of values between 0 and 1. */
export interface ImageScale {
  /** Default [0, 0, 0]. */
  mean?: VectorLike;
  /** Default [1, 1, 1]. */
  std?: VectorLike;
}

export interface ImageResize {
  width: number;
  height: number;
  /** "bilinear": between the four nearest pixels; "nearest": the one pixel. Default "bilinear". */
  method?: "bilinear" | "nearest";
}

export interface ImageToTensorOptions extends ImageScale {
  /** `[N, 3, H, W]` ("channels-first", default) or `[N, H, W, 3]`. */
  layout?: Layout;
  /** Brings the images to this size. Default: left as they are. */
  resize?: ImageResize;
  /** Where to write the result, f32. A tensor in linear memory saves a copy. Default: a new heap array. */
  out?: TensorLike;
}

export interface TensorToImageOptions extends ImageScale {
  /** `[N, 3, H, W]` ("channels-first", default) or `[N, H, W, 3]`. */
  layout?: Layout;
  /** 4 adds an alpha of 255. Default 4. */
  channels?: 3 | 4;
  /** Which image of a batch. May be left out where there is one. */
  index?: number;
}

/** What `tensorToImage` makes; `new ImageData(data, width, height)` takes it where channels is 4. */
export interface PixelImage {
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
  channels: 3 | 4;
}

/**
 * The scales that image models were trained with: torchvision's (`imagenet`), [-1, 1] (`inception`, also MobileNet and
 * ViT), OpenAI's CLIP (`clip`), and [0, 1] (`unit`).
 *
 * @example
 * const pixels = new Uint8ClampedArray(224 * 224 * 4); // or an ImageData, in the place of the next line's image
 * const y = imageToTensor({ data: pixels, width: 224, height: 224 }, imagePresets.imagenet); // [1, 3, 224, 224]
 */
export const imagePresets = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  inception: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  clip: { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] },
  unit: { mean: [0, 0, 0], std: [1, 1, 1] },
} as const;

/** Pixels whose floats are staged at a time: they stay in the first-level cache until they are copied. */
const CHUNK = 1536;

/** Room between staged planes: stores a multiple of 4 KB apart get in each other's way. In elements. */
const GAP = 16;

/** A fresh result of up to this many bytes is worked out in scratch as a whole. */
const WHOLE_BYTES = 1 << 20;

/** Bytes of an image that are staged at a time. */
const STAGE_BYTES = 1 << 19;

interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels: 3 | 4;
}

function readImage(method: string, name: string, image: ImageLike): Pixels {
  const { data, width, height } = image ?? {};
  if (!(data instanceof Uint8Array) && !(data instanceof Uint8ClampedArray)) {
    fail(
      method,
      `${name} must be { data: Uint8Array | Uint8ClampedArray, width, height }, got ${
        data === undefined ? show(image) : `data of ${show(data)}`
      }`,
    );
  }
  checkCount(method, `${name}.width`, width);
  checkCount(method, `${name}.height`, height);
  const channels = image.channels ?? (data.length === 3 * width * height ? 3 : 4);
  if (channels !== 3 && channels !== 4) {
    fail(method, `${name}.channels must be 3 (r g b) or 4 (r g b a), got ${show(channels)}`);
  }
  if (data.length !== width * height * channels) {
    fail(
      method,
      `${name}.data has ${data.length} bytes where ${width} x ${height} pixels of ${channels} channels take ` +
        `${width * height * channels}`,
    );
  }
  return { data, width, height, channels };
}

/** The greatest mean and deviation, far from where f32 overflows. */
const LARGEST = 1e18;

/** Mean and standard deviation of each channel, in units of a byte, f64. */
interface Scale {
  mean: Float64Array;
  std: Float64Array;
}

function readScale(method: string, options: ImageScale): Scale {
  const meaning = "one for each of r, g and b";
  const mean = readValues(method, "mean", options.mean, 3, meaning, 0);
  const std = readValues(method, "std", options.std, 3, meaning, 1);
  for (let c = 0; c < 3; c++) {
    if (!(Math.abs(mean[c]) <= LARGEST)) {
      fail(method, `mean must hold numbers between -1e18 and 1e18, got ${show(mean[c])} for channel ${c}`);
    }
    if (!(std[c] >= 1 / LARGEST && std[c] <= LARGEST)) {
      fail(method, `std must hold numbers between 1e-18 and 1e18, above 0, got ${show(std[c])} for channel ${c}`);
    }
    mean[c] *= 255;
    std[c] *= 255;
  }
  return { mean, std };
}

/** A coefficient of each channel as the kernels take them: four times over. */
function stageChannels(of: (c: number) => number): number {
  const pointer = scratch(48);
  const heap = heapOf("float32");
  for (let i = 0; i < 12; i++) heap[pointer / 4 + i] = of(i % 3);
  return pointer;
}

/** Addresses of the coefficients of y = (byte − center)·scale + shift. */
interface Coefficients {
  center: number;
  scale: number;
  shift: number;
}

/**
 * The center is the mean rounded to a multiple of 2⁻¹⁵, so that byte − center is exact for a mean between 0 and 1; what
 * that leaves out of the mean goes into the shift.
 */
function stageCoefficients({ mean, std }: Scale): Coefficients {
  const center = (c: number) => Math.fround(Math.round(mean[c] * 32768) / 32768);
  return {
    center: stageChannels(center),
    scale: stageChannels((c) => 1 / std[c]),
    shift: stageChannels((c) => (center(c) - mean[c]) / std[c]),
  };
}

/** How an image of y comes about. */
interface Filling {
  pixels: number;
  layout: Layout;
  /** `fill` is called for multiples of this many pixels. */
  unit: number;
  /** Writes pixels [from, from + count) to the address `to`, planes `plane` elements apart. */
  fill: (to: number, plane: number, from: number, count: number) => void;
}

/** Fills image `index` of y, by way of scratch where y is on the heap. */
function fillImage(y: Target, index: number, { pixels, layout, unit, fill }: Filling): void {
  const first = 3 * pixels * index;
  if (!y.staged) {
    fill(y.pointer + 4 * first, pixels, 0, pixels);
    return;
  }
  if (y.heap === null && 3 * pixels === y.length && 4 * y.length <= WHOLE_BYTES) {
    // An array made of a view is not cleared before it is filled, which is half of what a fresh one costs.
    const stage = scratch(4 * y.length);
    fill(stage, pixels, 0, pixels);
    y.heap = new Float32Array(heapOf("float32").subarray(stage / 4, stage / 4 + y.length) as Float32Array);
    return;
  }
  y.heap ??= new Float32Array(y.length);
  const step = Math.min(pixels, Math.max(1, Math.floor(CHUNK / unit)) * unit);
  const planes = layout === "channels-first" ? 3 : 1;
  const plane = step + GAP;
  const stage = scratch(12 * plane);
  const runOf = (c: number, count: number) => {
    const at = stage / 4 + c * plane;
    return heapOf("float32").subarray(at, at + (3 / planes) * count);
  };
  const runs: TypedArray[] = [];
  for (let c = 0; c < planes; c++) runs.push(runOf(c, step));
  for (let from = 0; from < pixels; from += step) {
    const count = Math.min(step, pixels - from);
    fill(stage, plane, from, count);
    for (let c = 0; c < planes; c++) {
      const at = first + (planes === 3 ? c * pixels + from : 3 * from);
      y.heap.set(count === step ? runs[c] : runOf(c, count), at);
    }
  }
}

/** The image as it is. */
function convert(y: Target, index: number, image: Pixels, layout: Layout, coefficients: Coefficients): void {
  const { data, width, height, channels } = image;
  const { center, scale, shift } = coefficients;
  const k = kernels(DATA);
  const pixels = width * height;
  const most = Math.min(pixels, STAGE_BYTES / 4);
  const stage = scratch(most * channels);
  let first = 0;
  let end = 0;
  const fill = (to: number, plane: number, from: number, count: number) => {
    for (let at = from; at < from + count; ) {
      if (at >= end) {
        first = at;
        end = Math.min(pixels, at + most);
        heap8().set(most === pixels ? data : data.subarray(first * channels, end * channels), stage);
      }
      const size = Math.min(end, from + count) - at;
      const bytes = stage + (at - first) * channels;
      const done = at - from;
      if (layout === "channels-first") {
        k.pixelsToPlanes(to + 4 * done, plane, bytes, size, channels, center, scale, shift);
      } else k.pixelsToTriples(to + 12 * done, bytes, size, channels, center, scale, shift);
      at += size;
    }
  };
  fillImage(y, index, { pixels, layout, unit: 4, fill });
}

/** For each place of the result the places of the source that it lies between, and how far it is from the first. */
function sample(from: number, to: number, method: "bilinear" | "nearest") {
  const first = new Uint32Array(to);
  const second = new Uint32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const center = ((i + 0.5) * from) / to;
    const at = method === "nearest" ? Math.floor(center) : Math.max(0, center - 0.5);
    first[i] = Math.min(from - 1, Math.floor(at));
    share[i] = at - first[i];
    second[i] = share[i] === 0 ? first[i] : Math.min(from - 1, first[i] + 1);
  }
  return { first, second, share };
}

/** Two rows of an image in scratch. A row that is there already is not copied again. */
function rowStager({ data, width, channels }: Pixels): (row: number, kept: number) => number {
  const bytes = width * channels;
  const slots = [scratch(bytes), scratch(bytes)];
  const held = [-1, -1];
  return (row, kept) => {
    let slot = held.indexOf(row);
    if (slot < 0) {
      slot = held[0] === kept ? 1 : 0;
      held[slot] = row;
      heap8().set(data.subarray(row * bytes, (row + 1) * bytes), slots[slot]);
    }
    return slots[slot];
  };
}

/** 32-bit words in scratch. */
function stageWords(words: Uint32Array): number {
  const pointer = scratch(4 * words.length);
  heap8().set(new Uint8Array(words.buffer), pointer);
  return pointer;
}

/** The image brought to another size: row by row, from the two rows of the source that each lies between. */
function convertResized(
  y: Target,
  index: number,
  image: Pixels,
  size: Required<ImageResize>,
  layout: Layout,
  { center, scale, shift }: Coefficients,
): void {
  const { width, height, method } = size;
  const k = kernels(DATA);
  const columns = sample(image.width, width, method);
  const rows = sample(image.height, height, method);
  const left = stageWords(columns.first.map((column) => column * image.channels));
  const right = stageWords(columns.second.map((column) => column * image.channels));
  const across = stageValues(columns.share, "float32");
  const fours = scratch(16 * width);
  const rowAt = rowStager(image);
  const fill = (to: number, plane: number, from: number, count: number) => {
    for (let done = 0; done < count; done += width) {
      const row = (from + done) / width;
      const top = rowAt(rows.first[row], rows.second[row]);
      const bottom = rowAt(rows.second[row], rows.first[row]);
      k.blendPixels(fours, top, bottom, left, right, across, rows.share[row], width, center, scale, shift);
      if (layout === "channels-first") k.foursToPlanes(to + 4 * done, plane, fours, width);
      else k.foursToTriples(to + 12 * done, fours, width);
    }
  };
  fillImage(y, index, { pixels: width * height, unit: width, layout, fill });
}

function readResize(method: string, resize: ImageResize | undefined): Required<ImageResize> | undefined {
  if (resize === undefined || resize === null) return undefined;
  return {
    width: checkCount(method, "resize.width", resize.width),
    height: checkCount(method, "resize.height", resize.height),
    method: checkOneOf(method, "resize.method", resize.method ?? "bilinear", ["bilinear", "nearest"]),
  };
}

/**
 * Makes the bytes of an image, or of several, a normalized tensor.
 *
 * y = (byte/255 − mean[c])/std[c] for the channels r, g and b; alpha is dropped. Coefficients are f64, rounded once;
 * the relative error is at most 3·2⁻²⁴ for means between 0 and 1, close to 0 too.
 *
 * An image is `{ data, width, height, channels? }` with bytes r g b or r g b a, row by row, such as an `ImageData`.
 * y is f32 `[N, 3, H, W]` or, with `layout: "channels-last"`, `[N, H, W, 3]`; N is 1 for a single image. By default
 * mean is [0, 0, 0] and std [1, 1, 1]; `imagePresets` has those of known models.
 *
 * `resize` takes pixels for squares whose centers lie at halves, so that result pixel i is at (i + 0.5)·from/to − 0.5
 * of the source, held within it. There is no filter against aliasing, and no rounding to bytes between. It is what
 * PyTorch's `interpolate` does with `mode: "bilinear", align_corners=False` or `"nearest-exact"` and `antialias=False`;
 * Pillow and canvases widen their filter where they shrink, so shrink there if that is wanted.
 *
 * Throws where data is not 3 or 4 bytes a pixel, a size is not a whole number of at least 1, the images of a batch
 * differ in size (without `resize`), or a std is not above 0.
 *
 * @example
 * const image = { data: new Uint8ClampedArray(4 * 6 * 4), width: 4, height: 6 };
 * const x = imageToTensor(image, { ...imagePresets.imagenet, resize: { width: 2, height: 3 } }); // [1, 3, 3, 2]
 */
export function imageToTensor(image: ImageLike | readonly ImageLike[], options: ImageToTensorOptions = {}): Tensor {
  const method = "imageToTensor";
  const layout = checkLayout(method, options.layout);
  const scale = readScale(method, options);
  const resize = readResize(method, options.resize);
  const list: readonly ImageLike[] = Array.isArray(image) ? image : [image];
  if (list.length === 0) fail(method, "image must be an image or a list of at least one, got []");
  const images = list.map((each, i) => readImage(method, Array.isArray(image) ? `image[${i}]` : "image", each));
  const { width, height } = resize ?? images[0];
  images.forEach((each, i) => {
    if (resize === undefined && (each.width !== width || each.height !== height)) {
      fail(
        method,
        `image[${i}] is ${each.width} x ${each.height} where image[0] is ${width} x ${height}; the images of a batch ` +
          "must be of one size, or pass resize",
      );
    }
  });
  const shape = layout === "channels-first" ? [list.length, 3, height, width] : [list.length, height, width, 3];
  const y = new Target(method, options.out, shaped("float32", shape));
  withScratch(() => {
    const coefficients = stageCoefficients(scale);
    images.forEach((each, i) => {
      withScratch(() => {
        if (resize !== undefined && (resize.width !== each.width || resize.height !== each.height)) {
          convertResized(y, i, each, resize, layout, coefficients);
        } else convert(y, i, each, layout, coefficients);
      });
    });
  });
  return y.result;
}

/**
 * Makes a normalized tensor an image again: the inverse of `imageToTensor`, which it gives the very bytes of.
 *
 * byte[c] = 255·(x·std[c] + mean[c]), rounded to the nearest whole number (ties to even) and held within 0 to 255; NaN
 * becomes 0, alpha 255.
 *
 * x is `[N, 3, H, W]` or `[3, H, W]`, with `layout: "channels-last"` `[N, H, W, 3]` or `[H, W, 3]`, f32 or f64 (worked
 * on as f32). Throws where x has another shape, where it is a batch and `index` is missing, or a std is not above 0.
 *
 * @example
 * const x = { data: new Float32Array(3 * 2 * 2).fill(0.5), shape: [1, 3, 2, 2] };
 * const { data } = tensorToImage(x, imagePresets.unit); // 128, 128, 128, 255 four times
 */
export function tensorToImage(x: TensorLike, options: TensorToImageOptions = {}): PixelImage {
  const method = "tensorToImage";
  const layout = checkLayout(method, options.layout);
  const { mean, std } = readScale(method, options);
  const channels = options.channels ?? 4;
  if (channels !== 3 && channels !== 4) fail(method, `channels must be 3 or 4, got ${show(channels)}`);
  const operand = readTensor(method, "x", x);
  const planes = layout === "channels-first";
  const [n, ...rest] = operand.shape.length === 3 ? [1, ...operand.shape] : operand.shape;
  const [height, width, depth] = planes ? [rest[1], rest[2], rest[0]] : rest;
  if (rest.length !== 3 || depth !== 3) {
    fail(method, `x must be ${planes ? "[N, 3, H, W]" : "[N, H, W, 3]"}, got shape ${show(operand.shape)}`);
  }
  const index = options.index ?? (n === 1 ? 0 : undefined);
  if (!Number.isSafeInteger(index) || (index as number) < 0 || (index as number) >= n) {
    fail(method, `index must be a whole number from 0 to ${n - 1}, one of the images of x, got ${show(index)}`);
  }
  const pixels = width * height;
  const first = 3 * pixels * (index as number);
  const data = new Uint8ClampedArray(pixels * channels);
  withScratch(() => {
    const k = kernels(DATA);
    const scale = stageChannels((c) => std[c]);
    const shift = stageChannels((c) => mean[c]);
    const step = Math.min(pixels, CHUNK);
    const bytes = scratch(step * channels);
    const isDirect = operand.heap === null && operand.dtype === "float32";
    const stage = isDirect ? 0 : scratch(12 * step);
    for (let from = 0; from < pixels; from += step) {
      const count = Math.min(step, pixels - from);
      const at = first + (planes ? from : 3 * from);
      if (!isDirect) {
        const values = elementsOf(operand);
        const heap = heapOf("float32");
        for (let c = 0; c < (planes ? 3 : 1); c++) {
          const start = at + c * pixels;
          heap.set(values.subarray(start, start + (planes ? count : 3 * count)), stage / 4 + c * count);
        }
      }
      const source = isDirect ? operand.pointer + 4 * at : stage;
      if (planes) k.planesToPixels(bytes, source, isDirect ? pixels : count, count, channels, scale, shift);
      else k.triplesToPixels(bytes, source, count, channels, scale, shift);
      data.set(heap8().subarray(bytes, bytes + count * channels), from * channels);
    }
  });
  return { data, width, height, channels };
}
