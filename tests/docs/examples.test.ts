/** The examples of the docstrings run as they stand. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";
import { describe, expect, it, vi } from "vitest";
import * as api from "../../src/index.js";
import { tensorOf } from "../support/numbers.js";

// What needs a memory of its own, as it has in the package.
vi.resetModules();
const threads = await import("../../src/threads/index.js");

const AsyncFunction = (async () => {}).constructor as FunctionConstructor;

const root = fileURLToPath(new URL("../../src", import.meta.url));

/** The code of every `@example` of a file. */
function examplesOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), "utf8");
  return [...text.matchAll(/@example\n((?:\s*\*(?!\/).*\n)+)/g)].map((found) =>
    found[1]
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, ""))
      .filter((line) => !line.startsWith("@"))
      .join("\n"),
  );
}

/** What examples may take as given; an example that declares a name hides it. */
const given = (): Record<string, unknown> => ({
  x: tensorOf([32, 768], 1, "float32"),
  dy: tensorOf([32, 768], 2, "float32"),
  images: tensorOf([4, 64, 5, 5], 3, "float32"),
  dimages: tensorOf([4, 64, 5, 5], 4, "float32"),
  rows: tensorOf([50, 4], 5, "float64"),
  weight: new Float32Array(768).fill(1),
  bias: new Float32Array(768),
});

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.startsWith("cli"))
  .sort();

describe.each(files.filter((file) => examplesOf(file).length > 0))("%s", (file) => {
  it.each(examplesOf(file).map((code, i) => ({ code, number: i + 1 })))("example $number", async ({ code }) => {
    const names = { ...api, ...threads, ...given() };
    // Blocks, so that an example may declare what is given; `using` is newer than the oldest Node we test on.
    const { code: runnable } = transformSync(`{${code.replace(/^import .*$/gm, "")}}`, {
      loader: "ts",
      target: "es2022",
    });
    const run = new AsyncFunction(...Object.keys(names), runnable);
    await expect(run(...Object.values(names))).resolves.toBeUndefined();
  });
});
