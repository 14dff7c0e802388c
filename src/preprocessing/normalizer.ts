import { checkOneOf } from "../core/errors.js";
import { elementBytes, scratch, withScratch } from "../core/memory.js";
import { kernels, kernelsOf, ROWS } from "../core/parts.js";
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
  const y = new Target(method, options.out, operand, [operand]);
  const [rows, n] = operand.shape;
  const k = kernelsOf(ROWS, operand.dtype);
  const kernel = { l1: k.rowUnit1, l2: k.rowUnit2, max: k.rowUnitMax }[norm];
  withScratch(() => {
    const workspace = scratch(kernels(ROWS).unitScratchBytes());
    stream({ rows, n }, [operand], [y], ([from, to], chunk) => kernel(to, from, chunk.rows, n, workspace));
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
  const dx = new Target(method, options.out, operand, [gradient, operand]);
  const [rows, n] = operand.shape;
  const k = kernelsOf(ROWS, operand.dtype);
  const kernel = { l1: k.rowUnitGrad1, l2: k.rowUnitGrad2 }[norm];
  withScratch(() => {
    const row = scratch(n * elementBytes(operand.dtype));
    stream({ rows, n }, [gradient, operand], [dx], ([g, from, to], chunk) => kernel(to, g, from, chunk.rows, n, row));
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
