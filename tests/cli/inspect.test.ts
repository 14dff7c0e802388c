import { expect, test } from "vitest";
import { Workspace } from "./command.js";

/** The cells of a printed table, without its lines. */
function cellsOf(text: string): string[][] {
  const rows = text.split("\n").filter((line) => line.startsWith("│"));
  return rows.map((line) =>
    line
      .slice(1, -1)
      .split("│")
      .map((cell) => cell.trim()),
  );
}

test("statistics of a table", async () => {
  const at = new Workspace();
  at.write("data.csv", "name,x,y,z\na,1,10,1\nb,2,,oops\nc,3,inf,2\nd,4,NaN,3\ne,10,30,4\n");
  const text = await at.expect(["inspect", "data.csv"]);
  expect(text.split("\n")[0]).toBe("data.csv: csv, 5 rows, 4 columns");
  const [head, ...rows] = cellsOf(text);
  expect(head).toEqual("column count missing mean std min 25% 50% 75% max histogram".split(" "));
  // Of x: the mean is 20/5 and the variance (9 + 4 + 1 + 0 + 36)/5.
  expect(rows[0].slice(0, -1)).toEqual(["x", "5", "0", "4", "3.1623", "1", "2", "3", "4", "10"]);
  expect(rows[1].slice(0, -1)).toEqual(["y", "2", "2", "20", "10", "10", "15", "20", "25", "30"]);
  expect(rows[2].slice(0, 4)).toEqual(["z", "4", "1", "2.5"]);
  expect(rows[0][10]).toBe("███ █      █");
  expect(text).toContain('name: text, such as "a"\n');
  expect(text).toContain("y: infinite values, left out of the figures: 1\n");
  expect(text).toContain('z: 1 of the missing are text; the first is "oops" in row 3\n');
});

test("histograms show where values lie", async () => {
  const at = new Workspace();
  const rows = Array.from({ length: 1200 }, (_, i) => `${i},${i < 900 ? 0 : 12},7\n`);
  at.write("data.csv", `even,two,same\n${rows.join("")}`);
  const [, even, two, same] = cellsOf(await at.expect(["inspect", "data.csv"])).map((row) => row[10]);
  expect(even).toBe("████████████");
  expect(two).toBe("█          ▃");
  expect(same).toBe("█");
});

test("a model", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n0,5\n10,5\n");
  await at.expect(["fit", "min-max", "data.csv", "--feature-range=-1,1", "--clip", "-o", "model.json"]);
  const text = await at.expect(["inspect", "model.json"]);
  expect(text).toContain("model.json: model of the method min-max");
  expect(text).toContain("options: featureRange [-1,1], clip true");
  expect(cellsOf(text)).toEqual([
    ["column", "min", "max", "range"],
    ["a", "0", "10", "10"],
    ["b", "5", "5", "0"],
  ]);
});

test("a scaler that a program saved is a model", async () => {
  const at = new Workspace();
  const state = { count: [2, 2], mean: [2, 20], m2: [2, 200] };
  const config = { withMean: true, withStd: true, ddof: 0 };
  at.write("scaler.json", JSON.stringify({ version: 1, kind: "StandardScaler", config, state }));
  expect(cellsOf(await at.expect(["inspect", "scaler.json"]))[1]).toEqual(["1", "2", "1", "1"]);
  at.write("data.csv", "a,b\n1,10\n3,30\n");
  expect(await at.expect(["transform", "scaler.json", "data.csv"])).toBe("a,b\n-1,-1\n1,1\n");
});
