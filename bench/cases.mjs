/**
 * The one table that the bench loops over. A row is a name, an operation of operations.mjs, a shape, places, and what
 * the operation is told besides. To add a case, add a row; a new operation gets an entry there and one in each peer
 * that has it.
 */
import { elements } from "./data.mjs";
import { operations } from "./operations.mjs";

/** In linear memory, the results written to tensors that are there; or f32 arrays in, fresh f32 arrays out. */
const BOTH = ["tensor", "heap"];
const TENSOR = ["tensor"];
const HEAP = ["heap"];

const IMAGES = [32, 64, 56, 56];
const ONE_IMAGE = [1, 64, 56, 56];
/** Feature maps in the middle of a network, for the methods that are not in every one. */
const MAPS = [16, 64, 28, 28];
const SMALL_MAPS = [16, 64, 14, 14];
const channelsLast = ([n, c, ...spatial]) => [n, ...spatial, c];
const NHWC = { layout: "channels-last" };
/** Left out of quick runs: a case that takes seconds, or much like one that stays. */
const SLOW = { slow: true };

/** Measured for a fraction of the time, and left out of quick runs: a method beside little more than the plain loop. */
const BRIEF = { brief: true, slow: true };

/** Forward and backward of a method, one row each. */
const bothWays = (name, key, shape, options) => [
  [name, key, shape, TENSOR, { ...options, ...BRIEF }],
  [`${name} backward`, `${key}Backward`, shape, TENSOR, { ...options, ...BRIEF }],
];

