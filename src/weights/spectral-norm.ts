import { cellGradSums } from "../core/cells.js";
import { checkCount, checkNumber, fail } from "../core/errors.js";
import { oneCell } from "../core/geometry.js";
import {
  entryOf,
  keepInput,
  Layer,
  Parameter,
  type Saved,
  type StateDict,
  type StateEntry,
  savedInput,
} from "../core/layer.js";
import { colScratch, copyF64, elementBytes, oneNaN, scratchF64, type TypedArray, withScratch } from "../core/memory.js";
import { kernelsOf, LINEAR } from "../core/parts.js";
import { normalValues, readSeed } from "../core/random.js";
import { scaleWhole } from "../core/slices.js";
import { square } from "../core/special.js";
import { stageValues, stream } from "../core/stream.js";
import {
  arrayClass,
  elementsOf,
  type Operand,
  readAlike,
  readTensor,
  readValues,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "../core/tensor.js";
import { inMemory } from "../linalg/sheets.js";
import { readDim } from "./weight-norm.js";

export interface SpectralNormOptions {
  /** The left singular vector as far as it is known, `[w.shape[dim]]`: that of the call before. */
  u: VectorLike;
  /** The right one, over the other axes in order. Needed where nPowerIterations is 0, else it is worked out of u. */
  v?: VectorLike | null;
  /** Steps of power iteration before w is divided. 0: u and v as they are, for inference. Default 1. */
  nPowerIterations?: number;
  /** The least that u and v are divided by. Default 1e-12. */
  eps?: number;
  /** The axis of the rows of the matrix, the output channel: 1 for transposed convolutions. Default 0. */
  dim?: number;
  /** Where to write the normalized weight; may be w. Default: a new heap array. */
  out?: TensorLike;
}

export interface SpectralNormSaved extends Saved {
  readonly u: TypedArray;
  readonly v: TypedArray;
  readonly sigma: number;
  /** @internal */
  readonly dim: number;
}

export interface SpectralNormResult {
  /** w/sigma. */
  w: Tensor;
  u: Tensor;
  v: Tensor;
  /** uᵀ·W·v, which tends to the largest singular value. */
  sigma: number;
  saved: SpectralNormSaved;
}

/** A tensor [outer, d, inner] as the matrix [d, outer·inner]. */
interface Matrix {
  outer: number;
  d: number;
  inner: number;
}

function matrixOf(shape: readonly number[], dim: number): Matrix {
  const product = (part: readonly number[]) => part.reduce((all, size) => all * size, 1);
  return { outer: product(shape.slice(0, dim)), d: shape[dim], inner: product(shape.slice(dim + 1)) };
}

/** Σ over the rows: Wᵀ·u, f64, of a matrix at `at`. */
function transposedTimes(w: Operand, at: number, { outer, d, inner }: Matrix, u: TypedArray): Float64Array {
  const k = kernelsOf(LINEAR, w.dtype);
  return withScratch(() => {
    const sums = scratchF64(outer * inner);
    const uAt = stageValues(u, w.dtype);
    const workspace = colScratch();
    if (inner === 1) k.rowDot(sums, at, uAt, outer, d);
    else {
      const step = d * inner * elementBytes(w.dtype);
      for (let o = 0; o < outer; o++) k.colCombine(sums + 8 * o * inner, at + o * step, uAt, d, inner, workspace);
    }
    return copyF64(sums, outer * inner);
  });
}

/** Bytes of rows whose products with a vector are taken at a time, the last rows first. */
const BLOCK_BYTES = 1 << 17;

/**
 * W·v, f64. The rows are taken from the last to the first: of a matrix beyond the cache, the last are what the pass
 * before has left there, and the first are there for the pass to come.
 */
function times(w: Operand, at: number, { outer, d, inner }: Matrix, v: TypedArray): Float64Array {
  const k = kernelsOf(LINEAR, w.dtype);
  const width = elementBytes(w.dtype);
  return withScratch(() => {
    const sums = scratchF64(d);
    const vAt = stageValues(v, w.dtype);
    const workspace = colScratch();
    if (inner === 1) k.colCombine(sums, at, vAt, outer, d, workspace);
    else {
      const block = Math.max(1, Math.floor(BLOCK_BYTES / (inner * width)));
      for (let o = 0; o < outer; o++) {
        for (let row = (Math.ceil(d / block) - 1) * block; row >= 0; row -= block) {
          const from = at + (o * d + row) * inner * width;
          k.rowDot(sums + 8 * row, from, vAt + o * inner * width, Math.min(block, d - row), inner);
        }
      }
    }
    return copyF64(sums, d);
  });
}

/** x/max(‖x‖, eps), rounded to `dtype`. */
function direction(x: Float64Array, eps: number, dtype: Operand["dtype"]): TypedArray {
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.abs(value));
  const unit = largest > 0 && largest < Infinity ? largest : 1;
  let sum = 0;
  for (const value of x) sum += square(value / unit);
  const length = Math.max(Math.sqrt(sum) * unit, eps);
  const scaled = x.map((value) => value / length);
  return oneNaN(scaled, new (arrayClass(dtype))(x.length));
}

