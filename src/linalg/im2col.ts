import { fail, show } from "../core/errors.js";
import type { Layout } from "../core/geometry.js";
import { checkLayout } from "../core/geometry.js";
import { type DType, elementBytes, heapOf, scratch, withScratch } from "../core/memory.js";
import { kernelsOf, LINEAR } from "../core/parts.js";
import { stream } from "../core/stream.js";
import { type Operand, readTensor, shaped, Target, type Tensor, type TensorLike } from "../core/tensor.js";

/** How windows move over an image; one number for both directions, or [down, across]. As in PyTorch. */
export interface WindowOptions {
  /** Default 1. */
  stride?: number | readonly number[];
  /** Zeros around the image. Default 0. */
  padding?: number | readonly number[];
  /** Distance of a window's elements. Default 1. */
  dilation?: number | readonly number[];
  /** Default "channels-first". */
  layout?: Layout;
}

export interface Im2colOptions extends WindowOptions {
  /** Size of the window: one number for all directions, or [down, across]. */
  kernelSize: number | readonly number[];
  /** Where to write the columns. Default: a new heap array. */
  out?: TensorLike;
}

/**
 * A convolution's sizes: images of n samples, windows, and the places they stop at. Images of one dimension have height
 * 1.
 */
export interface Windows {
  layout: Layout;
  spatial: number;
  n: number;
  channels: number;
  size: [number, number];
  kernel: [number, number];
  out: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
}

function pair(
  method: string,
  name: string,
  value: number | readonly number[] | undefined,
  spatial: number,
  fallback: number,
  least: number,
): [number, number] {
  const given = typeof value === "object" ? [...value] : Array<number>(spatial).fill(value ?? fallback);
  if (given.length !== spatial || given.some((each) => !Number.isSafeInteger(each) || each < least)) {
    fail(
      method,
      `${name} must be a whole number of at least ${least}, or ${spatial} of them, one for each spatial dimension, ` +
        `got ${show(value)}`,
    );
  }
  return spatial === 1 ? [fallback, given[0]] : [given[0], given[1]];
}

/**
 * The windows of `kernelSize` over images of a shape [N, C, ...spatial] or channels-last, with one or two spatial
 * dimensions.
 */
export function windowsOf(
  method: string,
  name: string,
  shape: readonly number[],
  kernelSize: number | readonly number[],
  options: WindowOptions,
): Windows {
  const layout = checkLayout(method, options.layout);
  const spatial = shape.length - 2;
  if (spatial !== 1 && spatial !== 2) {
    fail(method, `${name} must have one or two dimensions beside samples and channels, got shape ${show(shape)}`);
  }
  const last = layout === "channels-last";
  const sizes = last ? shape.slice(1, -1) : shape.slice(2);
  const size: [number, number] = spatial === 1 ? [1, sizes[0]] : [sizes[0], sizes[1]];
  const kernel = pair(method, "kernelSize", kernelSize, spatial, 1, 1);
  const stride = pair(method, "stride", options.stride, spatial, 1, 1);
  const padding = pair(method, "padding", options.padding, spatial, 0, 0);
  const dilation = pair(method, "dilation", options.dilation, spatial, 1, 1);
  const places = (axis: number) =>
    Math.floor((size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis]) + 1;
  const out: [number, number] = [places(0), places(1)];
  if (out[0] < 1 || out[1] < 1) {
    fail(
      method,
      `the window (kernelSize ${show(kernelSize)}) does not fit into ${name} of shape ${show(shape)}; add padding`,
    );
  }
  const channels = last ? shape[shape.length - 1] : shape[1];
  return { layout, spatial, n: shape[0], channels, size, kernel, out, stride, padding, dilation };
}

/** The shape of images with the windows' places for positions. */
export function placesShape({ layout, spatial, n, out }: Windows, channels: number): number[] {
  const places = spatial === 1 ? [out[1]] : [...out];
  return layout === "channels-last" ? [n, ...places, channels] : [n, channels, ...places];
}

/** Elements of a window, and places of it. */
export function columnsOf({ channels, kernel, out }: Windows): { k: number; p: number } {
  return { k: channels * kernel[0] * kernel[1], p: out[0] * out[1] };
}

/** Runs a kernel over one sample: `columns` [k, p] and an image at `image`. */
function run(dtype: DType, columns: number, image: number, windows: Windows, back: boolean): void {
  const { layout, channels, size, kernel, out, stride, padding, dilation } = windows;
  const last = layout === "channels-last";
  const [channelStep, rowStep, columnStep] = last ? [1, size[1] * channels, channels] : [size[0] * size[1], size[1], 1];
  const k = kernelsOf(LINEAR, dtype);
  const [to, from] = back ? [image, columns] : [columns, image];
  (back ? k.rowPatchesAdd : k.rowPatches)(
    to,
    from,
    channels,
    size[0],
    size[1],
    kernel[0],
    kernel[1],
    out[0],
    out[1],
    stride[0],
    stride[1],
    padding[0],
    padding[1],
    dilation[0],
    dilation[1],
    channelStep,
    rowStep,
    columnStep,
  );
}

