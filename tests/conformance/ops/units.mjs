/** Linear units, activations and dropout: how the names of a case map to the API. */
export const units = {
  cosine_linear: (api, { x, w, dy }, { centered }) => {
    const { y, saved } = api.cosineLinearForward(x, w, { centered });
    return { y, ...(dy && api.cosineLinearBackward(dy, saved)) };
  },

  selu: (api, { x, dy }) => {
    const { y, saved } = api.seluForward(x);
    return { y, ...(dy && api.seluBackward(dy, saved)) };
  },

  alpha_dropout: (api, { x, keep, dy }, { rate }) => {
    const { y, saved } = api.alphaDropoutForward(x, { rate, keep });
    return { y, ...(dy && api.alphaDropoutBackward(dy, saved)) };
  },

  norm_prop_linear: (api, { x, w, gamma, beta, dy }) => {
    const { y, saved } = api.normPropLinearForward(x, w, { gamma, beta });
    return { y, ...(dy && api.normPropLinearBackward(dy, saved)) };
  },
};
