import { checkNumber, fail } from "../core/errors.js";
import { colScratch, copyF64, matmulScratch, scratch, scratchF64, withScratch } from "../core/memory.js";
import { mergeCells, varianceOf } from "../core/moments.js";
import { COLUMNS, FUNCTIONS, kernelsOf, LINEAR, ROWS } from "../core/parts.js";
import { stageF64, stageWhole } from "../core/stream.js";
import { columnMoments, type RowsLike, readRows } from "./rows.js";

export interface CovariateShiftOptions {
  /**
   * Penalty on the squares of the coefficients (of standardized features), above 0: what keeps weights moderate.
   * Default 1.
   */
  l2?: number;
  /** The largest weight. Default: no limit. */
  clip?: number;
}

export interface CovariateShift {
  /** One for each row of source: how much more often the target has such rows. For `sampleWeight`. */
  weights: Float64Array;
  /** The classifier: the logarithm of the odds for target is ⟨coefficients, row⟩ + intercept. */
  coefficients: Float64Array;
  intercept: number;
}

/** Newton's steps: six or so are usual. */
const MOST_STEPS = 100;
/** The gradient, against the number of rows, at which they end. */
const SETTLED = 1e-12;

/** x of a·x = b, a symmetric positive definite [n, n], by Cholesky's decomposition, which overwrites a. */
function solve(a: Float64Array, b: Float64Array): Float64Array {
  const n = b.length;
  const x = b.slice();
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i === j ? Math.sqrt(sum) : sum / a[j * n + j];
    }
    for (let k = 0; k < i; k++) x[i] -= a[i * n + k] * x[k];
    x[i] /= a[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= a[k * n + i] * x[k];
    x[i] /= a[i * n + i];
  }
  return x;
}

/** A logistic classifier of the standardized rows of both samples: what Newton's method asks of it. */
class Classifier {
  readonly #rows: number;
  readonly #sources: number;
  readonly #n: number;
  readonly #l2: number;
  readonly #z: number;
  readonly #weighted: number;
  readonly #odds: number;
  readonly #chance: number;
  readonly #ones: number;
  readonly #workspace: number;
  readonly #product: number;

  /** In scratch of the caller; z [rows, n] at an address, the first `sources` rows those of source. */
  constructor(z: number, rows: number, sources: number, n: number, l2: number) {
    this.#rows = rows;
    this.#sources = sources;
    this.#n = n;
    this.#l2 = l2;
    this.#z = z;
    this.#weighted = scratch(rows * n * 8);
    this.#odds = scratch(rows * 8);
    this.#chance = scratch(rows * 8);
    this.#ones = stageF64(new Float64Array(rows).fill(1));
    this.#workspace = colScratch();
    this.#product = matmulScratch();
  }

