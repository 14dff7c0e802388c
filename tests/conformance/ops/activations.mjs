/** Normalizers of activations: how the names of a case map to the API. */

/** Runs forward, and backward where the case has dy. */
function both(forward, backward, { dy }) {
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
};
