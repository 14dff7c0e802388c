/**
 * The frame of the scalers: a scaler measures rows into a state, joins states, and turns a state into an affine of each
 * column (or, whitening, into a matrix). States are never changed, only replaced, so a call that throws leaves the
 * scaler as it was.
 */
import type { Affine } from "../core/cells.js";
import { fail, show } from "../core/errors.js";
import { type Operand, readValues, type Tensor, type TensorLike, type VectorLike } from "../core/tensor.js";
import { ColumnAffine, type RowsLike, readRows } from "./rows.js";

/** What a scaler saves: plain data that `JSON.stringify` writes without loss. */
export interface SavedScaler {
  version: 1;
  /** The name of the class. */
  kind: string;
  config: Record<string, unknown>;
  /** Null before the first fit. Numbers that JSON lacks are strings: "NaN", "Infinity", "-Infinity", "-0". */
  state: Record<string, unknown> | null;
}

export interface TransformOptions {
  /** Where to write the result; may be x. Default: a new heap array. */
  out?: TensorLike;
}

/** An attribute as scikit-learn has it: an array of one entry a feature, a number, or None. */
export type SklearnAttribute = VectorLike | number | null | undefined;

/** What a state must tell: its number of columns. */
export interface ScalerState {
  readonly features: number;
}

/** What learns from rows, and carries rows there and back. */
export abstract class RowTransform<State extends ScalerState, FitOptions extends object = object> {
  /** The name of the class: minifiers change `constructor.name`. @internal */
  protected abstract readonly kind: string;
  /** @internal */
  protected state: State | undefined;

  /** The statistics of rows. @internal */
  protected abstract measure(method: string, x: Operand, options: FitOptions): State;
  /** The statistics of rows that are a part of more. @internal */
  protected measurePart(method: string, x: Operand, options: FitOptions): State {
    return this.measure(method, x, options);
  }

  /** The statistics of the rows of both. @internal */
  protected abstract join(a: State, b: State): State;
  /** Transforms rows, or rows back. @internal */
  protected abstract carry(
    method: string,
    state: State,
    x: Operand,
    out: TensorLike | undefined,
    back: boolean,
  ): Tensor;
  /** @internal */
  protected abstract readonly config: Record<string, unknown>;
  /** @internal */
  protected abstract stateToJSON(state: State): Record<string, unknown>;

  /** Number of columns of the rows that were fitted; undefined before. */
  get nFeaturesIn(): number | undefined {
    return this.state?.features;
  }

  /** Learns the statistics of x anew. */
  fit(x: RowsLike, options: FitOptions = {} as FitOptions): this {
    const method = `${this.kind}.fit`;
    this.state = this.measure(method, readRows(method, "x", x), options);
    return this;
  }

  /** Adds the rows of x to what was learned so far: the same as one `fit` over all parts, to rounding. */
  partialFit(x: RowsLike, options: FitOptions = {} as FitOptions): this {
    const method = `${this.kind}.partialFit`;
    const rows = readRows(method, "x", x);
    if (this.state !== undefined) checkFeatures(method, "x", rows.shape[1], this.state.features);
    this.add(this.measurePart(method, rows, options));
    return this;
  }

  /** Adds what another scaler learned: the same as one `fit` over the rows of both. The other is left as it is. */
  merge(other: this): this {
    const method = `${this.kind}.merge`;
    if (!(other instanceof RowTransform) || other.kind !== this.kind) {
      fail(method, `other must be a ${this.kind}, got ${other instanceof RowTransform ? other.kind : show(other)}`);
    }
    if (other.state === undefined) return this;
    if (this.state !== undefined) checkFeatures(method, "other", other.state.features, this.state.features);
    this.add(other.state);
    return this;
  }

  /** The transformed rows, in the element type of x. */
  transform(x: RowsLike, options: TransformOptions = {}): Tensor {
    return this.apply("transform", x, options, false);
  }

  /** `fit`, then `transform` of the same rows. */
  fitTransform(x: RowsLike, options: FitOptions & TransformOptions = {} as FitOptions): Tensor {
    const former = this.state;
    try {
      return this.fit(x, options).transform(x, options);
    } catch (error) {
      this.state = former;
      throw error;
    }
  }

  /** The rows that `transform` made y of. */
  inverseTransform(x: RowsLike, options: TransformOptions = {}): Tensor {
    return this.apply("inverseTransform", x, options, true);
  }

  /** The scaler as plain data, for `JSON.stringify` and `fromJSON`. */
  toJSON(): SavedScaler {
    const { kind, config } = this;
    return { version: 1, kind, config, state: this.state === undefined ? null : this.stateToJSON(this.state) };
  }

  private apply(verb: string, x: RowsLike, { out }: TransformOptions, back: boolean): Tensor {
    const method = `${this.kind}.${verb}`;
    const state = this.fitted(verb);
    return this.carry(method, state, readRows(method, "x", x), out, back);
  }

  private add(state: State): void {
    this.state = this.state === undefined ? state : this.join(this.state, state);
  }

  /** The state, or an error that says how to come by one. @internal */
  protected fitted(member: string): State {
    if (this.state === undefined) {
      fail(
        `${this.kind}.${member}`,
        "the scaler is not fitted; call fit(rows) or partialFit(rows) first, or load one with fromJSON",
      );
    }
    return this.state;
  }
}

/** An affine, and the state that it was made of. */
interface KnownAffine {
  state: ScalerState;
  affine: ColumnAffine;
}

/** What scales each column by itself. */
export abstract class Scaler<State extends ScalerState, FitOptions extends object = object> extends RowTransform<
  State,
  FitOptions
