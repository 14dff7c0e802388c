/**
 * The network of the batch normalization paper (Ioffe and Szegedy, 2015, section 4.1): linear layers with sigmoids
 * between them, and batch norm before each sigmoid if asked for.
 *
 * Each layer has `forward(x)` and `backward(dy)`: the gradient of the loss with respect to its output comes in, that
 * with respect to its input goes out, and those of its parameters are kept beside them. The layers of the package work
 * the same way, so a `BatchNorm` stands in the list like any other.
 */
import { BatchNorm, matmul, tensor } from "evenkeel";
import { gaussian } from "./data.mjs";

/**
 * The tensors that a layer writes to, one for each number of rows (a training batch, a set of digits to evaluate). They
 * live in linear memory, where the package computes without copying, and are made once.
 */
class Buffers {
  #byRows = new Map();

  constructor(columns, dtype) {
    this.columns = columns;
    this.dtype = dtype;
  }

  of(rows) {
    let found = this.#byRows.get(rows);
    if (found === undefined) {
      found = tensor([rows, this.columns], { dtype: this.dtype });
      this.#byRows.set(rows, found);
    }
    return found;
  }
}

/** y = x·weight + bias, weight stored [inputs, outputs]; it starts as a Gaussian of this deviation, the bias as 0. */
export class Linear {
  #outputs;
  #inputGradients;

  constructor(inputs, outputs, { random, deviation, dtype, bias = true, wantsInputGradient = true }) {
    const values = Float64Array.from({ length: inputs * outputs }, () => deviation * gaussian(random));
    this.weight = tensor([inputs, outputs], { data: values, dtype });
    this.weightGradient = tensor([inputs, outputs], { dtype });
    this.bias = bias ? tensor([outputs], { dtype }) : null;
    this.biasGradient = bias ? tensor([outputs], { dtype }) : null;
    this.wantsInputGradient = wantsInputGradient;
    this.#outputs = new Buffers(outputs, dtype);
    this.#inputGradients = new Buffers(inputs, dtype);
  }

  forward(x) {
    this.input = x;
    const y = matmul(x, this.weight, { out: this.#outputs.of(x.shape[0]) });
    if (this.bias !== null) addToEachRow(y.data, this.bias.data);
    return y;
  }

  backward(dy) {
    matmul(this.input, dy, { transposeA: true, out: this.weightGradient });
    if (this.bias !== null) sumOfRows(dy.data, this.biasGradient.data);
    if (!this.wantsInputGradient) return null;
    return matmul(dy, this.weight, { transposeB: true, out: this.#inputGradients.of(dy.shape[0]) });
  }

  parameters() {
    const found = { weight: { data: this.weight.data, grad: this.weightGradient.data } };
    if (this.bias !== null) found.bias = { data: this.bias.data, grad: this.biasGradient.data };
    return found;
  }
}

function addToEachRow(matrix, row) {
  for (let from = 0; from < matrix.length; from += row.length) {
    for (let i = 0; i < row.length; i++) matrix[from + i] += row[i];
  }
}

function sumOfRows(matrix, sum) {
  sum.fill(0);
  for (let from = 0; from < matrix.length; from += sum.length) {
    for (let i = 0; i < sum.length; i++) sum[i] += matrix[from + i];
  }
}

/** y = 1/(1 + exp(−x)). */
export class Sigmoid {
  #outputs;

  constructor(units, dtype) {
    this.#outputs = new Buffers(units, dtype);
  }

  forward(x) {
    this.input = x;
    this.output = this.#outputs.of(x.shape[0]);
    const [from, to] = [x.data, this.output.data];
    for (let i = 0; i < to.length; i++) to[i] = 1 / (1 + Math.exp(-from[i]));
    return this.output;
  }

  /** dx = dy·y·(1 − y), written over dy, which nobody needs any more. */
  backward(dy) {
    const [gradient, y] = [dy.data, this.output.data];
    for (let i = 0; i < y.length; i++) gradient[i] *= y[i] * (1 - y[i]);
    return dy;
  }

  parameters() {
    return {};
  }
}

/** Batch norm as the package has it, told where to put its results, so that nothing leaves linear memory. */
class Normalization extends BatchNorm {
  #outputs;

  constructor(units, dtype) {
    super(units, { dtype });
    this.#outputs = new Buffers(units, dtype);
  }

  forward(x) {
    return super.forward(x, { out: this.#outputs.of(x.shape[0]) });
  }

  backward(dy) {
    return super.backward(dy, { out: dy });
  }
}

export class Network {
  /**
   * `sizes` are the widths from input to output, `random` the generator that draws the weights. With `batchNorm` the
   * linear layers before a norm have no bias, which the norm would subtract again; its own bias takes that place.
   */
  constructor(sizes, { random, batchNorm, deviation = 0.1, dtype = "float32" }) {
    this.layers = [];
    for (let i = 1; i < sizes.length; i++) {
      const last = i === sizes.length - 1;
      const bias = last || !batchNorm;
      const linear = new Linear(sizes[i - 1], sizes[i], { random, deviation, dtype, bias, wantsInputGradient: i > 1 });
      this.layers.push(linear);
      if (!last && batchNorm) this.layers.push(new Normalization(sizes[i], dtype));
      if (!last) this.layers.push(new Sigmoid(sizes[i], dtype));
    }
  }

  /** The logits of a batch: one row for each digit, one column for each class. */
  forward(x) {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }

  /** Takes the gradient of the loss with respect to the logits back to every parameter. */
  backward(gradient) {
    this.layers.reduceRight((value, layer) => layer.backward(value), gradient);
  }

  parameters() {
    return this.layers.flatMap((layer) => Object.values(layer.parameters()));
  }

  /** One step of stochastic gradient descent. */
  step(learningRate) {
    for (const { data, grad } of this.parameters()) {
      for (let i = 0; i < data.length; i++) data[i] -= learningRate * grad[i];
    }
    // Linear layers write their gradients anew each time, the package's layers add to them.
    for (const norm of this.#norms()) norm.zeroGrad();
  }

  /** From now on, normalize by the statistics of the batch. */
  train() {
    for (const norm of this.#norms()) norm.train();
  }

  /**
   * From now on, normalize by fixed statistics: those of these digits under the present weights, the "population
   * statistics" of the paper. (The running averages of training lag behind weights that change fast.)
   */
  evaluateWith(digits) {
    let value = digits;
    for (const layer of this.layers) {
      if (layer instanceof BatchNorm) {
        layer.recalibrate([value]);
        layer.eval();
      }
      value = layer.forward(value);
    }
  }

  #norms() {
    return this.layers.filter((layer) => layer instanceof BatchNorm);
  }
}

/**
 * The mean cross-entropy between softmax(logits) and the labels. With `gradient`, a tensor of the logits' shape, its
 * gradient is written there: (softmax − one-hot)/rows.
 */
export function softmaxCrossEntropy(logits, labels, gradient) {
  const [rows, classes] = logits.shape;
  const { data } = logits;
  const into = gradient?.data;
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const from = row * classes;
    let largest = -Infinity;
    for (let i = 0; i < classes; i++) largest = Math.max(largest, data[from + i]);
    // Taking off the largest changes nothing in the quotient and keeps exp from overflowing.
    let sum = 0;
    for (let i = 0; i < classes; i++) sum += Math.exp(data[from + i] - largest);
    loss += Math.log(sum) + (largest - data[from + labels[row]]);
    if (into === undefined) continue;
    for (let i = 0; i < classes; i++) into[from + i] = Math.exp(data[from + i] - largest) / sum / rows;
    into[from + labels[row]] -= 1 / rows;
  }
  return loss / rows;
}
