import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Workspace } from "./command.js";

test("help and version", async () => {
  const at = new Workspace();
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(await at.expect(["--version"])).toBe(`${version}\n`);
  expect(await at.expect(["--help"])).toContain("$ evenkeel fit standard data.csv");
  for (const command of ["fit", "transform", "inverse", "inspect", "merge"]) {
    expect(await at.expect([command, "--help"])).toContain("Example");
  }
  expect(await at.expect(["fit", "min-max", "--help"])).toContain("--feature-range <low,high>");
});

const wrong: [string[], string][] = [
  [[], "Usage: evenkeel"],
  [["scale"], "error: unknown command 'scale'"],
  [["fit"], "Usage: evenkeel fit"],
  [["fit", "standart", "data.csv"], "error: unknown command 'standart'"],
  [["fit", "standard"], "error: missing required argument 'input'"],
  [["fit", "standard", "data.csv", "--clip"], "error: unknown option '--clip'"],
  [["fit", "standard", "data.csv", "--ddof", "one"], "'--ddof <n>' argument 'one' is invalid. It must be a number."],
  [["fit", "min-max", "data.csv", "--feature-range", "1"], "It must be two numbers with a comma between."],
  [["fit", "min-max", "data.csv", "--feature-range", "1,0"], "MinMaxScaler: featureRange must be [a, b]"],
  [["fit", "standard", "data.csv", "--delimiter", ";;"], "It must be"],
  [["fit", "standard", "data.csv", "--columns", "c"], '--columns: data.csv has no column "c"; it has a, b'],
  [["fit", "standard", "data.csv", "--columns", "3"], "--columns: 3 is not among the 2 columns of data.csv"],
  [["fit", "standard", "data.csv", "--columns", "a,,b"], "--columns must be names or numbers with commas between"],
  [["transform", "model.json", "data.csv", "--format", "xml"], "Allowed choices are csv, npy, parquet."],
  [["merge"], "error: missing required argument 'models'"],
];

test("wrong usage has exit code 2", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,2\n");
  for (const [args, says] of wrong) {
    const { code, stdout, stderr } = await at.run(args);
    expect(stderr).toContain(says);
    expect([args, code, stdout.length]).toEqual([args, 2, 0]);
  }
});

test("models that do not fit the data have exit code 1", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,2\n3,4\n");
  at.write("other.csv", "a,c\n1,2\n");
  await at.expect(["fit", "standard", "data.csv", "-o", "model.json"]);
  await at.expect(["fit", "normalizer", "data.csv", "-o", "unit.json"]);
  at.write("unfitted.json", '{"version":1,"kind":"Centering","config":{},"state":null}');
  at.write("broken.json", '{"version":1,"kind":"Centering","config":{},"state":{"count":[1],"mean":"x","m2":[1]}}');
  const cases: [string[], string][] = [
    [["transform", "model.json", "other.csv"], 'other.csv: has no column "b", on which model.json was fitted'],
    [
      ["transform", "model.json", "other.csv", "--columns", "a"],
      "has 1 columns to work on where model.json was fitted on 2",
    ],
    [["inverse", "unit.json", "data.csv"], "unit.json: the method normalizer cannot be undone"],
    [["transform", "unfitted.json", "data.csv"], "unfitted.json: Centering.transform: the scaler is not fitted"],
    [["inspect", "broken.json"], "broken.json: Centering.fromJSON: state.mean must be"],
    [["fit", "standard", "data.csv", "--except", "1-2"], "data.csv: no columns are left to work on"],
  ];
  for (const [args, says] of cases) {
    const { code, stderr } = await at.run(args);
    expect(stderr).toContain(says);
    expect([args, code]).toEqual([args, 1]);
  }
});
