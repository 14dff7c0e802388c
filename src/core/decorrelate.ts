/**
 * Whitening of the channels of a batch by a symmetric root of their covariance, forward and backward. How the root is
 * found, and its gradient, is the method's.
 *
 *     Σ = (x − μ)(x − μ)ᵀ/m of the channels of a group over m samples and positions, W = root(Σ), x̂ = W·(x − μ)
 *     dW = Σ g·(x − μ)ᵀ, dΣ = root.back(dW), dx = W·(g − mean(g)) + (dΣ + dΣᵀ)/m·(x − μ), g = dy·weight[c]
 *
 * Products of centered data are taken chunk by chunk in the element type and added up in f64.
 */
import type { Geometry } from "./geometry.js";
import { pooled } from "./geometry.js";
import { channelMoments } from "./grouped.js";
import { elementBytes, heapOf, matmulScratch, scratch, withScratch } from "./memory.js";
import { COLUMNS, FUNCTIONS, kernelsOf, LINEAR, ROWS } from "./parts.js";
import { stageValues, stream } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

/** W of a group [width, width], and dΣ from dW. */
export interface Root {
  w: Float64Array;
  back(dw: Float64Array): Float64Array;
}

/** Rows of a matrix [rows, channels] that are worked on at a time. */
const CHUNK_ROWS = 512;

interface Chunk {
  /** Addresses: centered data, and those of the further inputs and the outputs. */
  centered: number;
  others: number[];
  /** Positions in the chunk: columns of [C, n] in rows order, rows of [n, C] in cols order. */
  n: number;
}