const table = [
  ["layer norm, one row", "layerNorm", [1, 768], BOTH],
  ["layer norm", "layerNorm", [64, 768], BOTH],
  ["layer norm", "layerNorm", [512, 768], BOTH],
  ["layer norm", "layerNorm", [4096, 1024], BOTH, SLOW],
  ["layer norm, one row, into an array that is there", "layerNorm", [1, 768], HEAP, { reuse: true }],
  ["layer norm, into an array that is there", "layerNorm", [64, 768], HEAP, { reuse: true }],
  ["layer norm, into an array that is there", "layerNorm", [512, 768], HEAP, { reuse: true }],
  ["layer norm backward", "layerNormBackward", [512, 768], BOTH],
  ["layer norm step (forward and backward)", "layerNormStep", [512, 768], TENSOR],
  ["RMS norm", "rmsNorm", [512, 768], BOTH],
  ["RMS norm backward", "rmsNormBackward", [512, 768], TENSOR],
  ["batch norm inference NCHW", "batchNormInference", ONE_IMAGE, BOTH],
  ["batch norm inference NCHW", "batchNormInference", IMAGES, TENSOR],
  ["batch norm inference NCHW", "batchNormInference", IMAGES, HEAP, SLOW],
  ["batch norm inference NHWC", "batchNormInference", channelsLast(ONE_IMAGE), TENSOR, NHWC],
  ["batch norm inference NHWC", "batchNormInference", channelsLast(IMAGES), TENSOR, { ...NHWC, ...SLOW }],
  ["batch norm training NCHW", "batchNorm", IMAGES, TENSOR],
  ["batch norm training NCHW backward", "batchNormBackward", IMAGES, TENSOR],
  ["batch norm training NCHW", "batchNorm", [32, 512, 7, 7], BOTH],
  ["batch norm training NCHW backward", "batchNormBackward", [32, 512, 7, 7], TENSOR],
  ["batch norm training dense", "batchNorm", [256, 1024], BOTH],
  ["batch norm training dense backward", "batchNormBackward", [256, 1024], TENSOR],
  ["batch norm training dense step (forward and backward)", "batchNormStep", [256, 1024], TENSOR],
  ["group norm", "groupNorm", IMAGES, TENSOR, { numGroups: 32 }],
  ["group norm backward", "groupNormBackward", IMAGES, TENSOR, { numGroups: 32 }],
  ["instance norm", "instanceNorm", IMAGES, TENSOR, SLOW],
  ["instance norm backward", "instanceNormBackward", IMAGES, TENSOR, SLOW],
  ...bothWays("batch renorm", "batchRenorm", MAPS),
  ...bothWays("mean-only batch norm", "meanOnlyBatchNorm", MAPS),
  ...bothWays("ghost batch norm", "ghostBatchNorm", MAPS, { ghostBatchSize: 4 }),
  ...bothWays("batch-instance norm", "batchInstanceNorm", MAPS),
  ...bothWays("switchable norm", "switchableNorm", MAPS),
  ...bothWays("virtual batch norm", "virtualBatchNorm", MAPS),
  ["reference statistics", "referenceStatistics", MAPS, TENSOR, BRIEF],
  ...bothWays("L1 batch norm", "lpBatchNorm", MAPS),
  ["streaming norm", "streamingNorm", [4, 4, 64, 28, 28], TENSOR, BRIEF],
  ...bothWays("AdaIN", "adaIN", MAPS),
  ...bothWays("local response norm", "localResponseNorm", MAPS),
  ...bothWays("divisive norm", "divisiveNorm", SMALL_MAPS),
  ...bothWays("batch norm of two shards", "syncBatchNorm", MAPS),
  ["batch norm adapted", "adaptBatchNorm", MAPS, TENSOR, BRIEF],
  ...bothWays("decorrelated batch norm", "decorrelatedBatchNorm", SMALL_MAPS),
  ...bothWays("iterative norm", "iterNorm", SMALL_MAPS),
  ["batch norm LSTM", "recurrentBatchNorm", [16, 32, 64], HEAP, BRIEF],
  ["batch norm LSTM step (forward and backward)", "recurrentBatchNormStep", [16, 32, 64], HEAP, BRIEF],
  ["layer norm LSTM", "layerNormLSTM", [16, 32, 64], HEAP, BRIEF],
  ["layer norm LSTM step (forward and backward)", "layerNormLSTMStep", [16, 32, 64], HEAP, BRIEF],
  ...bothWays("cosine linear", "cosineLinear", [128, 256], { units: 128 }),
  ...bothWays("norm propagation linear", "normPropLinear", [128, 256], { units: 128 }),
  ...bothWays("cosine convolution", "cosineConv", [4, 16, 28, 28], { units: 32 }),
  ...bothWays("norm propagation convolution", "normPropConv", [4, 16, 28, 28], { units: 32 }),
  ...bothWays("SELU", "selu", [512, 768]),
  ...bothWays("alpha dropout", "alphaDropout", [512, 768]),
  ...bothWays("weight norm", "weightNorm", [1024, 1024]),
  ["weight norm init", "weightNormInit", [1024, 256], HEAP, BRIEF],
  ...bothWays("unit norm", "unitNorm", [1024, 1024]),
  ["spectral norm", "spectralNorm", [1024, 1024], BOTH],
  ["spectral norm backward", "spectralNormBackward", [1024, 1024], TENSOR, BRIEF],
  ["singular value bounding", "singularValueBounding", [128, 256], TENSOR, BRIEF],
  ["orthogonal init", "orthogonal", [256, 256], HEAP, BRIEF],
  ["LeCun normal init", "lecunNormal", [512, 512], HEAP, BRIEF],
  ["coherence", "coherence", [256, 1024], TENSOR, BRIEF],
  ["batch norm folded", "foldBatchNorm", [256, 128, 3, 3], BOTH, BRIEF],
  ["bounded batch norm", "boundedBatchNorm", [1024], HEAP, BRIEF],
  ["standard scaler, fit and transform", "standardScaler", [100000, 16], TENSOR],
  ["standard scaler, fit and transform", "standardScaler", [100000, 16], HEAP, SLOW],
  ["standard scaler, fit", "standardScalerFit", [10000, 784], BOTH, SLOW],
  ["standard scaler, transform", "standardScalerTransform", [10000, 784], BOTH, SLOW],
  ["min-max scaler, fit and transform", "minMaxScaler", [100000, 16], TENSOR, BRIEF],
  ["max-abs scaler, fit and transform", "maxAbsScaler", [100000, 16], TENSOR, BRIEF],
  ["robust scaler, fit and transform", "robustScaler", [100000, 16], TENSOR, BRIEF],
  ["centering, fit and transform", "centering", [100000, 16], TENSOR, BRIEF],
  ["decorrelation, fit and transform", "decorrelation", [10000, 64], TENSOR, BRIEF],
  ["whitening, fit and transform", "whitening", [10000, 64], TENSOR, BRIEF],
  ["covariate shift weights", "covariateShiftWeights", [10000, 16], HEAP, BRIEF],
  ["rows to unit length", "unitRows", [10000, 384], BOTH, SLOW],
  ["rows to unit length, in place", "unitRows", [10000, 384], BOTH, { ...SLOW, inPlace: true }],
  ["rows to unit length backward", "unitRowsBackward", [10000, 384], TENSOR, BRIEF],
  ["image to tensor", "imageToTensor", [1, 3, 224, 224], BOTH],
  ["image to tensor, into an array that is there", "imageToTensor", [1, 3, 224, 224], HEAP, { reuse: true }],
  ["tensor to image", "tensorToImage", [1, 3, 224, 224], BOTH, BRIEF],
  ["windows to columns", "im2col", [4, 16, 56, 56], TENSOR, BRIEF],
  ["columns to windows", "col2im", [4, 16, 56, 56], TENSOR, BRIEF],
  ["singular values", "svd", [128, 128], HEAP, BRIEF],
  ["eigenvectors", "eigh", [128, 128], HEAP],
  ["eigenvectors", "eigh", [784, 784], HEAP, SLOW],
  ["matmul", "matmul", [256, 256], BOTH],
  ["matmul", "matmul", [1024, 1024], BOTH, SLOW],
  ["matmul, b transposed", "matmul", [256, 256], TENSOR, { transposeB: true }],
  ["matmul, b transposed", "matmul", [1024, 1024], TENSOR, { transposeB: true, ...SLOW }],
  ["matmul, a transposed", "matmul", [256, 256], TENSOR, { transposeA: true }],
  ["matmul, a transposed", "matmul", [1024, 1024], TENSOR, { transposeA: true, ...SLOW }],
];

