import { expect, test } from "vitest";
import { finished, Workspace } from "./command.js";

test("everything goes through pipes", async () => {
  const at = new Workspace();
  const data = "a,b\n1,2\n3,4\n";
  at.write("model.json", await at.expect(["fit", "standard", "-"], data));
  const scaled = await at.expect(["transform", "model.json", "-"], data);
  expect(scaled).toBe("a,b\n-1,-1\n1,1\n");
  expect(await at.expect(["inverse", "model.json", "-"], scaled)).toBe(data);
  at.write("data.csv", data);
  expect(await at.expect(["transform", "-", "data.csv"], at.bytes("model.json"))).toBe(scaled);
  expect(await at.expect(["inspect", "-"], data)).toContain("standard input: csv, 2 rows, 2 columns");
  const both = await at.run(["transform", "-", "-"]);
  expect([both.code, both.stderr]).toEqual([2, "evenkeel: model and data cannot both be standard input\n"]);
});

test("input that comes in drops is the same as a file", async () => {
  const at = new Workspace();
  const text = 'name,a\n"x, ""y""",1\n"line\nbreak",3\n';
  at.write("data.csv", text);
  await at.expect(["fit", "standard", "data.csv", "--except", "name", "-o", "model.json"]);
  const child = at.start("transform", "model.json", "-");
  const done = finished(child);
  for (const character of text) {
    child.stdin?.write(character);
    await new Promise(setImmediate);
  }
  child.stdin?.end();
  expect((await done).stdout.toString()).toBe('name,a\n"x, ""y""",-1\n"line\nbreak",1\n');
});

test("a reader that has seen enough ends the run in silence", async () => {
  const at = new Workspace();
  at.write("data.csv", `a,b\n${"1,2\n3,4\n".repeat(500_000)}`);
  await at.expect(["fit", "standard", "data.csv", "-o", "model.json"]);
  const child = at.start("transform", "model.json", "data.csv");
  const done = finished(child);
  child.stdout?.once("data", () => child.stdout?.destroy());
  expect(await done).toMatchObject({ code: 0, stderr: "" });
});

test("a progress bar is for terminals", async () => {
  const at = new Workspace();
  at.write("data.csv", `a,b\n${"1,2\n3,4\n".repeat(100_000)}`);
  expect((await at.run(["fit", "standard", "data.csv"])).stderr).toBe("");
});
