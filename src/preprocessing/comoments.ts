/**
 * Scalers whose state is the mean of each column and the comoments of all pairs, Σ (x − mean)(x − mean)ᵀ, and whose
 * rows go through a matrix.
 */
import { fail, show } from "../core/errors.js";
import {
  colScratch,
  elementBytes,
  heap64,
  heapOf,
  matmulScratch,
  scratch,
  scratchF64,
  viewF64,
  withScratch,
} from "../core/memory.js";
import { COLUMNS, kernels, kernelsOf, LINEAR } from "../core/parts.js";
import { stageValues, stream } from "../core/stream.js";
import { elementsOf, type Operand, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";
import { powerNear, strideOf, symmetricEigen } from "../linalg/eigh.js";
import { checkFeatures, RowTransform, type SavedReader, type ScalerState, toNumbers } from "./scaler.js";

/**
 * Rows that are centered by their own mean and multiplied with themselves; with one more, the depth of a matrix
 * product.
 */
const BLOCK_ROWS = 255;

/** Rows that are carried through a matrix at a time. */
const PRODUCT_ROWS = 256;

/** The most that f32 products may add to the rounding of a result: where it is more, f32 rows are carried in f64. */
const MOST_AMPLIFICATION = 64;

export interface ComomentState extends ScalerState {
  readonly rows: number;
  readonly mean: Float64Array;
  /** The lower triangle, row by row. */
  readonly comoments: Float64Array;
}

/** What carries rows there, y = (x − mean)·forth, and back. */
export interface Matrices {
  /** Columns of y. */
  readonly components: number;
  /** [features, components] */
  readonly forth: Float64Array;
  /** [components, features] */
  readonly back: Float64Array;
  /** The most that terms of (x − mean)·forth exceed what they add up to, for x one deviation off. */
  readonly amplification: number;
}

export abstract class ComomentTransform extends RowTransform<ComomentState> {
  /** Divisor n − ddof of the covariance. */
  abstract readonly ddof: number;
  #matrices: { state: ComomentState; found: Matrices } | undefined;
  #spectrum: { state: ComomentState; found: Spectrum } | undefined;

  /** What the comoments are multiplied by to make the matrix that is decomposed. @internal */
  protected abstract factor(method: string, state: ComomentState): (i: number, j: number) => number;
  /** @internal */
  protected abstract decompose(method: string, state: ComomentState): Matrices;

  /** Mean of each column. */
  get mean(): Float64Array {
    return this.fitted("mean").mean.slice();
  }

  /** The covariance Σ (x − mean)(x − mean)ᵀ/(n − ddof), [features, features]. */
  get covariance(): Tensor<Float64Array> {
    const method = `${this.kind}.covariance`;
    const state = this.fitted("covariance");
    const n = state.features;
    const data = new Float64Array(n * n);
    const divisor = this.divisor(method, state);
    for (let i = 0, at = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, at++) data[i * n + j] = data[j * n + i] = state.comoments[at] / divisor;
    }
    return { data, shape: [n, n] };
  }

  /** Eigenvalues of the covariance (of the correlation, for pca-cor and zca-cor), all of them, the largest first. */
  get eigenvalues(): Float64Array {
    return this.spectrum(`${this.kind}.eigenvalues`, this.fitted("eigenvalues")).values.slice();
  }

  /** Rows fitted. */
  get nSamplesSeen(): number {
    return this.state?.rows ?? 0;
  }

  /** n − ddof. @internal */
  protected divisor(method: string, { rows }: ComomentState): number {
    if (!(rows > this.ddof)) {
      fail(method, `a covariance takes more than ddof (${this.ddof}) rows, got ${rows}; fit more rows, or ddof 0`);
    }
    return rows - this.ddof;
  }

  /** Worked out once for a state. @internal */
  protected matrices(method: string, state: ComomentState): Matrices {
    if (this.#matrices?.state !== state) this.#matrices = { state, found: this.decompose(method, state) };
    return this.#matrices.found;
  }

  /** Worked out once for a state. @internal */
  protected spectrum(method: string, state: ComomentState): Spectrum {
    if (this.#spectrum?.state !== state) {
      this.#spectrum = { state, found: spectrumOf(state, this.factor(method, state)) };
    }
    return this.#spectrum.found;
  }

  /** @internal */
  protected measure(method: string, x: Operand): ComomentState {
    const [rows, features] = x.shape;
    return { features, rows, ...comomentsOf(method, x) };
  }

  /** @internal */
  protected join(a: ComomentState, b: ComomentState): ComomentState {
    const rows = a.rows + b.rows;
    const share = b.rows / rows;
    const mean = a.mean.slice();
    const comoments = a.comoments.slice();
    for (let i = 0, at = 0; i < a.features; i++) {
      const delta = b.mean[i] - a.mean[i];
      mean[i] += delta * share;
      for (let j = 0; j <= i; j++, at++) {
        comoments[at] += b.comoments[at] + delta * (b.mean[j] - a.mean[j]) * (a.rows * share);
      }
    }
    return { features: a.features, rows, mean, comoments };
  }

  /** @internal */
  protected carry(
    method: string,
    state: ComomentState,
    x: Operand,
    out: TensorLike | undefined,
    back: boolean,
  ): Tensor {
    const { components, forth, back: matrix, amplification } = this.matrices(method, state);
    const isWide = x.dtype === "float64" || amplification > MOST_AMPLIFICATION;
    const n = state.features;
    if (!back) {
      checkFeatures(method, "x", x.shape[1], n);
      return multiplyRows(method, x, out, { subtract: state.mean, matrix: forth, columns: components, isWide });
    }
    if (x.shape[1] !== components) {
      fail(method, `x has ${x.shape[1]} columns where transform gives ${components}; pass rows that it gave`);
    }
    return multiplyRows(method, x, out, { matrix, columns: n, add: state.mean, isWide });
  }

  /**
   * The gradient of `transform`, with what was fitted taken as constant: dx = dy·forthᵀ, forth being the matrix that
   * the centered rows are multiplied by.
   *
   * dy is `[n, components]`; dx, `[n, features]`, goes to `out` where given. Throws where dy has other columns.
   */
  backward(dy: TensorLike, { out }: { out?: TensorLike } = {}): { dx: Tensor } {
    const method = `${this.kind}.backward`;
    const state = this.fitted("backward");
    const { features } = state;
    const { components, forth, amplification } = this.matrices(method, state);
    const g = readTensor(method, "dy", dy);
    if (g.shape.length !== 2 || g.shape[1] !== components) {
      fail(method, `dy must be [rows, ${components}], as transform gives, got shape ${show(g.shape)}`);
    }
    const matrix = new Float64Array(components * features);
    for (let i = 0; i < features; i++) {
      for (let j = 0; j < components; j++) matrix[j * features + i] = forth[i * components + j];
    }
    const isWide = g.dtype === "float64" || amplification > MOST_AMPLIFICATION;
    return { dx: multiplyRows(method, g, out, { matrix, columns: features, isWide }) };
  }

  /** @internal */
  protected stateToJSON({ rows, mean, comoments }: ComomentState): Record<string, unknown> {
    return { rows, mean: toNumbers(mean), comoments: toNumbers(comoments) };
  }
}

/** The state that `toJSON` wrote. */
export function comomentsFromJSON(reader: SavedReader): ComomentState | undefined {
  if (!reader.isFitted) return undefined;
  const mean = reader.values("mean");
  const features = mean.length;
  const comoments = reader.values("comoments", (features * (features + 1)) / 2);
  return { features, rows: reader.value("rows"), mean, comoments };
}

/**
 * Mean and comoments of all columns. Blocks of rows are centered by their own mean and multiplied with themselves, in
 * f64, so that no offset or drift of the data spoils them; a row √(n₁n₂/n)·(mean₂ − mean₁) joins a block to those
 * before it.
 */
function comomentsOf(method: string, x: Operand): { mean: Float64Array; comoments: Float64Array } {
  const [rows, n] = x.shape;
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const linear = kernelsOf(LINEAR, x.dtype);
  const width = elementBytes(x.dtype);
  return withScratch(() => {
    const sums = scratchF64(n * n);
    const blockMean = scratch(8 * n);
    const blockM2 = scratch(8 * n);
    const centered = scratch(8 * (BLOCK_ROWS + 1) * n);
    const workspace = colScratch();
    const product = matmulScratch();
    const mean = new Float64Array(n);
    stream({ rows, n, rowMultiple: BLOCK_ROWS }, [x], [], ([at], { row, rows: part }) => {
      for (let r = 0; r < part; r += BLOCK_ROWS) {
        const height = Math.min(BLOCK_ROWS, part - r);
        const from = at + r * n * width;
        const seen = row + r;
        onColumns.colMomentsWide(blockMean, blockM2, from, height, n, 0, workspace);
        const heap = heap64();
        for (let j = 0; j < n; j++) if (!Number.isFinite(heap[blockM2 / 8 + j])) failOnValue(method, x);
        linear.colCenterWide(centered, from, blockMean, height, n);
        const last = centered / 8 + height * n;
        const share = height / (seen + height);
        const weight = Math.sqrt(seen * share);
        for (let j = 0; j < n; j++) {
          const delta = heap[blockMean / 8 + j] - mean[j];
          heap[last + j] = weight * delta;
          mean[j] += delta * share;
        }
        kernels(LINEAR).addGram_f64(sums, centered, height + 1, n, n, n, 1, product);
      }
    });
    const comoments = new Float64Array((n * (n + 1)) / 2);
    for (let i = 0, at = 0; i < n; at += ++i) {
      comoments.set(viewF64(sums + 8 * i * n, i + 1), at);
    }
    if (!comoments.every(Number.isFinite)) failOnValue(method, x);
    return { mean, comoments };
  });
}

function failOnValue(method: string, x: Operand): never {
  const n = x.shape[1];
  const values = elementsOf(x);
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) fail(method, "the squares of x leave the range of float64; divide it by a power of ten first");
  fail(
    method,
    `x[${Math.floor(at / n)}, ${at % n}] is ${values[at]}; a covariance has no place for it, remove the row or fill ` +
      "the value",
  );
}

