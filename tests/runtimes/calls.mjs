/**
 * A call of everything that the package exports. An entry is a name and what it calls: given the package's namespace and
 * a maker of inputs, it returns every number that came out. Entries over `shapes` are run for each of them.
 */

/** Matrices of few and many rows and columns; the last has rows longer than what is staged at a time. */
const ROWS = [
  [3, 1],
  [5, 3],
  [3, 17],
  [17, 5],
  [31, 31],
  [5, 127],
  [127, 17],
  [5, 1023],
  [1023, 3],
  [1, 40001],
];
/** Batches with channels first, from one pixel to planes longer than what is staged at a time. */
const IMAGES = [
  [3, 4, 1, 1],
  [5, 6, 3, 1],
  [2, 4, 5],
  [3, 6, 17],
  [2, 8, 31],
  [1, 2, 127],
  [3, 2, 1, 1023],
  [17, 4, 3, 5],
  [1, 2, 20011],
];
const SMALL = [
  [5, 3],
  [17, 5],
  [31, 17],
  [127, 31],
];

const lastOf = ([n, c, ...spatial]) => [n, ...spatial, c];
const last = (shape) => shape[shape.length - 1];

/** A layer's whole life: parameters with other values than at the start, training, gradients, state, evaluation. */
function live(layer, { values }, x, dy, seed = 50) {
  for (const [i, parameter] of Object.values(layer.parameters()).entries()) {
    parameter.data.set(values(parameter.data.length, seed + i, 0.75, 0.25));
  }
  const y = layer.forward(x);
  const dx = layer.backward(dy);
  const grads = Object.values(layer.parameters()).map((parameter) => parameter.grad);
  const state = layer.stateDict();
  layer.zeroGrad();
  layer.freeze();
  layer.train();
  layer.loadStateDict(state);
  layer.eval();
  return [y, dx, grads, state, layer.forward(x), layer.backward(dy)];
}

/** Function, forward, backward and class of a method of channels, in both layouts. */
function channels(name, { shapes = IMAGES, options = () => ({}), make, affine = true }) {
  const Name = name[0].toUpperCase() + name.slice(1);
  return ["channels-first", "channels-last"].map((layout) => ({
    name: layout === "channels-first" ? name : `${name}, channels last`,
    shapes: layout === "channels-first" ? shapes : shapes.map(lastOf),
    run(api, maker, shape) {
      const count = layout === "channels-first" ? shape[1] : last(shape);
      const x = maker.tensor(shape, 1, 2);
      const dy = maker.tensor(shape, 2);
      const given = { layout, ...options(count, maker, shape) };
      if (affine) Object.assign(given, { weight: maker.values(count, 3, 1, 0.5), bias: maker.values(count, 4) });
      const { y, saved, running } = api[`${name}Forward`](x, given);
      const gradients = api[`${name}Backward`](dy, saved);
      const layer =
        make?.(api, count, { layout, dtype: maker.dtype }, shape, maker) ?? new api[Name](count, { layout });
      return [api[name](x, given), y, running, gradients, live(layer, maker, x, dy)];
    },
  }));
}

const dense = [...IMAGES, ...SMALL.filter(([n]) => n > 1)];
const pairs = (shape) => (shape.length === 2 ? 5 : 2);

