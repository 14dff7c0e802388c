/** Images: how the names of a case map to the API. */
export const images = {
  image_to_tensor: (api, { image }, { mean, std, channels, layout }) => {
    const [height, width] = image.shape;
    return { y: api.imageToTensor({ data: image.data, width, height, channels }, { mean, std, layout }) };
  },
};
