import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalQuantile, QuantileSketch, quantilesOf } from "../../src/preprocessing/quantiles.js";
import { values } from "../support/numbers.js";

/** numpy's default method, on sorted values. */
function reference(sorted: ArrayLike<number>, fraction: number): number {
  const place = fraction * (sorted.length - 1);
  const at = Math.floor(place);
  const next = sorted[Math.min(at + 1, sorted.length - 1)];
  return sorted[at] + (next - sorted[at]) * (place - at);
}

/** How far the share of values below `value`, or at it, is from `fraction`. */
function rankError(sorted: Float64Array, value: number, fraction: number): number {
  const below = sorted.filter((other) => other < value).length / sorted.length;
  const upTo = sorted.filter((other) => other <= value).length / sorted.length;
  return Math.max(0, below - fraction, fraction - upTo);
}

const fractions = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1];

describe("quantilesOf", () => {
  it("interpolates between neighbours of the sorted values", () => {
    const input = fc.record({
      data: fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 }),
      asked: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(input, ({ data, asked }) => {
        asked.sort((a, b) => a - b);
        const sorted = Float64Array.from(data).sort();
        const sketch = QuantileSketch.of(Float64Array.from(data)).quantiles(asked);
        quantilesOf(Float64Array.from(data), asked).forEach((value, i) => {
          expect(Math.abs(value - reference(sorted, asked[i]))).toBeLessThan(1e-9);
          expect(sketch[i]).toBe(value);
        });
      }),
      { seed: 3 },
    );
  });

  it("is NaN without values", () => {
    expect(quantilesOf(new Float64Array(0), [0.5])).toEqual([NaN]);
    expect(QuantileSketch.of(new Float64Array(0)).quantiles([0.5])).toEqual([NaN]);
  });

  it.each([
    ["normal", (value: number) => value],
    ["with many ties", (value: number) => Math.round(value) + 0],
    ["all equal", () => -3.5],
    ["of all sizes", (value: number) => Math.sign(value) * 10 ** (100 * value)],
    ["near to each other", (value: number) => 1e6 + value / 1e6],
    ["negative", (value: number) => -1 - Math.abs(value)],
  ])("are those of the sorted values where there are many: %s", (_, made) => {
    const data = values(10001, 9, 0, 2).map(made);
    const sorted = data.slice().sort();
    // Tenths of 10000 are places of values, which are then given as they are.
    const tenths = Array.from({ length: 11 }, (_, i) => i / 10);
    expect(quantilesOf(data.slice(), tenths)).toEqual(tenths.map((tenth) => sorted[Math.round(10000 * tenth)]));
    const between = [0.00005, 0.33335, 0.99995];
    quantilesOf(data.slice(), between).forEach((value, i) => {
      const at = Math.floor(10000 * between[i]);
      expect(value).toBeGreaterThanOrEqual(sorted[at]);
      expect(value).toBeLessThanOrEqual(sorted[at + 1]);
    });
  });

  it("selects from many values", () => {
    const data = values(20001, 1);
    const sorted = data.slice().sort();
    const found = quantilesOf(data, fractions);
    expect(found).toEqual(fractions.map((fraction) => sorted[Math.round(20000 * fraction)]));
  });
});

describe("QuantileSketch", () => {
  const n = 50000;
  const bound = Math.ceil(Math.log2(n / 2048)) / 2048;
  const inputs = {
    uniform: values(n, 1),
    ascending: Float64Array.from({ length: n }, (_, i) => i),
    descending: Float64Array.from({ length: n }, (_, i) => -i),
    alternating: Float64Array.from({ length: n }, (_, i) => (i % 2 === 0 ? i : -i)),
    "far from 0": values(n, 2, 1e6, 0.5),
    binary: Float64Array.from(values(n, 3), (value) => (value > 0.4 ? 1 : 0)),
    "heavy tailed": Float64Array.from(values(n, 4), (value) => 1 / value),
  };

  it.each(Object.entries(inputs))("keeps to its bound: %s", (_, data) => {
    const sorted = data.slice().sort();
    for (const size of [37, 2048, 7001, n]) {
      let sketch = QuantileSketch.of(new Float64Array(0));
      let other = QuantileSketch.of(new Float64Array(0));
      for (let from = 0; from < n; from += size) {
        const part = QuantileSketch.of(data.subarray(from, from + size));
        if (from < n / 3) sketch = sketch.joined(part);
        else other = other.joined(part);
      }
      sketch = sketch.joined(other);
      const weight = sketch.levels.reduce((sum, level, l) => sum + level.length * 2 ** l, 0);
      expect(weight).toBe(n);
      expect(sketch.levels.reduce((sum, level) => sum + level.length, 0)).toBeLessThan(2048 * 6);
      sketch.quantiles(fractions).forEach((value, i) => {
        expect(rankError(sorted, value, fractions[i])).toBeLessThanOrEqual(bound);
      });
    }
  });

  it("is as its parts were when it is joined to another", () => {
    const one = QuantileSketch.of(values(3000, 5));
    const before = JSON.stringify([one.levels.map((level) => [...level]), one.turns]);
    one.joined(one);
    expect(JSON.stringify([one.levels.map((level) => [...level]), one.turns])).toBe(before);
  });
});

describe("normalQuantile", () => {
  it("agrees with scipy.stats.norm.ppf", () => {
    for (const [p, want] of [
      [1e-300, -37.0470962993612],
      [1e-12, -7.034483825301131],
      [0.001, -3.090232306167813],
      [0.075, -1.4395314709384563],
      [0.25, -0.6744897501960817],
      [0.5, 0],
      [0.9, 1.2815515655446004],
      [0.999999, 4.753424308817087],
    ]) {
      expect(Math.abs(normalQuantile(p) - want)).toBeLessThanOrEqual(1e-15 * Math.max(1, Math.abs(want)));
    }
  });
});
