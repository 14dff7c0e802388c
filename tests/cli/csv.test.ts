import { expect, test } from "vitest";
import { StandardScaler } from "../../src/index.js";
import { largestDifference, random } from "../support/numbers.js";
import { Workspace } from "./command.js";

test("standard scores by hand, and back", async () => {
  const at = new Workspace();
  // Means 2 and 20; deviations from them of 1 and 10 in every row.
  at.write("data.csv", "a,b\n1,10\n3,30\n1,30\n3,10\n");
  expect(await at.scale(["standard"], "data.csv")).toBe("a,b\n-1,-1\n1,1\n-1,1\n1,-1\n");
  await at.expect(["transform", "model.json", "data.csv", "-o", "scaled.csv"]);
  expect(await at.expect(["inverse", "model.json", "scaled.csv"])).toBe(at.read("data.csv"));
});

test("chosen columns are scaled in their places, and the rest passes through byte by byte", async () => {
  const at = new Workspace();
  const header = 'id,"last, first",x,"y ""z"""\r\n';
  // Latin-1 bytes are no UTF-8: they must not be touched. 007 and 1.50 are not numbers here.
  const rest = [
    ["007", '"Doe, ""J"""', "0", "1.50"],
    ["8", "\xdcn\xefcode", "10", "2"],
    ["", '"two\r\nlines"', "5", ""],
  ];
  const text = (x: string[]) => header + rest.map(([a, b, , d], i) => `${a},${b},${x[i]},${d}\r\n`).join("");
  const given = Buffer.from(text(["0", "10", "5"]), "latin1");
  at.write("data.csv", given);
  for (const columns of ["x", "3", "3-3", '"x"']) {
    await at.expect(["fit", "min-max", "data.csv", "--columns", columns, "-o", "model.json"]);
    expect(JSON.parse(at.read("model.json")).columns).toEqual(["x"]);
    await at.expect(["transform", "model.json", "data.csv", "-o", "scaled.csv"]);
    expect(at.bytes("scaled.csv")).toEqual(Buffer.from(text(["0", "1", "0.5"]), "latin1"));
  }
  await at.expect(["inverse", "model.json", "scaled.csv", "-o", "restored.csv"]);
  expect(at.bytes("restored.csv")).toEqual(given);
});

test("columns are found by name in another order, beside others, with quotes and commas", async () => {
  const at = new Workspace();
  at.write("data.csv", '"a,b",c,d\n0,0,0\n4,8,2\n');
  await at.expect(["fit", "max-abs", "data.csv", "--columns", '"a,b",c', "-o", "model.json"]);
  at.write("other.csv", 'new,c,"a,b"\nx,4,1\n');
  expect(await at.expect(["transform", "model.json", "other.csv"])).toBe('new,c,"a,b"\nx,0.5,0.25\n');
  expect(await at.expect(["transform", "model.json", "other.csv", "--drop-rest"])).toBe('"a,b",c\n0.25,0.5\n');
  expect(await at.expect(["transform", "model.json", "other.csv", "--columns", "2,3"])).toBe(
    'new,c,"a,b"\nx,1,0.125\n',
  );
});

test("columns of the same name are told apart by their numbers", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b,a\n1,2,4\n2,4,2\n");
  expect(await at.scale(["max-abs"], "data.csv")).toBe("a,b,a\n0.5,0.5,1\n1,1,0.5\n");
  expect(JSON.parse(at.read("model.json")).columns).toEqual([1, "b", 3]);
  const { code, stderr } = await at.run(["fit", "max-abs", "data.csv", "--columns", "a"]);
  expect(stderr).toContain('data.csv has several columns named "a"; choose by number: 1 and 3');
  expect(code).toBe(2);
});

test("a table without rows has a result without rows", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,2\n");
  await at.expect(["fit", "max-abs", "data.csv", "-o", "model.json"]);
  at.write("data.csv", "a,b\n");
  expect(await at.expect(["transform", "model.json", "data.csv"])).toBe("a,b\n");
  for (const name of ["empty.npy", "empty.parquet"]) {
    await at.expect(["transform", "model.json", "data.csv", "-o", name]);
    expect(await at.expect(["inspect", name])).toContain(" 0 rows, 2 columns");
  }
});

test("columns can be left out", async () => {
  const at = new Workspace();
  at.write("data.csv", "id,a,b\nx,0,0\ny,2,4\n");
  expect(await at.scale(["max-abs", "--except", "id"], "data.csv")).toBe("id,a,b\nx,0,0\ny,1,1\n");
});

test("missing values are left out of a fit, and written as they were", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,10\n,NaN\n3,nan\nNA, \n2,30\n");
  await at.expect(["fit", "standard", "--missing", "NA", "--no-std", "data.csv", "-o", "model.json"]);
  const text = await at.expect(["transform", "model.json", "data.csv", "--missing", "NA"]);
  expect(text).toBe("a,b\n-1,-10\n,NaN\n1,nan\nNA, \n0,10\n");
});

