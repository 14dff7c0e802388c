import { checkCount, checkNumber, checkOneOf, fail } from "../core/errors.js";
import { copyF64, heap64, matmulScratch, scratch, scratchF64, withScratch } from "../core/memory.js";
import { kernels, LINEAR } from "../core/parts.js";
import { square } from "../core/special.js";
import type { Operand, Tensor } from "../core/tensor.js";
import { strideOf } from "../linalg/eigh.js";
import { type ComomentState, ComomentTransform, comomentsFromJSON, type Matrices } from "./comoments.js";
import { SavedReader } from "./scaler.js";

const METHODS = ["pca", "zca", "zca-cor", "pca-cor", "cholesky"] as const;

export type WhiteningMethod = (typeof METHODS)[number];

export interface WhiteningConfig {
  /** Default "pca". */
  method?: WhiteningMethod;
  /** Added to the eigenvalues, of at least 0. Default 0. */
  eps?: number;
  /** The covariance is Σ (x − mean)(x − mean)ᵀ/(n − ddof). Default 0; 1 as scikit-learn's PCA. */
  ddof?: number;
  /** How many of the leading directions to keep, for "pca" and "pca-cor". Default: all. */
  nComponents?: number;
}

export interface DecorrelationConfig {
  /** The covariance is Σ (x − mean)(x − mean)ᵀ/(n − ddof). Default 0. */
  ddof?: number;
}

/** Rows are carried in f64 where their matrix has larger elements: f32 might not hold the products. */
const LARGE = 2 ** 100;

/** Directions with eigenvalues of at most this part of the largest, times the number of columns, hold only rounding. */
const TOLERANCE = 8 * Number.EPSILON;

/**
 * Brings rows to covariance I: each column to variance 1, and each two to covariance 0.
 *
 * y = (x − mean)·W. With the covariance C = V·Λ·Vᵀ, or the correlation P = G·Θ·Gᵀ and the variances D:
 *
 * | method | W | |
 * |---|---|---|
 * | `pca` | V·(Λ + eps)^−½ | rotated to the principal directions, the largest first |
 * | `zca` | V·(Λ + eps)^−½·Vᵀ | of all, nearest to the data ("sphering") |
 * | `pca-cor` | D^−½·G·(Θ + eps)^−½ | as pca, whatever the units of the columns |
 * | `zca-cor` | D^−½·G·(Θ + eps)^−½·Gᵀ | nearest to the standardized data |
 * | `cholesky` | L lower triangular, L·Lᵀ = (C + eps·I)^−¹ | the last column is only scaled |
 *
 * Eigenvalues descend; in each eigenvector the first of the elements of largest magnitude is positive.
 *
 * Rows are `[n, features]`, f32, f64 or plain lists; y is `[n, components]`. Statistics are f64 and merged by their
 * differences. Directions without variance, that is with λ + eps at most 8·features·2⁻⁵² of the largest, become 0, and
 * `inverseTransform` puts the mean there; so do columns that are constant by StandardScaler's rule. "cholesky" has no
 * such directions to leave out and throws, unless eps > 0. f32 rows are carried through W in f32 where that does no
 * harm, else in f64.
 *
 * Throws on NaN and infinities in `fit`, nComponents beyond the columns or with another method than pca and pca-cor,
 * another number of columns than was fitted, and on use before a fit.
 *
 * Source: A. Kessy, A. Lewin, K. Strimmer, "Optimal whitening and decorrelation", 2016 (arXiv 1512.00809).
 *
 * @example
 * const whitening = new Whitening({ method: "pca" }).fit([[1, 2], [3, 3], [2, 7], [6, 4]]);
 * const y = whitening.transform([[3, 4]]); // [0, 0]
 * const x = whitening.inverseTransform(y); // [3, 4]
 */
export class Whitening extends ComomentTransform {
  /** @internal */
  protected readonly kind = "Whitening";
  readonly method: WhiteningMethod;
  readonly eps: number;
  readonly ddof: number;
  readonly nComponents: number | undefined;

  constructor(config: WhiteningConfig = {}) {
    super();
    this.method = checkOneOf("Whitening", "method", config.method ?? "pca", METHODS);
    this.eps = checkNumber("Whitening", "eps", config.eps ?? 0, 0);
    this.ddof = checkNumber("Whitening", "ddof", config.ddof ?? 0, 0);
    const { nComponents } = config;
    this.nComponents = nComponents === undefined ? undefined : checkCount("Whitening", "nComponents", nComponents);
    if (nComponents !== undefined && !this.method.startsWith("pca")) {
      fail("Whitening", `nComponents is for "pca" and "pca-cor", got method "${this.method}"; leave one of them out`);
    }
  }

