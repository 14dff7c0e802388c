/**
 * The long short-term memory with a normalization on each of its three inputs, forward and back through time. Batch-
 * normalized and layer-normalized LSTM differ in those normalizations alone.
 *
 *     (f, i, o, g) = norm_x(W_x·x_t) + norm_h(W_h·h_{t−1})        (the bias is norm_x's)
 *     c_t = σ(f)·c_{t−1} + σ(i)·tanh(g),  h_t = σ(o)·tanh(norm_c(c_t))
 */
import { fail, show } from "../core/errors.js";
import { failBeforeForward, Parameter } from "../core/layer.js";
import { type DType, elementBytes } from "../core/memory.js";
import { FUNCTIONS, kernelsOf } from "../core/parts.js";
import {
  elementsOf,
  type LinearTensor,
  type Operand,
  readTensor,
  readVector,
  type Tensor,
  type TensorLike,
  tensor,
  type VectorLike,
} from "../core/tensor.js";
import { matmul } from "../linalg/matmul.js";

/** Weights of the cell; the four gates stand in the order f, i, o, g. */
export interface LSTMWeights {
  /** [4H, I] and [4H, H]. */
  weightIh: TensorLike;
  weightHh: TensorLike;
  /** State before the first step, [N, H]. Default: zeros. */
  h0?: TensorLike | null;
  c0?: TensorLike | null;
}

/** Gains and shifts of the three normalizations. */
export interface LSTMVectors {
  bias?: VectorLike | null;
  gammaX?: VectorLike | null;
  gammaH?: VectorLike | null;
  gammaC?: VectorLike | null;
  betaC?: VectorLike | null;
}

export interface NormGradients {
  dweight: Tensor | null;
  dbias: Tensor | null;
}

/** One of the three normalizations, at step t: writes its result and says how to go back. */
export type StepNorm = (
  t: number,
  input: LinearTensor,
  out: LinearTensor,
) => (dy: LinearTensor, out: LinearTensor) => NormGradients;

export interface StepNorms {
  x: StepNorm;
  h: StepNorm;
  c: StepNorm;
}

export interface LSTMSizes {
  steps: number;
  batch: number;
  inputs: number;
  units: number;
  dtype: DType;
}

type Back = ReturnType<StepNorm>;

/** What the way back needs; its tensors are given back to the free list by `LSTMSaved.dispose`. */
export interface LSTMSaved {
  /** Frees the tensors of the forward pass; backward does it by itself. */
  dispose(): void;
  /** @internal */
  readonly sizes: LSTMSizes;
  /** @internal */
  readonly xs: TensorLike;
  /** @internal */
  readonly weights: LSTMWeights;
  /** @internal */
  readonly states: { hidden: LinearTensor; cells: LinearTensor; gates: LinearTensor; outputs: LinearTensor };
  /** @internal */
  readonly back: Array<{ x: Back; h: Back; c: Back }>;
  /** @internal */
  readonly kept: LinearTensor[];
}

function checkShapeOf(method: string, name: string, value: TensorLike, shape: number[], dtype: DType): Operand {
  const operand = readTensor(method, name, value);
  if (operand.shape.join() !== shape.join()) {
    fail(method, `${name} has shape ${show(operand.shape)} where ${show(shape)} is needed`);
  }
  if (operand.dtype !== dtype) fail(method, `${name} is ${operand.dtype} where xs is ${dtype}; convert one of them`);
  return operand;
}

/** Checks the input and the weights, and tells the sizes. */
export function lstmSizes(method: string, xs: TensorLike, weights: LSTMWeights): LSTMSizes {
  const input = readTensor(method, "xs", xs);
  if (input.shape.length !== 3) {
    fail(method, `xs must have the dimensions of steps, samples and inputs, got shape ${show(input.shape)}`);
  }
  const [steps, batch, inputs] = input.shape;
  const recurrent = readTensor(method, "weightHh", weights.weightHh);
  const units = recurrent.shape[1];
  const { dtype } = input;
  checkShapeOf(method, "weightHh", weights.weightHh, [4 * units, units], dtype);
  checkShapeOf(method, "weightIh", weights.weightIh, [4 * units, inputs], dtype);
  if (weights.h0) checkShapeOf(method, "h0", weights.h0, [batch, units], dtype);
  if (weights.c0) checkShapeOf(method, "c0", weights.c0, [batch, units], dtype);
  return { steps, batch, inputs, units, dtype };
}