test("the byte order mark, other delimiters and files without a header or a last line break", async () => {
  const at = new Workspace();
  at.write("mark.csv", "\ufeffa,b\n1,0\n3,2\n");
  expect(await at.scale(["max-abs", "--columns", "b"], "mark.csv")).toBe("\ufeffa,b\n1,0\n3,1\n");
  at.write("semicolon.csv", "a;b\n1;0\n3;2");
  await at.expect(["fit", "max-abs", "semicolon.csv", "--delimiter", ";", "-o", "model.json"]);
  expect(await at.expect(["transform", "model.json", "semicolon.csv", "--delimiter", ";"])).toBe(
    "a;b\n0.3333333333333333;0\n1;1\n",
  );
  at.write("tabs.tsv", "a\tb\n1\t0\n2\t2\n");
  await at.expect(["fit", "max-abs", "tabs.tsv", "-o", "model.json"]);
  expect(await at.expect(["transform", "model.json", "tabs.tsv"])).toBe("a\tb\n0.5\t0\n1\t1\n");
  at.write("bare.csv", "1,x,0\n3,y,2\n");
  await at.expect(["fit", "max-abs", "bare.csv", "--no-header", "--columns", "3", "-o", "model.json"]);
  expect(JSON.parse(at.read("model.json")).columns).toEqual([3]);
  expect(await at.expect(["transform", "model.json", "bare.csv", "--no-header"])).toBe("1,x,0\n3,y,1\n");
});

test("numbers in every notation are read, and written with the fewest digits", async () => {
  const at = new Workspace();
  const cells = ["1", "-0", "+2.5", ".5", "5.", "1e3", "1E-3", " 7", "0.1", "1e300", "5e-324"];
  at.write("data.csv", `x\n${cells.join("\n")}\n`);
  at.write("zero.csv", "x\n0\n0\n");
  await at.expect(["fit", "standard", "zero.csv", "-o", "model.json"]);
  expect(await at.expect(["transform", "model.json", "data.csv"])).toBe(
    "x\n1\n0\n2.5\n0.5\n5\n1000\n0.001\n7\n0.1\n1e+300\n5e-324\n",
  );
  const text = await at.expect(["transform", "model.json", "data.csv", "--dtype", "f32"]);
  expect(text).toBe("x\n1\n0\n2.5\n0.5\n5\n1000\n0.001\n7\n0.1\nInfinity\n0\n");
});

test("a file of many chunks gives what the scaler gives, with quoted line breaks at the seams", async () => {
  const at = new Workspace();
  const rows = 60_000;
  const next = random(7);
  const x = Float64Array.from({ length: 2 * rows }, () => 1e4 + next());
  const lines = Array.from({ length: rows }, (_, i) => `"row ""${i}"",\nof many",${x[2 * i]},${x[2 * i + 1]}\n`);
  const text = `name,a,b\n${lines.join("")}`;
  expect(text.length).toBeGreaterThan(3 << 20);
  at.write("data.csv", text);
  await at.expect(["fit", "standard", "data.csv", "--except", "name", "-o", "model.json"]);
  const scaler = new StandardScaler().fit({ data: x, shape: [rows, 2] });
  const fitted = StandardScaler.fromJSON(JSON.parse(at.read("model.json")).scaler);
  expect(largestDifference(fitted.mean, scaler.mean)).toBeLessThan(1e-11);
  expect(largestDifference(fitted.scale, scaler.scale)).toBeLessThan(1e-12);
  await at.expect(["transform", "model.json", "data.csv", "-o", "scaled.csv"]);
  const y = fitted.transform({ data: x, shape: [rows, 2] }).data;
  const scaled = lines.map((_, i) => `"row ""${i}"",\nof many",${y[2 * i]},${y[2 * i + 1]}\n`);
  expect(at.read("scaled.csv") === `name,a,b\n${scaled.join("")}`).toBe(true);
});

test("the way that data comes in changes no bit of a model", async () => {
  const at = new Workspace();
  const next = random(3);
  const rows = Array.from({ length: 40_000 }, () => `${next()},${next()},${next()}\n`);
  at.write("data.csv", `a,b,c\n${rows.join("")}`);
  const model = await at.expect(["fit", "standard", "data.csv"]);
  expect(await at.expect(["fit", "standard", "-"], at.bytes("data.csv"))).toBe(model);
  await at.expect(["fit", "standard", "data.csv", "-o", "model.json"]);
  // A scaler that leaves values as they are turns the table into the other formats.
  const plain = {
    version: 1,
    kind: "Centering",
    config: {},
    state: { count: [1, 1, 1], mean: [0, 0, 0], m2: [0, 0, 0] },
  };
  at.write("plain.json", JSON.stringify(plain));
  for (const name of ["data.npy", "data.parquet"]) {
    await at.expect(["transform", "plain.json", "data.csv", "-o", name]);
    const { scaler } = JSON.parse(await at.expect(["fit", "standard", name]));
    expect(scaler).toEqual(JSON.parse(model).scaler);
  }
});
