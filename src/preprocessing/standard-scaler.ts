import type { Affine } from "../core/cells.js";
import { checkNumber, fail, show } from "../core/errors.js";
import { emptyMoments, type Moments, mergeInto } from "../core/moments.js";
import { elementsOf, type Operand, readVector, type VectorLike } from "../core/tensor.js";
import { columnMoments } from "./rows.js";
import {
  readSklearn,
  readSklearnCount,
  SavedReader,
  Scaler,
  type ScalerState,
  type SklearnAttribute,
  toNumbers,
} from "./scaler.js";

export interface StandardScalerConfig {
  /** Subtract the mean. Default true. */
  withMean?: boolean;
  /** Divide by the standard deviation. Default true. */
  withStd?: boolean;
  /** The variance is M2/(n − ddof). Default 0, as in scikit-learn; 1 as in pandas and R. */
  ddof?: number;
}

export interface WeightedFitOptions {
  /** One weight of at least 0 for each row; a whole number counts as that many rows. Default: all 1. */
  sampleWeight?: VectorLike;
}

/** What scikit-learn's StandardScaler holds after a fit; parameters are taken over where they are there. */
export interface SklearnStandardScaler {
  mean_: SklearnAttribute;
  var_?: SklearnAttribute;
  n_samples_seen_: SklearnAttribute;
  with_mean?: boolean;
  with_std?: boolean;
}

interface State extends ScalerState {
  readonly moments: Moments;
}

/**
 * Brings each column to mean 0 and variance 1.
 *
 * y = (x − mean)/scale, scale = √(M2/(n − ddof)), and 1 where the column is constant to rounding: where its variance v is at
 * most n·u·v + (n·mean·u)², u = 2⁻⁵².
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. Statistics are f64, merged by their differences, so that no offset of
 * the data spoils them. NaN is a missing value: left out of the statistics, kept by `transform`. Throws on an infinity in
 * `fit`, on another number of columns than was fitted, on use before a fit.
 *
 * Source: scikit-learn's StandardScaler; T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample
 * variance", 1983.
 *
 * @example
 * const scaler = new StandardScaler().fit([[1, 10], [2, 30], [3, 20]]);
 * scaler.transform([[2, 20]]).data; // [0, 0]
 * const saved = JSON.stringify(scaler);
 * const loaded = StandardScaler.fromJSON(JSON.parse(saved));
 */
export class StandardScaler extends Scaler<State, WeightedFitOptions> {
  /** @internal */
  protected readonly kind = "StandardScaler";
  readonly withMean: boolean;
  readonly withStd: boolean;
  readonly ddof: number;

  constructor(config: StandardScalerConfig = {}) {
    super();
    this.withMean = config.withMean ?? true;
    this.withStd = config.withStd ?? true;
    this.ddof = checkNumber("StandardScaler", "ddof", config.ddof ?? 0, 0);
  }

  /** Takes over what scikit-learn fitted: `json.dumps` of the attributes, arrays as lists. */
  static fromSklearn(attributes: SklearnStandardScaler): StandardScaler {
    const method = "StandardScaler.fromSklearn";
    const { with_mean, with_std } = attributes;
    const mean = readSklearn(method, "mean_", attributes.mean_);
    const scaler = new StandardScaler({ withMean: with_mean, withStd: with_std });
    const count = readSklearnCount(method, attributes.n_samples_seen_, mean.length);
    const variance = scaler.withStd ? readSklearn(method, "var_", attributes.var_, mean.length) : mean.map(() => NaN);
    const m2 = variance.map((value, j) => value * count[j]);
    scaler.state = { features: mean.length, moments: { count, mean, m2 } };
    return scaler;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): StandardScaler {
    const reader = new SavedReader("StandardScaler", saved);
    const scaler = new StandardScaler(reader.config);
    if (reader.isFitted) scaler.state = momentsFromJSON(reader);
    return scaler;
  }

  /** Mean of each column; NaN where there was no value. */
  get mean(): Float64Array {
    return meanOf(this.fitted("mean").moments);
  }

  /** Variance of each column, M2/(n − ddof). */
  get variance(): Float64Array {
    return varianceOf(this.fitted("variance").moments, this.ddof);
  }

  /** What each column is divided by: the standard deviation, 1 for constant columns and without `withStd`. */
  get scale(): Float64Array {
    return this.scaleOf(this.fitted("scale").moments);
  }

  /** Rows fitted (with weights, their sum); an entry for each column where missing values make them differ. */
  get nSamplesSeen(): number | Float64Array {
    return countOf(this.state?.moments);
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    const { withMean, withStd, ddof } = this;
    return { withMean, withStd, ddof };
  }

  /** @internal */
  protected measure(method: string, x: Operand, { sampleWeight }: WeightedFitOptions): State {
    const weights = readWeights(method, sampleWeight, x.shape[0]);
    return { features: x.shape[1], moments: columnMoments(method, x, weights, !this.withStd) };
  }

  /** @internal */
  protected join(a: State, b: State): State {
    return { features: a.features, moments: joinMoments(a.moments, b.moments) };
  }

  /** @internal */
  protected affine({ moments }: State): Affine {
    const shift = new Float64Array(moments.mean.length);
    return { mean: this.offsetOf(moments), scale: this.scaleOf(moments).map((scale) => 1 / scale), shift };
  }

  /** @internal */
  protected inverseAffine({ moments }: State): Affine {
    const mean = new Float64Array(moments.mean.length);
    return { mean, scale: this.scaleOf(moments), shift: this.offsetOf(moments) };
  }

  /** @internal */
  protected stateToJSON({ moments }: State): Record<string, unknown> {
    return momentsToJSON(moments);
  }

  private offsetOf(moments: Moments): Float64Array {
    return this.withMean ? meanOf(moments) : new Float64Array(moments.mean.length);
  }

  private scaleOf(moments: Moments): Float64Array {
    if (!this.withStd) return new Float64Array(moments.mean.length).fill(1);
    const { count, mean } = moments;
    const biased = varianceOf(moments, 0);
    const scale = varianceOf(moments, this.ddof);
    for (let j = 0; j < scale.length; j++) {
      const unit = Number.EPSILON;
      const isConstant = biased[j] <= count[j] * unit * biased[j] + (count[j] * mean[j] * unit) ** 2;
      scale[j] = isConstant ? 1 : Math.sqrt(scale[j]);
    }
    return scale;
  }
}

function readWeights(method: string, sampleWeight: VectorLike | undefined, rows: number): Operand | undefined {
  const weights = readVector(method, "sampleWeight", sampleWeight, rows, "one for each row");
  if (weights === undefined) return undefined;
  elementsOf(weights).forEach((weight, i) => {
    if (!(weight >= 0 && weight < Infinity)) {
      fail(method, `sampleWeight must hold finite numbers of at least 0, got ${show(weight)} at ${i}`);
    }
  });
  return weights;
}

/** A cell without values has no mean. */
function meanOf({ count, mean }: Moments): Float64Array {
  return mean.map((value, j) => (count[j] > 0 ? value : NaN));
}

function varianceOf({ count, m2 }: Moments, ddof: number): Float64Array {
  return m2.map((value, j) => value / (count[j] - ddof));
}