function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

interface Vectors {
  u: TypedArray;
  v: TypedArray;
  sigma: number;
}

/**
 * Steps of power iteration from u (or, without a step, u and v as they are), and the singular value they find. w is in
 * linear memory.
 */
function iterate(w: Operand, matrix: Matrix, start: Omit<Vectors, "sigma">, steps: number, eps: number): Vectors {
  const at = w.pointer;
  let { u, v } = start;
  let image = steps === 0 ? times(w, at, matrix, v) : new Float64Array(0);
  for (let step = 0; step < steps; step++) {
    v = direction(transposedTimes(w, at, matrix, u), eps, w.dtype);
    image = times(w, at, matrix, v);
    u = direction(image, eps, w.dtype);
  }
  return { u, v, sigma: dot(u, image) };
}

/** A vector as a matrix of one column: its direction is u, its length sigma. */
function ofVector(w: Operand, eps: number): Vectors {
  const values = Float64Array.from(elementsOf(w));
  const u = direction(values, eps, w.dtype);
  return { u, v: arrayClass(w.dtype).of(1), sigma: Math.max(dot(u, values), eps) };
}

function forwardAs(method: string, w: TensorLike, options: SpectralNormOptions): SpectralNormResult {
  const operand = readTensor(method, "w", w);
  const dim = readDim(method, options.dim ?? 0, operand.shape, "w") as number;
  const steps = checkCount(method, "nPowerIterations", options.nPowerIterations ?? 1, 0);
  const eps = checkNumber(method, "eps", options.eps ?? 1e-12, 0);
  const matrix = matrixOf(operand.shape, dim);
  const rest = matrix.outer * matrix.inner;
  if (options.u === undefined || options.u === null) {
    fail(method, "u must be given; pass that of the call before, or use the class SpectralNorm, which keeps it");
  }
  const round = arrayClass(operand.dtype);
  const u = new round(readValues(method, "u", options.u, matrix.d, `one for each slice of dim ${dim} of w`, 0));
  const v = new round(readValues(method, "v", options.v, rest, "one for each element of a slice of w", 0));
  if (steps === 0 && !options.v)
    fail(method, "v must be given where nPowerIterations is 0; pass that of the call before");
  const y = new Target(method, options.out, operand, [operand]);
  const found = withScratch(() => {
    const isVector = operand.shape.length === 1;
    const source = isVector ? operand : inMemory(operand);
    const vectors = isVector ? ofVector(operand, eps) : iterate(source, matrix, { u, v }, steps, eps);
    const scale = vectors.sigma === 0 ? 0 : 1 / vectors.sigma;
    scaleWhole(y, source, scale);
    return vectors;
  });
  return {
    w: y.result,
    u: { data: found.u, shape: [matrix.d] },
    v: { data: found.v, shape: [rest] },
    sigma: found.sigma,
    saved: { x: keepInput(w, operand, y), ...found, dim },
  };
}

