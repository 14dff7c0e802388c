/**
 * A NaN that comes out has the bits of JavaScript's own, whatever bits went in and whichever operation made it. (x86 sets
 * the sign of a NaN that it makes, ARM does not; both pass on the bits of an operand.)
 */
import { describe, expect, it } from "vitest";
import * as api from "../../src/index.js";
// @ts-expect-error: it has no types
import { calls } from "../runtimes/calls.mjs";
// @ts-expect-error: it has no types
import { DTYPES, makerOf, strayNaN } from "../runtimes/suite.mjs";

/** They return what they are given, elements copied bit by bit. */
const COPIES = ["im2col", "tensor", "weightNorm", "spectralNorm", "singularValueBounding, boundedBatchNorm, coherence"];

interface Call {
  name: string;
  shapes?: number[][];
  run(namespace: typeof api, maker: unknown, shape?: number[]): unknown;
}
const checked = (calls as Call[]).filter(({ name }) => !COPIES.includes(name));

type Data = Float32Array | Float64Array;
/** A negative NaN with a payload, as no engine makes them. */
const odd = (data: Data) =>
  data instanceof Float32Array ? new Uint32Array([0xffc12345]) : new Uint32Array([0x1234, 0xfff81234]);
const putOdd = (data: Data) => {
  const { buffer, byteOffset, BYTES_PER_ELEMENT } = data;
  new Uint8Array(buffer, byteOffset + (data.length - 1) * BYTES_PER_ELEMENT).set(new Uint8Array(odd(data).buffer));
};
const putInfinities = (data: Data) => {
  if (data.length > 3) data.set([Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY], data.length - 3);
};

/** As `attempt` of the suite: what a method says about such inputs is tested where the method is. */
function attempt(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return undefined;
  }
}

it("sees other NaN", () => {
  const data = new Float32Array(3);
  expect(strayNaN([{ data: data.fill(Number.NaN) }])).toBeUndefined();
  putOdd(data);
  expect(strayNaN([{ data }])).toBe("result.0.data[2]");
  const wide = new Float64Array(2);
  putOdd(wide);
  expect(strayNaN({ a: [wide] })).toBe("result.a.0[1]");
});

describe.each([
  ["a NaN in x", 1, putOdd],
  ["infinities in x", 1, putInfinities],
  ["a NaN in dy", 2, putOdd],
  ["infinities in dy", 2, putInfinities],
])("with %s", (_, which, put) => {
  const spoil = (data: Data, seed: number) => {
    if (seed === which) put(data);
  };
  const small = (shape?: number[]) => shape === undefined || shape.reduce((product, size) => product * size, 1) < 5000;
  it.each(checked)("$name gives no other NaN", ({ name, shapes = [undefined], run }) => {
    for (const dtype of DTYPES) {
      for (const shape of shapes.filter(small)) {
        const made: api.LinearTensor[] = [];
        for (const maker of [makerOf({ dtype, spoil }), makerOf({ dtype, spoil, api, made })]) {
          expect(
            strayNaN(
              attempt(() => run(api, maker, shape)),
              `${name} of ${dtype} [${shape}]`,
            ),
          ).toBeUndefined();
        }
        for (const tensor of made) tensor.dispose();
      }
    }
  });
});

it.each([
  { name: "layerNorm", forward: api.layerNormForward, backward: api.layerNormBackward },
  { name: "rmsNorm", forward: api.rmsNormForward, backward: api.rmsNormBackward },
])("$name gives no other NaN where rows are cut", ({ forward, backward }) => {
  const [rows, n] = [3, 40001];
  const values = (length: number, step: number) => Float64Array.from({ length }, (_, i) => Math.sin(step * i));
  for (const which of ["x", "dy", "weight"] as const) {
    const data = { x: values(rows * n, 1.1), dy: values(rows * n, 1.7), weight: values(n, 0.3) };
    putOdd(data[which]);
    data[which].set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 3);
    const shape = [rows, n];
    const options = { normalizedShape: n, weight: data.weight };
    const { y, saved } = forward({ data: data.x, shape }, options);
    expect(y.data.some(Number.isNaN)).toBe(which !== "dy");
    expect(strayNaN([y, backward({ data: data.dy, shape }, saved)])).toBeUndefined();
  }
});
