import { lstatSync, readlinkSync, statSync, symlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { finished, Workspace } from "./command.js";

const rows = "1,2\n3,4\n".repeat(100_000);

async function withModel(): Promise<Workspace> {
  const at = new Workspace();
  at.write("data.csv", "a,b\n1,2\n3,4\n");
  await at.expect(["fit", "standard", "data.csv", "-o", "model.json"]);
  return at;
}

/** A run that has written part of its output and waits for the rest of its input. */
async function halfway(at: Workspace, target: string) {
  const child = at.start("transform", "model.json", "-", "-o", target);
  const done = finished(child);
  child.stdin?.on("error", () => {});
  child.stdin?.write(`a,b\n${rows}${rows}`);
  const isWriting = () => at.files.some((name) => name.endsWith(".tmp") && statSync(at.path(name)).size > 0);
  for (let i = 0; i < 200 && !isWriting(); i++) await sleep(20);
  expect(isWriting()).toBe(true);
  return { child, done };
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`killed halfway by ${signal}, nothing is left`, async () => {
    const at = await withModel();
    at.write("scaled.csv", "what was there before");
    const { child, done } = await halfway(at, signal === "SIGTERM" ? "new.csv" : "scaled.csv");
    child.kill(signal);
    expect((await done).signal).toBe(signal);
    expect(at.files).toEqual(["data.csv", "model.json", "scaled.csv"]);
    expect(at.read("scaled.csv")).toBe("what was there before");
  });
}

test("killed without notice, what is left is known by its name", async () => {
  const at = await withModel();
  const { child, done } = await halfway(at, "scaled.csv");
  child.kill("SIGKILL");
  expect((await done).signal).toBe("SIGKILL");
  expect(at.files).toEqual([`.scaled.csv.evenkeel-${child.pid}.tmp`, "data.csv", "model.json"]);
});

test("a run that fails leaves what was there", async () => {
  const at = await withModel();
  at.write("scaled.csv", "what was there before");
  at.write("bad.csv", `a,b\n${rows}5,x\n`);
  const { code, stderr } = await at.run(["transform", "model.json", "bad.csv", "-o", "scaled.csv"]);
  expect(stderr).toContain('bad.csv, row 200002, column 2 (b): "x" is not a number');
  expect(code).toBe(1);
  expect(at.read("scaled.csv")).toBe("what was there before");
  expect(at.files).toEqual(["bad.csv", "data.csv", "model.json", "scaled.csv"]);
});

test("a file may be its own output, and is whole when the run fails", async () => {
  const at = await withModel();
  await at.expect(["transform", "model.json", "data.csv", "-o", "data.csv"]);
  expect(at.read("data.csv")).toBe("a,b\n-1,-1\n1,1\n");
  const bad = `a,b\n${rows}5,x\n`;
  at.write("data.csv", bad);
  expect((await at.run(["transform", "model.json", "data.csv", "-o", "data.csv"])).code).toBe(1);
  expect(at.read("data.csv") === bad).toBe(true);
  // Reading and writing go on at the same time.
  at.write("data.csv", `a,b\n${rows.repeat(2)}`);
  await at.expect(["transform", "model.json", "data.csv", "-o", "data.csv"]);
  expect(at.read("data.csv") === `a,b\n${"-1,-1\n1,1\n".repeat(200_000)}`).toBe(true);
});

test("links and permissions stay", async () => {
  const at = await withModel();
  at.write("real.csv", "old");
  symlinkSync("real.csv", at.path("link.csv"));
  const { mode } = statSync(at.path("real.csv"));
  await at.expect(["transform", "model.json", "data.csv", "-o", "link.csv"]);
  expect(lstatSync(at.path("link.csv")).isSymbolicLink()).toBe(true);
  expect(readlinkSync(at.path("link.csv"))).toBe("real.csv");
  expect(at.read("real.csv")).toBe("a,b\n-1,-1\n1,1\n");
  expect(statSync(at.path("real.csv")).mode).toBe(mode);
  await at.expect(["transform", "model.json", "data.csv", "-o", "/dev/null"]);
});

test("data and models are not overwritten by mistake", async () => {
  const at = await withModel();
  const fit = await at.run(["fit", "standard", "data.csv", "-o", "./data.csv"]);
  expect(fit.stderr).toContain("the model would take the place of the data");
  const transform = await at.run(["transform", "model.json", "data.csv", "-o", "model.json"]);
  expect(transform.stderr).toContain("the result would take the place of the model");
  expect([fit.code, transform.code]).toEqual([2, 2]);
  expect(at.read("data.csv")).toBe("a,b\n1,2\n3,4\n");
});

test("what cannot be read or written says why", async () => {
  const at = await withModel();
  const cases: [string[], string][] = [
    [["fit", "standard", "none.csv"], "none.csv: cannot be read: no such file or folder"],
    [["fit", "standard", "."], ".: cannot be read: is a folder"],
    [["transform", "none.json", "data.csv"], "none.json: cannot be read: no such file or folder"],
    [["transform", "data.csv", "data.csv"], "data.csv: is not a model, which is a JSON file"],
    [["transform", "model.json", "data.csv", "-o", "none/data.csv"], "none/data.csv: cannot be written: no such file"],
    [["transform", "model.json", "data.csv", "-o", "."], ".: cannot be written: is a folder"],
    [["transform", "model.json", "data.csv", "-o", "/dev/full"], "/dev/full: cannot be written: no space left"],
  ];
  for (const [args, says] of cases) {
    const { code, stderr } = await at.run(args);
    expect(stderr).toContain(`evenkeel: ${says}`);
    expect(code).toBe(1);
  }
});