function backwardAs(
  method: string,
  dw: TensorLike,
  saved: SpectralNormSaved,
  out: TensorLike | undefined,
): { dw: Tensor } {
  const w = savedInput(method, saved, "w");
  const gradient = readAlike(method, "dw", dw, w);
  const result = new Target(method, out, w, [w, gradient]);
  const { u, v, sigma } = saved;
  const { outer, d, inner } = matrixOf(w.shape, saved.dim);
  const rsigma = sigma === 0 ? 0 : 1 / sigma;
  const [along] = cellGradSums(gradient, w, oneCell(w), new Float64Array(1)).dyx;
  const share = -along * rsigma * rsigma;
  // Where each slice is a column, the tensor is the matrix transposed.
  const [rows, columns] = inner === 1 ? [v, u] : [u, v];
  const [period, n] = inner === 1 ? [outer, d] : [d, inner];
  const k = kernelsOf(LINEAR, w.dtype);
  const width = elementBytes(w.dtype);
  withScratch(() => {
    const factors = stageValues(
      Float64Array.from(rows, (value) => value * share),
      w.dtype,
    );
    const others = stageValues(columns, w.dtype);
    stream(
      { rows: w.length / n, n, cut: 1 },
      [gradient],
      [result],
      ([from, to], { row, rows: count, offset, n: part }) => {
        const at = others + (Math.floor(row / period) * n + offset) * width;
        k.rowOuter(to, from, factors, at, count, part, row % period, period, rsigma);
      },
    );
  });
  return { dw: result.result };
}

/**
 * Spectral normalization: the weight divided by its largest singular value, as power iteration knows it.
 *
 * nPowerIterations times: v = Wᵀu/max(‖Wᵀu‖, eps), u = Wv/max(‖Wv‖, eps); then sigma = uᵀWv and the result is w/sigma.
 *
 * w is a tensor of any shape, f32 or f64, taken for the matrix W of axis `dim` against all others; a vector is divided
 * by its length. The result has the shape of w; weights of zeros stay zeros. Throws where u is missing, u or v has
 * another length, dim names no axis, or nPowerIterations is 0 without v.
 *
 * Source: T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral Normalization for Generative Adversarial Networks",
 * 2018, arXiv:1802.05957, algorithm 1; eps and dim as in PyTorch.
 *
 * @example
 * const w = { data: new Float32Array([3, 0, 0, 1]), shape: [2, 2] };
 * const y = spectralNorm(w, { u: [1, 1], nPowerIterations: 20 }); // [1, 0, 0, 1/3]
 */
export function spectralNorm(w: TensorLike, options: SpectralNormOptions): Tensor {
  return forwardAs("spectralNorm", w, options).w;
}

/** `spectralNorm` that also returns u and v for the next call, sigma, and what `spectralNormBackward` needs. */
export function spectralNormForward(w: TensorLike, options: SpectralNormOptions): SpectralNormResult {
  return forwardAs("spectralNormForward", w, options);
}

/**
 * The gradient of spectral normalization with respect to w, from `dw`, that with respect to its result; u and v are
 * taken for constants.
 *
 * (dw − ⟨dw, w/sigma⟩·u·vᵀ)/sigma.
 *
 * @example
 * const w = { data: new Float32Array([3, 1, 0, 2]), shape: [2, 2] };
 * const { w: normalized, u, saved } = spectralNormForward(w, { u: [1, 1] }); // keep u for the next step
 * const { dw } = spectralNormBackward(normalized, saved); // of half the sum of squares
 */
export function spectralNormBackward(
  dw: TensorLike,
  saved: SpectralNormSaved,
  options: { out?: TensorLike } = {},
): { dw: Tensor } {
  return backwardAs("spectralNormBackward", dw, saved, options.out);
}

export interface SpectralNormConfig {
  /** The axis of the output channel: 1 for transposed convolutions. Default 0. */
  dim?: number;
  /** Steps of power iteration in each forward pass of training. Default 1. */
  nPowerIterations?: number;
  /** Default 1e-12. */
  eps?: number;
  /** Steps of power iteration at construction. Default 15. */
  warmupIterations?: number;
  /** Of the numbers that u starts from. Default 0. */
  seed?: number;
}

