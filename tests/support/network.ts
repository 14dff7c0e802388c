/**
 * A small network on the functions of the package, in f64, with its gradients: what the experiments train. Linear
 * layers, a normalization behind each hidden one if asked for, a nonlinearity; softmax cross-entropy at the end.
 */
import { BatchNorm, LayerNorm, matmul, type Tensor, type TypedArray } from "../../src/index.js";
import { random } from "./numbers.js";
import { normals } from "./statistics.js";

/** Learned numbers and the gradient of the loss with respect to them. */
export interface Learned {
  data: Float64Array;
  grad: Float64Array;
}

export interface Module {
  forward(x: Tensor): Tensor;
  backward(dy: Tensor): Tensor;
  parameters(): Learned[];
}

function addRow(matrix: TypedArray, row: Float64Array): void {
  for (let from = 0; from < matrix.length; from += row.length) {
    for (let i = 0; i < row.length; i++) matrix[from + i] += row[i];
  }
}

function addRows(sum: Float64Array, matrix: TypedArray): void {
  for (let from = 0; from < matrix.length; from += sum.length) {
    for (let i = 0; i < sum.length; i++) sum[i] += matrix[from + i];
  }
}

/** y = x·weightᵀ + bias, weight [outputs, inputs]. */
export class Linear implements Module {
  readonly weight: Learned;
  readonly bias: Learned | null;
  readonly shape: [number, number];
  #x!: Tensor;

  constructor(inputs: number, outputs: number, seed: number, { gain = Math.SQRT2, bias = true } = {}) {
    this.shape = [outputs, inputs];
    const data = normals(outputs * inputs, seed).map((value) => (value * gain) / Math.sqrt(inputs));
    this.weight = { data, grad: new Float64Array(data.length) };
    this.bias = bias ? { data: new Float64Array(outputs), grad: new Float64Array(outputs) } : null;
  }

  forward(x: Tensor): Tensor {
    this.#x = x;
    const y = matmul(x, { data: this.weight.data, shape: this.shape }, { transposeB: true });
    if (this.bias !== null) addRow(y.data, this.bias.data);
    return y;
  }

  backward(dy: Tensor): Tensor {
    matmul(dy, this.#x, { transposeA: true, out: { data: this.weight.grad, shape: this.shape } });
    if (this.bias !== null) {
      this.bias.grad.fill(0);
      addRows(this.bias.grad, dy.data);
    }
    return matmul(dy, { data: this.weight.data, shape: this.shape });
  }

  parameters(): Learned[] {
    return this.bias === null ? [this.weight] : [this.weight, this.bias];
  }
}

const map = (x: Tensor, value: (x: number, i: number) => number): Tensor => ({
  data: (x.data as Float64Array).map(value),
  shape: x.shape,
});

const NONLINEARITIES = {
  relu: { of: (x: number) => Math.max(x, 0), slope: (y: number) => (y > 0 ? 1 : 0) },
  sigmoid: { of: (x: number) => 1 / (1 + Math.exp(-x)), slope: (y: number) => y * (1 - y) },
  tanh: { of: Math.tanh, slope: (y: number) => 1 - y * y },
};
export type Nonlinearity = keyof typeof NONLINEARITIES;

/** A nonlinearity, whose slope is a function of its result. */
export class Activation implements Module {
  readonly #kind: Nonlinearity;
  input!: Tensor;
  output!: Tensor;

  constructor(kind: Nonlinearity) {
    this.#kind = kind;
  }