const layers = [
  ...["layerNorm", "rmsNorm"].map((name) => ({
    name,
    shapes: ROWS,
    run(api, maker, shape) {
      const x = maker.tensor(shape, 1, 2);
      const dy = maker.tensor(shape, 2);
      const weight = maker.values(last(shape), 3, 1, 0.5);
      const options = { normalizedShape: last(shape), weight };
      if (name === "layerNorm") options.bias = maker.values(last(shape), 4);
      const { y, saved } = api[`${name}Forward`](x, options);
      const Layer = name === "layerNorm" ? api.LayerNorm : api.RMSNorm;
      const layer = new Layer(last(shape), { dtype: maker.dtype });
      return [api[name](x, options), y, api[`${name}Backward`](dy, saved), live(layer, maker, x, dy)];
    },
  })),
  ...channels("batchNorm", {
    shapes: dense,
    options: (c, { values }) => ({ runningMean: values(c, 5), runningVar: values(c, 6, 1, 0.5), momentum: 0.25 }),
    make: (api, c, config) => new api.BatchNorm(c, { ...config, momentum: null }),
  }),
  ...channels("groupNorm", {
    shapes: IMAGES,
    options: () => ({ numGroups: 2 }),
    make: (api, c, config) => new api.GroupNorm(2, c, config),
  }),
  ...channels("instanceNorm", {
    shapes: IMAGES.slice(2),
    make: (api, c, config) => new api.InstanceNorm(c, { ...config, affine: true }),
  }),
  ...channels("batchRenorm", {
    shapes: dense,
    options: (c, { values }) => ({ runningMean: values(c, 5), runningStd: values(c, 6, 1, 0.5), rMax: 1.5, dMax: 0.5 }),
    make: (api, c, config) => new api.BatchRenorm(c, { ...config, limits: api.renormSchedule }),
  }),
  ...channels("ghostBatchNorm", {
    shapes: dense.filter(([n, , s]) => n % 2 === 0 || s > 1),
    options: (_, __, shape) => ({ ghostBatchSize: pairs(shape) }),
    make: (api, c, config, shape) => new api.GhostBatchNorm(c, { ...config, ghostBatchSize: pairs(shape) }),
  }),
  ...channels("batchInstanceNorm", {
    shapes: IMAGES.slice(2),
    options: (c, { values }) => ({ rho: values(c, 7, 0.5, 0.25) }),
    make(api, c, config) {
      const layer = new api.BatchInstanceNorm(c, config);
      layer.clampRho();
      return layer;
    },
  }),
  ...channels("switchableNorm", {
    shapes: IMAGES.slice(2),
    options: (_, { values }) => ({ meanLogits: values(3, 7), varLogits: values(3, 8) }),
    make: (api, c, config) => new api.SwitchableNorm(c, config),
  }),
  ...channels("virtualBatchNorm", {
    shapes: dense,
    options: (c, { values }) => ({
      reference: { mean: values(c, 7), variance: values(c, 8, 1, 0.5), numSamples: 3 },
    }),
    make(api, c, config, shape, maker) {
      const layer = new api.VirtualBatchNorm(c, config);
      layer.setReference(maker.tensor(shape, 9));
      return layer;
    },
  }),
  ...[1, 2, 3.5].flatMap((p) =>
    channels("lpBatchNorm", {
      shapes: dense,
      options: () => ({ p, gaussianScale: p !== 2 }),
      make: (api, c, config) => new api.LpBatchNorm(c, { ...config, p }),
    }).map((entry) => ({ ...entry, name: `${entry.name}, p ${p}` })),
  ),
  ...channels("meanOnlyBatchNorm", {
    shapes: dense,
    affine: false,
    options: (c, { values }) => ({ bias: values(c, 4), runningMean: values(c, 5) }),
    make: (api, c, config) => new api.MeanOnlyBatchNorm(c, config),
  }),
  ...channels("decorrelatedBatchNorm", {
    shapes: SMALL.slice(1).map(([n, c]) => [n, c + 1]),
    options: () => ({ numGroups: 2 }),
    make: (api, c, config) => new api.DecorrelatedBatchNorm(c, { ...config, numGroups: 2 }),
  }),
  ...channels("iterNorm", {
    shapes: SMALL.slice(1).map(([n, c]) => [n, c + 1]),
    options: () => ({ numGroups: 2, nIterations: 4 }),
    make: (api, c, config) => new api.IterNorm(c, { ...config, numGroups: 2 }),
  }),
  ...channels("localResponseNorm", {
    affine: false,
    options: () => ({ size: 3, alpha: 0.5 }),
    make: (api, _, { layout }) => new api.LocalResponseNorm({ size: 3, beta: 0.6, layout }),
  }),
  ...["window", "batch", "layer"].flatMap((over) =>
    channels("divisiveNorm", {
      shapes: [
        [2, 4, 3, 5],
        [5, 2, 17, 31],
        [3, 2, 1, 127],
      ],
      affine: false,
      options: () => ({ over, window: over === "window" ? [3, 3] : undefined, sigma: 0.5, penalty: 0.25 }),
      make: (api, _, config) =>
        new api.DivisiveNorm({ ...config, over, window: over === "window" ? 3 : undefined, sigma: 0.5 }),
    }).map((entry) => ({ ...entry, name: `${entry.name}, over ${over}` })),
  ),
  {
    name: "adaIN",
    shapes: IMAGES.slice(2),
    run(api, maker, shape) {
      const content = maker.tensor(shape, 1, 2);
      const style = maker.tensor(shape, 2, -1);
      const dy = maker.tensor(shape, 3);
      const { y, saved } = api.adaINForward(content, style, { alpha: 0.75 });
      const layer = new api.AdaIN({ alpha: 0.25 });
      return [
        api.adaIN(content, style),
        y,
        api.adaINBackward(dy, saved),
        layer.forward(content, style),
        layer.backward(dy),
      ];
    },
  },
  {
    name: "syncBatchNorm",
    shapes: dense,
    run(api, maker, shape) {
      const shards = [maker.tensor(shape, 1, 2), maker.tensor(shape, 2, 3)];
      const dys = [maker.tensor(shape, 3), maker.tensor(shape, 4)];
      const c = shape[1];
      const options = { weight: maker.values(c, 5, 1, 0.5), bias: maker.values(c, 6) };
      const { ys, saved, running } = api.syncBatchNormForward(shards, options);
      const moments = api.batchNormMergeMoments(shards.map((x) => api.batchNormLocalMoments(x)));
      const { y, saved: own } = api.batchNormApply(shards[0], moments, options);
      const { sums, dweight, dbias } = api.batchNormLocalGradients(dys[0], own);
      const total = api.batchNormMergeGradSums([sums, sums]);
      const layer = new api.SyncBatchNorm(c, { dtype: maker.dtype });
      return [
        api.syncBatchNorm(shards, options),
        [ys, running, api.syncBatchNormBackward(dys, saved)],
        [moments, y, sums, dweight, dbias, api.batchNormApplyGradient(dys[0], own, total)],
        [layer.forward(shards), layer.backward(dys), layer.stateDict()],
      ];
    },
  },
  {
    name: "adaptBatchNorm, referenceStatistics",
    shapes: dense,
    run(api, maker, shape) {
      const [x, z] = [maker.tensor(shape, 1, 2), maker.tensor(shape, 2, -3)];
      const layer = new api.BatchNorm(shape[1], { dtype: maker.dtype });
      api.adaptBatchNorm(layer, [x, z]);
      layer.eval();
      return [layer.stateDict(), layer.forward(x), api.referenceStatistics(z)];
    },
  },
  {
    name: "streamingNorm",
    shapes: [
      [3, 5, 4],
      [4, 31, 17],
      [3, 3, 127],
    ],
    run(api, maker, shape) {
      const layer = new api.StreamingNorm(shape[2], { dtype: maker.dtype, beta: [0.5, 0.25, 0.25] });
      const x = maker.tensor(shape.slice(1), 1, 2);
      const trained = live(layer, maker, x, maker.tensor(shape.slice(1), 2));
      layer.train();
      layer.onWeightUpdate();
      return [
        api.streamingNorm(maker.tensor(shape, 3), { updates: Array.from({ length: shape[0] }, (_, i) => i % 2 === 0) }),
        trained,
        layer.forward(x),
      ];
    },
  },
  {
    name: "selu, alphaDropout",
    shapes: ROWS,
    run(api, maker, shape) {
      const [x, dy] = [maker.tensor(shape, 1, 0, 4), maker.tensor(shape, 2)];
      const selu = api.seluForward(x);
      const dropout = api.alphaDropoutForward(x, { rate: 0.25, seed: 3, call: 5 });
      return [
        api.selu(x, { alpha: api.SELU_ALPHA, lambda: api.SELU_LAMBDA }),
        [selu.y, api.seluBackward(dy, selu.saved)],
        [api.alphaDropout(x, { rate: 0.25, seed: 3 }), dropout.y, api.alphaDropoutBackward(dy, dropout.saved)],
        live(new api.SELU(), maker, x, dy),
        live(new api.AlphaDropout({ rate: 0.5, seed: 7 }), maker, x, dy),
      ];
    },
  },
];

