import type { Affine } from "../core/cells.js";
import { checkNumber } from "../core/errors.js";
import type { Moments } from "../core/moments.js";
import { square } from "../core/special.js";
import { MomentsScaler, type MomentsState, meanOf, momentsFromJSON, momentsFromSklearn } from "./moments-scaler.js";
import { inversesOf, SavedReader, type SklearnAttribute } from "./scaler.js";

export interface StandardScalerConfig {
  /** Subtract the mean. Default true. */
  withMean?: boolean;
  /** Divide by the standard deviation. Default true. */
  withStd?: boolean;
  /** The variance is M2/(n − ddof). Default 0, as in scikit-learn; 1 as in pandas and R. */
  ddof?: number;
}

/** What scikit-learn's StandardScaler holds after a fit. Parameters are taken over where they are there. */
export interface SklearnStandardScaler {
  mean_: SklearnAttribute;
  var_?: SklearnAttribute;
  n_samples_seen_: SklearnAttribute;
  with_mean?: boolean;
  with_std?: boolean;
}

/**
 * Brings each column to mean 0 and variance 1.
 *
 * y = (x − mean)/scale, scale = √(M2/(n − ddof)); 1 where the column is constant to rounding, that is where its biased
 * variance v is at most n·u·v + (n·mean·u)², u = 2⁻⁵².
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. Statistics are f64 and merged by their differences, so that no
 * offset of the data spoils them. NaN is a missing value: left out of the statistics, kept by `transform`. Throws on an
 * infinity in `fit`, on another number of columns than was fitted, and on use before a fit.
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
export class StandardScaler extends MomentsScaler {
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

  /**
   * A scaler fitted by scikit-learn, from its attributes with arrays as lists.
   *
   * @example
   * const scaler = StandardScaler.fromSklearn({ mean_: [2, 20], var_: [1, 100], n_samples_seen_: 3 });
   */
  static fromSklearn(attributes: SklearnStandardScaler): StandardScaler {
    const scaler = new StandardScaler({ withMean: attributes.with_mean, withStd: attributes.with_std });
    scaler.state = momentsFromSklearn("StandardScaler.fromSklearn", attributes, scaler.withStd);
    return scaler;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): StandardScaler {
    const reader = new SavedReader("StandardScaler", saved);
    const scaler = new StandardScaler(reader.config);
    scaler.state = momentsFromJSON(reader);
    return scaler;
  }

  /** Variance of each column, M2/(n − ddof); NaN where there were not enough values. */
  get variance(): Float64Array {
    return varianceOf(this.fitted("variance").moments, this.ddof);
  }

  /** What each column is divided by: its standard deviation; 1 for a constant column, and without `withStd`. */
  get scale(): Float64Array {
    return this.scaleOf(this.fitted("scale").moments);
  }

  /** @internal */
  protected get config(): Record<string, unknown> {
    const { withMean, withStd, ddof } = this;
    return { withMean, withStd, ddof };
  }

  /** @internal */
  protected get meanOnly(): boolean {
    return !this.withStd;
  }

  /** @internal */
  protected affine({ features, moments }: MomentsState): Affine {
    const scale = inversesOf(this.scaleOf(moments));
    return { mean: this.offsetOf(moments), scale, shift: new Float64Array(features) };
  }

  /** @internal */
  protected inverseAffine({ features, moments }: MomentsState): Affine {
    return { mean: new Float64Array(features), scale: this.scaleOf(moments), shift: this.offsetOf(moments) };
  }

  private offsetOf(moments: Moments): Float64Array {
    return this.withMean ? meanOf(moments) : new Float64Array(moments.mean.length);
  }

  private scaleOf(moments: Moments): Float64Array {
    const { count, mean } = moments;
    const scale = varianceOf(moments, this.ddof);
    if (!this.withStd) return scale.fill(1);
    const biased = this.ddof === 0 ? scale : varianceOf(moments, 0);
    const unit = Number.EPSILON;
    for (let j = 0; j < scale.length; j++) {
      const isConstant = biased[j] <= count[j] * unit * biased[j] + square(count[j] * mean[j] * unit);
      scale[j] = isConstant ? 1 : Math.sqrt(scale[j]);
    }
    return scale;
  }
}

function varianceOf({ count, m2 }: Moments, ddof: number): Float64Array {
  const variance = new Float64Array(m2.length);
  for (let j = 0; j < variance.length; j++) variance[j] = count[j] > ddof ? m2[j] / (count[j] - ddof) : NaN;
  return variance;
}
