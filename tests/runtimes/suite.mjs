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
    const hash = new Sha256();
    const made = [];
    try {
      for (const dtype of ["float32", "float64"]) {
        for (const shape of shapes) {
          const heap = digestOf(run(watched, makerOf(dtype), shape));
          const linear = digestOf(run(watched, makerOf(dtype, api, made), shape));
          for (const tensor of made.splice(0)) tensor.dispose();
          if (heap !== linear) failures.push(`${name}: heap and linear memory differ for ${dtype} [${shape}]`);
          hash.update(bytesOf(heap));
        }
      }
      digests[name] = hash.digest();
    } catch (error) {
      failures.push(`${name}: ${error?.stack ?? error}`);
      for (const tensor of made) tensor.dispose();
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

/** What differs from the digests that every runtime must have, in words. */
export function compareDigests(digests, wanted) {
  const names = new Set([...Object.keys(digests), ...Object.keys(wanted)]);
  return [...names]
    .filter((name) => digests[name] !== wanted[name])
    .map((name) => `${name}: digest ${digests[name]?.slice(0, 12)}, not ${wanted[name]?.slice(0, 12)}`);
}

/** Pseudo-random inputs, whole numbers until the last step: Math.random and Math.sin differ between engines. */
function makerOf(dtype, api, made) {
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
    const length = shape.reduce((product, size) => product * size, 1);
    const data = values(length, seed, offset, scale);
    return { data: dtype === "float64" ? data : Float32Array.from(data), shape };
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

function digestOf(value) {
  const hash = new Sha256();
  absorb(hash, value);
  return hash.digest();
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
  else if (typeof value === "number") hash.update(Float64Array.of(value));
  else if (Array.isArray(value)) for (const part of value) absorb(hash, part);
  else if (typeof value === "object" && value !== null) {
    for (const name of Object.keys(value).sort()) {
      hash.update(bytesOf(name));
      absorb(hash, value[name]);
    }
  } else hash.update(bytesOf(String(value)));
}