interface Product {
  /** Subtracted from the rows before. */
  subtract?: Float64Array;
  /** [columns of x, columns] */
  matrix: Float64Array;
  columns: number;
  /** Added to the rows afterwards. */
  add?: Float64Array;
  /** Whether to work in f64. */
  isWide: boolean;
}

/** (x − subtract)·matrix + add, in the element type of x. */
function multiplyRows(
  method: string,
  x: Operand,
  out: TensorLike | undefined,
  { subtract, matrix, columns, add, isWide }: Product,
): Tensor {
  const [rows, n] = x.shape;
  const y = new Target(method, out, { ...x, shape: [rows, columns], length: rows * columns }, [x]);
  if (n !== columns && y.isPlaceOf(x)) fail(method, `out must not be ${x.name}, whose rows are of another length`);
  const dtype = isWide ? "float64" : "float32";
  const onColumns = kernelsOf(COLUMNS, dtype);
  const linear = kernelsOf(LINEAR, dtype);
  const [width, widthX] = [elementBytes(dtype), elementBytes(x.dtype)];
  withScratch(() => {
    const stage = (values: ArrayLike<number>) => stageValues(values, dtype);
    const before = subtract ?? new Float64Array(n);
    const centers = stage(before);
    const ones = stage(new Float64Array(Math.max(n, columns)).fill(1));
    // What rounding to f32 left out of the offsets.
    const rest = (values: Float64Array) => stage(values.map((a) => (isWide ? 0 : Math.fround(a) - a)));
    const shifts = rest(before);
    const weights = stage(matrix);
    const after = add && stage(add);
    const restAfter = add && rest(add);
    const centered = scratch(PRODUCT_ROWS * n * width);
    const made = scratch(PRODUCT_ROWS * columns * width);
    const product = matmulScratch();
    const run = (from: number, to: number, count: number) => {
      if (isWide) kernelsOf(LINEAR, x.dtype).colCenterWide(centered, from, centers, count, n);
      else onColumns.colAffine(centered, from, centers, ones, shifts, count, n);
      const isDirect = dtype === x.dtype;
      const at = isDirect ? to : made;
      linear.matmul(at, centered, weights, count, columns, n, 0, 0, product);
      if (after !== undefined) onColumns.colAffine(at, at, restAfter as number, ones, after, count, columns);
      if (!isDirect) {
        heapOf("float32").set(viewF64(made, count * columns), to / 4);
      }
    };
    const outStage = y.staged ? scratch(PRODUCT_ROWS * columns * widthX) : 0;
    stream({ rows, n }, [x], [], ([at], { row, rows: part }) => {
      for (let r = 0; r < part; r += PRODUCT_ROWS) {
        const count = Math.min(PRODUCT_ROWS, part - r);
        const first = (row + r) * columns;
        run(at + r * n * widthX, outStage || y.pointer + first * widthX, count);
        if (outStage) y.take(outStage, first, count * columns);
      }
    });
  });
  return y.result;
}

/** Eigenvalues, the largest first and none below 0, with their eigenvectors as the rows of [n, n]. */
export interface Spectrum {
  values: Float64Array;
  vectors: Float64Array;
}

/** The spectrum of comoments[i, j]·factor(i, j). */
function spectrumOf({ features: n, comoments }: ComomentState, factor: (i: number, j: number) => number): Spectrum {
  return withScratch(() => {
    const stride = strideOf(n);
    const matrix = scratchF64(stride * stride);
    const heap = heap64();
    let largest = 0;
    for (let i = 0, at = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, at++) heap[matrix / 8 + i * stride + j] = comoments[at] * factor(i, j);
      largest = Math.max(largest, heap[matrix / 8 + i * stride + i]);
    }
    const scale = powerNear(largest);
    for (let at = matrix / 8; at < matrix / 8 + n * stride; at++) heap[at] *= scale;
    const ascending = symmetricEigen(matrix, n, stride);
    const vectors = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      vectors.set(viewF64(matrix + 8 * (n - 1 - i) * stride, n), i * n);
    }
    return { values: ascending.map((value) => Math.max(value, 0) / scale).reverse(), vectors };
  });
}