/** What a place in the table comes to: everything that the harness and the peers ask for. */
function makeCase(name, key, shape, where, { slow = false, brief = false, reuse = false, ...options } = {}) {
  const operation = operations[key];
  const description = { shape, ...options };
  return {
    name,
    operation: key,
    shape,
    dtype: "float32",
    where,
    slow,
    brief,
    options,
    outShape: operation.outShape?.(description) ?? shape,
    /** Whether the result goes to an array that is there. */
    reuses: reuse || where === "tensor",
    check: operation.check,
    view: operation.view?.(description),
    inputs: () => operation.inputs(description),
    ours: (inputs) => operation.ours(inputs, description),
    bytes: operation.bytes?.(description) ?? operation.passes * elements(shape) * Float32Array.BYTES_PER_ELEMENT,
    flops: operation.flops?.(description),
  };
}

export const cases = table.flatMap(([name, key, shape, places, options]) =>
  places.map((where) => makeCase(name, key, shape, where, options)),
);

/** From 64 to 16 M elements, by factors of four in linear memory, of sixteen on the heap. */
const SIZES = Array.from({ length: 10 }, (_, i) => 64 * 4 ** i);
const sizesOf = (where) => SIZES.filter((_, i) => where === "tensor" || i % 2 === 1);

/** Rows of up to 1024; maps of 16 channels, of up to 32 by 32 positions; samples of 64 and of 16 features. */
const asRows = (n) => [Math.max(1, n / 1024), Math.min(n, 1024)];
const asMaps = (n) => [Math.max(4, n / 16384), 16, Math.min(n / 64, 1024)];
const asSamples = (n) => [n / 16, 16];
/** One sample's maps: the planes grow. */
const asPlanes = (n) => [1, 64, n / 64];
const asSquareMaps = (n) => {
  const [samples, channels, positions] = asMaps(n);
  const height = 2 ** Math.floor(Math.log2(positions) / 2);
  return [samples, channels, height, positions / height];
};