  /** The odds of each row for coefficients with the intercept behind them, and from them the chances. */
  #predict(beta: Float64Array): void {
    const onRows = kernelsOf(ROWS, "float64");
    const linear = kernelsOf(LINEAR, "float64");
    const functions = kernelsOf(FUNCTIONS, "float64");
    const [rows, n] = [this.#rows, this.#n];
    withScratch(() => {
      const zero = stageF64([0]);
      const intercept = stageF64([beta[n]]);
      onRows.rowAffine(this.#odds, this.#ones, zero, zero, intercept, 1, rows, 0, 1);
      linear.rowDot(this.#odds, this.#z, stageF64(beta.subarray(0, n)), rows, n);
    });
    functions.eachSigmoid(this.#chance, this.#odds, 1, rows, 0, 0);
  }

  /** The sum over the rows of a value of each, times the row and times 1. */
  #sums(values: number): Float64Array {
    const k = kernelsOf(LINEAR, "float64");
    return withScratch(() => {
      const sums = scratchF64(this.#n + 1);
      k.colCombine(sums, this.#z, values, this.#rows, this.#n, this.#workspace);
      k.rowDot(sums + 8 * this.#n, values, this.#ones, 1, this.#rows);
      return copyF64(sums, this.#n + 1);
    });
  }

  /** The gradient of the loss: Σ (chance − label)·row, and the penalty's. */
  gradient(beta: Float64Array): Float64Array {
    this.#predict(beta);
    const k = kernelsOf(ROWS, "float64");
    const [rows, sources] = [this.#rows, this.#sources];
    return withScratch(() => {
      const residual = scratch(rows * 8);
      const [zero, one] = [0, 1].map((value) => stageF64([value]));
      const skip = 8 * sources;
      k.rowAffine(residual, this.#chance, zero, one, zero, 1, sources, 0, 1);
      k.rowAffine(residual + skip, this.#chance + skip, one, one, zero, 1, rows - sources, 0, 1);
      const sums = this.#sums(residual);
      for (let j = 0; j < this.#n; j++) sums[j] += this.#l2 * beta[j];
      return sums;
    });
  }

  /** The second derivatives at the place of the last gradient: Σ chance·(1 − chance)·row·rowᵀ, and the penalty's. */
  curvature(): Float64Array {
    const functions = kernelsOf(FUNCTIONS, "float64");
    const onRows = kernelsOf(ROWS, "float64");
    const linear = kernelsOf(LINEAR, "float64");
    const [rows, n] = [this.#rows, this.#n];
    return withScratch(() => {
      const slope = scratch(rows * 8);
      functions.eachSigmoidGrad(slope, this.#ones, this.#chance, 1, rows, 0, 0, 0);
      const zeros = scratchF64(rows);
      onRows.rowAffine(this.#weighted, this.#z, zeros, slope, zeros, rows, n, 0, rows);
      const square = scratch(n * n * 8);
      linear.matmul(square, this.#weighted, this.#z, n, n, rows, 1, 0, this.#product);
      const inner = copyF64(square, n * n);
      const edge = this.#sums(slope);
      const size = n + 1;
      const full = new Float64Array(size * size);
      for (let i = 0; i < n; i++) {
        full.set(inner.subarray(i * n, (i + 1) * n), i * size);
        full[i * size + i] += this.#l2;
        full[i * size + n] = edge[i];
        full[n * size + i] = edge[i];
      }
      full[n * size + n] = edge[n];
      return full;
    });
  }

  /** e^odds·factor of the rows of source, at most `clip`. */
  weights(beta: Float64Array, factor: number, clip: number): Float64Array {
    this.#predict(beta);
    const functions = kernelsOf(FUNCTIONS, "float64");
    const onRows = kernelsOf(ROWS, "float64");
    const onColumns = kernelsOf(COLUMNS, "float64");
    const sources = this.#sources;
    return withScratch(() => {
      const [zero, scale] = [0, factor].map((value) => stageF64([value]));
      functions.eachExp(this.#odds, this.#odds, sources);
      onRows.rowAffine(this.#odds, this.#odds, zero, scale, zero, 1, sources, 0, 1);
      onColumns.eachClamp(this.#odds, this.#odds, sources, 0, clip);
      return copyF64(this.#odds, sources);
    });
  }
}

function lengthOf(x: Float64Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}

/** Newton's method on the penalized loss, which is convex: a step is halved until it shortens the gradient. */
function minimize(method: string, classifier: Classifier, rows: number, n: number): Float64Array {
  let beta: Float64Array = new Float64Array(n + 1);
  let gradient = classifier.gradient(beta);
  for (let step = 0; step < MOST_STEPS; step++) {
    const before = lengthOf(gradient);
    if (before <= SETTLED * rows) return beta;
    const direction = solve(classifier.curvature(), gradient);
    let share = 1;
    let next = beta;
    do {
      next = beta.map((value, i) => value - share * direction[i]);
      gradient = classifier.gradient(next);
      share /= 2;
    } while (!(lengthOf(gradient) < before) && share > 1e-9);
    if (share <= 1e-9) break;
    beta = next;
  }
  // Rounding may keep the gradient a little above the mark.
  if (lengthOf(classifier.gradient(beta)) <= 1e-8 * rows) return beta;
  return fail(method, "the classifier did not settle; the samples are nearly separable: raise l2");
}

/**
 * Weights that make one sample stand for another whose features are distributed otherwise (covariate shift): for
 * training on the one what will be used on the other.
 *
 * A logistic classifier tells target from source; a row of source gets the weight
 * p_target/p_source = e^f(row)·(rows of source)/(rows of target), f the logarithm of the classifier's odds.
 *
 * source and target are `[rows, features]`, f32 or f64, or lists of rows, without missing values; the work is done in
 * f64 on features standardized over both. The weights go into `fit(source, { sampleWeight })`. Throws where the
 * features differ in number, a value is not finite, or l2 is not above 0.
 *
 * Source: A. Smola, "Real simple covariate shift correction", 2013; S. Bickel, M. Brückner, T. Scheffer,
 * "Discriminative Learning Under Covariate Shift", 2009.
 *
 * @example
 * const { weights } = covariateShiftWeights([[0], [1], [2]], [[1], [2], [3]]);
 * const scaler = new StandardScaler().fit([[0], [1], [2]], { sampleWeight: weights });
 */
export function covariateShiftWeights(
  source: RowsLike,
  target: RowsLike,
  options: CovariateShiftOptions = {},
): CovariateShift {
  const method = "covariateShiftWeights";
  const samples = [readRows(method, "source", source), readRows(method, "target", target)];
  const l2 = checkNumber(method, "l2", options.l2 ?? 1, 0, true);
  const { clip = Infinity } = options;
  if (!(clip > 0)) fail(method, `clip must be above 0, got ${clip}`);
  const [sources, n] = samples[0].shape;
  const [targets, others] = samples[1].shape;
  if (others !== n) fail(method, `target has ${others} features where source has ${n}; they must be the same`);
  const parts = samples.map((x, i) => {
    const moments = columnMoments(method, x, undefined, false);
    const missing = moments.count.findIndex((count) => count !== x.shape[0]);
    if (missing >= 0) {
      fail(method, `${i === 0 ? "source" : "target"} has NaN in column ${missing}; remove such rows or fill them in`);
    }
    return moments;
  });
  const both = mergeCells(
    {
      count: Float64Array.from(parts.flatMap(({ count }) => [...count])),
      mean: Float64Array.from(parts.flatMap(({ mean }) => [...mean])),
      m2: Float64Array.from(parts.flatMap(({ m2 }) => [...m2])),
    },
    n,
    (cell) => cell % n,
  );
  const scale = varianceOf(both).map((variance) => (variance > 0 ? 1 / Math.sqrt(variance) : 0));
  const rows = sources + targets;
  return withScratch(() => {
    const z = scratch(rows * n * 8);
    withScratch(() => {
      const k = kernelsOf(COLUMNS, "float64");
      const [center, factor, zeros] = [both.mean, scale, new Float64Array(n)].map((list) => stageF64(list));
      k.colAffine(z, stageWhole(samples[0], "float64"), center, factor, zeros, sources, n);
      k.colAffine(z + sources * n * 8, stageWhole(samples[1], "float64"), center, factor, zeros, targets, n);
    });
    const classifier = new Classifier(z, rows, sources, n, l2);
    const beta = minimize(method, classifier, rows, n);
    const weights = classifier.weights(beta, sources / targets, clip);
    const coefficients = scale.map((value, j) => beta[j] * value);
    const intercept = coefficients.reduce((sum, value, j) => sum - value * both.mean[j], beta[n]);
    return { weights, coefficients, intercept };
  });
}
