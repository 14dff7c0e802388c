/** Normalizers of activations: how the names of a case map to the API. */

/** Runs forward, and backward where the case has dy. */
export function both(forward, backward, { dy }) {
  const { y, saved, running } = forward();
  const outputs = { y };
  if (running) {
    outputs.running_mean = running.runningMean;
    outputs.running_var = running.runningVar;
  }
  return dy === undefined ? outputs : { ...outputs, ...backward(dy, saved) };
}

export const activations = {
  batch_norm: (api, inputs, attrs) =>
    both(
      () =>
        api.batchNormForward(inputs.x, {
          mode: attrs.mode,
          eps: attrs.eps,
          momentum: attrs.momentum,
          unbiasedRunningVar: attrs.unbiased_running_var,
          layout: attrs.layout,
          weight: inputs.weight,
          bias: inputs.bias,
          runningMean: inputs.running_mean,
          runningVar: inputs.running_var,
          numBatchesTracked: inputs.num_batches_tracked?.data[0],
          mask: inputs.mask,
        }),
      api.batchNormBackward,
      inputs,
    ),

  layer_norm: (api, { x, weight, bias, dy }, { normalized_shape: normalizedShape, eps }) =>
    both(() => api.layerNormForward(x, { normalizedShape, eps, weight, bias }), api.layerNormBackward, { dy }),

  rms_norm: (api, { x, weight, dy }, { normalized_shape: normalizedShape, eps }) =>
    both(() => api.rmsNormForward(x, { normalizedShape, eps, weight }), api.rmsNormBackward, { dy }),

  group_norm: (api, { x, weight, bias, dy }, { num_groups: numGroups, eps, layout }) =>
    both(() => api.groupNormForward(x, { numGroups, eps, layout, weight, bias }), api.groupNormBackward, { dy }),

  instance_norm: (api, { x, weight, bias, dy }, { eps, layout }) =>
    both(() => api.instanceNormForward(x, { eps, layout, weight, bias }), api.instanceNormBackward, { dy }),

  divisive_norm: (api, { x, dy }, { window, sigma, count_include_pad: countIncludePad }) =>
    both(() => api.divisiveNormForward(x, { window, sigma, countIncludePad }), api.divisiveNormBackward, { dy }),

  recurrent_batch_norm: (
    api,
    { xs, h0, c0, w_x: weightIh, w_h: weightHh, bias, beta_c: betaC, dhs, ...gains },
    { eps },
  ) => {
    const { gamma_x: gammaX, gamma_h: gammaH, gamma_c: gammaC } = gains;
    const options = { h0, c0, weightIh, weightHh, bias, gammaX, gammaH, gammaC, betaC, eps };
    const { hs, cLast, saved } = api.recurrentBatchNormForward(xs, options);
    if (dhs === undefined) {
      saved.dispose();
      return { hs, c_last: cLast };
    }
    const grads = api.recurrentBatchNormBackward(dhs, saved);
    return {
      hs,
      c_last: cLast,
      dxs: grads.dxs,
      dw_x: grads.dweightIh,
      dw_h: grads.dweightHh,
      dbias: grads.dbias,
      dgamma_x: grads.dgammaX,
      dgamma_h: grads.dgammaH,
      dgamma_c: grads.dgammaC,
      dbeta_c: grads.dbetaC,
      dh0: grads.dh0,
      dc0: grads.dc0,
    };
  },

  local_response_norm: (api, { x, dy }, { size, alpha, beta, k }) =>
    both(() => api.localResponseNormForward(x, { size, alpha, beta, k }), api.localResponseNormBackward, { dy }),

  decorrelated_batch_norm: (api, { x, weight, bias, dy }, { eps, num_groups: numGroups }) =>
    both(
      () => api.decorrelatedBatchNormForward(x, { eps, numGroups, weight, bias }),
      api.decorrelatedBatchNormBackward,
      {
        dy,
      },
    ),
};