  forward(x: Tensor): Tensor {
    this.input = x;
    this.output = map(x, NONLINEARITIES[this.#kind].of);
    return this.output;
  }

  backward(dy: Tensor): Tensor {
    const { slope } = NONLINEARITIES[this.#kind];
    return map(dy, (value, i) => value * slope(this.output.data[i]));
  }

  parameters(): Learned[] {
    return [];
  }
}

/** A layer of the package as a module: its gradients are those of the last batch alone. */
class Norm implements Module {
  constructor(readonly layer: BatchNorm | LayerNorm) {}

  forward(x: Tensor): Tensor {
    return this.layer.forward(x);
  }

  backward(dy: Tensor): Tensor {
    this.layer.zeroGrad();
    return this.layer.backward(dy);
  }

  parameters(): Learned[] {
    return [this.layer.weight, this.layer.bias].map((parameter) => ({
      data: parameter!.data as Float64Array,
      grad: (parameter!.grad ?? new Float64Array(parameter!.data.length)) as Float64Array,
    }));
  }
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export interface NetworkConfig {
  /** Widths from input to output. */
  sizes: readonly number[];
  seed: number;
  norm?: "batch" | "layer";
  activation?: Nonlinearity;
  /** Deviation of the weights times √inputs. Default √2. */
  gain?: number;
  /** What stands between the normalization of a hidden layer and its nonlinearity. */
  between?: () => Module;
}

export class Network {
  readonly modules: Module[] = [];

  constructor({ sizes, seed, norm, activation = "relu", gain = Math.SQRT2, between }: NetworkConfig) {
    for (let i = 1; i < sizes.length; i++) {
      const hidden = i < sizes.length - 1;
      // A norm would subtract the bias of the layer before it again.
      this.modules.push(new Linear(sizes[i - 1], sizes[i], 1000 * seed + i, { gain, bias: !(hidden && norm) }));
      if (!hidden) continue;
      if (norm === "batch") this.modules.push(new Norm(new BatchNorm(sizes[i], { dtype: "float64" })));
      if (norm === "layer") this.modules.push(new Norm(new LayerNorm(sizes[i], { dtype: "float64" })));
      if (between) this.modules.push(between());
      this.modules.push(new Activation(activation));
    }
  }

  forward(x: Tensor): Tensor {
    return this.modules.reduce((value, module) => module.forward(value), x);
  }

  /** The loss of a batch; the gradients are in `parameters()` afterwards. */
  lossAndGradients({ x, labels }: Data): number {
    const logits = this.forward(x);
    const { loss, gradient } = crossEntropy(logits, labels);
    this.modules.reduceRight((value, module) => module.backward(value), gradient);
    return loss;
  }

  loss({ x, labels }: Data): number {
    return crossEntropy(this.forward(x), labels).loss;
  }

  /** The share of rows whose largest logit is that of the label. */
  accuracy({ x, labels }: Data): number {
    const { data, shape } = this.forward(x);
    const [rows, classes] = shape;
    let right = 0;
    for (let row = 0; row < rows; row++) {
      const logits = data.subarray(row * classes, (row + 1) * classes);
      if (logits.indexOf(Math.max(...logits)) === labels[row]) right++;
    }
    return right / rows;
  }

  parameters(): Learned[] {
    return this.modules.flatMap((module) => module.parameters());
  }

  linears(): Linear[] {
    return this.modules.filter((module) => module instanceof Linear);
  }

  activations(): Activation[] {
    return this.modules.filter((module) => module instanceof Activation);
  }

  /** The batch norms in the order of the network. */
  norms(): BatchNorm[] {
    return this.modules.flatMap((module) =>
      module instanceof Norm && module.layer instanceof BatchNorm ? [module.layer] : [],
    );
  }

  train(): void {
    for (const norm of this.norms()) norm.train();
  }

  eval(): void {
    for (const norm of this.norms()) norm.eval();
  }

  /** All parameters in one array, and back. */
  weights(): Float64Array {
    return joined(this.parameters().map(({ data }) => data));
  }

  gradients(): Float64Array {
    return joined(this.parameters().map(({ grad }) => grad));
  }

  setWeights(weights: Float64Array): void {
    let at = 0;
    for (const { data } of this.parameters()) {
      data.set(weights.subarray(at, at + data.length));
      at += data.length;
    }
  }

  /** A step of gradient descent. */
  step(learningRate: number): void {
    for (const { data, grad } of this.parameters()) {
      for (let i = 0; i < data.length; i++) data[i] -= learningRate * grad[i];
    }
  }
}

/** The mean cross-entropy of softmax(logits), and its gradient with respect to them. */
export function crossEntropy(logits: Tensor, labels: ArrayLike<number>): { loss: number; gradient: Tensor } {
  const [rows, classes] = logits.shape;
  const gradient = new Float64Array(rows * classes);
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const from = row * classes;
    let largest = -Infinity;
    for (let i = from; i < from + classes; i++) largest = Math.max(largest, logits.data[i]);
    let sum = 0;
    for (let i = from; i < from + classes; i++) {
      gradient[i] = Math.exp(logits.data[i] - largest);
      sum += gradient[i];
    }
    loss += Math.log(sum) + largest - logits.data[from + labels[row]];
    for (let i = from; i < from + classes; i++) gradient[i] /= sum * rows;
    gradient[from + labels[row]] -= 1 / rows;
  }
  return { loss: loss / rows, gradient: { data: gradient, shape: [rows, classes] } };
}

export interface Data {
  x: Tensor;
  labels: Uint8Array;
}

/**
 * Points around the centers of classes: centers of deviation 1 in each feature, always the same, points of deviation
 * `spread` around them. The labels go round.
 */
export function clusters(count: number, seed: number, { features = 20, classes = 10, spread = 1 } = {}): Data {
  const centers = normals(classes * features, 99);
  const noise = normals(count * features, seed);
  const labels = Uint8Array.from({ length: count }, (_, row) => row % classes);
  const data = noise.map((value, i) => {
    const row = Math.floor(i / features);
    return centers[labels[row] * features + (i % features)] + spread * value;
  });
  return { x: { data, shape: [count, features] }, labels };
}

/** Some rows of the data. */
export function rowsOf({ x, labels }: Data, rows: readonly number[]): Data {
  const features = x.shape[1];
  const data = new Float64Array(rows.length * features);
  for (const [i, row] of rows.entries()) data.set(x.data.subarray(row * features, (row + 1) * features), i * features);
  return { x: { data, shape: [rows.length, features] }, labels: Uint8Array.from(rows, (row) => labels[row]) };
}

/** Batches of rows drawn at random, with replacement, for ever. */
export function* batchesOf(data: Data, size: number, seed: number): Generator<Data> {
  const next = random(seed);
  const count = data.labels.length;
  for (;;) {
    yield rowsOf(
      data,
      Array.from({ length: size }, () => Math.floor(((next() + 1) / 2) * count)),
    );
  }
}

/** Gradient descent on random batches; the loss of each step. */
export function train(
  network: Network,
  data: Data,
  { steps, batchSize, learningRate, seed }: { steps: number; batchSize: number; learningRate: number; seed: number },
): number[] {
  const batches = batchesOf(data, batchSize, seed);
  return Array.from({ length: steps }, () => {
    const loss = network.lossAndGradients(batches.next().value);
    network.step(learningRate);
    return loss;
  });
}
