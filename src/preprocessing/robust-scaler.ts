import type { Affine } from "../core/cells.js";
import { fail, show } from "../core/errors.js";
import { elementsOf, type Operand } from "../core/tensor.js";
import { normalQuantile, QuantileSketch, quantilesOf } from "./quantiles.js";
import { columnExtremes } from "./rows.js";
import {
  invert,
  oneForZero,
  readSklearn,
  SavedReader,
  Scaler,
  type ScalerState,
  type SklearnAttribute,
  toNumbers,
} from "./scaler.js";

export interface RobustScalerConfig {
  /** Percentages between which the scale is taken. Default [25, 75], the interquartile range. */
  quantileRange?: readonly [number, number];
  /** Subtract the median. Default true. */
  withCentering?: boolean;
  /** Divide by the range. Default true. */
  withScaling?: boolean;
  /** Scale so that normally distributed columns get variance 1. Default false. */
  unitVariance?: boolean;
}

/** What scikit-learn's RobustScaler holds after a fit. Parameters are taken over where they are there. */
export interface SklearnRobustScaler {
  center_?: SklearnAttribute;
  scale_?: SklearnAttribute;
  quantile_range?: readonly [number, number];
  with_centering?: boolean;
  with_scaling?: boolean;
  unit_variance?: boolean;
}

interface Statistics {
  readonly center: Float64Array;
  readonly scale: Float64Array;
}

/** `fit` keeps the statistics alone, `partialFit` a sketch of each column. */
type State = ScalerState & { readonly exact: Statistics | null; readonly sketches: readonly QuantileSketch[] };

/**
 * Subtracts the median of each column and divides by the range between two quantiles, on which outliers have no hold.
 *
 * y = (x − median)/(q_high − q_low), quantiles interpolated linearly; a range below 10·2⁻⁵² counts as 1. With
 * `unitVariance` the range is divided by that of the standard normal distribution.
 *
 * `fit` is exact. `partialFit` and `merge` keep a sketch of each column: exact up to 2048 values; of n values a
 * quantile is one whose rank is off by at most n·⌈log₂(n/2048)⌉/2048, in practice a tenth of that. What `fit` learned
 * cannot be added to.
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. NaN is a missing value: left out of the quantiles, kept by
 * `transform`. Throws where the quantile range is reversed or leaves 0 to 100, on an infinity in `fit`, on another
 * number of columns than was fitted, and on use before a fit.
 *
 * Source: scikit-learn's RobustScaler; G. S. Manku, S. Rajagopalan, B. G. Lindsay, "Approximate Medians and other
 * Quantiles in One Pass and with Limited Memory", 1998.
 *
 * @example
 * const scaler = new RobustScaler().fit([[1], [2], [3], [4], [1000]]);
 * scaler.transform([[3], [5]]).data; // [0, 1]
 */
export class RobustScaler extends Scaler<State> {
  /** @internal */
  protected readonly kind = "RobustScaler";
  readonly quantileRange: readonly [number, number];
  readonly withCentering: boolean;
  readonly withScaling: boolean;
  readonly unitVariance: boolean;
  /** The statistics of sketches, which are long in the making. */
  readonly #statistics = new WeakMap<State, Statistics>();

  constructor(config: RobustScalerConfig = {}) {
    super();
    const range = config.quantileRange ?? [25, 75];
    if (!Array.isArray(range) || range.length !== 2 || !(0 <= range[0] && range[0] <= range[1] && range[1] <= 100)) {
      fail("RobustScaler", `quantileRange must be [low, high] with 0 <= low <= high <= 100, got ${show(range)}`);
    }
    this.quantileRange = [range[0], range[1]];
    this.withCentering = config.withCentering ?? true;
    this.withScaling = config.withScaling ?? true;
    this.unitVariance = config.unitVariance ?? false;
    if (this.unitVariance && !(0 < range[0] && range[0] < range[1] && range[1] < 100)) {
      fail("RobustScaler", `unitVariance needs a quantileRange with 0 < low < high < 100, got ${show(range)}`);
    }
  }

  /**
   * A scaler fitted by scikit-learn, from its attributes with arrays as lists.
   *
   * @example
   * const scaler = RobustScaler.fromSklearn({ center_: [3, 0], scale_: [2, 1] });
   */
  static fromSklearn(attributes: SklearnRobustScaler): RobustScaler {
    const method = "RobustScaler.fromSklearn";
    const scaler = new RobustScaler({
      quantileRange: attributes.quantile_range,
      withCentering: attributes.with_centering ?? attributes.center_ != null,
      withScaling: attributes.with_scaling ?? attributes.scale_ != null,
      unitVariance: attributes.unit_variance,
    });
    const given = scaler.withCentering ? "center_" : "scale_";
    const features = readSklearn(method, given, attributes[given]).length;
    const unknown = new Float64Array(features).fill(NaN);
    scaler.state = {
      features,
      exact: {
        center: scaler.withCentering ? readSklearn(method, "center_", attributes.center_, features) : unknown,
        scale: scaler.withScaling ? readSklearn(method, "scale_", attributes.scale_, features) : unknown,
      },
      sketches: [],
    };
    return scaler;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): RobustScaler {
    const reader = new SavedReader("RobustScaler", saved);
    const scaler = new RobustScaler(reader.config);
    if (!reader.isFitted) return scaler;
    if (reader.has("sketches")) {
      const sketches = reader.list("sketches").map((sketch, j) => readSketch(reader, `sketches[${j}]`, sketch));
      scaler.state = { features: sketches.length, exact: null, sketches };
    } else {
      const center = reader.values("center");
      const features = center.length;
      scaler.state = { features, exact: { center, scale: reader.values("scale", features) }, sketches: [] };
    }
    return scaler;
  }