/** A unit with weights: linear or convolution. */
function unit(name, { shapes, weightOf, options = {}, make }) {
  return {
    name,
    shapes,
    run(api, maker, shape) {
      const x = maker.tensor(shape, 1);
      const w = maker.tensor(weightOf(shape), 2);
      const { y, saved } = api[`${name}Forward`](x, w, options);
      const dy = maker.tensor(y.shape, 3);
      return [
        api[name](x, w, options),
        y,
        api[`${name}Backward`](dy, saved),
        live(make(api, shape, maker), maker, x, dy),
      ];
    },
  };
}

const PICTURES = [
  [2, 3, 5, 3],
  [1, 2, 17, 5],
  [3, 5, 17, 31],
];
const linear = { shapes: SMALL, weightOf: ([, c]) => [7, c] };
const conv = { shapes: PICTURES, weightOf: ([, c]) => [4, c, 3, 3], options: { padding: 1 } };

const recurrent = (name, Layer) => ({
  name,
  shapes: [
    [3, 2, 3],
    [5, 4, 17],
    [7, 17, 5],
  ],
  run(api, maker, [steps, batch, inputs]) {
    const units = 6;
    const xs = maker.tensor([steps, batch, inputs], 1);
    const h0 = maker.tensor([batch, units], 2);
    const c0 = maker.tensor([batch, units], 3);
    const weightIh = maker.tensor([4 * units, inputs], 4);
    const weightHh = maker.tensor([4 * units, units], 5);
    const options = { weightIh, weightHh, h0, c0, bias: maker.values(4 * units, 6) };
    const dhs = maker.tensor([steps, batch, units], 7);
    const { hs, cLast, saved } = api[`${name}Forward`](xs, options);
    const gradients = api[`${name}Backward`](dhs, saved);
    const next = maker.source(8);
    const config = { tMax: steps, dtype: maker.dtype, random: () => (next() + 1) / 2 };
    return [api[name](xs, options), hs, cLast, gradients, live(new api[Layer](inputs, units, config), maker, xs, dhs)];
  },
});

