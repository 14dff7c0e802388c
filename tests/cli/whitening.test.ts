import { expect, test } from "vitest";
import { Whitening } from "../../src/index.js";
import { largestDifference, values } from "../support/numbers.js";
import { numbersOf, Workspace } from "./command.js";

const rows = 400;
const noise = values(3 * rows, 11);
// Columns that go together, of unlike spread.
const data = Float64Array.from(noise, (value, i) => (i % 3 === 0 ? value : value + 10 * noise[i - (i % 3)]));

function write(at: Workspace): void {
  const lines = Array.from({ length: rows }, (_, i) => `r${i},${data.subarray(3 * i, 3 * i + 3).join(",")}\n`);
  at.write("data.csv", `id,a,b,c\n${lines.join("")}`);
}

for (const method of ["pca", "zca", "pca-cor", "zca-cor", "cholesky"] as const) {
  test(`${method}: the values of the library, and back`, async () => {
    const at = new Workspace();
    write(at);
    await at.expect(["fit", method, "data.csv", "--except", "id", "--eps", "0.001", "-o", "model.json"]);
    await at.expect(["transform", "model.json", "data.csv", "-o", "white.csv"]);
    const text = at.read("white.csv");
    const isTurned = method.startsWith("pca");
    expect(text.split("\n")[0]).toBe(isTurned ? "id,component1,component2,component3" : "id,a,b,c");
    const wanted = new Whitening({ method, eps: 0.001 })
      .fit({ data, shape: [rows, 3] })
      .transform({ data, shape: [rows, 3] });
    const found = numbersOf(text).flatMap((row) => row.slice(1));
    expect(largestDifference(found, wanted.data)).toBeLessThan(1e-12);
    const restored = await at.expect(["inverse", "model.json", "white.csv"]);
    expect(restored.split("\n")[0]).toBe("id,a,b,c");
    const back = numbersOf(restored).flatMap((row) => row.slice(1));
    expect(largestDifference(back, data)).toBeLessThan(1e-11);
  });
}

test("fewer components stand in the place of the first column, in every format", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,id,b\n0,x,0\n4,y,8\n2,z,4\n");
  await at.expect(["fit", "pca", "data.csv", "--columns", "a,b", "--components", "1", "-o", "model.json"]);
  const white = await at
    .expect(["transform", "model.json", "data.csv", "-o", "white.csv"])
    .then(() => at.read("white.csv"));
  expect(white.split("\n")[0]).toBe("component1,id");
  const first = numbersOf(white).map(([y]) => y);
  expect(largestDifference(first, [-Math.sqrt(1.5), Math.sqrt(1.5), 0])).toBeLessThan(1e-15);
  const restored = await at.expect(["inverse", "model.json", "white.csv"]);
  expect(restored.split("\n")[0]).toBe("a,b,id");
  expect(
    largestDifference(
      numbersOf(restored).flatMap((row) => row.slice(0, 2)),
      [0, 0, 4, 8, 2, 4],
    ),
  ).toBeLessThan(1e-14);
  await at.expect(["transform", "model.json", "data.csv", "--drop-rest", "-o", "white.npy"]);
  expect(await at.expect(["inverse", "model.json", "white.npy", "--format", "csv"])).toBe(
    restored.replace(/,(id|x|y|z)$/gm, ""),
  );
});

test("models of parts merge", async () => {
  const at = new Workspace();
  write(at);
  const [header, ...lines] = at.read("data.csv").trimEnd().split("\n");
  at.write("one.csv", [header, ...lines.slice(0, 150), ""].join("\n"));
  at.write("two.csv", [header, ...lines.slice(150), ""].join("\n"));
  for (const name of ["data", "one", "two"]) {
    await at.expect(["fit", "zca", `${name}.csv`, "--except", "id", "-o", `${name}.json`]);
  }
  await at.expect(["merge", "one.json", "two.json", "-o", "both.json"]);
  const [merged, whole] = ["both.json", "data.json"].map((name) => JSON.parse(at.read(name)).scaler.state);
  expect(merged.rows).toBe(whole.rows);
  expect(largestDifference(merged.mean, whole.mean)).toBeLessThan(1e-12);
  const relative = merged.comoments.map((value: number, i: number) => value / whole.comoments[i] - 1);
  expect(largestDifference(relative, new Float64Array(6))).toBeLessThan(1e-12);
});

test("what cannot be whitened says where", async () => {
  const at = new Workspace();
  at.write("gap.csv", "a,b\n1,2\n3,\n2,5\n");
  at.write("line.csv", "id,a,b\nx,1,2\ny,2,4\nz,3,6\n");
  const gap = await at.run(["fit", "zca", "gap.csv"]);
  expect(gap.stderr).toContain(
    "gap.csv, row 3, column 2 (b): is missing, and this method learns from whole rows alone",
  );
  const line = await at.run(["fit", "cholesky", "line.csv", "--except", "id", "-o", "model.json"]);
  expect(line.stderr).toContain("column a is constant, or to rounding a combination of the columns after it");
  expect([gap.code, line.code]).toEqual([1, 1]);
  expect(at.files).toEqual(["gap.csv", "line.csv"]);
});
