import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import { checkCount, checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import { checkLayout, type Geometry, geometryOf, type Layout, pooled } from "../core/geometry.js";
import { entryOf, keepInput, Layer, Parameter, type Saved, savedInput } from "../core/layer.js";
import { type DType, heap64, keep, passingCopyF64, passingF64, scratch, withScratch } from "../core/memory.js";
import { FUNCTIONS, kernels } from "../core/parts.js";
import { applyPowerGradient, cellPowers } from "../core/powers.js";
import { square } from "../core/special.js";
import { type Operand, readAlike, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

/** Where statistics come from: a window around the position, the batch for each channel, or the sample. */
export type DivisiveOver = "window" | "batch" | "layer";

export interface DivisiveNormOptions {
  /** Default "window". */
  over?: DivisiveOver;
  /** Height and width of the window, odd; for x `[N, units]`, one number. Needed over windows only. */
  window?: number | readonly number[];
  /** Smoothing: its square is added to the mean square. Default 1. */
  sigma?: number;
  /** Whether windows divide by their whole size at the borders (zero padding), or by what lies inside. Default true. */
  countIncludePad?: boolean;
  /** Factor of the penalty mean|x − mean_A(x)| on the loss, which keeps activations sparse. Default 0. */
  penalty?: number;
  /** Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface DivisiveNormSaved extends Saved {
  /** Mean of the neighbourhood and 1/√(σ² + its mean square) of each cell. */
  readonly mean: Float64Array;
  readonly rstd: Float64Array;
  /** Mean of the cell itself. */
  readonly cellMean: Float64Array;
  /** Largest Σ(x − mean)² of a cell, and Σ sign(x − mean) of each, for the penalty. */
  readonly largest: number;
  readonly signs: Float64Array | null;
  /** @internal */
  readonly options: Omit<DivisiveNormOptions, "out">;
}

/** The cells that statistics live on, and how they are averaged over the neighbourhood of each. */
interface Neighbourhood {
  geometry: Geometry;
  /** From sums over each cell, the mean over the neighbourhood of each cell. */
  average(sums: Float64Array): Float64Array;
  /** The transpose of `average`, for gradients. */
  spread(values: Float64Array): Float64Array;
}

/** A neighbourhood that is the same for all its cells: averaging is its own transpose. */
function groups(geometry: Geometry, count: number, groupOf: (cell: number) => number): Neighbourhood {
  const average = (sums: Float64Array) => {
    const totals = passingF64(count);
    for (let i = 0; i < sums.length; i++) totals[groupOf(i)] += sums[i];
    const share = count / (geometry.n * geometry.c * geometry.s);
    const means = passingF64(sums.length);
    for (let i = 0; i < means.length; i++) means[i] = totals[groupOf(i)] * share;
    return means;
  };
  return { geometry, average, spread: average };
}

/**
 * Windows of positions. Statistics are taken over channels at a position, then over a window; so positions take the part
 * that channels have elsewhere: columns of a sample's matrix [C, H·W], or rows of [H·W, C].
 */
function windows(method: string, x: Operand, options: DivisiveNormOptions, layout: Layout): Neighbourhood {
  const { shape } = x;
  const dense = shape.length === 2 && typeof options.window === "number";
  const sides = typeof options.window === "number" ? [1, options.window] : options.window;
  if (!Array.isArray(sides) || sides.length !== 2) {
    fail(method, `window must be [height, width] or a number, got ${show(options.window)}`);
  }
  for (const side of sides) {
    if (checkCount(method, "window", side) % 2 === 0) fail(method, `window must be odd, got ${show(options.window)}`);
  }
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
  const share = passingF64(h * w);
  for (let i = 0, at = 0; i < h; i++) {
    const rows = inside(i, h, kh);
    for (let j = 0; j < w; j++) share[at++] = 1 / (c * (whole ? kh * kw : rows * inside(j, w, kw)));
  }
  /** Sums over windows, of values times the shares of their places or to be multiplied by them. */
  const summed = (values: Float64Array, sharedFirst: boolean) =>
    withScratch(() => {
      const from = scratch(values.length * 8);
      const to = scratch(values.length * 8);
      const plane = scratch(h * w * 8);
      if (sharedFirst) multiplyPlanes(heap64(), from / 8, values, share);
      else heap64().set(values, from / 8);
      kernels(FUNCTIONS).planeBoxSum_f64(to, from, plane, n, h, w, kh, kw);
      const sums = passingCopyF64(to, values.length);
      if (!sharedFirst) multiplyPlanes(sums, 0, sums, share);
      return sums;
    });
  return {
    geometry: { n, c: h * w, s: c, order: last ? "rows" : "cols" },
    average: (sums) => summed(sums, false),
    spread: (values) => summed(values, true),
  };
}

/** The planes of `values`, each times `share`, into `out` from `at` on. */
function multiplyPlanes(out: Float64Array, at: number, values: Float64Array, share: Float64Array): void {
  for (let plane = 0; plane < values.length; plane += share.length) {
    for (let i = 0; i < share.length; i++) out[at + plane + i] = values[plane + i] * share[i];
  }
}

function neighbourhoodOf(method: string, x: Operand, options: DivisiveNormOptions): Neighbourhood {
  const layout = checkLayout(method, options.layout);
  const over = checkOneOf(method, "over", options.over ?? "window", ["window", "batch", "layer"]);
  if (over === "window") return windows(method, x, options, layout);
  const geometry = geometryOf(method, x, layout);
  if (over === "layer") return groups(geometry, geometry.n, (cell) => Math.floor(cell / geometry.c));
  const batch = pooled(geometry);
  return groups(batch, batch.c, (cell) => cell % batch.c);
}

export interface DivisiveNormResult {
  y: Tensor;
  saved: DivisiveNormSaved;
  /** `penalty`·mean|x − mean_A(x)|, to be added to the loss; its gradient is in dx. */
  penalty: number;
}

function forwardAs(method: string, x: TensorLike, options: DivisiveNormOptions): DivisiveNormResult {
  const operand = readTensor(method, "x", x);
  const { geometry, average } = neighbourhoodOf(method, operand, options);
  const { s } = geometry;
  const sigma = checkNumber(method, "sigma", options.sigma ?? 1, 0);
  const factor = checkNumber(method, "penalty", options.penalty ?? 0, 0);
  const y = new Target(method, options.out, operand, [operand]);

  const { mean: cellMean, m2 } = cellMoments(operand, geometry);
  const cells = cellMean.length;
  const sums = passingF64(cells);
  for (let i = 0; i < cells; i++) sums[i] = cellMean[i] * s;
  const mean = average(sums);
  // Σ(x − m)² of a cell = M2 + s·(its mean − m)²: no difference of squares.
  let largest = 0;
  for (let i = 0; i < cells; i++) {
    sums[i] = m2[i] + s * square(cellMean[i] - mean[i]);
    largest = Math.max(largest, sums[i]);
  }
  const rstd = average(sums);
  for (let i = 0; i < cells; i++) rstd[i] = 1 / Math.sqrt(sigma * sigma + rstd[i]);
  const absolute = factor > 0 ? cellPowers(operand, geometry, mean, 1, largest) : null;
  const total = absolute?.powers.reduce((sum, value) => sum + value, 0) ?? 0;
  applyAffine(y, operand, geometry, { mean, scale: rstd, shift: passingF64(cells) });
  return {
    y: y.result,
    penalty: (factor * total) / operand.length,
    saved: { x: keepInput(x, operand, y), mean, rstd, cellMean, largest, signs: absolute?.slopes ?? null, options },
  };
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
  const gradient = readAlike(method, "dy", dy, x);
  const { mean, rstd, cellMean, largest, signs, options } = saved;
  const { geometry, spread } = neighbourhoodOf(method, x, options);
  const { s } = geometry;
  const dx = new Target(method, out, x, [x, gradient]);
  if (signs !== null && dx.isPlaceOf(x))
    fail(method, "out must not be x where there is a penalty; pass another tensor");

  // v = x − m, y = v/S. dv = dy/S − v·P with P = Bᵀ(Σdy·v/S³), then dx = dv − Aᵀ(Σdv).
  const sums = cellGradSums(gradient, x, geometry, mean);
  const cells = rstd.length;
  const cubes = passingF64(cells);
  let total = 0;
  for (let i = 0; i < cells; i++) {
    cubes[i] = sums.dyx[i] * rstd[i] * square(rstd[i]);
    total += cubes[i];
  }
  const p = spread(cubes);
  const inner = cubes;
  for (let i = 0; i < cells; i++) inner[i] = sums.dy[i] * rstd[i] - p[i] * s * (cellMean[i] - mean[i]);
  const back = spread(inner);
  const ones = passingF64(cells).fill(1);
  let dv = gradient;
  if (signs !== null) {
    // The penalty adds k·(sign(v) − Aᵀ(Σ sign(v))), taken times S into dy.
    const k = (options.penalty ?? 0) / x.length;
    const constant = spread(signs).map((value, i) => (-k * value) / rstd[i]);
    const slope = rstd.map((value) => k / value);
    applyPowerGradient(dx, gradient, x, geometry, { mean, weight: ones, slope, constant }, 1, largest);
    dv = readTensor(method, "dx", dx.result);
  }
  const target = signs === null ? dx : new Target(method, dx.result, x);
  for (let i = 0; i < cells; i++) {
    p[i] = -p[i] / rstd[i];
    back[i] = -back[i] / rstd[i];
  }
  applyGradient(target, dv, x, geometry, { mean, rstd, weight: ones, slope: p, constant: back });
  const dsigma = -(options.sigma ?? 1) * total;
  return { dx: dx.result, dsigma };
}

/**
 * Divisive normalization: each value is taken about the mean of its neighbourhood and divided by its root mean square,
 * over a window of positions and all channels.
 *
 * v = x − mean_A(x), y = v/√(σ² + mean_A(v²)), A the window around the position, across all channels; or, with `over`,
 * the batch for each channel, or the sample.
 *
 * x is `[N, C, H, W]`, with `layout: "channels-last"` `[N, H, W, C]`, or `[N, units]` with a number for the window; f32 or
 * f64. At the borders zeros count, as in the paper, unless `countIncludePad` is false. The paper's names: BN-s is over
 * "batch", LN-s over "layer", DN over "window"; with a `penalty` they are BN*, LN* and DN*, and BN-L1, LN-L1 with a sigma
 * near 0. Throws where the window is even, sigma or penalty negative, or x has other dimensions.
 *
 * Source: M. Ren, R. Liao, R. Urtasun, F. Sinz, R. Zemel, "Normalizing the Normalizers", 2017, arXiv:1611.04520.
 *
 * @example
 * const y = divisiveNorm(images, { window: [3, 3], sigma: 0.5 });
 */
export function divisiveNorm(x: TensorLike, options: DivisiveNormOptions): Tensor {
  return forwardAs("divisiveNorm", x, options).y;
}

/** `divisiveNorm` that also returns what `divisiveNormBackward` needs, and the penalty. */
export function divisiveNormForward(x: TensorLike, options: DivisiveNormOptions): DivisiveNormResult {
  return keep(forwardAs("divisiveNormForward", x, options));
}

/**
 * The gradient of divisive normalization, with that of sigma.
 *
 * With S = √(σ² + mean_A(v²)): dv = dy/S − v·Aᵀ(Σ dy·v/S³) + penalty·sign(v)/n, dx = dv − Aᵀdv,
 * dsigma = −σ·Σ dy·v/S³.
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
  /** `penalty`·mean|v| of the last forward, to be added to the loss. */
  penalty = 0;
  readonly #options: Omit<DivisiveNormOptions, "sigma" | "out">;
  #saved: DivisiveNormSaved | undefined;

  constructor({ sigma = 1, dtype = "float32", ...options }: DivisiveNormConfig) {
    super();
    this.sigma = new Parameter([], dtype, checkNumber("DivisiveNorm", "sigma", sigma, 0));
    this.#options = options;
  }

  override parameters(): Record<string, Parameter> {
    return { sigma: this.sigma };
  }

  protected override stateEntries() {
    return [entryOf("sigma", this.sigma)];
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const settings = { ...this.#options, sigma: this.sigma.data[0], out: options.out };
    const { y, saved, penalty } = forwardAs("DivisiveNorm.forward", x, settings);
    this.#saved = keep(saved);
    this.penalty = penalty;
    return y;
  }

  /** dx of the last forward; adds to the gradient of sigma, except in eval mode. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { dx, dsigma } = backwardAs("DivisiveNorm.backward", dy, this.#saved as DivisiveNormSaved, options.out);
    if (this.mode !== "eval") this.sigma.addGrad([dsigma]);
    return dx;
  }
}