  /** The whitening that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): Whitening {
    const reader = new SavedReader("Whitening", saved);
    const whitening = new Whitening(reader.config);
    whitening.state = comomentsFromJSON(reader);
    return whitening;
  }

  /** W, [features, components]: transform gives (x − mean)·W. */
  get whiteningMatrix(): Tensor<Float64Array> {
    const state = this.fitted("whiteningMatrix");
    const { forth, components } = this.matrices("Whitening.whiteningMatrix", state);
    return { data: forth.slice(), shape: [state.features, components] };
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    const { method, eps, ddof, nComponents } = this;
    return { method, eps, ddof, nComponents };
  }

  /** @internal */
  protected override measure(method: string, x: Operand): ComomentState {
    const [, features] = x.shape;
    if (this.nComponents !== undefined && this.nComponents > features) {
      fail(method, `nComponents (${this.nComponents}) must be at most the number of columns of x (${features})`);
    }
    return super.measure(method, x);
  }

  /** @internal */
  protected decompose(method: string, state: ComomentState): Matrices {
    const n = state.features;
    const divisor = this.divisor(method, state);
    const deviations = deviationsOf(state, divisor);
    if (this.method === "cholesky") {
      const { forth, back } = this.triangular(method, state, divisor);
      return { components: n, forth, back, amplification: amplificationOf(forth, n, deviations) };
    }
    const { values, vectors } = this.spectrum(method, state);
    const limit = TOLERANCE * n * (values[0] + this.eps);
    const roots = values.map((value) => (value + this.eps > limit ? Math.sqrt(value + this.eps) : 0));
    const units = this.units(state, divisor);
    const components = this.nComponents ?? n;
    const forth = new Float64Array(n * components);
    const back = new Float64Array(n * components);
    if (this.method.startsWith("pca")) {
      for (let c = 0; c < components; c++) {
        for (let j = 0; j < n && roots[c] > 0; j++) {
          forth[j * components + c] = vectors[c * n + j] / (roots[c] * units[j]);
          back[c * n + j] = vectors[c * n + j] * roots[c] * units[j];
        }
      }
    } else {
      const there = squared(vectors, n, (c) => (roots[c] > 0 ? 1 / Math.sqrt(roots[c]) : 0));
      const hither = squared(vectors, n, (c) => Math.sqrt(roots[c]));
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          forth[i * n + j] = there[i * n + j] / units[i];
          back[i * n + j] = hither[i * n + j] * units[j];
        }
      }
    }
    return { components, forth, back, amplification: amplificationOf(forth, components, deviations) };
  }

  /** What the columns are divided by before they are decomposed. */
  private units(state: ComomentState, divisor: number): Float64Array {
    if (!this.method.endsWith("-cor")) return new Float64Array(state.features).fill(1);
    return deviationsOf(state, divisor).map((deviation) => (deviation > 0 ? deviation : 1));
  }

  /** @internal */
  protected factor(method: string, state: ComomentState): (i: number, j: number) => number {
    const divisor = this.divisor(method, state);
    const deviations = deviationsOf(state, divisor);
    const units = this.units(state, divisor);
    return (i, j) => (deviations[i] > 0 && deviations[j] > 0 ? 1 / (divisor * units[i] * units[j]) : 0);
  }

  /** C + eps·I = U·Uᵀ with U upper triangular: W = U⁻ᵀ, and back goes Uᵀ. */
  private triangular(
    method: string,
    state: ComomentState,
    divisor: number,
  ): { forth: Float64Array; back: Float64Array } {
    const { features: n, comoments } = state;
    const deviations = deviationsOf(state, divisor);
    return withScratch(() => {
      const stride = strideOf(n);
      const factor = scratchF64(n * stride);
      const inverse = scratchF64(n * stride);
      const heap = heap64();
      for (let i = 0, at = 0; i < n; i++) {
        for (let j = 0; j <= i; j++, at++) {
          const covariance = deviations[i] > 0 && deviations[j] > 0 ? comoments[at] / divisor : 0;
          heap[factor / 8 + i * stride + j] = covariance + (i === j ? this.eps : 0);
        }
      }
      const failed = kernels(LINEAR).choleskyUpper_f64(factor, n, stride, TOLERANCE * n);
      if (failed >= 0) {
        fail(
          method,
          `the covariance is singular: column ${failed} is constant, or to rounding a combination of the columns ` +
            'after it; set eps above 0, remove the column, or use method "zca" or "pca"',
        );
      }
      kernels(LINEAR).invertUpper_f64(inverse, factor, n, stride);
      const forth = new Float64Array(n * n);
      const back = new Float64Array(n * n);
      for (let i = 0; i < n; i++) {
        for (let j = i; j < n; j++) {
          forth[j * n + i] = heap[inverse / 8 + i * stride + j];
          back[j * n + i] = heap[factor / 8 + i * stride + j];
        }
      }
      return { forth, back };
    });
  }
}

