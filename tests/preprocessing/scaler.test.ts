/** What holds for every scaler. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  Centering,
  MaxAbsScaler,
  MinMaxScaler,
  memoryInfo,
  RobustScaler,
  type RowsLike,
  StandardScaler,
  type Tensor,
  tensor,
} from "../../src/index.js";
import { bits, largestDifference, tensorOf, values } from "../support/numbers.js";

type AnyScaler = StandardScaler | MinMaxScaler | MaxAbsScaler | RobustScaler | Centering;

const scalers: Array<{ name: string; make(): AnyScaler; load(saved: unknown): AnyScaler }> = [
  { name: "StandardScaler", make: () => new StandardScaler({ ddof: 1 }), load: StandardScaler.fromJSON },
  { name: "MinMaxScaler", make: () => new MinMaxScaler({ featureRange: [-1, 2] }), load: MinMaxScaler.fromJSON },
  { name: "MaxAbsScaler", make: () => new MaxAbsScaler(), load: MaxAbsScaler.fromJSON },
  { name: "Centering", make: () => new Centering(), load: Centering.fromJSON },
  { name: "RobustScaler", make: () => new RobustScaler({ quantileRange: [10, 80] }), load: RobustScaler.fromJSON },
];

/** Calls a method whose overloads differ between scalers. */
const add = (scaler: AnyScaler, x: RowsLike) => (scaler as StandardScaler).partialFit(x);
const merge = (scaler: AnyScaler, other: unknown) => (scaler as StandardScaler).merge(other as StandardScaler);

function rowsOf({ data, shape: [rows, n] }: Tensor, from: number, to = rows): Tensor {
  return { data: data.slice(from * n, to * n), shape: [to - from, n] };
}

afterEach(() => {
  setStageBytes(1 << 17);
});

