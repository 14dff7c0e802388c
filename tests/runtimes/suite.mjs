/**
 * The same small suite for every runtime: given the package's namespace it calls every export, twice where inputs may
 * be in linear memory, and digests all numbers that come out. No dependencies, no `node:`.
 */
import { calls } from "./calls.mjs";
import { Sha256 } from "./sha256.mjs";

/**
 * Runs everything. `failures` says in words what went wrong; `digests` has one SHA-256 for each method, over all shapes
 * and both element types. They must be the same on every engine and machine.
 */
export function runSuite(api) {
  const failures = [];
  const digests = {};
  const used = new Set();
  const watched = new Proxy(
    {},
    {
      get(_, name) {
        used.add(name);
        return api[name];
      },
    },
  );
  for (const { name, shapes = [undefined], run } of calls) {
    const made = [];
    const free = () => {
      for (const tensor of made.splice(0)) tensor.dispose();
    };
    try {
      digests[name] = digestOf(
        DTYPES.map((dtype) =>
          shapes.map((shape) => {
            const heap = digestOf(run(watched, makerOf({ dtype }), shape));
            const linear = digestOf(run(watched, makerOf({ dtype, api, made }), shape));
            free();
            if (heap !== linear) failures.push(`${name}: heap and linear memory differ for ${dtype} [${shape}]`);
            return heap;
          }),
        ),
      );
      digests[`${name}, not finite`] = digestOf(
        DTYPES.map((dtype) =>
          shapes
            .filter((shape) => shape === undefined || sizeOf(shape) < LONG)
            .map((shape) =>
              attempt(() => {
                const result = run(api, makerOf({ dtype, spoil }), shape);
                const stray = strayNaN(result);
                if (stray !== undefined) failures.push(`${name}: a NaN of other bits in ${stray}, ${dtype} [${shape}]`);
                return result;
              }),
            ),
        ),
      );
    } catch (error) {
      failures.push(`${name}: ${error?.stack ?? error}`);
      free();
    }
  }
  for (const name of Object.keys(api)) {
    if (!used.has(name) && !["default", "module.exports", "init"].includes(name))
      failures.push(`${name} was never called`);
  }
  const { usedBytes } = api.memoryInfo();
  if (usedBytes !== 0) failures.push(`${usedBytes} bytes of linear memory were not given back`);
  return { failures, digests };
}

export const DTYPES = ["float32", "float64"];
const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);
/** Longer inputs than this show nothing new about numbers that are not finite. */
const LONG = 20000;

/** A result, or the message of the error. */
function attempt(work) {
  try {
    return digestOf(work());
  } catch (error) {
    return error.message;
  }
}

/** What differs from the digests that every runtime must have, in words. */
export function compareDigests(digests, wanted) {
  const names = new Set([...Object.keys(digests), ...Object.keys(wanted)]);
  return [...names]
    .filter((name) => digests[name] !== wanted[name])
    .map((name) => `${name}: digest ${digests[name]?.slice(0, 12)}, not ${wanted[name]?.slice(0, 12)}`);
}

/** Puts a NaN and both infinities in the first input. */
function spoil(data, seed) {
  const { length } = data;
  if (seed !== 1) return;
  if (length > 8) data[3] = Number.NaN;
  if (length > 20) data.set([Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY], length - 7);
}

/**
 * Pseudo-random inputs, whole numbers until the last step: Math.random and Math.sin differ between engines. `spoil` changes
 * what has been made of a seed.
 */
export function makerOf({ dtype, api, made, spoil }) {
  const source = (seed) => {
    let state = Math.imul(seed + 1, 2654435761) >>> 0;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2147483648 - 1;
    };
  };
  const values = (length, seed, offset = 0, scale = 1) => {
    const next = source(seed);
    const found = new Float64Array(length);
    for (let i = 0; i < length; i++) found[i] = offset + scale * next();
    return found;
  };
  const heap = (shape, seed, offset, scale) => {
    const length = sizeOf(shape);
    const data = values(length, seed, offset, scale);
    const typed = dtype === "float64" ? data : Float32Array.from(data);
    spoil?.(typed, seed);
    return { data: typed, shape };
  };
  const tensor = (shape, seed, offset, scale) => {
    const { data } = heap(shape, seed, offset, scale);
    if (made === undefined) return { data, shape };
    made.push(api.tensor(shape, { data, dtype }));
    return made[made.length - 1];
  };
  return { dtype, source, values, heap, tensor };
}

const bytesOf = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

export function digestOf(value) {
  const hash = new Sha256();
  absorb(hash, value);
  return hash.digest();
}

/**
 * Where a result has a NaN of other bits than JavaScript's own, else undefined. Which ones arithmetic gives it is left open
 * by WebAssembly and ECMAScript, and differs between processors, engines and even the tiers of one.
 */
export function strayNaN(value, where = "result") {
  if (value instanceof Float32Array || value instanceof Float64Array) {
    const words = new Uint32Array(value.slice().buffer);
    const single = value instanceof Float32Array;
    const at = value.findIndex((number, i) => {
      if (!Number.isNaN(number)) return false;
      return single ? words[i] !== 0x7fc00000 : words[2 * i] !== 0 || words[2 * i + 1] !== 0x7ff80000;
    });
    return at < 0 ? undefined : `${where}[${at}]`;
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  // The elements of a tensor in linear memory are no property of its own.
  for (const [name, part] of Object.entries({ data: value.data, ...value })) {
    const found = strayNaN(part, `${where}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

const FOLDED = 1024;

/** A long array as 1024 words, all of which count: SHA-256 in JavaScript takes 20 ns a byte. */
function folded(array) {
  if (array.byteLength <= 4 * FOLDED || array.byteLength % 4 !== 0) return array;
  const words = new Int32Array(array.buffer, array.byteOffset, array.byteLength / 4);
  const sums = new Int32Array(FOLDED);
  for (let i = 0; i < words.length; i++) {
    const at = i % FOLDED;
    sums[at] = Math.imul(((sums[at] << 13) | (sums[at] >>> 19)) ^ words[i], 2654435761);
  }
  return sums;
}

/** Every number of a result, with the names of what holds it. */
function absorb(hash, value) {
  if (ArrayBuffer.isView(value)) hash.update(folded(value));
  else if (Number.isNaN(value)) hash.update(bytesOf("NaN"));
  else if (typeof value === "number") hash.update(Float64Array.of(value));
  else if (Array.isArray(value)) for (const part of value) absorb(hash, part);
  else if (typeof value === "object" && value !== null) {
    for (const name of Object.keys(value).sort()) {
      hash.update(bytesOf(name));
      absorb(hash, value[name]);
    }
  } else hash.update(bytesOf(String(value)));
}
