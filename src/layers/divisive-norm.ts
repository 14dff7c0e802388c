import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import { checkCount, checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import type { Geometry, Layout } from "../core/geometry.js";
import { keepInput, Layer, Parameter, type Saved, savedInput } from "../core/layer.js";
import { copyF64, type DType, kernels, scratch, withScratch } from "../core/memory.js";
import { stageValues } from "../core/stream.js";
import { checkSame, type Operand, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface DivisiveNormOptions {
  /** Height and width of both windows, odd; for x `[N, units]`, one number. */
  window: number | readonly number[];
  /** Smoothing: its square is added to the mean square. Default 1. */
  sigma?: number;
  /** Whether windows divide by their whole size at the borders (zero padding), or by what lies inside. Default true. */
  countIncludePad?: boolean;
  /** Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface DivisiveNormSaved extends Saved {
  /** Local mean and 1/√(σ² + local mean square) at each position of each sample. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** Mean over the channels at each position. */
  readonly channelMean: Float64Array;
  /** @internal */
  readonly options: Omit<DivisiveNormOptions, "out">;
}

/** Positions of a plane and how windows lie on them. */
interface Field {
  geometry: Geometry;
  h: number;
  w: number;
  window: [number, number];
  /** 1 / (channels × places of the window) at each position of a plane. */
  share: Float64Array;
}

/**
 * Statistics are taken over channels at a position, then over a window of positions. So positions take the part that
 * channels have elsewhere: columns of a sample's matrix [C, H·W], or rows of [H·W, C].
 */
function fieldOf(method: string, x: Operand, options: DivisiveNormOptions): Field {
  const { shape } = x;
  const layout = checkOneOf(method, "layout", options.layout ?? "channels-first", ["channels-first", "channels-last"]);
  const sides = typeof options.window === "number" ? [1, options.window] : options.window;
  if (!Array.isArray(sides) || sides.length !== 2) {
    fail(method, `window must be [height, width] or a number, got ${show(options.window)}`);
  }
  for (const side of sides) {
    if (checkCount(method, "window", side) % 2 === 0) fail(method, `window must be odd, got ${show(options.window)}`);
  }
  const dense = shape.length === 2 && typeof options.window === "number";
  if (shape.length !== 4 && !dense) {
    fail(
      method,
      `x must have the dimensions of samples, channels, height and width (or samples and units, with a number for ` +
        `window), got shape ${show(shape)}`,
    );
  }
  const last = layout === "channels-last";
  const [n, c, h, w] = dense ? [shape[0], 1, 1, shape[1]] : last ? [shape[0], shape[3], shape[1], shape[2]] : shape;
  const [kh, kw] = sides as [number, number];
  const inside = (i: number, size: number, k: number) =>
    Math.min(i + (k >> 1), size - 1) - Math.max(i - (k >> 1), 0) + 1;
  const whole = options.countIncludePad ?? true;
  const share = Float64Array.from({ length: h * w }, (_, i) => {
    const count = whole ? kh * kw : inside(Math.floor(i / w), h, kh) * inside(i % w, w, kw);
    return 1 / (c * count);
  });
  return { geometry: { n, c: h * w, s: c, order: last ? "rows" : "cols" }, h, w, window: [kh, kw], share };
}

/** Sums over the window around each position of each sample. */
function windowSums({ geometry, h, w, window: [kh, kw] }: Field, values: Float64Array): Float64Array {
  return withScratch(() => {
    const from = stageValues(values, "float64");
    const to = scratch(values.length * 8);
    kernels().planeBoxSum_f64(to, from, scratch(h * w * 8), geometry.n, h, w, kh, kw);
    return copyF64(to, values.length);
  });
}

function forwardAs(
  method: string,
  x: TensorLike,
  options: DivisiveNormOptions,
): { y: Tensor; saved: DivisiveNormSaved } {
  const operand = readTensor(method, "x", x);
  const field = fieldOf(method, operand, options);
  const { geometry, share } = field;
  const { c: places, s: channels } = geometry;
  const sigma = checkNumber(method, "sigma", options.sigma ?? 1, 0);
  const y = new Target(method, options.out, operand);
  y.checkOverlap(method, "x", operand);

  const { mean: channelMean, m2 } = cellMoments(operand, geometry);
  const mean = windowSums(field, channelMean).map((sum, i) => sum * channels * share[i % places]);
  // Σ_c (x − m)² = M2 + C·(channel mean − m)²: no difference of squares.
  const squares = m2.map((value, i) => value + channels * (channelMean[i] - mean[i]) ** 2);
  const rstd = windowSums(field, squares).map((sum, i) => 1 / Math.sqrt(sigma * sigma + sum * share[i % places]));
  applyAffine(y, operand, geometry, { mean, scale: rstd, shift: new Float64Array(mean.length) });
  return { y: y.result, saved: { x: keepInput(x, operand, y), mean, rstd, channelMean, options } };
}

export interface DivisiveNormGradients {
  dx: Tensor;
  dsigma: number;
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: DivisiveNormSaved,
  out: TensorLike | undefined,
): DivisiveNormGradients {
  const x = savedInput(method, saved);
  const gradient = readTensor(method, "dy", dy);
  checkSame(method, "dy", gradient, x, "x");
  const { mean, rstd, channelMean, options } = saved;
  const field = fieldOf(method, x, options);
  const { geometry, share } = field;
  const { c: places, s: channels } = geometry;
  const dx = new Target(method, out, x);
  dx.checkOverlap(method, "x", x);
  dx.checkOverlap(method, "dy", gradient);

  // v = x − m, y = v/S. dv = dy/S − v·P with P = Bᵀ(Σ_c dy·v/S³), then dx = dv − Aᵀ(Σ_c dv); the windows are symmetric.
  const sums = cellGradSums(gradient, x, geometry, mean);
  const cubes = sums.dyx.map((sum, i) => sum * rstd[i] ** 3);
  const p = windowSums(
    field,
    cubes.map((value, i) => value * share[i % places]),
  );
  const dv = sums.dy.map((sum, i) => sum * rstd[i] - p[i] * channels * (channelMean[i] - mean[i]));
  const back = windowSums(
    field,
    dv.map((value, i) => value * share[i % places]),
  );
  applyGradient(dx, gradient, x, geometry, {
    mean,
    rstd,
    weight: new Float64Array(rstd.length).fill(1),
    slope: p.map((value, i) => -value / rstd[i]),
    constant: back.map((value, i) => -value / rstd[i]),
  });
  const dsigma = -(options.sigma ?? 1) * cubes.reduce((sum, value) => sum + value, 0);
  return { dx: dx.result, dsigma };
}

/**
 * Divisive normalization: each value is taken about the mean of its neighbourhood and divided by its root mean square,
 * over a window of positions and all channels.
 *
 * v = x − mean_A(x), y = v/√(σ² + mean_B(v²)), A and B the window around the position, across all channels.
 *
 * x is `[N, C, H, W]`, with `layout: "channels-last"` `[N, H, W, C]`, or `[N, units]` with a number for the window; f32 or
 * f64. At the borders zeros count, as in the paper, unless `countIncludePad` is false. Throws where the window is even,
 * sigma negative, or x has other dimensions. With windows over the whole batch or sample it is batch or layer norm
 * with eps = σ² (the paper's BN-s and LN-s): use those.
 *
 * Source: M. Ren, R. Liao, R. Urtasun, F. Sinz, R. Zemel, "Normalizing the Normalizers", 2017, arXiv:1611.04520.
 *
 * @example
 * const y = divisiveNorm(images, { window: [3, 3], sigma: 0.5 });
 */
export function divisiveNorm(x: TensorLike, options: DivisiveNormOptions): Tensor {
  return forwardAs("divisiveNorm", x, options).y;
}

/** `divisiveNorm` that also returns what `divisiveNormBackward` needs. */
export function divisiveNormForward(
  x: TensorLike,
  options: DivisiveNormOptions,
): { y: Tensor; saved: DivisiveNormSaved } {
  return forwardAs("divisiveNormForward", x, options);
}

/**
 * The gradient of divisive normalization, with that of sigma.
 *
 * With S = √(σ² + mean_B(v²)): dv = dy/S − v·Bᵀ(Σ dy·v/S³), dx = dv − Aᵀdv, dsigma = −σ·Σ dy·v/S³.
 *
 * @example
 * const { y, saved } = divisiveNormForward(images, { window: [3, 3] });
 * const { dx, dsigma } = divisiveNormBackward(dimages, saved);
 */
export function divisiveNormBackward(
  dy: TensorLike,
  saved: DivisiveNormSaved,
  options: { out?: TensorLike } = {},
): DivisiveNormGradients {
  return backwardAs("divisiveNormBackward", dy, saved, options.out);
}

export interface DivisiveNormConfig extends Omit<DivisiveNormOptions, "out"> {
  /** Element type of sigma. Default "float32". */
  dtype?: DType;
}

/**
 * Divisive normalization as a layer whose sigma is learned (`sigma.grad`); freeze or ignore it to keep sigma.
 *
 * @example
 * const norm = new DivisiveNorm({ window: [5, 5], sigma: 0.5 });
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.sigma.grad
 */
export class DivisiveNorm extends Layer {
  readonly weight = null;
  readonly bias = null;
  readonly sigma: Parameter;
  readonly #options: Omit<DivisiveNormOptions, "sigma" | "out">;
  #saved: DivisiveNormSaved | undefined;

  constructor({ window, sigma = 1, countIncludePad, layout, dtype = "float32" }: DivisiveNormConfig) {
    super();
    this.sigma = new Parameter([], dtype, checkNumber("DivisiveNorm", "sigma", sigma, 0));
    this.#options = { window, countIncludePad, layout };
  }

  override parameters(): Record<string, Parameter> {
    return { sigma: this.sigma };
  }

  protected override stateEntries() {
    return [{ name: "sigma", aliases: [], data: this.sigma.data, shape: [] }];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const settings = { ...this.#options, sigma: this.sigma.data[0], out: options.out };
    const { y, saved } = forwardAs("DivisiveNorm.forward", x, settings);
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward; adds to the gradient of sigma, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { dx, dsigma } = backwardAs("DivisiveNorm.backward", dy, this.#saved as DivisiveNormSaved, options.out);
    if (this.mode !== "eval") this.sigma.addGrad([dsigma]);
    return dx;
  }
}