/** Gains and shifts, checked; absent gains are `gain`, absent shifts 0. */
export function lstmVectors(
  method: string,
  vectors: LSTMVectors,
  { units }: LSTMSizes,
  gain: number,
  gates: string,
): { [Name in keyof LSTMVectors]-?: VectorLike } {
  const read = (name: keyof LSTMVectors, length: number, value: number): VectorLike => {
    readVector(method, name, vectors[name], length, length === units ? "one for each unit" : gates);
    return vectors[name] ?? new Float64Array(length).fill(value);
  };
  return {
    gammaX: read("gammaX", 4 * units, gain),
    gammaH: read("gammaH", 4 * units, gain),
    gammaC: read("gammaC", units, gain),
    bias: read("bias", 4 * units, 0),
    betaC: read("betaC", units, 0),
  };
}

function flat(value: TensorLike, rows: number): { data: Tensor["data"]; shape: number[] } {
  return { data: value.data, shape: [rows, value.data.length / rows] };
}

/** Runs the sequence: hidden states of all steps [T, N, H], the last cell state [N, H], and what `lstmBackward` needs. */
export function lstmForward(
  xs: TensorLike,
  weights: LSTMWeights,
  sizes: LSTMSizes,
  norms: StepNorms,
): { hs: Tensor; cLast: Tensor; saved: LSTMSaved } {
  const { steps, batch, units, dtype } = sizes;
  const k = kernelsOf(FUNCTIONS, dtype);
  const width = elementBytes(dtype);
  const kept: LinearTensor[] = [];
  const make = (...shape: number[]) => {
    const made = tensor(shape, { dtype });
    kept.push(made);
    return made;
  };
  const dispose = () => {
    for (const one of kept) one.dispose();
  };
  try {
    const fromX = make(steps, batch, 4 * units);
    const fromH = make(steps, batch, 4 * units);
    const gates = make(steps, batch, 4 * units);
    const part = make(batch, 4 * units);
    // One more than steps: the state before the first.
    const hidden = make(steps + 1, batch, units);
    const cells = make(steps + 1, batch, units);
    const outputs = make(steps, batch, units);
    if (weights.h0) hidden.at(0).data.set(elementsOf(readTensor("lstm", "h0", weights.h0)));
    if (weights.c0) cells.at(0).data.set(elementsOf(readTensor("lstm", "c0", weights.c0)));
    const rows = { data: fromX.data, shape: [steps * batch, 4 * units] };
    matmul(flat(xs, steps * batch), weights.weightIh, { transposeB: true, out: rows });

    const back: LSTMSaved["back"] = [];
    const wide = 4 * units;
    for (let t = 0; t < steps; t++) {
      matmul(hidden.at(t), weights.weightHh, { transposeB: true, out: fromH.at(t) });
      const backX = norms.x(t, fromX.at(t), gates.at(t));
      const backH = norms.h(t, fromH.at(t), part);
      const f = gates.at(t).pointer;
      const [i, o, g] = [1, 2, 3].map((gate) => f + gate * units * width);
      k.eachAdd(f, f, part.pointer, 1, batch * wide, 0, 0, 0);
      k.eachSigmoid(f, f, batch, 3 * units, wide, wide);
      k.eachTanh(g, g, batch, units, wide, wide);
      const cell = cells.at(t + 1).pointer;
      k.eachMultiply(cell, i, g, batch, units, units, wide, wide);
      k.eachMultiplyAdd(cell, f, cells.at(t).pointer, cell, batch, units, units, wide, units, units);
      const backC = norms.c(t, cells.at(t + 1), outputs.at(t));
      const out = outputs.at(t).pointer;
      k.eachTanh(out, out, 1, batch * units, 0, 0);
      k.eachMultiply(hidden.at(t + 1).pointer, o, out, batch, units, units, wide, units);
      back.push({ x: backX, h: backH, c: backC });
    }
    const hs = { data: hidden.data.slice(batch * units), shape: [steps, batch, units] };
    const cLast = { data: cells.at(steps).data.slice(), shape: [batch, units] };
    return { hs, cLast, saved: { dispose, sizes, xs, weights, states: { hidden, cells, gates, outputs }, back, kept } };
  } catch (error) {
    dispose();
    throw error;
  }
}

export interface LSTMGradients {
  dxs: Tensor;
  dweightIh: Tensor;
  dweightHh: Tensor;
  dh0: Tensor;
  dc0: Tensor;
  /** Sums over the steps. */
  norms: Record<keyof StepNorms, { dweight: Float64Array; dbias: Float64Array }>;
}

