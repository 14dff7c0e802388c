import { expect, it } from "vitest";
import { renormSchedule } from "../../src/index.js";

it("is batch norm for 5,000 steps, then relaxes evenly to rMax 3 at 40,000 and dMax 5 at 25,000", () => {
  const want: Array<[number, number, number]> = [
    [0, 1, 0],
    [5000, 1, 0],
    [15000, 1 + (2 * 10000) / 35000, 2.5],
    [22500, 2, 4.375],
    [25000, 1 + (2 * 20000) / 35000, 5],
    [40000, 3, 5],
    [1e6, 3, 5],
  ];
  for (const [step, rMax, dMax] of want) {
    expect(renormSchedule(step).rMax).toBeCloseTo(rMax, 14);
    expect(renormSchedule(step).dMax).toBeCloseTo(dMax, 14);
  }
});

it("rejects what is no step", () => {
  for (const step of [-1, 0.5, Number.NaN]) expect(() => renormSchedule(step)).toThrow(/step must be a whole number/);
});