const units = [
  unit("cosineLinear", {
    ...linear,
    make: (api, [, c], { dtype }) => new api.CosineLinear(c, 7, { dtype, learnScale: true, scale: 3, centered: true }),
  }),
  unit("cosineConv", {
    ...conv,
    make: (api, [, c], { dtype }) => new api.CosineConv(c, 4, [3, 3], { dtype, padding: 1 }),
  }),
  unit("normPropLinear", { ...linear, make: (api, [, c], { dtype }) => new api.NormPropLinear(c, 7, { dtype }) }),
  unit("normPropConv", {
    ...conv,
    make: (api, [, c], { dtype }) => new api.NormPropConv(c, 4, [3, 3], { dtype, padding: 1 }),
  }),
  recurrent("recurrentBatchNorm", "BatchNormLSTM"),
  recurrent("layerNormLSTM", "LayerNormLSTM"),
  {
    name: "normPropActivation, gaussianMoments",
    run(api, maker) {
      const square = (z) => z * z;
      const activation = api.normPropActivation(square, (z) => 2 * z);
      const { mean, deviation, gamma } = activation;
      const y = api.normPropLinear(maker.tensor([5, 3], 1), maker.tensor([4, 3], 2), { activation });
      return [mean, deviation, gamma, y, api.gaussianMoments(square), { ...api.normPropRelu }];
    },
  },
  {
    name: "selfNormalizingConstants",
    run: (api) => [api.selfNormalizingConstants(-0.1, 2), api.momentMap(0.1, 1.2, { weightSum: 0.5 })],
  },
];