describe.each(scalers)("$name", ({ name, make, load }) => {
  it("says how to be fitted where it is not", () => {
    const remedy = "the scaler is not fitted; call fit(rows) or partialFit(rows) first, or load one with fromJSON";
    expect(() => make().transform([[1]])).toThrow(`${name}.transform: ${remedy}`);
    expect(() => make().inverseTransform([[1]])).toThrow(`${name}.inverseTransform: ${remedy}`);
    expect(make().nFeaturesIn).toBeUndefined();
  });

  it("learns nothing from a call that throws", () => {
    const scaler = add(make(), tensorOf([5, 4], 1));
    const before = JSON.stringify(scaler);
    const x = tensorOf([5, 4], 2);
    const infinite = tensorOf([5, 4], 2);
    infinite.data[4 * 3 + 1] = -Infinity;
    for (const [call, message] of [
      [() => scaler.fit(infinite), `${name}.fit: x[3, 1] is -Infinity; remove the row`],
      [() => add(scaler, infinite), `${name}.partialFit: x[3, 1] is -Infinity; remove the row`],
      [() => add(scaler, tensorOf([2, 3], 1)), `${name}.partialFit: x has 3 features where the scaler was fitted on 4`],
      [() => scaler.transform([[1, 2, 3]]), `${name}.transform: x has 3 features where the scaler was fitted on 4`],
      [() => scaler.inverseTransform([[1]]), `${name}.inverseTransform: x has 1 features where the scaler was`],
      [() => scaler.fitTransform(x, { out: tensorOf([5, 3], 1) }), `${name}.transform: out has shape [5, 3]`],
      [() => merge(scaler, add(make(), [[1, 2]])), `${name}.merge: other has 2 features where the scaler was`],
      [() => merge(scaler, {}), `${name}.merge: other must be a ${name}, got`],
      [() => merge(scaler, new (name === "Centering" ? MaxAbsScaler : Centering)()), `other must be a ${name}, got `],
      [() => scaler.fit({ data: new Float64Array(3), shape: [3] }), "x must be [rows, features], got shape [3]"],
      [() => scaler.fit([]), "x has no elements"],
      [() => scaler.fit([[1, 2], [3]]), "x[1] has 1 columns where x[0] has 2"],
      [
        () => scaler.fit([[1, null as unknown as number]]),
        "x[0][1] must be a number (NaN where it is missing), got null",
      ],
      [() => scaler.fit({ data: new Float64Array(0), shape: [0, 4] }), "x has no elements"],
    ] as const) {
      expect(call).toThrow(message);
      expect(JSON.stringify(scaler)).toBe(before);
    }
  });

  it("gives the rows back", () => {
    for (const [dtype, tolerance] of [
      ["float32", 1e-6],
      ["float64", 1e-15],
    ] as const) {
      const x = tensorOf([40, 7], 3, dtype, 2, 3);
      const scaler = make().fit(x);
      const y = scaler.transform(x);
      expect(y.data.constructor).toBe(x.data.constructor);
      expect(y.shape).toEqual([40, 7]);
      // |x| is at most 5, and takes five roundings on its way.
      expect(largestDifference(scaler.inverseTransform(y).data, x.data)).toBeLessThan(5 * tolerance);
    }
  });

  it.each(["float32", "float64"] as const)("gives the same bits for %s from anywhere, in any chunks", (dtype) => {
    const used = memoryInfo().usedBytes;
    for (const [rows, n] of [
      [70, 1],
      [257, 3],
      [100, 50],
      [67, 700],
    ]) {
      const x = tensorOf([rows, n], 5, dtype, 2);
      x.data[n] = NaN;
      const run = (input: RowsLike, out?: Tensor) => {
        const scaler = make().fit(input);
        const y = scaler.transform(input, { out });
        return [JSON.stringify(scaler), bits(y.data), bits(scaler.inverseTransform(y).data)];
      };
      const want = run(x);
      for (const bytes of [64, 5000, 1 << 24]) {
        setStageBytes(bytes);
        expect(run(x)).toEqual(want);
      }
      setStageBytes(1 << 17);
      expect(run({ data: x.data, dims: x.shape })).toEqual(want);
      const linear = tensor([rows, n], { data: x.data, dtype });
      expect(run(linear)).toEqual(want);
      expect(run(linear, linear as unknown as Tensor).slice(0, 2)).toEqual(want.slice(0, 2));
      linear.dispose();
      expect(run(x, x)).toEqual(want);
      expect(bits(x.data)).toEqual(want[1]);
    }
    expect(memoryInfo().usedBytes).toBe(used);
  });

  it("takes lists of rows as f64", () => {
    const x = tensorOf([4, 3], 6);
    const list = [0, 1, 2, 3].map((r) => [...x.data.slice(3 * r, 3 * r + 3)]);
    const y = make().fit(list).transform(list);
    expect(y.data).toBeInstanceOf(Float64Array);
    expect(y).toEqual(make().fit(x).transform(x));
    expect(make().fitTransform(list)).toEqual(y);
  });

  it("saves and loads without losing a bit", () => {
    const x = tensorOf([9, 4], 7, "float64", 1, 3);
    for (let r = 0; r < 9; r++) x.data[4 * r + 1] = NaN;
    x.data[6] = NaN;
    for (let r = 0; r < 9; r++) x.data[4 * r + 3] = -0;
    for (const scaler of [make(), make().fit(x), add(make(), x)]) {
      const loaded = load(JSON.parse(JSON.stringify(scaler)));
      expect(loaded).toBeInstanceOf(make().constructor);
      expect(loaded.toJSON()).toEqual(scaler.toJSON());
      if (scaler.nFeaturesIn === undefined) continue;
      expect(bits(loaded.transform(x).data)).toBe(bits(scaler.transform(x).data));
    }
    const loaded = load(JSON.parse(JSON.stringify(add(make(), x))));
    expect(add(loaded, x).toJSON()).toEqual(add(add(make(), x), x).toJSON());
  });

  it("loads nothing else", () => {
    const saved = JSON.parse(JSON.stringify(make().fit([[1, 2]])));
    const key = Object.keys(saved.state).find((entry) => Array.isArray(saved.state[entry])) as string;
    for (const [wrong, message] of [
      [JSON.stringify(saved), "saved must be an object as toJSON makes it, got"],
      [null, "saved must be an object"],
      [{ ...saved, kind: "Other" }, `kind must be "${name}", got "Other"`],
      [{ ...saved, version: 2 }, "version must be 1, got 2"],
      [{ ...saved, config: undefined }, "config must be an object"],
      [{ ...saved, state: {} }, "must be an array"],
      [{ ...saved, state: { ...saved.state, [key]: ["x", "y"] } }, `state.${key} must hold numbers, got "x"`],
    ] as const) {
      expect(() => load(wrong)).toThrow(`${name}.fromJSON`);
      expect(() => load(wrong)).toThrow(message);
    }
  });

  it("learns the same from parts, added or merged in any order, as from all rows", () => {
    const parts = fc.record({
      rows: fc.integer({ min: 1, max: 60 }),
      columns: fc.integer({ min: 1, max: 5 }),
      cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
      seed: fc.integer(),
      offset: fc.constantFrom(0, 10),
      missing: fc.boolean(),
    });
    fc.assert(
      fc.property(parts, ({ rows, columns, cuts, seed, offset, missing }) => {
        const x = tensorOf([rows, columns], seed, "float64", offset);
        if (missing) for (let i = 0; i < x.data.length; i += 3) x.data[i] = NaN;
        const ends = [...new Set([...cuts.map((cut) => Math.floor(cut * rows)), rows])].filter((end) => end > 0);
        ends.sort((a, b) => a - b);
        const pieces = ends.map((end, i) => rowsOf(x, i === 0 ? 0 : ends[i - 1], end));
        const whole = make().fit(x).transform(x);
        const added = make();
        for (const piece of pieces) add(added, piece);
        const merged = make();
        for (const piece of pieces.reverse()) merge(merged, add(make(), piece));
        for (const scaler of [added, merged]) {
          scaler.transform(x).data.forEach((value, i) => {
            const want = whole.data[i];
            // 1e-12 relative of the statistics; the deviation is about 1, the offset 10.
            const isClose = Math.abs(value - want) <= 2e-11 * (1 + Math.abs(want));
            if (!Object.is(value, want) && !isClose) expect(value).toBe(want);
          });
        }
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it("transforms by what it learned last, in either type and direction", () => {
    const parts = [tensorOf([6, 3], 10), tensorOf([9, 3], 11, "float64", 2)];
    const x = [tensorOf([4, 3], 12, "float32"), tensorOf([4, 3], 12)];
    const resultsOf = (scaler: AnyScaler) =>
      x.flatMap((rows) => [scaler.transform(rows), scaler.inverseTransform(rows)]).map(({ data }) => bits(data));
    const scaler = make().fit(parts[0]) as AnyScaler;
    const first = resultsOf(scaler);
    expect(resultsOf(scaler)).toEqual(first);
    scaler.fit(parts[1]);
    const second = resultsOf(scaler);
    expect(second).toEqual(resultsOf(make().fit(parts[1]) as AnyScaler));
    expect(second).not.toEqual(first);
    const grown = add(make(), parts[0]) as AnyScaler;
    resultsOf(grown);
    add(grown, parts[1]);
    expect(resultsOf(grown)).toEqual(resultsOf(add(add(make(), parts[0]) as AnyScaler, parts[1]) as AnyScaler));
  });

  it("leaves the other alone when merging, and takes nothing from one not fitted", () => {
    const other = add(make(), tensorOf([6, 2], 8));
    const before = JSON.stringify(other);
    const scaler = merge(make(), other);
    expect(JSON.stringify(scaler)).toBe(before);
    add(scaler as AnyScaler, tensorOf([6, 2], 9));
    expect(JSON.stringify(other)).toBe(before);
    const after = JSON.stringify(scaler);
    expect(JSON.stringify(merge(scaler as AnyScaler, make()))).toBe(after);
  });

  it("is right for f32 near the ends of its range", () => {
    for (const size of [2e38, 1e-36, 1e-42]) {
      const x = { data: Float32Array.from(values(40, 10), (value) => value * size), shape: [20, 2] };
      const wide = { data: Float64Array.from(x.data), shape: x.shape };
      const scaler = make().fit(x);
      const want = make().fit(wide).transform(wide);
      const y = scaler.transform(x);
      const most = Math.max(...want.data.map(Math.abs));
      // y keeps the granularity of subnormal numbers where it is one itself.
      expect(largestDifference(y.data, want.data)).toBeLessThanOrEqual(most * 1e-6 + 2e-45);
      const back = make()
        .fit(wide)
        .inverseTransform({ data: Float64Array.from(y.data), shape: x.shape });
      expect(largestDifference(scaler.inverseTransform(y).data, back.data)).toBeLessThanOrEqual(size * 1e-6 + 2e-45);
      const linear = tensor(x.shape, { data: x.data });
      expect(bits(scaler.transform(linear, { out: linear }).data)).toBe(bits(y.data));
      linear.dispose();
    }
  });
});