/** Streams x less its rounded mean, sample by sample (rows order) or block of rows by block of rows. */
function streamCentered(
  x: Operand,
  geometry: Geometry,
  center: Float64Array,
  more: { inputs?: Operand[]; outputs?: Target[] },
  run: (chunk: Chunk) => void,
): void {
  const { n, c, s, order } = geometry;
  const onRows = kernelsOf(ROWS, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const width = elementBytes(x.dtype);
  const ones = new Float64Array(c).fill(1);
  withScratch(() => {
    const [at, scale, shift] = [center, ones, new Float64Array(c)].map((values) => stageValues(values, x.dtype));
    const positions = order === "rows" ? s : Math.min(CHUNK_ROWS, s);
    const centered = scratch(c * positions * width);
    const { inputs = [], outputs = [] } = more;
    if (order === "rows") {
      stream({ rows: n, n: c * s }, [x, ...inputs], outputs, ([from, ...others], { rows }) => {
        for (let r = 0; r < rows; r++) {
          const skip = r * c * s * width;
          onRows.rowAffine(centered, from + skip, at, scale, shift, c, s, 0, c);
          run({ centered, others: others.map((pointer) => pointer + skip), n: s });
        }
      });
      return;
    }
    stream({ rows: s, n: c, rowMultiple: CHUNK_ROWS }, [x, ...inputs], outputs, ([from, ...others], { rows }) => {
      for (let r = 0; r < rows; r += CHUNK_ROWS) {
        const skip = r * c * width;
        const count = Math.min(CHUNK_ROWS, rows - r);
        onColumns.colAffine(centered, from + skip, at, scale, shift, count, c);
        run({ centered, others: others.map((pointer) => pointer + skip), n: count });
      }
    });
  });
}

/** Adds Σ a·bᵀ over the positions of a chunk to the sums of each group, [groups, width, width]. */
function addProducts(
  sums: Float64Array,
  a: number,
  b: number,
  { c, order }: Geometry,
  groups: number,
  n: number,
  dtype: Operand["dtype"],
): void {
  const k = kernelsOf(LINEAR, dtype);
  const bytes = elementBytes(dtype);
  const width = c / groups;
  withScratch(() => {
    const workspace = matmulScratch();
    const product = scratch(c * (order === "rows" ? width : c) * bytes);
    if (order === "rows") {
      for (let g = 0; g < groups; g++) {
        const skip = g * width * n * bytes;
        k.matmul(product + g * width * width * bytes, a + skip, b + skip, width, width, n, 0, 1, workspace);
      }
      const found = heapOf(dtype).subarray(product / bytes, product / bytes + c * width);
      for (let i = 0; i < sums.length; i++) sums[i] += found[i];
      return;
    }
    // Channels lie side by side: all products are taken, and those within a group kept.
    k.matmul(product, a, b, c, c, n, 1, 0, workspace);
    const found = heapOf(dtype).subarray(product / bytes, product / bytes + c * c);
    for (let i = 0; i < sums.length; i++) {
      const row = Math.floor(i / width);
      const first = Math.floor(row / width) * width;
      sums[i] += found[row * c + first + (i % width)];
    }
  });
}

/** A map of each group's channels [groups, width, width], in linear memory: as blocks, or as one matrix of all channels. */
function stageMap(map: Float64Array, { c, order }: Geometry, groups: number, dtype: Operand["dtype"]): number {
  if (order === "rows") return stageValues(map, dtype);
  const width = c / groups;
  const whole = new Float64Array(c * c);
  for (let i = 0; i < map.length; i++) {
    const row = Math.floor(i / width);
    whole[row * c + Math.floor(row / width) * width + (i % width)] = map[i];
  }
  return stageValues(whole, dtype);
}

/** out = map·x for each position of a chunk. */
function applyMap(
  out: number,
  map: number,
  x: number,
  { c, order }: Geometry,
  groups: number,
  n: number,
  dtype: Operand["dtype"],
  workspace: number,
): void {
  const k = kernelsOf(LINEAR, dtype);
  const bytes = elementBytes(dtype);
  const width = c / groups;
  if (order === "cols") {
    k.matmul(out, x, map, n, c, c, 0, 1, workspace);
    return;
  }
  for (let g = 0; g < groups; g++) {
    const skip = g * width * n * bytes;
    k.matmul(out + skip, map + g * width * width * bytes, x + skip, width, n, width, 0, 0, workspace);
  }
}

/** y = x + shift for each channel of a chunk. */
function addShift(
  y: number,
  x: number,
  shift: number,
  zero: number,
  one: number,
  geometry: Geometry,
  n: number,
  dtype: Operand["dtype"],
) {
  const onRows = kernelsOf(ROWS, dtype);
  const onColumns = kernelsOf(COLUMNS, dtype);
  if (geometry.order === "rows") onRows.rowAffine(y, x, zero, one, shift, geometry.c, n, 0, geometry.c);
  else onColumns.colAffine(y, x, zero, one, shift, n, geometry.c);
}

/** map·v for each group, v one value a channel. */
function mapVector(map: Float64Array, vector: Float64Array, groups: number): Float64Array {
  const width = vector.length / groups;
  return Float64Array.from(vector, (_, i) => {
    const first = Math.floor(i / width) * width;
    let sum = 0;
    for (let j = 0; j < width; j++) sum += map[i * width + j] * vector[first + j];
    return sum;
  });
}

function centerOf(mean: Float64Array, dtype: Operand["dtype"]): Float64Array {
  return dtype === "float64" ? mean : mean.map(Math.fround);
}

/** The mean of each channel, and the covariance of the channels of each group, [groups, width, width]. */
export function channelCovariance(x: Operand, full: Geometry, groups: number) {
  const geometry = pooled(full);
  const { c } = geometry;
  const width = c / groups;
  const { mean, count } = channelMoments(x, geometry);
  const center = centerOf(mean, x.dtype);
  const covariance = new Float64Array(c * width);
  streamCentered(x, geometry, center, {}, ({ centered, n }) =>
    addProducts(covariance, centered, centered, geometry, groups, n, x.dtype),
  );
  // The products were about the rounded mean.
  const rest = center.map((value, i) => value - mean[i]);
  for (let i = 0; i < covariance.length; i++) {
    const row = Math.floor(i / width);
    const other = Math.floor(row / width) * width + (i % width);
    covariance[i] = covariance[i] / count[0] - rest[row] * rest[other];
  }
  return { mean, covariance, count: count[0] };
}

/** y = weight[c]·(W·(x − mean))[c] + bias[c]. */
export function applyWhitening(
  y: Target,
  x: Operand,
  full: Geometry,
  groups: number,
  mean: Float64Array,
  w: Float64Array,
  weight: Float64Array,
  bias: Float64Array,
): void {
  const geometry = pooled(full);
  const { c } = geometry;
  const width = c / groups;
  const center = centerOf(mean, x.dtype);
  const map = w.map((value, i) => value * weight[Math.floor(i / width)]);
  const rest = mapVector(
    map,
    center.map((value, i) => value - mean[i]),
    groups,
  );
  withScratch(() => {
    const atMap = stageMap(map, geometry, groups, x.dtype);
    const shift = stageValues(
      bias.map((value, i) => value + rest[i]),
      x.dtype,
    );
    const zero = stageValues(new Float64Array(c), x.dtype);
    const one = stageValues(new Float64Array(c).fill(1), x.dtype);
    const workspace = matmulScratch();
    const positions = geometry.order === "rows" ? geometry.s : CHUNK_ROWS;
    const product = scratch(c * positions * elementBytes(x.dtype));
    streamCentered(x, geometry, center, { outputs: [y] }, ({ centered, others: [to], n }) => {
      applyMap(product, atMap, centered, geometry, groups, n, x.dtype, workspace);
      addShift(to, product, shift, zero, one, geometry, n, x.dtype);
    });
  });
}

/** Writes dx, and returns dweight and dbias. `back` is the root's gradient, null where mean and W were constant. */
export function applyWhiteningGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  full: Geometry,
  groups: number,
  mean: Float64Array,
  w: Float64Array,
  weight: Float64Array,
  back: Root["back"][] | null,
): { dweight: Float64Array; dbias: Float64Array } {
  const geometry = pooled(full);
  const { c } = geometry;
  const width = c / groups;
  const block = width * width;
  const center = centerOf(mean, x.dtype);
  const rest = center.map((value, i) => value - mean[i]);
  const gradient = channelMoments(dy, geometry);
  const count = gradient.count[0];
  const dbias = gradient.mean.map((value) => value * count);

  // Σ dy·(x − mean)ᵀ
  const products = new Float64Array(c * width);
  streamCentered(x, geometry, center, { inputs: [dy] }, ({ centered, others: [g], n }) =>
    addProducts(products, g, centered, geometry, groups, n, x.dtype),
  );
  for (let i = 0; i < products.length; i++) {
    const row = Math.floor(i / width);
    products[i] += dbias[row] * rest[Math.floor(row / width) * width + (i % width)];
  }
  const dweight = new Float64Array(c);
  for (let i = 0; i < products.length; i++) dweight[Math.floor(i / width)] += w[i] * products[i];

  // dx = through·dy + along·(x − mean) + constant
  const through = w.map((_, i) => {
    const row = Math.floor(i / width);
    const column = i % width;
    const first = Math.floor(row / width) * width;
    // Wᵀ·diag(weight): W need not be symmetric to the last bit.
    return w[(first + column) * width + (row - first)] * weight[first + column];
  });
  const along = new Float64Array(c * width);
  let constant = new Float64Array(c);
  if (back !== null) {
    for (let g = 0; g < groups; g++) {
      const dw = products
        .slice(g * block, (g + 1) * block)
        .map((value, i) => value * weight[g * width + Math.floor(i / width)]);
      const dsigma = back[g](dw);
      for (let i = 0; i < block; i++) {
        const mirrored = (i % width) * width + Math.floor(i / width);
        along[g * block + i] = (dsigma[i] + dsigma[mirrored]) / count;
      }
    }
    const fromMean = mapVector(through, gradient.mean, groups);
    const fromRest = mapVector(along, rest, groups);
    constant = fromMean.map((value, i) => fromRest[i] - value);
  }
  withScratch(() => {
    const { dtype } = x;
    const k = kernelsOf(FUNCTIONS, dtype);
    const atThrough = stageMap(through, geometry, groups, dtype);
    const atAlong = stageMap(along, geometry, groups, dtype);
    const shift = stageValues(constant, dtype);
    const zero = stageValues(new Float64Array(c), dtype);
    const one = stageValues(new Float64Array(c).fill(1), dtype);
    const workspace = matmulScratch();
    const positions = geometry.order === "rows" ? geometry.s : CHUNK_ROWS;
    const [first, second] = [1, 2].map(() => scratch(c * positions * elementBytes(dtype)));
    streamCentered(x, geometry, center, { inputs: [dy], outputs: [dx] }, ({ centered, others: [g, to], n }) => {
      applyMap(first, atThrough, g, geometry, groups, n, dtype, workspace);
      if (back !== null) {
        applyMap(second, atAlong, centered, geometry, groups, n, dtype, workspace);
        k.eachAdd(first, first, second, 1, n * c, 0, 0, 0);
      }
      addShift(to, first, shift, zero, one, geometry, n, dtype);
    });
  });
  return { dweight, dbias };
}
