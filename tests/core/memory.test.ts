import { afterEach, describe, expect, it } from "vitest";
import { allocate, deallocate, heap8, memoryInfo, scratch, withScratch } from "../../src/core/memory.js";
import { layerNorm, tensor } from "../../src/index.js";
import { random, values } from "../support/numbers.js";

afterEach(() => expect(memoryInfo().usedBytes).toBe(0));

describe("the free list", () => {
  it("never hands out a byte twice, and joins what comes back", () => {
    const next = random(1);
    const blocks = new Map<number, number>();
    for (let i = 0; i < 2000; i++) {
      const size = Math.floor(Math.abs(next()) * 5000) + 1;
      if (blocks.size > 40 || (blocks.size > 0 && next() < -0.2)) {
        const [pointer, length] = [...blocks][Math.floor(Math.abs(next()) * blocks.size)];
        const mark = pointer % 251;
        expect(
          heap8()
            .subarray(pointer, pointer + length)
            .every((byte) => byte === mark),
        ).toBe(true);
        deallocate(pointer);
        blocks.delete(pointer);
      } else {
        const pointer = allocate(size);
        expect(pointer % 64).toBe(0);
        heap8().fill(pointer % 251, pointer, pointer + size);
        blocks.set(pointer, size);
      }
    }
    for (const pointer of blocks.keys()) deallocate(pointer);
    const { totalBytes } = memoryInfo();
    const whole = allocate(totalBytes - (1 << 21));
    expect(memoryInfo().totalBytes).toBe(totalBytes);
    deallocate(whole);
  });

  it("says how much was asked for where memory runs out, and stays intact", () => {
    const kept = tensor([8], { data: [1, 2, 3, 4, 5, 6, 7, 8] });
    expect(() => tensor([2 ** 31])).toThrow(/out of memory: 8589934\d+ bytes were asked for/);
    expect([...kept.data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    kept.dispose();
  });
});

describe("scratch", () => {
  it("comes back when work throws, however much it took", () => {
    expect(() =>
      withScratch(() => {
        scratch(10);
        scratch(5 << 20);
        withScratch(() => scratch(5 << 20));
        throw new Error("stop");
      }),
    ).toThrow("stop");
  });
});

describe("tensor", () => {
  it("is filled with zeros, however the memory was used before", () => {
    const first = tensor([100], { data: values(100, 1) });
    first.dispose();
    const second = tensor([100]);
    expect(second.data.every((value) => value === 0)).toBe(true);
    second.dispose();
  });

  it("keeps its elements when the memory grows, through a fresh view", () => {
    const small = tensor([3], { data: [1, 2, 3] });
    const view = small.data;
    const large = tensor([memoryInfo().totalBytes / 4]);
    expect(view.length).toBe(0);
    expect([...small.data]).toEqual([1, 2, 3]);
    small.dispose();
    large.dispose();
  });

  it("is gone after dispose, and using disposes", () => {
    let kept: { data: Float32Array | Float64Array };
    {
      using t = tensor([4]);
      kept = t;
      layerNorm(t, { normalizedShape: 4, out: t });
    }
    expect(() => kept.data).toThrow(/disposed of/);
  });

  it("takes views of its data as what they are", () => {
    const t = tensor([2, 4], { data: values(8, 3) });
    const want = layerNorm({ data: t.data.slice(4), shape: [1, 4] }, { normalizedShape: 4 });
    const got = layerNorm({ data: t.data.subarray(4), shape: [1, 4] }, { normalizedShape: 4 });
    expect([...got.data]).toEqual([...want.data]);
    t.dispose();
  });

  it("checks its arguments", () => {
    expect(() => tensor([2.5])).toThrow(/shape must hold whole numbers/);
    expect(() => tensor(3 as never)).toThrow(/shape must be an array/);
    expect(() => tensor([3], { data: [1] })).toThrow(/data has 1 elements where shape \[3\] takes 3/);
    expect(() => tensor([3], { dtype: "int8" as never })).toThrow(/dtype must be/);
  });
});