> {
  /** The affines of the state that they were last asked of, there and back, each for the element type of then. */
  #there: KnownAffine | undefined;
  #back: KnownAffine | undefined;

  /** y = (x − mean)·scale + shift. @internal */
  protected abstract affine(state: State): Affine;
  /** x from y. @internal */
  protected abstract inverseAffine(state: State): Affine;

  /** The bounds that `transform` keeps results in. @internal */
  protected limits(): readonly number[] | null {
    return null;
  }

  /** @internal */
  protected carry(method: string, state: State, x: Operand, out: TensorLike | undefined, back: boolean): Tensor {
    checkFeatures(method, "x", x.shape[1], state.features);
    let known = back ? this.#back : this.#there;
    if (known?.state !== state || known.affine.dtype !== x.dtype) {
      if (back) {
        known = { state, affine: new ColumnAffine(x.dtype, this.inverseAffine(state), null) };
        this.#back = known;
      } else {
        known = { state, affine: new ColumnAffine(x.dtype, this.affine(state), this.limits()) };
        this.#there = known;
      }
    }
    return known.affine.transform(method, x, out);
  }
}

/** Throws where rows have another number of columns than those that were fitted. */
export function checkFeatures(method: string, name: string, features: number, known: number): void {
  if (features !== known) {
    fail(
      method,
      `${name} has ${features} features where the scaler was fitted on ${known}; pass rows with the same columns`,
    );
  }
}

/** 1/value of each, in place. Loops, as in all of this: `map` of typed arrays takes as long as a transform of many rows. */
export function invert(values: Float64Array): Float64Array {
  for (let j = 0; j < values.length; j++) values[j] = 1 / values[j];
  return values;
}

/** scikit-learn's rule for scales that are not deviations: one of nothing but rounding counts as 1. */
export function oneForZero(scale: number): number {
  return scale < 10 * Number.EPSILON ? 1 : scale;
}

/** Numbers as JSON can hold them. */
export function toNumbers(values: ArrayLike<number>): Array<number | string> {
  return Array.from(values, (value) => (Object.is(value, -0) ? "-0" : Number.isFinite(value) ? value : String(value)));
}

/** Reads `SavedScaler`s back, naming what does not fit. */
export class SavedReader {
  readonly config: Record<string, unknown>;
  readonly #method: string;
  readonly #state: Record<string, unknown> | null;

  constructor(kind: string, saved: unknown) {
    this.#method = `${kind}.fromJSON`;
    const { version, kind: found, config, state } = this.#object("saved", saved);
    if (found !== kind) this.#fail(`kind must be "${kind}", got ${show(found)}`);
    if (version !== 1) this.#fail(`version must be 1, got ${show(version)}; a newer evenkeel wrote it, update`);
    this.config = this.#object("config", config);
    this.#state = state === null ? null : this.#object("state", state);
  }

  get isFitted(): boolean {
    return this.#state !== null;
  }

  has(name: string): boolean {
    return this.#state?.[name] !== undefined;
  }

  /** Numbers of the state, `length` of them where that is known. */
  values(name: string, length?: number): Float64Array {
    return this.numbers(name, this.list(name, this.#state?.[name], length));
  }

  /** An array of the state (or within it) that is not empty, with `length` entries where that is known. */
  list(name: string, value: unknown = this.#state?.[name], length?: number): unknown[] {
    if (!Array.isArray(value) || value.length === 0 || (length !== undefined && value.length !== length)) {
      this.#fail(`state.${name} must be an array${length === undefined ? "" : ` of ${length}`}, got ${show(value)}`);
    }
    return value;
  }

  numbers(name: string, value: unknown): Float64Array {
    if (!Array.isArray(value)) this.#fail(`state.${name} must be an array of numbers, got ${show(value)}`);
    return Float64Array.from(value, (entry) => this.#number(name, entry));
  }

  /** A single number of the state. */
  value(name: string): number {
    return this.#number(name, this.#state?.[name]);
  }

  #number(name: string, value: unknown): number {
    if (typeof value === "number") return value;
    if (!["NaN", "Infinity", "-Infinity", "-0"].includes(value as string)) {
      this.#fail(`state.${name} must hold numbers, got ${show(value)}`);
    }
    return Number(value);
  }

  #object(name: string, value: unknown): Record<string, unknown> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const remedy = typeof value === "string" ? "; pass JSON.parse of it" : "";
      this.#fail(`${name} must be an object as toJSON makes it, got ${show(value)}${remedy}`);
    }
    return value as Record<string, unknown>;
  }

  #fail(message: string): never {
    return fail(this.#method, message);
  }
}

/** An attribute of scikit-learn with an entry for each feature. */
export function readSklearn(method: string, name: string, value: SklearnAttribute, length?: number): Float64Array {
  if (value === null || value === undefined || typeof value === "number") {
    fail(method, `${name} must be an array with an entry for each feature, got ${show(value)}`);
  }
  const given = "data" in value ? value.data.length : value.length;
  if (given === 0) fail(method, `${name} has no elements; pass the attributes of a fitted scaler`);
  return readValues(method, name, value, length ?? given, "one for each feature", 0);
}

/** n_samples_seen_, which is a number unless missing values make the columns differ, for each column. */
export function readSklearnCount(method: string, value: SklearnAttribute, length: number): Float64Array {
  const name = "n_samples_seen_";
  const count =
    typeof value === "number" ? new Float64Array(length).fill(value) : readSklearn(method, name, value, length);
  if (!count.every((n) => n >= 0 && n < Infinity)) fail(method, `${name} must be at least 0, got ${show(value)}`);
  return count;
}
