import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { executable, Workspace } from "./command.js";

const page = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");

test("the examples of the page print what it says", () => {
  const at = new Workspace();
  at.write("evenkeel", `#!/bin/sh\nexec "${process.execPath}" "${executable}" "$@"\n`);
  chmodSync(at.path("evenkeel"), 0o755);
  const env = { ...process.env, PATH: `${at.folder}:${process.env.PATH}` };
  // Commands, and what they print where the page shows it.
  const examples = [...page.matchAll(/```sh\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g)];
  expect(examples.length).toBeGreaterThan(5);
  for (const [, commands, printed = ""] of examples) {
    expect(execFileSync("sh", ["-ec", commands], { cwd: at.folder, env, encoding: "utf8" })).toBe(printed);
  }
  const [, program] = /```js\n([\s\S]*?)```/.exec(page) as RegExpExecArray;
  at.write(
    "program.mjs",
    program.replace('"evenkeel"', JSON.stringify(new URL("../../dist/index.js", import.meta.url))),
  );
  execFileSync(process.execPath, ["program.mjs"], { cwd: at.folder });
  expect(JSON.parse(at.read("saved.json"))).toEqual(JSON.parse(at.read("model.json")).scaler);
});
