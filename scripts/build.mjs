/**
 * Builds the package: AssemblyScript to wasm, the wasm and its signatures to a module of src/core, and src to dist.
 *
 *   node scripts/build.mjs            everything
 *   node scripts/build.mjs --kernels  the kernels only (what tests, lint and type checks need)
 *   node scripts/build.mjs --debug    the kernels unoptimized, with names and a source map
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const target = process.argv.includes("--debug") ? "debug" : "release";
const wasm = path.join(root, "dist/kernels", `${target}.wasm`);
const generated = path.join(root, "src/core/kernels.generated.ts");
const sharedWasm = path.join(root, "dist/kernels/shared.wasm");
const sharedGenerated = path.join(root, "src/threads/kernels.generated.ts");
const bin = (name, file) =>
  path.join(path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);
const run = (file, ...args) => execFileSync(process.execPath, [file, ...args], { cwd: root, stdio: "inherit" });

/** Newest change in a file or folder, so that an unchanged build is skipped. */
function newest(file) {
  if (!statSync(file).isDirectory()) return statSync(file).mtimeMs;
  return Math.max(...readdirSync(file).map((name) => newest(path.join(file, name))));
}

/**
 * Writes the f32 and f64 form of every kernel: of each exported function over one type T, except parts of kernels, whose
 * names begin with "run". Left alone where nothing has changed, so that the build sees no newer source.
 */
function instantiateKernels() {
  const folder = path.join(root, "assembly");
  const file = path.join(folder, "kernels.generated.ts");
  const imports = [];
  const forms = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith(".ts") || name === path.basename(file)) continue;
    const text = readFileSync(path.join(folder, name), "utf8");
    const found = [...text.matchAll(/^export function (?!run)(\w+)<T>\(([^)]*)\): (\w+) \{/gm)];
    if (found.length > 0)
      imports.push(`import { ${found.map((one) => one[1]).join(", ")} } from "./${name.slice(0, -3)}";`);
    for (const [, kernel, parameters, result] of found) {
      const names = [...parameters.matchAll(/(\w+):/g)].map((one) => one[1]).join(", ");
      for (const type of ["f32", "f64"]) {
        const call = `${result === "void" ? "" : "return "}${kernel}<${type}>(${names});`;
        const signature = `${kernel}_${type}(${parameters.replace(/\s+/g, " ").trim()}): ${result}`;
        forms.push(`export function ${signature.replace(/: T\b/g, `: ${type}`)} {\n  ${call}\n}`);
      }
    }
  }
  const code = `// Written by scripts/build.mjs.\n${imports.join("\n")}\n\n${forms.join("\n")}\n`;
  if (!existsSync(file) || readFileSync(file, "utf8") !== code) writeFileSync(file, code);
}

function buildKernels() {
  instantiateKernels();
  const sources = ["assembly", "asconfig.json", "scripts", "package.json"].map((name) => path.join(root, name));
  const upToDate =
    existsSync(wasm) &&
    existsSync(generated) &&
    existsSync(sharedGenerated) &&
    Math.min(newest(wasm), newest(generated), newest(sharedGenerated)) > Math.max(...sources.map(newest)) &&
    readFileSync(generated, "utf8").includes(`// ${target}\n`);
  if (upToDate) return;
  run(bin("assemblyscript", "bin/asc.js"), "--target", target, "--transform", "./scripts/keep-functions.mjs");
  // asc writes the signatures of the exports beside the module; they become an interface of the package's own.
  const declarations = readFileSync(path.join(root, "dist/kernels", `${target}.d.ts`), "utf8");
  const signatures = [...declarations.matchAll(/export function (\w+\(.*\): \w+;)/g)].map((found) => `  ${found[1]}`);
  const unmarked = readFileSync(wasm);
  const mark = createHash("sha256").update(unmarked).digest("hex").slice(0, 16);
  const bytes = Buffer.concat([unmarked, customSection("evenkeel", mark)]);
  writeFileSync(wasm, bytes);
  writeFileSync(
    generated,
    `// ${target}
// Written by scripts/build.mjs from assembly/: the signatures of the kernels, and the module itself.
// biome-ignore-all format: generated
/** @internal */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
${signatures.join("\n")}
}

/** What the section "evenkeel" of the module says: the kernels that this code calls are those. */
export const kernelMark = "${mark}";

${asText(bytes)}`,
  );
  run(bin("assemblyscript", "bin/asc.js"), "--target", "shared", "--transform", "./scripts/keep-functions.mjs");
  writeFileSync(
    sharedGenerated,
    `// Written by scripts/build.mjs from assembly/: the kernels for a memory that threads share.
// biome-ignore-all format: generated
${asText(readFileSync(sharedWasm))}`,
  );
}

/** Bytes as a text, one a character: compressed, it is hardly larger than they are, unlike base64. */
function asText(bytes) {
  return `export const kernelLength = ${bytes.length};
export const kernelText = (): string =>
  ${literal(bytes)};
`;
}

