/** What a bundler keeps of the package. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

async function bundled(code: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  return outputFiles[0].text;
}

it("nothing, where nothing is used", async () => {
  expect(await bundled('import { layerNorm } from "./src/index.js"; globalThis.x = 1;')).toBe("globalThis.x=1;\n");
});

it("one method and what it stands on", async () => {
  const code = await bundled('export { layerNorm } from "./src/index.js";');
  expect(code).toContain("layerNorm");
  for (const other of ["StandardScaler", "batchNorm", "spectralNorm", "svd"]) expect(code).not.toContain(other);
});

/** A kernel of each part, as its module names it. */
const PARTS = {
  rows: "rowNormalize_f32",
  planes: "planeNormalize_f32",
  columns: "colMoments_f32",
  linear: "matmul_f32",
  functions: "eachExpLinear_f32",
  data: "rowNormal_f32",
};

it.each([
  ["layerNorm", ["rows"]],
  ["LayerNorm", ["rows"]],
  ["batchNorm", ["planes", "columns"]],
  ["StandardScaler", ["columns"]],
  ["matmul", ["linear"]],
  ["selu", ["functions"]],
  ["alphaDropout", ["data"]],
  ["imageToTensor", ["data"]],
  ["tensor", []],
  ["init", ["rows"]],
])("%s brings the kernels of %j alone", async (method, parts) => {
  const code = await bundled(`export { ${method} } from "./src/index.js";`);
  const found = Object.entries(PARTS).filter(([, kernel]) => code.includes(kernel));
  expect(found.map(([part]) => part)).toEqual(parts);
});

/** Node's modules, top-level await and the global Response are in no file that all runtimes share. */
it("runs anywhere: no file of the library asks for a runtime's own modules", () => {
  for (const name of readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || name.startsWith("cli") || name.includes("generated")) continue;
    const code = readFileSync(path.join(root, "src", name), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    expect({ name, found: /from "node:|^await |\bResponse\b/m.test(code) }).toEqual({ name, found: false });
  }
});
