import { expect, test } from "vitest";
import { largestDifference, random } from "../support/numbers.js";
import { Workspace } from "./command.js";

function part(seed: number, rows: number): string {
  const next = random(seed);
  return Array.from({ length: rows }, () => `${1e4 + next()},${next()},${3 + next() * 100}\n`).join("");
}

const sizes = [3000, 1, 5000, 777];

/** The numbers of a saved state, whatever its shape. */
function numbersIn(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

for (const method of [["standard", "--ddof", "1"], ["min-max"], ["max-abs"], ["centering"]]) {
  test(`${method[0]}: models of the parts merge into that of the whole`, async () => {
    const at = new Workspace();
    const parts = sizes.map((rows, i) => part(i + 1, rows));
    at.write("data.csv", `a,b,c\n${parts.join("")}`);
    await at.expect(["fit", ...method, "data.csv", "-o", "whole.json"]);
    const models: string[] = [];
    for (const [i, text] of parts.entries()) {
      at.write("part.csv", `a,b,c\n${text}`);
      models.push(`part${i}.json`);
      await at.expect(["fit", ...method, "part.csv", "-o", `part${i}.json`]);
    }
    await at.expect(["merge", ...models, "-o", "merged.json"]);
    const [whole, merged] = ["whole.json", "merged.json"].map((name) => JSON.parse(at.read(name)));
    const wanted = numbersIn(whole.scaler.state);
    const found = numbersIn(merged.scaler.state);
    const relative = found.map((value, i) => (value - wanted[i]) / Math.max(Math.abs(wanted[i]), 1));
    expect(largestDifference(relative, new Float64Array(wanted.length))).toBeLessThan(1e-12);
    expect({ ...merged, scaler: { ...merged.scaler, state: null } }).toEqual({
      ...whole,
      scaler: { ...whole.scaler, state: null },
    });
  });
}

test("robust: merged quantiles are close to those of the whole", async () => {
  const at = new Workspace();
  const parts = [part(1, 3000), part(2, 4000)];
  at.write("data.csv", `a,b,c\n${parts.join("")}`);
  await at.expect(["fit", "robust", "data.csv", "-o", "whole.json"]);
  for (const [i, text] of parts.entries()) {
    at.write("part.csv", `a,b,c\n${text}`);
    await at.expect(["fit", "robust", "part.csv", "-o", `part${i}.json`]);
  }
  await at.expect(["merge", "part0.json", "part1.json", "-o", "part0.json"]);
  const scaled = await at.expect(["transform", "part0.json", "data.csv", "-o", "a.csv"]).then(() => at.read("a.csv"));
  const whole = await at.expect(["transform", "whole.json", "data.csv"]);
  const values = (text: string) => text.split(/[,\n]/).slice(3, -1).map(Number);
  expect(largestDifference(values(scaled), values(whole))).toBeLessThan(0.05);
});

test("models that do not belong together are refused", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,2\n3,4\n");
  const fits: Record<string, string[]> = {
    "one.json": ["standard"],
    "ddof.json": ["standard", "--ddof", "1"],
    "range.json": ["min-max"],
    "column.json": ["standard", "--columns", "a"],
    "unit.json": ["normalizer"],
  };
  for (const [name, [method, ...args]] of Object.entries(fits)) {
    await at.expect(["fit", method, "data.csv", ...args, "-o", name]);
  }
  const says: [string[], string][] = [
    [["one.json", "ddof.json"], 'ddof.json: has options {"withMean":true,"withStd":true,"ddof":1} where one.json has'],
    [["one.json", "range.json"], "range.json: is a model of the method min-max where one.json is one of standard"],
    [["one.json", "column.json"], 'column.json: was fitted on columns ["a"] where one.json was fitted on ["a","b"]'],
    [["unit.json", "unit.json"], "unit.json: models of the method normalizer have nothing to merge"],
  ];
  for (const [models, message] of says) {
    const { code, stderr } = await at.run(["merge", ...models, "-o", "merged.json"]);
    expect(stderr).toContain(`evenkeel: ${message}`);
    expect(code).toBe(1);
  }
  expect(at.files).not.toContain("merged.json");
  expect((await at.run(["merge", "one.json"])).code).toBe(2);
});
