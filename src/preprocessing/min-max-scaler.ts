import type { Affine } from "../core/cells.js";
import { fail, show } from "../core/errors.js";
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

export interface MinMaxScalerConfig {
  /** What the least and greatest value of each column become. Default [0, 1]. */
  featureRange?: readonly [number, number];
  /** Bring values beyond those fitted to the ends of the range. Default false. */
  clip?: boolean;
}

/** What scikit-learn's MinMaxScaler holds after a fit. Parameters are taken over where they are there. */
export interface SklearnMinMaxScaler {
  data_min_: SklearnAttribute;
  data_max_: SklearnAttribute;
  n_samples_seen_: SklearnAttribute;
  feature_range?: readonly [number, number];
  clip?: boolean;
}

interface State extends ScalerState {
  readonly rows: number;
  /** +Infinity and −Infinity in columns without values. */
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/**
 * Brings the least and greatest value of each column to the ends of a range [a, b].
 *
 * y = a + (x − min)·(b − a)/(max − min); max − min counts as 1 where it is below 10·2⁻⁵²: a constant column becomes a.
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. NaN is a missing value: passed over in `fit`, kept by `transform`.
 * Throws where a is not below b, on an infinity in `fit`, on another number of columns than was fitted, and on use
 * before a fit.
 *
 * Source: scikit-learn's MinMaxScaler.
 *
 * @example
 * const scaler = new MinMaxScaler({ featureRange: [-1, 1] }).fit([[0], [5], [10]]);
 * scaler.transform([[0], [7.5]]).data; // [-1, 0.5]
 */
export class MinMaxScaler extends Scaler<State> {
  /** @internal */
  protected readonly kind = "MinMaxScaler";
  readonly featureRange: readonly [number, number];
  readonly clip: boolean;

  constructor(config: MinMaxScalerConfig = {}) {
    super();
    const range = config.featureRange ?? [0, 1];
    if (!Array.isArray(range) || range.length !== 2 || !(range[0] < range[1] && range[1] - range[0] < Infinity)) {
      fail("MinMaxScaler", `featureRange must be [a, b] with a below b, both finite, got ${show(range)}`);
    }
    this.featureRange = [range[0], range[1]];
    this.clip = config.clip ?? false;
  }

  /**
   * A scaler fitted by scikit-learn, from its attributes with arrays as lists.
   *
   * @example
   * const scaler = MinMaxScaler.fromSklearn({ data_min_: [0, 5], data_max_: [1, 9], n_samples_seen_: 20 });
   */
  static fromSklearn(attributes: SklearnMinMaxScaler): MinMaxScaler {
    const method = "MinMaxScaler.fromSklearn";
    const scaler = new MinMaxScaler({ featureRange: attributes.feature_range, clip: attributes.clip });
    const low = readSklearn(method, "data_min_", attributes.data_min_);
    const features = low.length;
    const high = readSklearn(method, "data_max_", attributes.data_max_, features);
    const rows = readSklearnCount(method, attributes.n_samples_seen_, 1)[0];
    scaler.state = {
      features,
      rows,
      low: low.map((value) => (Number.isNaN(value) ? Infinity : value)),
      high: high.map((value) => (Number.isNaN(value) ? -Infinity : value)),
    };
    return scaler;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): MinMaxScaler {
    const reader = new SavedReader("MinMaxScaler", saved);
    const scaler = new MinMaxScaler(reader.config);
    if (reader.isFitted) {
      const low = reader.values("low");
      const features = low.length;
      scaler.state = { features, rows: reader.value("rows"), low, high: reader.values("high", features) };
    }
    return scaler;
  }

  /** Least value of each column; NaN where there was none. */
  get dataMin(): Float64Array {
    const state = this.fitted("dataMin");
    return leastOf(state, new Float64Array(state.features));
  }

  /** Greatest value of each column; NaN where there was none. */
  get dataMax(): Float64Array {
    const { low, high } = this.fitted("dataMax");
    return high.map((value, j) => (low[j] <= value ? value : NaN));
  }

  /** dataMax − dataMin. */
  get dataRange(): Float64Array {
    const least = this.dataMin;
    return this.dataMax.map((value, j) => value - least[j]);
  }

  /** What each column is multiplied by, (b − a)/dataRange. */
  get scale(): Float64Array {
    const state = this.fitted("scale");
    return this.scaleOf(state, new Float64Array(state.features));
  }

  /** What is added after that, a − dataMin·scale. */
  get min(): Float64Array {
    const { scale, dataMin } = this;
    return scale.map((value, j) => this.featureRange[0] - dataMin[j] * value);
  }

  /** Rows fitted, those with missing values too. */
  get nSamplesSeen(): number {
    return this.state?.rows ?? 0;
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    return { featureRange: [...this.featureRange], clip: this.clip };
  }

  /** @internal */
  protected measure(method: string, x: Operand): State {
    const [rows, features] = x.shape;
    return { features, rows, ...columnExtremes(method, x) };
  }

  /** @internal */
  protected join(a: State, b: State): State {
    return {
      features: a.features,
      rows: a.rows + b.rows,
      low: a.low.map((value, j) => Math.min(value, b.low[j])),
      high: a.high.map((value, j) => Math.max(value, b.high[j])),
    };
  }

  /** @internal */
  protected affine(state: State): Affine {
    const { features } = state;
    const scale = this.scaleOf(state, passingF64(features));
    return {
      mean: leastOf(state, passingF64(features)),
      scale,
      shift: passingF64(features).fill(this.featureRange[0]),
    };
  }

  /** @internal */
  protected inverseAffine(state: State): Affine {
    const { features } = state;
    const scale = invert(this.scaleOf(state, passingF64(features)));
    return {
      mean: passingF64(features).fill(this.featureRange[0]),
      scale,
      shift: leastOf(state, passingF64(features)),
    };
  }

  private scaleOf({ low, high }: State, into: Float64Array): Float64Array {
    const [a, b] = this.featureRange;
    for (let j = 0; j < into.length; j++) into[j] = (b - a) / (low[j] <= high[j] ? oneForZero(high[j] - low[j]) : NaN);
    return into;
  }

  /** @internal */
  protected override limits(): readonly number[] | null {
    return this.clip ? this.featureRange : null;
  }

  /** @internal */
  protected stateToJSON({ rows, low, high }: State): Record<string, unknown> {
    return { rows, low: toNumbers(low), high: toNumbers(high) };
  }
}

/** The least value of each column, written to `into`; NaN where there was none. */
function leastOf({ low, high }: State, into: Float64Array): Float64Array {
  for (let j = 0; j < into.length; j++) into[j] = low[j] <= high[j] ? low[j] : NaN;
  return into;
}
