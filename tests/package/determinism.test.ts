/** What engines only approximate, each in its own way, is nowhere on the way to a result. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../src", import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.startsWith("cli") && !file.includes("generated"),
);
const APPROXIMATED =
  /Math\.(?:a?(?:sin|cos|tan)h?|atan2|exp|expm1|log|log1p|log2|log10|pow|cbrt|hypot)\b|(?<!\b2 )\*\*(?!\/)/;

describe("code", () => {
  it.each(files)("%s", (file) => {
    const code = readFileSync(path.join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    expect(code.split("\n").filter((line) => APPROXIMATED.test(line))).toEqual([]);
  });
});
