/** Scalers of columns, rows of unit length, whitening, images. */
import * as api from "../../dist/index.js";
import { bytes, random } from "../data.mjs";

const rows =
  (seed) =>
  ({ shape }) => ({ x: random(shape, { mean: 0.5, seed }) });

/** Statistics of the columns, and the same rows scaled by them: a scaler from nothing. */
const fitted = (make) => ({
  inputs: rows(9),
  ours: ({ x }, c) => {
    const scaler = make(c);
    return (out) => ({ y: scaler.fitTransform(x, { out }) });
  },
  passes: 3,
});

const pixels = ([, , height, width]) => ({
  x: { data: bytes(height * width * 4), shape: [height, width, 4] },
});
const imageOf = ({ x: { data, shape } }) => ({ data, width: shape[1], height: shape[0] });
/** Four bytes a pixel read, three floats written. */
const imageBytes = ({ shape: [, , height, width] }) => height * width * (4 + 12);

/** Data whose columns are correlated, as whitening wants them. */
function correlated({ shape: [n, c] }) {
  const x = random([n, c], { mean: 0.5, seed: 9 });
  for (let i = 0; i < n; i++) for (let j = 1; j < c; j++) x.data[i * c + j] += 0.7 * x.data[i * c + j - 1];
  return { x };
}

export const preprocessing = {
  standardScaler: {
    ...fitted(() => new api.StandardScaler()),
    view: ({ shape: [n, c] }) => ({ shape: [n, c], axes: [0], parameters: [c] }),
  },
  /** Statistics of the columns alone: what fitting costs. */
  standardScalerFit: {
    inputs: rows(9),
    ours: ({ x }) => {
      const scaler = new api.StandardScaler();
      return () => ({ scale: { data: scaler.fit(x).scale } });
    },
    passes: 1,
  },
  /** Rows scaled by statistics that are there. */
  standardScalerTransform: {
    inputs: rows(9),
    ours: ({ x }) => {
      const scaler = new api.StandardScaler().fit(x);
      return (out) => ({ y: scaler.transform(x, { out }) });
    },
    passes: 2,
  },
  minMaxScaler: fitted(() => new api.MinMaxScaler()),
  maxAbsScaler: fitted(() => new api.MaxAbsScaler()),
  robustScaler: fitted(() => new api.RobustScaler()),
  centering: fitted(() => new api.Centering()),
  /** Rows brought to length 1, as embeddings are; in place they have it from the second call on, at the same cost. */
  unitRows: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.1, seed: 10 }) }),
    ours:
      ({ x }, { inPlace }) =>
      (out) => ({ y: api.normalize(x, { out: inPlace ? x : out }) }),
    passes: 2,
  },
  unitRowsBackward: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.1, seed: 10 }), dy: random(shape, { seed: 4 }) }),
    ours:
      ({ x, dy }) =>
      (out) =>
        api.normalizeBackward(dy, x, { out }),
    passes: 3,
  },
  /** Covariance, its eigenvectors and the product; signs are settled, so that the results can be compared. */
  whitening: {
    ...fitted(() => new api.Whitening({ method: "zca" })),
    inputs: correlated,
    flops: ({ shape: [n, c] }) => 3 * n * c * c,
  },
  decorrelation: {
    ...fitted(() => new api.Decorrelation()),
    inputs: correlated,
    flops: ({ shape: [n, c] }) => 3 * n * c * c,
  },
  covariateShiftWeights: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 9 }), target: random(shape, { mean: 1, seed: 10 }) }),
    ours:
      ({ x, target }) =>
      () => ({ weights: { data: api.covariateShiftWeights(x, target).weights } }),
    passes: 2,
  },
  /** Pixels r g b a to planes, with the mean and deviation of ImageNet. */
  imageToTensor: {
    inputs: ({ shape }) => pixels(shape),
    ours: (inputs) => {
      const image = imageOf(inputs);
      return (out) => ({ y: api.imageToTensor(image, { ...api.imagePresets.imagenet, out }) });
    },
    bytes: imageBytes,
  },
  tensorToImage: {
    inputs: ({ shape }) => ({ x: random(shape, { seed: 1 }) }),
    ours:
      ({ x }) =>
      () => ({ y: api.tensorToImage(x, api.imagePresets.imagenet) }),
    /** Next to a half, f32 may round to the other byte than f64. */
    check: ({ y }) => ({ y: Float32Array.from(y, (byte) => byte / 1024) }),
    bytes: imageBytes,
  },
};
