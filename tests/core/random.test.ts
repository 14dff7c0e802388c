import { afterEach, describe, expect, it } from "vitest";
import { keepElements, normalValues, readSeed } from "../../src/core/random.js";
import { setStageBytes } from "../../src/core/stream.js";
import { readTensor, Target } from "../../src/core/tensor.js";
import { bits } from "../support/numbers.js";

/** Philox4x32-10, one block, in whole numbers. */
function philox(counter: number[], key: number[]): number[] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const p0 = BigInt(c0) * 0xd2511f53n;
    const p1 = BigInt(c2) * 0xcd9e8d57n;
    const high = (p: bigint) => Number(p >> 32n);
    const low = (p: bigint) => Number(p & 0xffffffffn);
    [c0, c1, c2, c3] = [(high(p1) ^ c1 ^ k0) >>> 0, low(p1), (high(p0) ^ c3 ^ k1) >>> 0, low(p0)];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

function keep(n: number, rate: number, seed: number, number = 0): number[] {
  const kept = [Float32Array, Float64Array].map((floats) => {
    const x = readTensor("test", "x", { data: new floats(n).fill(3), shape: [n] });
    const y = new Target("test", undefined, x);
    keepElements(y, x, { rate, seed: readSeed("test", seed), number }, { scale: 2, shift: -5, other: 0 });
    return [...y.result.data];
  });
  expect(kept[0]).toEqual(kept[1]);
  return kept[0];
}

describe("random numbers", () => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it("are Philox4x32-10, whose published answers the reference here gives", () => {
    expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const full = 0xffffffff;
    expect(philox([full, full, full, full], [full, full])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    const seed = 0x12345 * 2 ** 32 + 0x89abcdef;
    const rate = 0.37;
    const got = keep(103, rate, seed, 2 ** 40 + 7);
    for (let e = 0; e < 103; e++) {
      const block = 4 * Math.floor(e / 16) + (e % 4);
      const word = philox([block, 0, 7, 256], [0x89abcdef, 0x12345])[Math.floor((e % 16) / 4)];
      expect(got[e]).toBe(word >= rate * 2 ** 32 ? 1 : 0);
    }
  });

  it("keep the share they should, differently for each seed and stream", () => {
    const n = 100000;
    for (const rate of [0, 0.1, 0.5, 0.9]) {
      const share = keep(n, rate, 1).reduce((a, b) => a + b, 0) / n;
      expect(Math.abs(share - (1 - rate))).toBeLessThanOrEqual(5 * Math.sqrt((rate * (1 - rate)) / n));
    }
    const agree = (a: number[], b: number[]) => a.filter((value, i) => value === b[i]).length / n;
    const first = keep(n, 0.5, 1);
    for (const other of [keep(n, 0.5, 2), keep(n, 0.5, 1, 1), keep(n, 0.5, 2 ** 32 + 1)]) {
      expect(Math.abs(agree(first, other) - 0.5)).toBeLessThan(0.01);
    }
    expect(keep(n, 0.5, 1)).toEqual(first);
  });

  it("are normal where that is asked for", () => {
    const n = 200000;
    const x = Array.from(normalValues(n, "float64", readSeed("test", 3), { mean: 2, deviation: 3 }));
    const moment = (power: number) => x.reduce((sum, value) => sum + ((value - 2) / 3) ** power, 0) / n;
    [0, 1, 0, 3, 0, 15].forEach((want, i) => {
      expect(Math.abs(moment(i + 1) - want)).toBeLessThan(5 * Math.sqrt([1, 2, 15, 96, 945, 10170][i] / n));
    });
    const seed = readSeed("test", 3);
    const y = normalValues(21, "float64", seed);
    for (let i = 0; i < 21; i += 2) {
      const words = philox([i / 2, 1, 0, 0], [3, 0]);
      const uniform = (a: number, b: number) => ((a >>> 5) * 2 ** 26 + (b >>> 6) + 0.5) / 2 ** 53;
      const radius = Math.sqrt(-2 * Math.log(uniform(words[0], words[1])));
      const angle = 2 * Math.PI * uniform(words[2], words[3]);
      expect(Math.abs(y[i] - radius * Math.cos(angle))).toBeLessThan(4e-15);
      if (i < 20) expect(Math.abs(y[i + 1] - radius * Math.sin(angle))).toBeLessThan(4e-15);
    }
  });

  it("do not depend on the chunks they are made in, and have a prefix in common at any length", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const seed = readSeed("test", 5);
      const want = normalValues(1023, dtype, seed);
      expect(bits(normalValues(517, dtype, seed))).toBe(bits(want.slice(0, 517)));
      setStageBytes(100);
      expect(bits(normalValues(1023, dtype, seed))).toBe(bits(want));
      setStageBytes(1 << 17);
    }
  });

  it("need a seed that is a whole number", () => {
    expect(() => readSeed("alphaDropout", -1)).toThrow(/alphaDropout: seed must be a whole number from 0 to 2\^53 - 1/);
    expect(() => readSeed("alphaDropout", 0.5)).toThrow(/seed must be/);
  });
});
