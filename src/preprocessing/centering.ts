import type { Affine } from "../core/cells.js";
import { passingF64 } from "../core/memory.js";
import { MomentsScaler, type MomentsState, meanOf, momentsFromJSON, momentsFromSklearn } from "./moments-scaler.js";
import { SavedReader, type SklearnAttribute } from "./scaler.js";

/** What scikit-learn's StandardScaler holds after a fit, of which the mean is taken. */
export interface SklearnCentering {
  mean_: SklearnAttribute;
  n_samples_seen_: SklearnAttribute;
}

/**
 * Brings each column to mean 0.
 *
 * y = x − mean.
 *
 * Rows are `[n, features]`, f32, f64 or plain lists. NaN is a missing value: left out of the mean, kept by `transform`.
 * Throws on an infinity in `fit`, on another number of columns than was fitted, and on use before a fit.
 *
 * Source: scikit-learn's StandardScaler(with_std=False).
 *
 * @example
 * const centering = new Centering().fit([[1, 10], [3, 20]]);
 * centering.transform([[2, 20]]).data; // [0, 5]
 */
export class Centering extends MomentsScaler {
  /** @internal */
  protected readonly kind = "Centering";
  /** @internal */
  protected readonly config = {};
  /** @internal */
  protected readonly meanOnly = true;

  /**
   * The mean that scikit-learn's StandardScaler fitted, from its attributes with arrays as lists.
   *
   * @example
   * const centering = Centering.fromSklearn({ mean_: [2, 15], n_samples_seen_: 2 });
   */
  static fromSklearn(attributes: SklearnCentering): Centering {
    const centering = new Centering();
    centering.state = momentsFromSklearn("Centering.fromSklearn", attributes, false);
    return centering;
  }

  /** The scaler that `toJSON` wrote, with the very same numbers. */
  static fromJSON(saved: unknown): Centering {
    const centering = new Centering();
    centering.state = momentsFromJSON(new SavedReader("Centering", saved));
    return centering;
  }

  /** @internal */
  protected affine({ features, moments }: MomentsState): Affine {
    const ones = passingF64(features).fill(1);
    return { mean: meanOf(moments, passingF64(features)), scale: ones, shift: passingF64(features) };
  }

  /** @internal */
  protected inverseAffine({ features, moments }: MomentsState): Affine {
    const ones = passingF64(features).fill(1);
    return { mean: passingF64(features), scale: ones, shift: meanOf(moments, passingF64(features)) };
  }
}