/**
 * Rotates rows to their principal directions, in which they are uncorrelated.
 *
 * y = (x − mean)·V with the covariance C = V·Λ·Vᵀ: the covariance of y is Λ. Λ descends; in each column of V the first
 * of the elements of largest magnitude is positive.
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. Statistics are f64 and merged by their differences. Throws on NaN
 * and infinities in `fit`, on another number of columns than was fitted, and on use before a fit.
 *
 * Source: K. Pearson, "On lines and planes of closest fit to systems of points in space", 1901.
 *
 * @example
 * const rotation = new Decorrelation().fit([[1, 1], [2, 2], [3, 3]]);
 * rotation.transform([[3, 3]]).data; // [1.414, 0]
 */
export class Decorrelation extends ComomentTransform {
  /** @internal */
  protected readonly kind = "Decorrelation";
  readonly ddof: number;

  constructor(config: DecorrelationConfig = {}) {
    super();
    this.ddof = checkNumber("Decorrelation", "ddof", config.ddof ?? 0, 0);
  }

  /** The decorrelation that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): Decorrelation {
    const reader = new SavedReader("Decorrelation", saved);
    const decorrelation = new Decorrelation(reader.config);
    decorrelation.state = comomentsFromJSON(reader);
    return decorrelation;
  }

  /** V, [features, features]: transform gives (x − mean)·V. */
  get rotation(): Tensor<Float64Array> {
    const state = this.fitted("rotation");
    const { features } = state;
    return { data: this.matrices("Decorrelation.rotation", state).forth.slice(), shape: [features, features] };
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    return { ddof: this.ddof };
  }

  /** @internal */
  protected decompose(method: string, state: ComomentState): Matrices {
    const n = state.features;
    const { values, vectors } = this.spectrum(method, state);
    const forth = new Float64Array(n * n);
    for (let c = 0; c < n; c++) for (let j = 0; j < n; j++) forth[j * n + c] = vectors[c * n + j];
    const largest = Math.sqrt(values[0]) || 1;
    const deviations = deviationsOf(state, this.divisor(method, state)).map((deviation) => deviation / largest);
    return { components: n, forth, back: vectors, amplification: amplificationOf(forth, n, deviations) };
  }

  /** @internal */
  protected factor(method: string, state: ComomentState): () => number {
    const divisor = this.divisor(method, state);
    return () => 1 / divisor;
  }
}

/** Standard deviations; 0 for columns that are constant by StandardScaler's rule. */
function deviationsOf({ rows, mean, comoments }: ComomentState, divisor: number): Float64Array {
  const unit = Number.EPSILON;
  return mean.map((center, j) => {
    const sum = comoments[(j * (j + 3)) / 2];
    const biased = sum / rows;
    const isConstant = biased <= rows * unit * biased + square(rows * center * unit);
    return isConstant ? 0 : Math.sqrt(sum / divisor);
  });
}

/** Σ_c (factor(c)·v_c)·(factor(c)·v_c)ᵀ over the rows v_c of [n, n]. */
function squared(vectors: Float64Array, n: number, factor: (c: number) => number): Float64Array {
  return withScratch(() => {
    const sums = scratchF64(n * n);
    const scaled = scratch(8 * n * n);
    const product = matmulScratch();
    const heap = heap64();
    for (let c = 0; c < n; c++) {
      const k = factor(c);
      for (let j = 0; j < n; j++) heap[scaled / 8 + c * n + j] = k * vectors[c * n + j];
    }
    kernels(LINEAR).addGram_f64(sums, scaled, n, n, n, n, 1, product);
    const whole = copyF64(sums, n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) whole[j * n + i] = whole[i * n + j];
    return whole;
  });
}

/** The largest Σ_j deviation_j·|matrix[j, c]|; infinite where f32 could not hold the matrix. */
function amplificationOf(matrix: Float64Array, columns: number, deviations: Float64Array): number {
  const sums = new Float64Array(columns);
  for (let j = 0; j < deviations.length; j++) {
    for (let c = 0; c < columns; c++) {
      const size = Math.abs(matrix[j * columns + c]);
      sums[c] += size > LARGE ? Infinity : deviations[j] * size;
    }
  }
  return sums.reduce((a, b) => Math.max(a, b));
}