/** Back through time from the gradient of every hidden state; frees what the forward pass kept. */
export function lstmBackward(method: string, dhs: TensorLike, saved: LSTMSaved | undefined): LSTMGradients {
  if (!saved?.states) failBeforeForward(method);
  const { sizes, states, weights, back } = saved;
  const { steps, batch, units, dtype } = sizes;
  if (states.hidden.disposed) fail(method, "saved was used or disposed of; run forward again");
  const gradient = checkShapeOf(method, "dhs", dhs, [steps, batch, units], dtype);
  const k = kernelsOf(FUNCTIONS, dtype);
  const width = elementBytes(dtype);
  const { hidden, cells, gates, outputs } = states;
  const made: LinearTensor[] = [];
  const make = (...shape: number[]) => {
    made.push(tensor(shape, { dtype }));
    return made[made.length - 1];
  };
  try {
    const wide = 4 * units;
    const n = batch * units;
    const given = make(steps, batch, units);
    given.data.set(elementsOf(gradient));
    const toX = make(steps, batch, wide);
    const toH = make(steps, batch, wide);
    const gateGrad = make(batch, wide);
    const [dh, dcell, throughNorm, product] = [1, 2, 3, 4].map(() => make(batch, units));
    const cellNext = make(batch, units);
    const sums = {
      x: { dweight: new Float64Array(wide), dbias: new Float64Array(wide) },
      h: { dweight: new Float64Array(wide), dbias: new Float64Array(wide) },
      c: { dweight: new Float64Array(units), dbias: new Float64Array(units) },
    };
    const collect = (name: keyof StepNorms, { dweight, dbias }: NormGradients) => {
      dweight?.data.forEach((value, j) => {
        sums[name].dweight[j] += value;
      });
      dbias?.data.forEach((value, j) => {
        sums[name].dbias[j] += value;
      });
    };
    for (let t = steps - 1; t >= 0; t--) {
      const f = gates.at(t).pointer;
      const df = gateGrad.pointer;
      const [i, o, g] = [1, 2, 3].map((gate) => f + gate * units * width);
      const [di, dO, dg] = [1, 2, 3].map((gate) => df + gate * units * width);
      const out = outputs.at(t).pointer;
      k.eachAdd(dh.pointer, dh.pointer, given.at(t).pointer, 1, n, 0, 0, 0);
      k.eachMultiply(product.pointer, dh.pointer, out, 1, n, 0, 0, 0);
      k.eachSigmoidGrad(dO, product.pointer, o, batch, units, wide, units, wide);
      k.eachMultiply(product.pointer, dh.pointer, o, batch, units, units, units, wide);
      k.eachTanhGrad(product.pointer, product.pointer, out, 1, n, 0, 0, 0);
      collect("c", back[t].c(product, throughNorm));
      k.eachAdd(dcell.pointer, cellNext.pointer, throughNorm.pointer, 1, n, 0, 0, 0);
      const dc = dcell.pointer;
      k.eachMultiply(product.pointer, dc, cells.at(t).pointer, 1, n, 0, 0, 0);
      k.eachSigmoidGrad(df, product.pointer, f, batch, units, wide, units, wide);
      k.eachMultiply(product.pointer, dc, g, batch, units, units, units, wide);
      k.eachSigmoidGrad(di, product.pointer, i, batch, units, wide, units, wide);
      k.eachMultiply(product.pointer, dc, i, batch, units, units, units, wide);
      k.eachTanhGrad(dg, product.pointer, g, batch, units, wide, units, wide);
      k.eachMultiply(cellNext.pointer, dc, f, batch, units, units, units, wide);
      collect("x", back[t].x(gateGrad, toX.at(t)));
      collect("h", back[t].h(gateGrad, toH.at(t)));
      matmul(toH.at(t), weights.weightHh, { out: dh });
    }
    const all = steps * batch;
    const rowsX = () => flat(toX, all);
    const before = () => ({ data: hidden.data.subarray(0, all * units), shape: [all, units] });
    const dxs = matmul(rowsX(), weights.weightIh);
    return {
      dxs: { data: dxs.data, shape: [steps, batch, sizes.inputs] },
      dweightIh: matmul(rowsX(), flat(saved.xs, all), { transposeA: true }),
      dweightHh: matmul(flat(toH, all), before(), { transposeA: true }),
      dh0: { data: dh.data.slice(), shape: [batch, units] },
      dc0: { data: cellNext.data.slice(), shape: [batch, units] },
      norms: sums,
    };
  } finally {
    for (const one of made) one.dispose();
    saved.dispose();
  }
}

/** The parameters of a normalized LSTM layer at first: weights uniform in ±1/√H, gains `gain`, forget bias 1. */
export function lstmParameters(inputs: number, units: number, gain: number, dtype: DType, random: () => number) {
  const wide = 4 * units;
  const parameters = {
    weightIh: new Parameter([wide, inputs], dtype, 0),
    weightHh: new Parameter([wide, units], dtype, 0),
    bias: new Parameter([wide], dtype, 0),
    gammaX: new Parameter([wide], dtype, gain),
    gammaH: new Parameter([wide], dtype, gain),
    gammaC: new Parameter([units], dtype, gain),
    betaC: new Parameter([units], dtype, 0),
  };
  const bound = 1 / Math.sqrt(units);
  for (const { data } of [parameters.weightIh, parameters.weightHh]) {
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random() - 1);
  }
  parameters.bias.data.fill(1, 0, units);
  return parameters;
}
