import type { Affine } from "../core/cells.js";
import { checkNumber } from "../core/errors.js";
import { passingF64 } from "../core/memory.js";
import type { Moments } from "../core/moments.js";
import { square } from "../core/special.js";
import { MomentsScaler, type MomentsState, meanOf, momentsFromJSON, momentsFromSklearn } from "./moments-scaler.js";
import { invert, SavedReader, type SklearnAttribute } from "./scaler.js";

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
    const { count, m2 } = this.fitted("variance").moments;
    return m2.map((value, j) => varianceOf(count[j], value, this.ddof));
  }

  /** What each column is divided by: its standard deviation; 1 for a constant column, and without `withStd`. */
  get scale(): Float64Array {
    const { features, moments } = this.fitted("scale");
    return this.scaleOf(moments, new Float64Array(features));
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
    const scale = invert(this.scaleOf(moments, passingF64(features)));
    return { mean: this.offsetOf(moments), scale, shift: passingF64(features) };
  }

  /** @internal */
  protected inverseAffine({ features, moments }: MomentsState): Affine {
    const scale = this.scaleOf(moments, passingF64(features));
    return { mean: passingF64(features), scale, shift: this.offsetOf(moments) };
  }

  private offsetOf(moments: Moments): Float64Array {
    const offset = passingF64(moments.mean.length);
    return this.withMean ? meanOf(moments, offset) : offset;
  }

  private scaleOf({ count, mean, m2 }: Moments, into: Float64Array): Float64Array {
    if (!this.withStd) return into.fill(1);
    const unit = Number.EPSILON;
    for (let j = 0; j < into.length; j++) {
      const biased = varianceOf(count[j], m2[j], 0);
      const isConstant = biased <= count[j] * unit * biased + square(count[j] * mean[j] * unit);
      into[j] = isConstant ? 1 : Math.sqrt(varianceOf(count[j], m2[j], this.ddof));
    }
    return into;
  }
}

function varianceOf(count: number, m2: number, ddof: number): number {
  return count > ddof ? m2 / (count - ddof) : NaN;
}
