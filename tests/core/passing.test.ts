import { describe, expect, it } from "vitest";
import { keep, mapF64, passingF64 } from "../../src/core/memory.js";
import * as api from "../../src/index.js";
// @ts-expect-error: it has no types
import { calls } from "../runtimes/calls.mjs";
// @ts-expect-error: it has no types
import { makerOf } from "../runtimes/suite.mjs";

/** Of so many channels and rows that vectors of them are longer than what V8 keeps in its heap. */
const SHAPES = [
  [4, 16, 4],
  [4, 12, 3, 3],
  [12, 20],
  [20, 12],
];

describe("arrays for the length of a call", () => {
  it("share a buffer, and are zeros", () => {
    const [first, second] = [passingF64(20).fill(1), passingF64(20)];
    expect(second.buffer).toBe(first.buffer);
    expect(second.every((value) => value === 0)).toBe(true);
    expect([...mapF64(first, (value, i) => value + i)]).toEqual(Array.from({ length: 20 }, (_, i) => 1 + i));
  });

  it("are replaced by arrays of their own in what is kept, and nothing else is", () => {
    const own = new Float64Array(20);
    const list = [1, 2, 3];
    const found = { a: passingF64(20).fill(2), own, list, inner: { b: passingF64(20) }, many: [{ c: passingF64(20) }] };
    const kept = keep(found);
    expect(kept.a).toEqual(found.a);
    for (const array of [kept.a, kept.inner.b, kept.many[0].c]) expect(array.buffer.byteLength).toBe(20 * 8);
    expect(kept.own).toBe(own);
    expect(kept.list).toBe(list);
    expect(keep(kept)).toBe(kept);
  });

  const found = new Map<string, number>();
  for (const { name, run } of calls) {
    it(`are in no result of ${name}`, () => {
      for (const shape of SHAPES) {
        for (const dtype of ["float32", "float64"]) {
          let results: unknown[];
          try {
            results = [run(api, makerOf({ dtype }), shape)].flat();
          } catch {
            // Not every method takes every shape.
            continue;
          }
          found.set(name, (found.get(name) ?? 0) + 1);
          for (const result of results) expect(keep(result)).toBe(result);
        }
      }
    });
  }

  it("were looked for in nearly all of them", () => {
    expect(found.size).toBeGreaterThan(0.9 * calls.length);
  });
});
