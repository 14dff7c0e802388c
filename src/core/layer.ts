/** What every layer has: parameters with gradients, buffers, a mode, and a state that other frameworks can read. */
import { fail, show } from "./errors.js";
import type { DType, TypedArray } from "./memory.js";
import {
  arrayClass,
  type Operand,
  readTensor,
  type Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "./tensor.js";

/** Learned values and their gradient, which `backward` adds to. */
export class Parameter {
  readonly data: TypedArray;
  readonly shape: readonly number[];
  grad: TypedArray | null = null;

  constructor(shape: readonly number[], dtype: DType, value: number) {
    const length = shape.reduce((product, size) => product * size, 1);
    this.data = new (arrayClass(dtype))(length).fill(value);
    this.shape = shape;
  }

  /** @internal */
  addGrad(gradient: ArrayLike<number>): void {
    this.grad ??= new (this.data.constructor as Float32ArrayConstructor)(this.data.length);
    for (let i = 0; i < this.grad.length; i++) {
      const sum = this.grad[i] + gradient[i];
      this.grad[i] = Number.isNaN(sum) ? Number.NaN : sum;
    }
  }
}

/** What `stateDict` gives and `loadStateDict` takes: tensors by name; counts may be plain numbers. */
export type StateDict = Record<string, Tensor>;
export type LoadableState = Record<string, VectorLike | number | bigint>;

/** `train`: batch statistics. `eval`: fixed statistics. `frozen`: fixed statistics, while weight and bias still learn. */
export type Mode = "train" | "eval" | "frozen";

/** An entry of the state: its name in PyTorch, and those of Keras, Flax and ONNX that mean the same. */
export interface StateEntry {
  name: string;
  aliases?: readonly string[];
  data: TypedArray;
  shape: readonly number[];
}

export const WEIGHT_ALIASES = ["gamma", "scale"] as const;
export const BIAS_ALIASES = ["beta", "B"] as const;
export const MEAN_ALIASES = ["moving_mean", "input_mean", "mean"] as const;
export const VARIANCE_ALIASES = ["moving_variance", "input_var", "var"] as const;

export abstract class Layer {
  mode: Mode = "train";
  abstract readonly weight: Parameter | null;
  abstract readonly bias: Parameter | null;

  /** Batch statistics from now on, where the method has any. */
  train(): this {
    this.mode = "train";
    return this;
  }

  /** Fixed statistics from now on; `backward` gives dx and leaves the gradients of the parameters alone. */
  eval(): this {
    this.mode = "eval";
    return this;
  }

  /** Fixed statistics from now on, with gradients for weight and bias: fine-tuning on small batches. */
  freeze(): this {
    this.mode = "frozen";
    return this;
  }

  /** The parameters by name. */
  parameters(): Record<string, Parameter> {
    const found: Record<string, Parameter> = {};
    if (this.weight) found.weight = this.weight;
    if (this.bias) found.bias = this.bias;
    return found;
  }

  /** Forgets the gradients. */
  zeroGrad(): void {
    for (const parameter of Object.values(this.parameters())) parameter.grad = null;
  }

  /** Adds what `backward` found to the gradients, except in eval mode, and gives it back. @internal */
  protected learn<Found extends { dweight?: Tensor | null; dbias?: Tensor | null }>(found: Found): Found {
    if (this.mode !== "eval") {
      if (found.dweight) this.weight?.addGrad(found.dweight.data);
      if (found.dbias) this.bias?.addGrad(found.dbias.data);
    }
    return found;
  }

  /** The entries of the state; layers with buffers add theirs. @internal */
  protected stateEntries(): StateEntry[] {
    const entries: StateEntry[] = [];
    if (this.weight) entries.push(entryOf("weight", this.weight, WEIGHT_ALIASES));
    if (this.bias) entries.push(entryOf("bias", this.bias, BIAS_ALIASES));
    return entries;
  }

  /** A copy of the parameters and buffers, under PyTorch's names. */
  stateDict(): StateDict {
    const state: StateDict = {};
    for (const { name, data, shape } of this.stateEntries()) state[name] = { data: data.slice(), shape: [...shape] };
    return state;
  }

  /**
   * Takes over a state written by `stateDict`, PyTorch, Keras, Flax or ONNX. Names may carry a prefix up to the last dot or
   * slash, as in `layer1.0.bn1.weight` or `bn/gamma:0`. Every entry must be there, and no other: nothing is changed where
   * one is missing, unknown or of the wrong length.
   */
  loadStateDict(state: LoadableState): this {
    const method = "loadStateDict";
    if (typeof state !== "object" || state === null)
      fail(method, `state must be an object of tensors, got ${show(state)}`);
    const entries = this.stateEntries();
    const plan: Array<{ data: TypedArray; values: ArrayLike<number> }> = [];
    const taken = new Set<StateEntry>();
    for (const [key, value] of Object.entries(state)) {
      const name = key.replace(/:\d+$/, "").replace(/^.*[./]/, "");
      const entry = entries.find((candidate) => candidate.name === name || candidate.aliases?.includes(name));
      const known = entries.map((candidate) => candidate.name).join(", ");
      if (entry === undefined) fail(method, `state has an entry "${key}" that is none of [${known}]; remove it`);
      if (taken.has(entry)) fail(method, `state has "${entry.name}" twice, the second time as "${key}"; remove one`);
      const values = valuesOf(method, key, value);
      if (values.length !== entry.data.length) {
        fail(method, `"${key}" has ${values.length} elements where ${entry.data.length} are needed`);
      }
      taken.add(entry);
      plan.push({ data: entry.data, values });
    }
    for (const entry of entries) {
      // Only PyTorch counts batches.
      if (!taken.has(entry) && entry.name !== "num_batches_tracked") {
        fail(method, `state lacks "${entry.name}"; it has [${Object.keys(state).join(", ")}]`);
      }
    }
    for (const { data, values } of plan) data.set(values);
    return this;
  }
}

/** A parameter as an entry of the state. */
export function entryOf(name: string, { data, shape }: Parameter, aliases?: readonly string[]): StateEntry {
  return { name, aliases, data, shape };
}

/** The entries of parameters under the names that they have here. */
export function entriesOf(parameters: Record<string, Parameter>): StateEntry[] {
  return Object.entries(parameters).map(([name, parameter]) => entryOf(name, parameter));
}

function valuesOf(method: string, key: string, value: unknown): ArrayLike<number> {
  if (typeof value === "number" || typeof value === "bigint") return [Number(value)];
  const data = (value as TensorLike | null)?.data ?? value;
  if (data instanceof BigInt64Array) return Array.from(data, Number);
  if (Array.isArray(data) || (ArrayBuffer.isView(data) && !(data instanceof DataView))) {
    return data as unknown as ArrayLike<number>;
  }
  return fail(method, `"${key}" must be a tensor, a typed array or a number, got ${show(value)}`);
}

/** What a backward pass needs from its forward pass. Made by the `...Forward` functions, opaque to callers. */
export interface Saved {
  /** @internal */
  readonly x: TensorLike | null;
}

/** What a backward pass says where there is nothing to go back through. */
export function failBeforeForward(method: string): never {
  fail(method, "there is no forward pass to go back through; call forward first");
}

/**
 * The input that a forward pass kept, under its name there, checked again: it may have been disposed of, or written over
 * by `out`.
 */
export function savedInput(method: string, saved: Saved | undefined, name = "x"): Operand {
  if (saved === undefined) failBeforeForward(method);
  if (typeof saved !== "object" || saved === null || !("x" in saved)) {
    fail(method, `saved must come from the forward function, got ${show(saved)}`);
  }
  if (saved.x === null) {
    fail(method, "the forward pass wrote its result over x (out: x), which the gradient needs; give it another out");
  }
  return readTensor(method, "the x of the forward pass", saved.x, name);
}

/** x as `Saved` keeps it: null where the result was written over it. */
export function keepInput(x: TensorLike, operand: Operand, y: Target): TensorLike | null {
  return y.isPlaceOf(operand) ? null : x;
}
