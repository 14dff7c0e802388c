/** docs/methods.md: all 56 entries are there, what they name exists, and the mathematics survives Markdown. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as api from "../../src/index.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(path.join(root, "docs/methods.md"), "utf8");

interface Entry {
  number: number;
  title: string;
  body: string;
}

const entries: Entry[] = text
  .split(/^### /m)
  .slice(1)
  .map((part) => {
    const [title, ...rest] = part.split("\n");
    return { number: Number.parseInt(title, 10), title, body: rest.join("\n").split(/^## /m)[0] };
  });

/** The paragraphs of an entry that start with a label, without it. */
function labelled(body: string, label: string): string[] {
  return body
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph.startsWith(`**${label}:**`))
    .map((paragraph) => paragraph.slice(label.length + 5));
}

const spans = (markdown: string) => [...markdown.matchAll(/`([^`]+)`/g)].map((found) => found[1]);
const isPath = (span: string) => /^(src|tests|examples|docs|assembly|bench)\//.test(span);

/** What a name of a Code line stands for: an export, or a method or static of an exported class. */
function lookUp(name: string): unknown {
  const [first, member] = name.split(".");
  const found = (api as Record<string, unknown>)[first];
  if (member === undefined || typeof found !== "function") return found;
  const { prototype } = found;
  return prototype !== undefined && member in prototype ? prototype[member] : (found as never)[member];
}

it("has the entries 1 to 56, each once", () => {
  expect(entries.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 56 }, (_, i) => i + 1),
  );
});

it("names nothing in the tree that is not there", () => {
  const missing = spans(text).filter((span) => isPath(span) && !existsSync(path.join(root, span)));
  expect(missing).toEqual([]);
});

it("lists every heading in the contents, under the anchor that GitHub gives it", () => {
  const headings = [...text.matchAll(/^(##|###) (.+)$/gm)]
    .map((found) => found[2])
    .filter((title) => title !== "Contents");
  const anchorOf = (title: string) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- _]/gu, "")
      .replaceAll(" ", "-");
  const contents = text.split("## Contents")[1].split(/^## /m)[0];
  const links = [...contents.matchAll(/^ *- \[(.+)\]\(#(.+)\)$/gm)].map(([, title, anchor]) => ({ title, anchor }));
  expect(links).toEqual(headings.map((title) => ({ title, anchor: anchorOf(title) })));
});

describe.each(entries)("$title", ({ body }) => {
  it("has a source, code or a test, and a formula where there is code", () => {
    if (labelled(body, "Code").length > 0) expect(body).toMatch(/\$/);
    expect(labelled(body, "Source")).toHaveLength(1);
    const shown = labelled(body, "Shown by");
    for (const paragraph of shown) expect(spans(paragraph).some(isPath)).toBe(true);
    expect(labelled(body, "Code").length + shown.length).toBeGreaterThan(0);
    for (const paragraph of labelled(body, "Published")) expect(paragraph.length).toBeGreaterThan(40);
  });

  it("says of its code what the package exports", () => {
    for (const paragraph of labelled(body, "Code")) {
      expect(paragraph).toMatch(/^ `src\/[^`]+\.ts`:/);
      let file = "";
      for (const span of spans(paragraph)) {
        if (isPath(span)) {
          file = readFileSync(path.join(root, span), "utf8");
          continue;
        }
        expect({ span, found: lookUp(span) !== undefined }).toEqual({ span, found: true });
        const [first] = span.split(".");
        expect({ first, here: new RegExp(`export (abstract )?(function|class|const) ${first}\\b`).test(file) }).toEqual(
          {
            first,
            here: true,
          },
        );
      }
    }
  });
});

it("writes mathematics that Markdown leaves alone", () => {
  const displays = [...text.matchAll(/^\$\$\n([\s\S]*?)\n\$\$$/gm)].map((found) => found[1]);
  expect(displays.length).toBeGreaterThan(50);
  const rest = text.replace(/^\$\$\n[\s\S]*?\n\$\$$/gm, "").replace(/`[^`]*`/g, "");
  const inlines = [...rest.matchAll(/\$([^$]+)\$/g)].map((found) => found[1]);
  expect(rest.replace(/\$[^$]+\$/g, "")).not.toContain("$");
  for (const formula of [...displays, ...inlines]) {
    // Markdown takes a backslash in front of punctuation for its own.
    expect(formula).not.toMatch(/\\[^a-zA-Z\s]/);
    expect([...formula.matchAll(/\{/g)].length).toBe([...formula.matchAll(/\}/g)].length);
    expect([...formula.matchAll(/\\left\b/g)].length).toBe([...formula.matchAll(/\\right\b/g)].length);
    for (const line of formula.split("\n")) expect(line).not.toMatch(/^\s*[-+=#>*|]/);
  }
  for (const formula of inlines) expect(formula).not.toContain("\n");
});
