/**
 * The quick part of what examples/runtimes is held to: its Worker's answers, its scripts' output, its README. All of it,
 * in the real runtimes, is `npm test --prefix examples/runtimes`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

const folder = fileURLToPath(new URL("../../examples/runtimes", import.meta.url));
const read = (name: string) => readFileSync(path.join(folder, name), "utf8");
const installed = existsSync(path.join(folder, "node_modules/evenkeel"));
if (!installed) console.log("The runtimes' examples are skipped: npm install --prefix examples/runtimes");

it("pins its dependencies, and tells each of its lines", () => {
  const { dependencies, scripts } = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
  for (const version of Object.values(dependencies)) expect(version).toMatch(/^(\d+\.\d+\.\d+|file:\.\.\/\.\.)$/);
  const readme = read("README.md");
  for (const name of Object.keys(scripts))
    expect(readme).toContain(name === "test" ? "`npm test`" : `\`npm run ${name}\``);
});

describe.skipIf(!installed)("the Worker", () => {
  let worker: { fetch(request: Request): Promise<Response> };
  beforeAll(async () => {
    worker = (await import(path.join(folder, "worker/index.mjs"))).default;
  });
  const post = (query: string, type: string, body: BodyInit) =>
    worker.fetch(
      new Request(`http://localhost/normalize${query}`, { method: "POST", headers: { "content-type": type }, body }),
    );

  it("answers in the kind that it was asked in", async () => {
    expect(await (await post("", "application/json; charset=utf-8", "[0, -5]")).json()).toEqual([0, -1]);
    const answer = await post("?norm=layer", "application/octet-stream", new Float32Array([1, 3]));
    const half = Math.fround(1 / Math.sqrt(1 + 1e-5));
    expect([...new Float32Array(await answer.arrayBuffer())]).toEqual([-half, half]);
  });

  it.each([
    ["?norm=l1", "application/json", "[1]", 400, "norm must be l2 or layer"],
    ["", "application/xml", "[1]", 415, "content-type must be"],
    ["", "application/json", "[1e39]", 400, "value 0 must be a finite number"],
    ["", "application/json", '"text"', 400, "a JSON array of numbers"],
    ["", "application/json", new Uint8Array([255]), 400, "must be JSON"],
    ["", "application/octet-stream", new Uint8Array(5), 400, "got 5 bytes"],
    ["", "application/octet-stream", new Uint8Array(0), 400, "at least one value"],
    ["", "application/octet-stream", new Uint8Array(2 ** 20 + 1), 413, "at most 1048576 bytes, got 1048577"],
  ])("refuses %s %s", async (query, type, body, status, message) => {
    const answer = await post(query, type, body);
    expect(answer.status).toBe(status);
    expect(((await answer.json()) as { error: string }).error).toContain(message);
  });
});

describe.skipIf(!installed)("the scripts", () => {
  const run = (tool: string, args: string[], input: string) =>
    execFileSync(path.join(folder, "node_modules/.bin", tool), args, { cwd: folder, input, encoding: "utf8" });

  it("standardizes in Deno", () => {
    const printed = run("deno", ["run", "--no-prompt", "deno/standardize.ts"], "name,size\na,1\nb,\nc,3\n");
    expect(printed).toBe("name,size\na,-1.0000\nb,\nc,1.0000\n");
  });

  it("finds outliers in Bun", () => {
    expect(run("bun", ["bun/outliers.ts"], read("rows.csv"))).toMatch(
      /^row 5, .*\nrow 8, .*\n2 of 40 values beyond 3\n$/,
    );
  });
});