const weights = [
  {
    name: "weightNorm",
    shapes: ROWS,
    run(api, maker, shape) {
      const [v, dw] = [maker.tensor(shape, 1), maker.tensor(shape, 2)];
      const g = maker.values(shape[0], 3, 1, 0.5);
      const { w, saved } = api.weightNormForward(v, { g });
      const layer = new api.WeightNorm(v);
      return [
        api.weightNorm(v, { dim: null }),
        [w, api.weightNormBackward(dw, saved)],
        [layer.forward(), layer.backward(dw), layer.stateDict({ legacy: true })],
      ];
    },
  },
  {
    name: "weightNormInit",
    shapes: dense,
    run: (api, maker, shape) => api.weightNormInit(maker.tensor(shape, 1, 2)),
  },
  {
    name: "spectralNorm",
    shapes: SMALL,
    run(api, maker, shape) {
      const [w, dw] = [maker.tensor(shape, 1), maker.tensor(shape, 2)];
      const options = { u: maker.values(shape[0], 3), nPowerIterations: 3 };
      const { saved, ...found } = api.spectralNormForward(w, options);
      const layer = new api.SpectralNorm(w, { seed: 4 });
      return [
        api.spectralNorm(w, options),
        [found, api.spectralNormBackward(dw, saved)],
        [layer.forward(), layer.backward(dw), layer.stateDict()],
      ];
    },
  },
  {
    name: "unitNorm",
    shapes: ROWS,
    run(api, maker, shape) {
      const w = maker.tensor(shape, 1);
      const { y, saved } = api.unitNormForward(w, { axes: 0 });
      return [api.unitNorm(w), y, api.unitNormBackward(maker.tensor(shape, 2), saved)];
    },
  },
  {
    name: "singularValueBounding, boundedBatchNorm, coherence",
    shapes: SMALL,
    run: (api, maker, shape) => [
      api.singularValueBounding(maker.tensor(shape, 1)),
      api.boundedBatchNorm(maker.values(7, 2), maker.values(7, 3, 1, 0.5)),
      api.coherence(maker.tensor(shape, 4)),
    ],
  },
  {
    name: "foldBatchNorm",
    shapes: PICTURES,
    run(api, maker, [n, c, h, w]) {
      const layer = new api.BatchNorm(n, { dtype: maker.dtype });
      layer.forward(maker.tensor([5, n, 4], 2));
      return api.foldBatchNorm({ weight: maker.tensor([n, c, h, w], 1), bias: maker.values(n, 3) }, layer);
    },
  },
  {
    name: "orthogonal, lecunNormal",
    shapes: SMALL,
    run: (api, { dtype }, shape) => [
      api.orthogonal(shape, { seed: 1, dtype }),
      api.lecunNormal(shape, { seed: 2, dtype, gain: 2 }),
    ],
  },
];

const linalg = [
  {
    name: "matmul",
    shapes: ROWS.slice(0, -1),
    run(api, maker, [n, c]) {
      const [a, b] = [maker.tensor([n, c], 1), maker.tensor([c, 33], 2)];
      const second = maker.tensor([n, 17], 3);
      return [
        api.matmul(a, b),
        api.matmul(a, second, { transposeA: true }),
        api.matmul(b, a, { transposeA: true, transposeB: true }),
      ];
    },
  },
  {
    name: "eigh",
    shapes: [1, 3, 5, 17, 31, 127].map((n) => [n, n]),
    run(api, maker, [n]) {
      const { data } = maker.heap([n, n], 1);
      for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) data[i * n + j] = data[j * n + i];
      return api.eigh({ data, shape: [n, n] });
    },
  },
  { name: "svd", shapes: [[1, 1], [3, 5], ...SMALL], run: (api, maker, shape) => api.svd(maker.tensor(shape, 1)) },
  {
    name: "im2col",
    shapes: PICTURES,
    run(api, maker, shape) {
      const columns = api.im2col(maker.tensor(shape, 1), { kernelSize: 3, padding: 1, stride: 2 });
      return [columns, api.col2im(columns, { shape, kernelSize: 3, padding: 1, stride: 2 })];
    },
  },
];

/** A scaler's life: fitted in parts, merged, applied and undone, saved and loaded. */
const scaler = (name, config = {}, more = () => []) => ({
  name: Object.keys(config).length > 0 ? `${name} ${Object.values(config).join(" ")}` : name,
  shapes: SMALL,
  run(api, maker, shape) {
    const Scaler = api[name];
    const [x, z] = [maker.tensor(shape, 1, 2), maker.tensor(shape, 2, -1)];
    const first = new Scaler(config).partialFit(x);
    const second = new Scaler(config).partialFit(x).partialFit(z);
    const merged = new Scaler(config).partialFit(z).merge(first);
    const loaded = Scaler.fromJSON(JSON.parse(JSON.stringify(second)));
    const y = loaded.transform(z);
    return [first.toJSON(), merged.toJSON(), second.toJSON(), y, loaded.inverseTransform(y), more(api, loaded, x)];
  },
});