  /** Median of each column; NaN where there was no value. */
  get center(): Float64Array {
    return this.statisticsOf(this.fitted("center")).center.slice();
  }

  /** What each column is divided by: its range, or 1 where that is 0. */
  get scale(): Float64Array {
    return this.statisticsOf(this.fitted("scale")).scale.slice();
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    const { quantileRange, withCentering, withScaling, unitVariance } = this;
    return { quantileRange: [...quantileRange], withCentering, withScaling, unitVariance };
  }

  /** @internal */
  protected measure(method: string, x: Operand): State {
    const quantiles = mapColumns(method, x, (values) => quantilesOf(values, this.fractions));
    return { features: x.shape[1], exact: this.statisticsFrom(quantiles), sketches: [] };
  }

  /** @internal */
  protected override measurePart(method: string, x: Operand): State {
    if (this.state?.exact)
      fail(method, "fit keeps no data to add to; make a new scaler and call partialFit throughout");
    const sketches = mapColumns(method, x, (values) => QuantileSketch.of(values));
    return { features: x.shape[1], exact: null, sketches };
  }

  /** @internal */
  protected join(a: State, b: State): State {
    if (a.exact || b.exact) {
      fail("RobustScaler.merge", "fit keeps no data to merge; fit both scalers with partialFit");
    }
    return { ...a, sketches: a.sketches.map((sketch, j) => sketch.joined(b.sketches[j])) };
  }

  /** @internal */
  protected affine(state: State): Affine {
    const { center, scale } = this.applied(state);
    return { mean: center, scale: invert(scale.slice()), shift: new Float64Array(state.features) };
  }

  /** @internal */
  protected inverseAffine(state: State): Affine {
    const { center, scale } = this.applied(state);
    return { mean: new Float64Array(state.features), scale, shift: center };
  }

  /** @internal */
  protected stateToJSON({ exact, sketches }: State): Record<string, unknown> {
    if (exact) return { center: toNumbers(exact.center), scale: toNumbers(exact.scale) };
    return { sketches: sketches.map(({ levels, turns }) => ({ levels: levels.map(toNumbers), turns: [...turns] })) };
  }

  private get fractions(): number[] {
    // In ascending order for the selection: the median need not lie between the two.
    return [...this.quantileRange, 50].sort((a, b) => a - b).map((percentage) => percentage / 100);
  }

  private statisticsOf(state: State): Statistics {
    if (state.exact) return state.exact;
    let found = this.#statistics.get(state);
    if (found === undefined) {
      found = this.statisticsFrom(state.sketches.map((sketch) => sketch.quantiles(this.fractions)));
      this.#statistics.set(state, found);
    }
    return found;
  }

  /** `quantiles`: those of each column at `fractions`. */
  private statisticsFrom(quantiles: number[][]): Statistics {
    const [low, high] = this.quantileRange;
    const at = (percentage: number) => {
      const index = this.fractions.indexOf(percentage / 100);
      return Float64Array.from(quantiles, (ofColumn) => ofColumn[index]);
    };
    const lower = at(low);
    const scale = at(high).map((value, j) => oneForZero(value - lower[j]));
    const unit = this.unitVariance ? normalQuantile(high / 100) - normalQuantile(low / 100) : 1;
    return { center: at(50), scale: scale.map((value) => value / unit) };
  }

  private applied(state: State): Statistics {
    const { center, scale } = this.statisticsOf(state);
    return {
      center: this.withCentering ? center : new Float64Array(state.features),
      scale: this.withScaling ? scale : new Float64Array(state.features).fill(1),
    };
  }
}

/** Calls `work` with the values of each column, without NaN, in an array that is used again. */
function mapColumns<R>(method: string, x: Operand, work: (values: Float64Array) => R): R[] {
  columnExtremes(method, x);
  const [rows, n] = x.shape;
  const elements = elementsOf(x);
  const column = new Float64Array(rows);
  return Array.from({ length: n }, (_, j) => {
    let count = 0;
    for (let at = j; at < elements.length; at += n) {
      column[count] = elements[at];
      // A NaN is written over by the next value.
      if (!Number.isNaN(column[count])) count++;
    }
    return work(column.subarray(0, count));
  });
}

function readSketch(reader: SavedReader, name: string, saved: unknown): QuantileSketch {
  const { levels, turns } = (saved ?? {}) as { levels?: unknown; turns?: unknown };
  const found = reader.list(`${name}.levels`, levels).map((level, l) => reader.numbers(`${name}.levels[${l}]`, level));
  return QuantileSketch.from(found, reader.list(`${name}.turns`, turns, found.length).map(Boolean));
}
