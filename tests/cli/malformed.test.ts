import { expect, test } from "vitest";
import { Workspace } from "./command.js";

const cases: Record<string, { text: string | Uint8Array; args?: string[]; says: string }> = {
  "text in a column of numbers": {
    text: "a,b\n1,2\n3,four\n",
    says: 'data.csv, row 3, column 2 (b): "four" is not a number',
  },
  "a hexadecimal number": { text: "a\n0x10\n", says: 'row 2, column 1 (a): "0x10" is not a number' },
  "a decimal comma": { text: 'a\n"1,5"\n', says: 'row 2, column 1 (a): "1,5" is not a number' },
  "text without a header": {
    text: "1,2\n3,four\n",
    args: ["--no-header"],
    says: 'data.csv, row 2, column 2: "four" is not a number',
  },
  "too few fields": {
    text: "a,b,c\n1,2,3\n4,5\n",
    says: "data.csv, row 3, column 3 (c): is missing: 2 fields where the header has 3",
  },
  "too many fields": { text: "a,b\n1,2\n3,4,5\n", says: "data.csv, row 3, column 3: 3 fields where the header has 2" },
  "a quote that is not closed": {
    text: 'a,b\n1,2\n3,"4\n5,6\n',
    says: "data.csv, row 3, column 2: the quoted field has no closing quote",
  },
  "text after a quote": {
    text: 'a,b\n"1" x,2\n3,4\n',
    says: "data.csv, row 2, column 1: text follows the closing quote",
  },
  "text after a quote further on": {
    text: 'a,b,c\n1,2,3\n"1",2,"3"x\n',
    says: "data.csv, row 3, column 3: text follows the closing quote",
  },
  "a blank line between rows": { text: "a,b\n1,2\n\n3,4\n", says: "data.csv, row 3: is blank, and rows follow" },
  "rows are counted as records": {
    text: 'a,b\n"1\n",2\n3,x\n',
    says: 'data.csv, row 3, column 2 (b): "x" is not a number',
  },
  "an infinity in a fit": { text: "a,b\n1,2\n3,-inf\n", says: "data.csv, row 3, column 2 (b): -Infinity has no place" },
  "an empty file": { text: "", says: "data.csv: is empty" },
  "a header alone": { text: "a,b\n", says: "data.csv: has no rows to learn from" },
  "UTF-16": { text: Buffer.from("\ufeffa,b\n1,2\n", "utf16le"), says: "data.csv: is UTF-16 text" },
  "bytes that are no text": { text: Uint8Array.of(1, 2, 0, 4), says: "data.csv: is neither text nor NPY nor Parquet" },
};

for (const [name, { text, args = [], says }] of Object.entries(cases)) {
  test(name, async () => {
    const at = new Workspace();
    at.write("data.csv", text);
    const { code, stdout, stderr } = await at.run(["fit", "standard", "data.csv", ...args]);
    expect(stderr).toMatch(/^evenkeel: .*\n$/);
    expect(stderr).toContain(says);
    expect([code, stdout.length]).toEqual([1, 0]);
  });
}

test("an error far into a file is named by its row and column", async () => {
  const at = new Workspace();
  const rows = Array.from({ length: 300_000 }, (_, i) => (i === 250_000 ? "1,2,oops\n" : "1,2,3\n"));
  at.write("data.csv", `a,b,c\n${rows.join("")}`);
  const { code, stderr } = await at.run(["fit", "standard", "data.csv"]);
  expect(stderr).toContain('data.csv, row 250002, column 3 (c): "oops" is not a number');
  expect(code).toBe(1);
});

test("a quote that is not closed does not take the memory", async () => {
  const at = new Workspace();
  at.write("data.csv", `a,b\n1,"2\n${"3,4\n".repeat(6_000_000)}`);
  const { code, stderr } = await at.run(["fit", "standard", "data.csv"]);
  expect(stderr).toContain("data.csv, row 2: is longer than 16 MB; a quote that is not closed begins in it");
  expect(code).toBe(1);
});