const data = [
  scaler("StandardScaler"),
  scaler("Centering"),
  scaler("MinMaxScaler", { featureRange: [-1, 2] }),
  scaler("MaxAbsScaler"),
  scaler("RobustScaler"),
  scaler("RobustScaler", { unitVariance: true }),
  ...["pca", "zca", "zca-cor", "pca-cor", "cholesky"].map((method) =>
    scaler("Whitening", { method, eps: 1e-3 }, (_, fitted, x) => [fitted.whiteningMatrix, fitted.backward(x)]),
  ),
  scaler("Decorrelation", {}, (_, fitted, x) => [fitted.rotation, fitted.backward(x)]),
  {
    name: "normalize",
    shapes: ROWS,
    run(api, maker, shape) {
      const [x, dy] = [maker.tensor(shape, 1), maker.tensor(shape, 2)];
      return [
        ...["l1", "l2", "max"].map((norm) => api.normalize(x, { norm })),
        api.normalizeBackward(dy, x),
        new api.Normalizer({ norm: "l1" }).fitTransform(x),
      ];
    },
  },
  {
    name: "covariateShiftWeights",
    shapes: SMALL,
    run: (api, maker, shape) =>
      api.covariateShiftWeights(maker.tensor(shape, 1), maker.tensor(shape, 2, 0.25), { l2: 0.5 }),
  },
  {
    name: "imageToTensor",
    shapes: PICTURES,
    run(api, maker, [n, c, h, w]) {
      const bytes = Uint8ClampedArray.from(maker.values(n * c * h * w * 4, 1), (value) => value * 128 + 128);
      const image = { data: bytes, width: w, height: n * c * h };
      const x = api.imageToTensor(image, api.imagePresets.imagenet);
      const resize = { width: 7, height: 5 };
      return [
        x,
        api.imageToTensor(image, { resize, layout: "channels-last" }),
        api.tensorToImage(x, api.imagePresets.imagenet).data,
      ];
    },
  },
];

const sgd = { lr: 0.1, weightDecay: 5e-4, momentum: 0.9 };
const schedules = [
  {
    name: "schedules",
    run(api, maker) {
      const w = maker.tensor([5, 3], 1);
      const schedule = new api.ExponentialLearningRate(sgd);
      const equilibrium = { lr: 0.1, weightDecay: 5e-4, gradientNorm: 1.5 };
      const sizes = { batchSize: 4096, baseBatchSize: 192 };
      return [
        api.exponentialLearningRate({ ...sgd, steps: 500 }),
        Array.from({ length: 50 }, () => schedule.next()),
        api.exponentialMomentumBuffer(w, sgd),
        [api.effectiveLearningRate(w, 0.1), api.equilibriumNorm(equilibrium), api.equilibriumLearningRate(equilibrium)],
        api.batchSizeSchedule({ lr: 0.1, batchSize: 128, decays: [{ from: 60, factor: 5 }], maxBatchSize: 500 }),
        api.noiseScale({ lr: 0.1, batchSize: 100, datasetSize: 50000, momentum: 0.9 }),
        [api.squareRootLearningRate(0.1, sizes), api.adaptedEpochs(80, sizes)],
        [0, 7000, 15000, 1e5].map((step) => api.renormSchedule(step)),
      ];
    },
  },
  {
    name: "presets",
    run: ({ presets }) => [
      Object.values(presets.keras).map((preset) => preset()),
      Object.values(presets.onnx).map((preset) => preset()),
    ],
  },
];

const memory = {
  name: "tensor",
  run(api, maker) {
    api.initSync();
    const t = api.tensor([3, 5], { data: maker.values(15, 1), dtype: maker.dtype });
    const found = [t instanceof api.LinearTensor, api.memoryInfo().usedBytes > 0, t.at(1).data.slice(), t.data.slice()];
    t.dispose();
    return found;
  },
};

export const calls = [...layers, ...units, ...weights, ...linalg, ...data, ...schedules, memory];
