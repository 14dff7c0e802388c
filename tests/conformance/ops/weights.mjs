/** Methods that work on weights: how the names of a case map to the API. */
export const weights = {
  fold_batch_norm: (api, { w, b, weight, bias, running_mean: runningMean, running_var: runningVar }, { eps, axis }) => {
    const folded = api.foldBatchNorm({ weight: w, bias: b }, { weight, bias, runningMean, runningVar, eps }, { axis });
    return { w: folded.weight, b: folded.bias };
  },

  weight_norm: (api, { v, g, dw }, { dim }) => {
    const { w, saved } = api.weightNormForward(v, { g, dim });
    return { w, ...(dw && api.weightNormBackward(dw, saved)) };
  },

  spectral_norm: (api, { w, u, dw_normalized: dwNormalized }, attrs) => {
    const { n_power_iterations: nPowerIterations, eps, dim } = attrs;
    const found = api.spectralNormForward(w, { u, nPowerIterations, eps, dim });
    const outputs = { w_normalized: found.w, u: found.u, v: found.v, sigma: found.sigma };
    return { ...outputs, ...(dwNormalized && api.spectralNormBackward(dwNormalized, found.saved)) };
  },

  bounded_batch_norm: (api, { weight, running_var: runningVar }, { epsilon, eps }) => ({
    weight: api.boundedBatchNorm(weight, runningVar, { epsilon, eps }),
  }),

  singular_value_bounding: (api, { w }, { epsilon }) => ({ w: api.singularValueBounding(w, { epsilon }) }),
};