/** A text literal with no more escapes than there have to be: they do not compress, and take time to read. */
function literal(bytes) {
  const text = bytes
    .toString("latin1")
    .replace(/[\\"\n\r]/g, (found) => JSON.stringify(found).slice(1, -1))
    // A digit would go on with the shorter escape.
    .replace(/\0(?=\d)/g, "\\x00")
    .replaceAll("\0", "\\0");
  return `"${text}"`;
}

/**
 * Puts the kernels' text at the end of a bundle: engines read ASCII faster, so far as there is nothing else. (Code is
 * escaped to ASCII, the text is not: escapes would make it three times as long.)
 */
const kernelsLast = (bytes) => ({
  name: "kernels",
  setup(build) {
    build.initialOptions.footer = { js: `var evenkeelKernels=${literal(bytes)};` };
    build.onLoad({ filter: /kernels\.generated\.ts$/ }, ({ path: file }) => ({
      contents: readFileSync(file, "utf8").replace(/(kernelText = \(\): string =>\s+)".*";/s, "$1evenkeelKernels;"),
      loader: "ts",
    }));
  },
});

/** The script of the workers of evenkeel/threads, as a text: they are started without a file of their own. */
async function buildWorkerScript() {
  const { outputFiles } = await build({
    ...BUNDLE,
    entryPoints: ["src/threads/worker.ts"],
    plugins: [sourceOf("slim")],
    format: "iife",
    // For its one module of Node; where there is none, it is not asked for.
    platform: "node",
    write: false,
  });
  const code = `// Written by scripts/build.mjs from worker.ts.
// biome-ignore-all format: generated
export const workerScript: string =
  ${JSON.stringify(outputFiles[0].text)};
`;
  const file = path.join(root, "src/threads/worker.generated.ts");
  if (!existsSync(file) || readFileSync(file, "utf8") !== code) writeFileSync(file, code);
}

/** A section of a wasm module that engines leave alone. Name and text are short: every length takes one byte. */
function customSection(name, text) {
  return Buffer.from([0, 1 + name.length + text.length, name.length, ...Buffer.from(name + text)]);
}

/**
 * One source, bundled once for each way of getting the kernels' module (src/sources); the conditions of package.json choose.
 */
const LEAVES = [
  { outfile: "dist/index.js", source: "inline", kernels: wasm },
  { outfile: "dist/index.cjs", source: "inline", kernels: wasm },
  { outfile: "dist/workerd.js", source: "workerd" },
  { outfile: "dist/edge-light.js", source: "edge-light" },
  { outfile: "dist/slim.js", source: "slim" },
  { outfile: "dist/slim.cjs", source: "slim" },
  // Its kernels are others, for a memory that threads share.
  { outfile: "dist/threads.js", source: "slim", entry: "src/threads/index.ts", kernels: sharedWasm },
  { outfile: "dist/threads.cjs", source: "slim", entry: "src/threads/index.ts", kernels: sharedWasm },
];

/** Puts a leaf's way of getting the module in the place of the inline one; the file it names stays beside the bundle. */
const sourceOf = (source) => ({
  name: "source",
  setup(build) {
    build.onResolve({ filter: /\/sources\/inline\.js$/ }, () => ({
      path: path.join(root, "src/sources", `${source}.ts`),
    }));
    build.onResolve({ filter: /\/kernels\.wasm(\?module)?$/ }, (found) => ({
      path: `./${path.basename(found.path)}`,
      external: true,
    }));
  },
});

/** How the package's JavaScript is bundled. */
const BUNDLE = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  keepNames: false,
  sourcemap: false,
  target: "es2022",
  // The loader asks whether what it got is a Response, and where that is looked up, Node loads its whole HTTP client.
  define: { Response: "undefined" },
  logLevel: "warning",
};

async function buildPackage() {
  for (const { outfile, source, entry = "src/index.ts", kernels } of LEAVES) {
    await build({
      ...BUNDLE,
      entryPoints: [entry],
      plugins: [sourceOf(source), ...(kernels ? [kernelsLast(readFileSync(kernels))] : [])],
      format: outfile.endsWith(".cjs") ? "cjs" : "esm",
      outfile,
    });
  }
  copyFileSync(wasm, path.join(root, "dist/kernels.wasm"));
  await buildCommand();
  declare();
}

/** The declarations of what the entry reaches, once for ES modules and once for CommonJS. */
function declare() {
  const folder = path.join(root, "dist/types");
  rmSync(folder, { recursive: true, force: true });
  run(bin("typescript", "bin/tsc"), "-p", "tsconfig.build.json");
  const reached = new Set(["index.d.ts", "threads/index.d.ts"].map((name) => path.join(folder, name)));
  for (const file of reached) {
    const text = readFileSync(file, "utf8");
    for (const [, found] of text.matchAll(/from "(\.[^"]+)\.js"/g)) {
      reached.add(path.join(path.dirname(file), `${found}.d.ts`));
    }
    writeFileSync(file.replace(/\.ts$/, ".cts"), text.replace(/(from "\.[^"]+)\.js"/g, '$1.cjs"'));
  }
  for (const name of readdirSync(folder, { recursive: true })) {
    const file = path.join(folder, name);
    if (name.endsWith(".d.ts") && !reached.has(file)) rmSync(file);
  }
  writeFileSync(
    path.join(root, "dist/kernels.d.wasm.ts"),
    "declare const module: WebAssembly.Module;\nexport default module;\n",
  );
}

/** The `evenkeel` command, with the libraries that it uses: the package has no dependencies. */
async function buildCommand() {
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  const outfile = "dist/cli.js";
  await build({
    ...BUNDLE,
    entryPoints: ["src/cli/main.ts"],
    plugins: [kernelsLast(readFileSync(wasm))],
    platform: "node",
    format: "esm",
    // Some of the libraries are CommonJS, and ask for Node's modules by require.
    banner: {
      js: '#!/usr/bin/env node\nimport { createRequire } from "node:module";const require = createRequire(import.meta.url);',
    },
    define: { ...BUNDLE.define, "process.env.EVENKEEL_VERSION": JSON.stringify(version) },
    outfile,
  });
  chmodSync(path.join(root, outfile), 0o755);
}

buildKernels();
await buildWorkerScript();
if (!process.argv.includes("--kernels")) await buildPackage();
