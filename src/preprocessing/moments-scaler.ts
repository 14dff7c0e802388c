/** Scalers whose state is the count, mean and M2 of each column. */
import { fail, show } from "../core/errors.js";
import { keep } from "../core/memory.js";
import { emptyMoments, type Moments, mergeInto } from "../core/moments.js";
import { elementsOf, type Operand, readVector, type VectorLike } from "../core/tensor.js";
import { columnMoments } from "./rows.js";
import {
  readSklearn,
  readSklearnCount,
  type SavedReader,
  Scaler,
  type ScalerState,
  type SklearnAttribute,
  toNumbers,
} from "./scaler.js";

export interface WeightedFitOptions {
  /** One weight of at least 0 for each row; a whole number counts as that many rows. Default: all 1. */
  sampleWeight?: VectorLike;
}

export interface MomentsState extends ScalerState {
  readonly moments: Moments;
}

export abstract class MomentsScaler extends Scaler<MomentsState, WeightedFitOptions> {
  /** Whether the second moments are of no interest. @internal */
  protected abstract readonly meanOnly: boolean;

  /** Mean of each column; NaN where there was no value. */
  get mean(): Float64Array {
    const { features, moments } = this.fitted("mean");
    return meanOf(moments, new Float64Array(features));
  }

  /** Rows fitted (with weights, their sum); an entry for each column where missing values make them differ. */
  get nSamplesSeen(): number | Float64Array {
    if (this.state === undefined) return 0;
    const { count } = this.state.moments;
    return count.every((value) => value === count[0]) ? count[0] : count.slice();
  }

  /** @internal */
  protected measure(method: string, x: Operand, { sampleWeight }: WeightedFitOptions): MomentsState {
    const weights = readWeights(method, sampleWeight, x.shape[0]);
    return { features: x.shape[1], moments: columnMoments(method, x, weights, this.meanOnly) };
  }

  /** @internal */
  protected join(a: MomentsState, b: MomentsState): MomentsState {
    const moments = emptyMoments(a.features);
    for (const { count, mean, m2 } of [a.moments, b.moments]) {
      for (let j = 0; j < a.features; j++) mergeInto(moments, j, count[j], mean[j], m2[j]);
    }
    return { features: a.features, moments: keep(moments) };
  }

  /** @internal */
  protected stateToJSON({ moments }: MomentsState): Record<string, unknown> {
    const { count, mean, m2 } = moments;
    return { count: toNumbers(count), mean: toNumbers(mean), m2: toNumbers(m2) };
  }
}

function readWeights(method: string, sampleWeight: VectorLike | undefined, rows: number): Operand | undefined {
  const weights = readVector(method, "sampleWeight", sampleWeight, rows, "one for each row");
  if (weights === undefined) return undefined;
  elementsOf(weights).forEach((weight, i) => {
    if (!(weight >= 0 && weight < Infinity)) {
      fail(method, `sampleWeight must hold finite numbers of at least 0, got ${show(weight)} for row ${i}`);
    }
  });
  return weights;
}

/** The mean of each cell, written to `into`: a cell without values has none. */
export function meanOf({ count, mean }: Moments, into: Float64Array): Float64Array {
  for (let j = 0; j < into.length; j++) into[j] = count[j] > 0 ? mean[j] : NaN;
  return into;
}

/** The state that `toJSON` wrote. */
export function momentsFromJSON(reader: SavedReader): MomentsState | undefined {
  if (!reader.isFitted) return undefined;
  const count = reader.values("count");
  const features = count.length;
  return {
    features,
    moments: { count, mean: reader.values("mean", features), m2: reader.values("m2", features) },
  };
}

/** The state behind attributes of scikit-learn. Without a variance, M2 is unknown: NaN. */
export function momentsFromSklearn(
  method: string,
  attributes: { mean_: SklearnAttribute; var_?: SklearnAttribute; n_samples_seen_: SklearnAttribute },
  withVariance: boolean,
): MomentsState {
  const mean = readSklearn(method, "mean_", attributes.mean_);
  const features = mean.length;
  const count = readSklearnCount(method, attributes.n_samples_seen_, features);
  const variance = withVariance ? readSklearn(method, "var_", attributes.var_, features) : mean.map(() => NaN);
  return { features, moments: { count, mean, m2: variance.map((value, j) => value * count[j]) } };
}