/**
 * Spectral normalization as a reparametrization of a weight: it learns `original`, and `forward` makes the weight of
 * it. Each forward pass in training takes a step of power iteration; eval and frozen mode leave u and v as they are.
 *
 * @example
 * const norm = new SpectralNorm({ data: new Float32Array([3, 1, 0, 2]), shape: [2, 2] });
 * const w = norm.forward(); // use it as the weight of a linear map
 * norm.backward(w); // norm.original.grad
 */
export class SpectralNorm extends Layer {
  /** A reparametrization learns the original in place of a weight, and leaves the bias to the layer. */
  readonly weight = null;
  readonly bias = null;
  readonly dim: number;
  readonly nPowerIterations: number;
  readonly eps: number;
  readonly original: Parameter;
  readonly u: TypedArray;
  readonly v: TypedArray;
  #saved: SpectralNormSaved | undefined;

  constructor(weight: TensorLike, config: SpectralNormConfig = {}) {
    super();
    const method = "SpectralNorm";
    const operand = readTensor(method, "weight", weight);
    this.dim = readDim(method, config.dim ?? 0, operand.shape, "weight") as number;
    this.nPowerIterations = checkCount(method, "nPowerIterations", config.nPowerIterations ?? 1);
    this.eps = checkNumber(method, "eps", config.eps ?? 1e-12, 0);
    const warmup = checkCount(method, "warmupIterations", config.warmupIterations ?? 15, 0);
    const seed = readSeed(method, config.seed ?? 0);
    const { dtype } = operand;
    this.original = new Parameter([...operand.shape], dtype, 0);
    this.original.data.set(elementsOf(operand));
    const matrix = matrixOf(operand.shape, this.dim);
    const start = (length: number, number: number) =>
      direction(Float64Array.from(normalValues(length, "float64", seed, { number })), this.eps, dtype);
    this.u = start(matrix.d, 0);
    this.v = start(matrix.outer * matrix.inner, 1);
    if (warmup > 0 && operand.shape.length > 1) {
      const start = { u: this.u, v: this.v };
      const { u, v } = withScratch(() => iterate(inMemory(operand), matrix, start, warmup, this.eps));
      this.u.set(u);
      this.v.set(v);
    }
  }

  /** The weight, original/sigma. */
  forward(options: { out?: TensorLike } = {}): Tensor {
    const { dim, eps, u, v, mode } = this;
    const nPowerIterations = mode === "train" ? this.nPowerIterations : 0;
    const all = { u, v, dim, eps, nPowerIterations, out: options.out };
    const found = forwardAs("SpectralNorm.forward", this.original, all);
    if (mode === "train") {
      this.u.set(found.u.data);
      this.v.set(found.v.data);
    }
    this.#saved = found.saved;
    return found.w;
  }

  /** Adds to the gradient of the original, given that of the weight. */
  backward(dw: TensorLike): Tensor {
    const grads = backwardAs("SpectralNorm.backward", dw, this.#saved as SpectralNormSaved, undefined);
    if (this.mode !== "eval") this.original.addGrad(grads.dw.data);
    return grads.dw;
  }

  override parameters(): Record<string, Parameter> {
    return { original: this.original };
  }

  protected override stateEntries(): StateEntry[] {
    const { original, u, v } = this;
    const prefix = "parametrizations.weight";
    const entries: StateEntry[] = [entryOf(`${prefix}.original`, original, ["original", "weight_orig"])];
    if (original.shape.length === 1) return entries;
    return [
      ...entries,
      { name: `${prefix}.0._u`, aliases: ["_u", "weight_u", "u"], data: u, shape: [u.length] },
      { name: `${prefix}.0._v`, aliases: ["_v", "weight_v", "v"], data: v, shape: [v.length] },
    ];
  }

  /**
   * A copy of the original weight, u and v under PyTorch's names; `legacy`: those of `torch.nn.utils.spectral_norm`,
   * weight_orig, weight_u and weight_v.
   */
  override stateDict(options: { legacy?: boolean } = {}): StateDict {
    const state = super.stateDict();
    if (!options.legacy) return state;
    const names = ["weight_orig", "weight_u", "weight_v"];
    return Object.fromEntries(Object.values(state).map((value, i) => [names[i], value]));
  }
}