const sweepTable = [
  ["layer norm", "layerNorm", asRows],
  ["layer norm backward", "layerNormBackward", asRows],
  ["RMS norm", "rmsNorm", asRows],
  ["RMS norm backward", "rmsNormBackward", asRows],
  ["rows to unit length", "unitRows", asRows],
  ["rows to unit length backward", "unitRowsBackward", asRows],
  ["weight norm", "weightNorm", asRows],
  ["weight norm backward", "weightNormBackward", asRows],
  ["unit norm", "unitNorm", asRows],
  ["unit norm backward", "unitNormBackward", asRows],
  ["SELU", "selu", asRows],
  ["SELU backward", "seluBackward", asRows],
  ["alpha dropout", "alphaDropout", asRows],
  ["alpha dropout backward", "alphaDropoutBackward", asRows],
  ["batch norm inference, one sample", "batchNormInference", asPlanes],
  ["batch norm inference", "batchNormInference", asMaps],
  ["batch norm training", "batchNorm", asMaps],
  ["batch norm training backward", "batchNormBackward", asMaps],
  ["batch norm training dense", "batchNorm", asSamples],
  ["batch norm training dense backward", "batchNormBackward", asSamples],
  ["group norm", "groupNorm", asMaps, { numGroups: 4 }],
  ["group norm backward", "groupNormBackward", asMaps, { numGroups: 4 }],
  ["instance norm", "instanceNorm", asMaps, { least: 256 }],
  ["instance norm backward", "instanceNormBackward", asMaps, { least: 256 }],
  ["batch renorm", "batchRenorm", asMaps],
  ["batch renorm backward", "batchRenormBackward", asMaps],
  ["mean-only batch norm", "meanOnlyBatchNorm", asMaps],
  ["mean-only batch norm backward", "meanOnlyBatchNormBackward", asMaps],
  ["ghost batch norm", "ghostBatchNorm", asMaps, { ghostBatchSize: 4 }],
  ["ghost batch norm backward", "ghostBatchNormBackward", asMaps, { ghostBatchSize: 4 }],
  ["batch-instance norm", "batchInstanceNorm", asMaps, { least: 256 }],
  ["batch-instance norm backward", "batchInstanceNormBackward", asMaps, { least: 256 }],
  ["switchable norm", "switchableNorm", asMaps, { least: 256 }],
  ["switchable norm backward", "switchableNormBackward", asMaps, { least: 256 }],
  ["virtual batch norm", "virtualBatchNorm", asMaps],
  ["virtual batch norm backward", "virtualBatchNormBackward", asMaps],
  ["L1 batch norm", "lpBatchNorm", asMaps],
  ["L1 batch norm backward", "lpBatchNormBackward", asMaps],
  ["streaming norm", "streamingNorm", (n) => [4, ...asMaps(n / 4)], { least: 256 }],
  ["AdaIN", "adaIN", asMaps, { least: 256 }],
  ["AdaIN backward", "adaINBackward", asMaps, { least: 256 }],
  ["batch norm of two shards", "syncBatchNorm", asMaps],
  ["batch norm of two shards backward", "syncBatchNormBackward", asMaps],
  ["local response norm", "localResponseNorm", asMaps],
  ["local response norm backward", "localResponseNormBackward", asMaps],
  ["divisive norm", "divisiveNorm", asSquareMaps, { most: 2 ** 22 }],
  ["divisive norm backward", "divisiveNormBackward", asSquareMaps, { most: 2 ** 22 }],
  ["standard scaler, fit and transform", "standardScaler", asSamples],
  ["standard scaler, transform", "standardScalerTransform", asSamples],
  ["min-max scaler, fit and transform", "minMaxScaler", asSamples],
  ["max-abs scaler, fit and transform", "maxAbsScaler", asSamples],
  ["centering, fit and transform", "centering", asSamples],
];

/** The cases of each curve of the size sweep. */
export const sweeps = sweepTable.flatMap(([name, key, shapeOf, { least = 0, most = Infinity, ...options } = {}]) =>
  BOTH.map((where) => {
    const sizes = sizesOf(where).filter((n) => n >= least && n <= most);
    return { name, where, cases: sizes.map((n) => makeCase(name, key, shapeOf(n), where, options)) };
  }),
);
