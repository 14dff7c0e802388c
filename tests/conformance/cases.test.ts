import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as api from "../../src/index.js";
import { readCases, runCase } from "./runner.mjs";

const cases = readCases(fileURLToPath(new URL("cases", import.meta.url)));

describe.each([...new Set(cases.map(({ op }) => op))])("%s", (op) => {
  it.each(cases.filter((testCase) => testCase.op === op))("$name", (testCase) => {
    const failures = runCase(api, testCase).filter(({ ok }) => !ok);
    expect(failures.map(({ output, message }) => `${output}: ${message}`)).toEqual([]);
  });
});
