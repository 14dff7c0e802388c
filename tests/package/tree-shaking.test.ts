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

/** Node's modules, top-level await and the global Response are in no file that all runtimes share. */
it("runs anywhere: no file of the library asks for a runtime's own modules", () => {
  for (const name of readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || name.startsWith("cli") || name.includes("generated")) continue;
    const code = readFileSync(path.join(root, "src", name), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    expect({ name, found: /from "node:|^await |\bResponse\b/m.test(code) }).toEqual({ name, found: false });
  }
});
