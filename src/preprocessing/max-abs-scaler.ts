import type { Affine } from "../core/cells.js";
import { passingF64 } from "../core/memory.js";
import type { Operand } from "../core/tensor.js";
import { columnExtremes } from "./rows.js";
import {
  invert,
  oneForZero,
  readSklearn,
  readSklearnCount,
  SavedReader,
  Scaler,
  type ScalerState,
  type SklearnAttribute,
  toNumbers,
} from "./scaler.js";

/** What scikit-learn's MaxAbsScaler holds after a fit. */
export interface SklearnMaxAbsScaler {
  max_abs_: SklearnAttribute;
  n_samples_seen_: SklearnAttribute;
}

interface State extends ScalerState {
  readonly rows: number;
  /** −Infinity in columns without values. */
  readonly largest: Float64Array;
}

/**
 * Divides each column by its greatest magnitude, so that it lies in [−1, 1] and zeros stay zeros.
 *
 * y = x/maxAbs; maxAbs counts as 1 where it is below 10·2⁻⁵².
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. NaN is a missing value: passed over in `fit`, kept by `transform`.
 * Throws on an infinity in `fit`, on another number of columns than was fitted, and on use before a fit.
 *
 * Source: scikit-learn's MaxAbsScaler.
 *
 * @example
 * const scaler = new MaxAbsScaler().fit([[1, -40], [-2, 10]]);
 * scaler.transform([[1, 20]]).data; // [0.5, 0.5]
 */
export class MaxAbsScaler extends Scaler<State> {
  /** @internal */
  protected readonly kind = "MaxAbsScaler";
  /** @internal */
  protected readonly config = {};

  /**
   * A scaler fitted by scikit-learn, from its attributes with arrays as lists.
   *
   * @example
   * const scaler = MaxAbsScaler.fromSklearn({ max_abs_: [2, 40], n_samples_seen_: 2 });
   */
  static fromSklearn(attributes: SklearnMaxAbsScaler): MaxAbsScaler {
    const method = "MaxAbsScaler.fromSklearn";
    const maxAbs = readSklearn(method, "max_abs_", attributes.max_abs_);
    const scaler = new MaxAbsScaler();
    scaler.state = {
      features: maxAbs.length,
      rows: readSklearnCount(method, attributes.n_samples_seen_, 1)[0],
      largest: maxAbs.map((value) => (Number.isNaN(value) ? -Infinity : value)),
    };
    return scaler;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): MaxAbsScaler {
    const reader = new SavedReader("MaxAbsScaler", saved);
    const scaler = new MaxAbsScaler();
    if (reader.isFitted) {
      const largest = reader.values("largest");
      scaler.state = { features: largest.length, rows: reader.value("rows"), largest };
    }
    return scaler;
  }

  /** Greatest magnitude of each column; NaN where there was no value. */
  get maxAbs(): Float64Array {
    return this.fitted("maxAbs").largest.map((value) => (value >= 0 ? value : NaN));
  }

  /** What each column is divided by: maxAbs, or 1 where that is 0. */
  get scale(): Float64Array {
    const { features, largest } = this.fitted("scale");
    return scaleOf(largest, new Float64Array(features));
  }

  /** Rows fitted, those with missing values too. */
  get nSamplesSeen(): number {
    return this.state?.rows ?? 0;
  }

  /** @internal */
  protected measure(method: string, x: Operand): State {
    const [rows, features] = x.shape;
    const { low, high } = columnExtremes(method, x);
    for (let j = 0; j < features; j++) high[j] = Math.max(high[j], -low[j]);
    return { features, rows, largest: high };
  }

  /** @internal */
  protected join(a: State, b: State): State {
    const largest = a.largest.map((value, j) => Math.max(value, b.largest[j]));
    return { features: a.features, rows: a.rows + b.rows, largest };
  }

  /** @internal */
  protected affine({ features, largest }: State): Affine {
    const zeros = passingF64(features);
    return { mean: zeros, scale: invert(scaleOf(largest, passingF64(features))), shift: zeros };
  }

  /** @internal */
  protected inverseAffine({ features, largest }: State): Affine {
    const zeros = passingF64(features);
    return { mean: zeros, scale: scaleOf(largest, passingF64(features)), shift: zeros };
  }

  /** @internal */
  protected stateToJSON({ rows, largest }: State): Record<string, unknown> {
    return { rows, largest: toNumbers(largest) };
  }
}

/** What each column is divided by, written to `into`; NaN where there was no value. */
function scaleOf(largest: Float64Array, into: Float64Array): Float64Array {
  for (let j = 0; j < into.length; j++) into[j] = oneForZero(largest[j] >= 0 ? largest[j] : NaN);
  return into;
}
