/** Scalers of data: how the names of a case map to the API. */

/** The rows [from, to) of a tensor whose first dimension counts them. */
function slice({ data, shape }, from, to) {
  const width = data.length / shape[0];
  return { data: data.slice(from * width, to * width), shape: [to - from, ...shape.slice(1)] };
}

/** A tensor cut into chunks of so many rows, which must be all of them. */
export function cut(tensor, chunks) {
  let from = 0;
  const parts = chunks.map((rows) => {
    const part = slice(tensor, from, from + rows);
    from += rows;
    return part;
  });
  if (from !== tensor.shape[0])
    throw new RangeError(`case: chunks [${chunks}] must sum to the rows of x (${tensor.shape[0]})`);
  return parts;
}

/** Fits at once, or chunk by chunk. */
function fitted(scaler, x, chunks, sampleWeight) {
  if (chunks === undefined) return scaler.fit(x, { sampleWeight });
  const weightParts = sampleWeight && cut(sampleWeight, chunks);
  for (const [i, part] of cut(x, chunks).entries()) scaler.partialFit(part, { sampleWeight: weightParts?.[i] });
  return scaler;
}

/** What goes through and back. */
function there(scaler, x) {
  const y = scaler.transform(x);
  return { y, inverse: scaler.inverseTransform(y) };
}

export const scalers = {
  standard_scaler: (api, { x, sample_weight: sampleWeight }, attrs) => {
    const { with_mean: withMean, with_std: withStd, ddof, chunks } = attrs;
    const scaler = fitted(new api.StandardScaler({ withMean, withStd, ddof }), x, chunks, sampleWeight);
    return { mean: scaler.mean, var: scaler.variance, scale: scaler.scale, ...there(scaler, x) };
  },

  min_max_scaler: (api, { x, x_new: xNew }, { feature_range: featureRange, clip, chunks }) => {
    const scaler = fitted(new api.MinMaxScaler({ featureRange, clip }), x, chunks);
    return { min: scaler.dataMin, max: scaler.dataMax, ...there(scaler, xNew ?? x) };
  },

  merge_moments: (api, { x }, { chunks }) => {
    const whole = new api.StandardScaler();
    for (const part of cut(x, chunks)) {
      // A chunk without rows is a scaler that has seen nothing.
      const scaler = new api.StandardScaler();
      whole.merge(part.shape[0] === 0 ? scaler : scaler.fit(part));
    }
    return { count: whole.nSamplesSeen, mean: whole.mean, var: whole.variance };
  },

  max_abs_scaler: (api, { x }, { chunks }) => {
    const scaler = fitted(new api.MaxAbsScaler(), x, chunks);
    return { scale: scaler.scale, ...there(scaler, x) };
  },

  robust_scaler: (api, { x }, { quantile_range: quantileRange }) => {
    const scaler = new api.RobustScaler({ quantileRange }).fit(x);
    return { center: scaler.center, scale: scaler.scale, ...there(scaler, x) };
  },

  center: (api, { x }, { chunks }) => {
    const scaler = fitted(new api.Centering(), x, chunks);
    return { mean: scaler.mean, ...there(scaler, x) };
  },

  whitening: (api, { x }, { method, eps, ddof, n_components: nComponents, chunks }) => {
    const whitening = fitted(new api.Whitening({ method, eps, ddof, nComponents }), x, chunks);
    return { mean: whitening.mean, covariance: whitening.covariance, ...there(whitening, x) };
  },

  decorrelation: (api, { x }, { ddof }) => {
    const decorrelation = new api.Decorrelation({ ddof }).fit(x);
    return { y: decorrelation.transform(x), eigenvalues: decorrelation.eigenvalues };
  },

  normalizer: (api, { x, dy }, { norm }) => {
    const y = api.normalize(x, { norm });
    return dy === undefined ? { y } : { y, ...api.normalizeBackward(dy, x, { norm }) };
  },
};