/** Writes the columns [k, p] of the image at `image`. */
export function writeColumns(dtype: DType, columns: number, image: number, windows: Windows): void {
  run(dtype, columns, image, windows, false);
}

/** Sums columns [k, p] into an image at `image`, which it clears first. */
export function writeImage(dtype: DType, image: number, columns: number, windows: Windows): void {
  const { channels, size } = windows;
  const width = elementBytes(dtype);
  heapOf(dtype).fill(0, image / width, image / width + channels * size[0] * size[1]);
  run(dtype, columns, image, windows, true);
}

/** Calls `each` with the address of every sample of x. */
export function eachSample(x: Operand, samples: number, each: (at: number, sample: number) => void): void {
  const n = x.length / samples;
  stream({ rows: samples, n }, [x], [], ([at], { row, rows }) => {
    for (let i = 0; i < rows; i++) each(at + i * n * elementBytes(x.dtype), row + i);
  });
}

/** Has `write` fill sample `index` of y, in its place or in scratch. */
export function writeSample(y: Target, samples: number, index: number, write: (at: number) => void): void {
  const size = y.length / samples;
  withScratch(() => {
    const width = elementBytes(y.dtype);
    const at = y.staged ? scratch(size * width) : y.pointer + index * size * width;
    write(at);
    if (y.staged) y.take(at, index * size, size);
  });
}

/**
 * The windows of a convolution as columns of a matrix, so that a convolution is a matrix product.
 *
 * y[n, (c·kh + i)·kw + j, p] = x[n, c, oy·stride + i·dilation − padding, ox·stride + j·dilation − padding], 0 outside,
 * p the place (oy, ox) counted along rows.
 *
 * x is `[N, C, H, W]` or `[N, C, L]`, or with `layout: "channels-last"` `[N, H, W, C]` or `[N, L, C]`, f32 or f64; y is
 * `[N, C·kh·kw, places]` in either layout. Throws where the window does not fit. (PyTorch: `unfold`.)
 *
 * @example
 * const x = { data: new Float32Array(2 * 3 * 8 * 8), shape: [2, 3, 8, 8] };
 * const columns = im2col(x, { kernelSize: 3, padding: 1 }); // [2, 27, 64]
 */
export function im2col(x: TensorLike, options: Im2colOptions): Tensor {
  const method = "im2col";
  const operand = readTensor(method, "x", x);
  const windows = windowsOf(method, "x", operand.shape, options.kernelSize, options);
  const { n } = windows;
  const { k, p } = columnsOf(windows);
  const y = new Target(method, options.out, shaped(operand.dtype, [n, k, p]), [operand]);
  if (y.isPlaceOf(operand)) fail(method, "out must not be x; pass another tensor");
  eachSample(operand, n, (from, sample) => {
    writeSample(y, n, sample, (to) => writeColumns(operand.dtype, to, from, windows));
  });
  return y.result;
}

/**
 * The sum of columns back into images, each element to the place it came from: the gradient of `im2col`.
 *
 * columns is `[N, C·kh·kw, places]`, the result has `shape`, that of the images. Throws where the two do not go
 * together. (PyTorch: `fold`.)
 *
 * @example
 * const dcolumns = { data: new Float32Array(2 * 27 * 64), shape: [2, 27, 64] };
 * const dx = col2im(dcolumns, { shape: [2, 3, 8, 8], kernelSize: 3, padding: 1 });
 */
export function col2im(columns: TensorLike, options: Im2colOptions & { shape: readonly number[] }): Tensor {
  const method = "col2im";
  const operand = readTensor(method, "columns", columns);
  const { shape } = options;
  if (!Array.isArray(shape) || shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    fail(method, `shape must be that of the images, whole numbers of at least 1, got ${show(shape)}`);
  }
  const windows = windowsOf(method, "the image", shape, options.kernelSize, options);
  const { n } = windows;
  const { k, p } = columnsOf(windows);
  if (operand.shape.join() !== [n, k, p].join()) {
    fail(
      method,
      `columns has shape ${show(operand.shape)} where ${show([n, k, p])} is needed for images ${show(shape)}`,
    );
  }
  const x = new Target(method, options.out, shaped(operand.dtype, shape), [operand]);
  if (x.isPlaceOf(operand)) fail(method, "out must not be columns; pass another tensor");
  eachSample(operand, n, (from, sample) => {
    writeSample(x, n, sample, (to) => writeImage(operand.dtype, to, from, windows));
  });
  return x.result;
}
