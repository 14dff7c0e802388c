import { checkOneOf } from "../core/errors.js";
import { type DType, elementBytes, heap64, kernelsOf, scratch, scratchF64, withScratch } from "../core/memory.js";
import { stream } from "../core/stream.js";
import { checkSame, Target, type Tensor } from "../core/tensor.js";
import { type RowsLike, readRows } from "./rows.js";
import { SavedReader, type SavedScaler, type TransformOptions } from "./scaler.js";

/** `l1`: Σ|x|. `l2`: √Σx². `max`: the greatest |x|. */
export type Norm = "l1" | "l2" | "max";

export interface NormalizeOptions extends TransformOptions {
  /** Default "l2". */
  norm?: Norm;
}

/** Norms and factors in this range, and their inverses, are far from the ends of the element type. */
function safeRange(dtype: DType): { low: number; high: number } {
  const exponent = dtype === "float64" ? 1000 : 100;
  return { low: 2 ** -exponent, high: 2 ** exponent };
}

/** The kernel that writes unit rows, and their norms; a row of zeros has norm 0 and stays. */
function unitKernel(norm: Norm, dtype: DType) {
  const k = kernelsOf(dtype);
  return { l1: k.rowUnit1, l2: k.rowUnit2, max: k.rowUnitMax }[norm];
}

/**
 * Brings each row to unit norm.
 *
 * y = x/‖x‖, ‖x‖ = √Σx² ("l2"), Σ|x| ("l1") or max|x| ("max"), over the row; a row of zeros stays.
 *
 * x is `[n, features]`, f32, f64 or plain lists; y has its shape and is x·(1/‖x‖), two roundings. Right for rows whose
 * squares, norm or inverse norm overflow. A row with NaN becomes NaN. Throws on another norm.
 *
 * Source: scikit-learn's normalize.
 *
 * @example
 * normalize([[3, 4], [0, 0]]).data; // [0.6, 0.8, 0, 0]
 */
export function normalize(x: RowsLike, options: NormalizeOptions = {}): Tensor {
  return normalizeRows("normalize", x, options);
}

function normalizeRows(method: string, x: RowsLike, options: NormalizeOptions): Tensor {
  const norm = checkOneOf(method, "norm", options.norm ?? "l2", ["l1", "l2", "max"]);
  const operand = readRows(method, "x", x);
  const y = new Target(method, options.out, operand);
  y.checkOverlap(method, "x", operand);
  const [rows, n] = operand.shape;
  const kernel = unitKernel(norm, operand.dtype);
  stream({ rows, n }, [operand], [y], ([from, to], chunk) => {
    kernel(to, 0, from, chunk.rows, n);
  });
  return y.result;
}

/**
 * The gradient of `normalize`.
 *
 * dx = (dy − y·Σdy·y)/‖x‖ for "l2", (dy − sign(x)·Σdy·y)/‖x‖ for "l1", the sums over the row; 0 for a row of zeros.
 *
 * dy and x are `[n, features]`; dx has their shape and goes to `out` where given (it may be dy or x). Throws on another
 * norm, and where shapes or element types differ.
 *
 * @example
 * const { dx } = normalizeBackward([[1, 0]], [[3, 4]]); // [0.128, -0.096]
 */
export function normalizeBackward(
  dy: RowsLike,
  x: RowsLike,
  options: TransformOptions & { norm?: "l1" | "l2" } = {},
): { dx: Tensor } {
  const method = "normalizeBackward";
  const norm = checkOneOf(method, "norm", options.norm ?? "l2", ["l1", "l2"]);
  const operand = readRows(method, "x", x);
  const gradient = readRows(method, "dy", dy);
  checkSame(method, "dy", gradient, operand, "x");
  const dx = new Target(method, options.out, operand);
  dx.checkOverlap(method, "dy", gradient);
  dx.checkOverlap(method, "x", operand);
  const { dtype } = operand;
  const [rows, n] = operand.shape;
  const k = kernelsOf(dtype);
  // Small chunks in linear memory too, since each takes scratch for its y.
  const toUnit = unitKernel(norm, dtype);
  const { low, high } = safeRange(dtype);
  // Small chunks in linear memory too, since each takes scratch for its y.
  stream({ rows, n, fixed: true }, [gradient, operand], [dx], ([g, from, to], { rows: part }) => {
    withScratch(() => {
      const y = scratch(part * n * elementBytes(dtype));
      const norms = scratch(8 * part);
      const zeros = scratchF64(part);
      const ones = scratch(8 * part);
      // 1/norm as a product of two factors within the element type; 0 for a norm of 0.
      const inverses = scratch(8 * part);
      const rests = scratch(8 * part);
      const unused = scratchF64(part);
      const slopes = scratchF64(part);
      toUnit(y, norms, from, part, n);
      k.planeGradSums(unused, slopes, g, y, zeros, part, n, 0, part);
      if (norm === "l1") k.rowSign(y, y, part * n);
      const values = heap64();
      let hasRest = false;
      for (let r = 0; r < part; r++) {
        const size = values[norms / 8 + r];
        const inverse = size === 0 ? 0 : Math.max(low, Math.min(high, 1 / size));
        const isClamped = inverse === low || inverse === high;
        hasRest ||= isClamped;
        values[ones / 8 + r] = 1;
        values[inverses / 8 + r] = inverse;
        values[rests / 8 + r] = isClamped ? 1 / (size * inverse) : 1;
        values[slopes / 8 + r] *= -1;
      }
      k.planeGradAffine(to, g, y, zeros, inverses, ones, slopes, zeros, part, n, 0, part);
      if (hasRest) k.rowStandardize(to, to, 0, 0, zeros, rests, part, n, 0, 1);
    });
  });
  return { dx: dx.result };
}

/**
 * `normalize` in the shape of a scaler. There is nothing to learn: `fit` only checks its argument.
 *
 * @example
 * const normalizer = new Normalizer({ norm: "l1" });
 * normalizer.transform([[1, -3]]).data; // [0.25, -0.75]
 */
export class Normalizer {
  readonly norm: Norm;

  constructor(config: { norm?: Norm } = {}) {
    this.norm = checkOneOf("Normalizer", "norm", config.norm ?? "l2", ["l1", "l2", "max"]);
  }

  /** scikit-learn's Normalizer, whose only parameter is the norm. */
  static fromSklearn(attributes: { norm?: Norm }): Normalizer {
    return new Normalizer(attributes);
  }

  /** The normalizer that `toJSON` wrote. */
  static fromJSON(saved: unknown): Normalizer {
    return new Normalizer(new SavedReader("Normalizer", saved).config);
  }

  /** Checks x and learns nothing. */
  fit(x: RowsLike): this {
    readRows("Normalizer.fit", "x", x);
    return this;
  }

  /** Unit rows, in the shape and element type of x. */
  transform(x: RowsLike, { out }: TransformOptions = {}): Tensor {
    return normalizeRows("Normalizer.transform", x, { norm: this.norm, out });
  }

  /** The same as `transform`. */
  fitTransform(x: RowsLike, options: TransformOptions = {}): Tensor {
    return this.transform(x, options);
  }

  /** The normalizer as plain data, for `JSON.stringify` and `fromJSON`. */
  toJSON(): SavedScaler {
    return { version: 1, kind: "Normalizer", config: { norm: this.norm }, state: null };
  }
}
