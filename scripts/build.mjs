/**
 * Builds the package: AssemblyScript to wasm, the wasm and its signatures to a file of src/core, and src to dist.
 *
 *   node scripts/build.mjs            everything
 *   node scripts/build.mjs --kernels  the kernels only (what tests, lint and type checks need)
 *   node scripts/build.mjs --debug    the kernels unoptimized, with names and a source map
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const target = process.argv.includes("--debug") ? "debug" : "release";
/** The parts of the kernels: folders of assembly/, each a module of its own in the package's usual entry. */
const PARTS = ["rows", "planes", "columns", "linear", "functions", "data"];
const wasmOf = (name) => path.join(root, "dist/kernels", `${name}.wasm`);
const allWasm = wasmOf("all");
const generated = path.join(root, "src/core/kernels.generated.ts");
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
 * Writes the f32 and f64 form of every kernel of a part: of each exported function over one type T, except parts of
 * kernels, whose names begin with "run". Left alone where nothing has changed, so that the build sees no newer source.
 */
function instantiateKernels(part) {
  const folder = path.join(root, "assembly", part);
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

/** Compiles files of assembly/ to one module. */
async function compile(name, target, ...entries) {
  const options = ["--outFile", wasmOf(name), "--target", target, "--transform", "./scripts/keep-functions.mjs"];
  const asc = bin("assemblyscript", "bin/asc.js");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [asc, ...entries, ...options], { cwd: root });
  process.stderr.write(stdout + stderr);
}

async function buildKernels() {
  for (const part of PARTS) instantiateKernels(part);
  const sources = ["assembly", "asconfig.json", "scripts", "package.json"].map((name) => path.join(root, name));
  const built = [...["all", "shared", ...PARTS].map(wasmOf), generated, sharedGenerated];
  const upToDate =
    built.every((file) => existsSync(file)) &&
    Math.min(...built.map(newest)) > Math.max(...sources.map(newest)) &&
    readFileSync(generated, "utf8").includes(`// ${target}\n`);
  if (upToDate) return;
  await Promise.all([
    compile("all", target, "assembly/index.ts"),
    compile("shared", "shared", "assembly/index.ts"),
    ...PARTS.map((part) => compile(part, target, `assembly/${part}/index.ts`, "assembly/heap.ts")),
  ]);
  const unmarked = readFileSync(allWasm);
  const mark = createHash("sha256").update(unmarked).digest("hex").slice(0, 16);
  writeFileSync(allWasm, Buffer.concat([unmarked, customSection("evenkeel", mark)]));
  writeFileSync(
    generated,
    `// ${target}
// Written by scripts/build.mjs from assembly/: the signatures of the kernels, and the modules of their parts.
// biome-ignore-all format: generated
${PARTS.map(interfaceOf).join("\n")}
/** @internal */
export interface Kernels extends ${PARTS.map(interfaceName).join(", ")} {}

/** What the section "evenkeel" of the module of all kernels says: those that this code calls are these. */
export const kernelMark = "${mark}";

/** Static data end before this byte of the memory. */
export const heapBase = ${heapBase()};

${PARTS.map((part) => asText(part, readFileSync(wasmOf(part)))).join("\n")}`,
  );
  writeFileSync(
    sharedGenerated,
    `// Written by scripts/build.mjs from assembly/: the kernels for a memory that threads share.
// biome-ignore-all format: generated
${asText("shared", readFileSync(wasmOf("shared")))}`,
  );
}

const interfaceName = (part) => `${part[0].toUpperCase()}${part.slice(1)}Kernels`;

/** asc writes the signatures of the exports beside the module; they become an interface of the package's own. */
function interfaceOf(part) {
  const declarations = readFileSync(wasmOf(part).replace(".wasm", ".d.ts"), "utf8");
  const signatures = [...declarations.matchAll(/export function (?!heapBase)(\w+\(.*\): \w+;)/g)];
  const members = signatures.map(([, one]) => `  ${one}\n`).join("");
  return `/** @internal */\nexport interface ${interfaceName(part)} {\n${members}}\n`;
}

/**
 * First byte behind the static data of all modules. Parts are laid out by themselves, from the same address on: two of
 * them with static data would overwrite each other's.
 */
function heapBase() {
  const endOf = (name) => {
    const memory = new WebAssembly.Memory({ initial: 24, maximum: 24, shared: name === "shared" });
    const module = new WebAssembly.Module(readFileSync(wasmOf(name)));
    return new WebAssembly.Instance(module, { env: { memory } }).exports.heapBase();
  };
  const ends = PARTS.map(endOf);
  const none = Math.min(...ends);
  const holders = PARTS.filter((_, i) => ends[i] > none);
  if (holders.length > 1) throw new Error(`static data in more than one part of the kernels: ${holders.join(", ")}`);
  return Math.max(...ends, endOf("all"), endOf("shared"));
}

/** Bytes as a text, one a character: compressed, it is hardly larger than they are, unlike base64. */
function asText(name, bytes) {
  return `export const ${name}Length = ${bytes.length};
export const ${name}Text = (): string =>
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
 * Puts the kernels' texts at the end of a bundle, a variable each, which bundlers of applications leave out where
 * nothing uses it. Engines read ASCII faster, so far as there is nothing else. (Code is escaped to ASCII, the texts are
 * not: escapes would make them three times as long.)
 */
const kernelsLast = (names) => ({
  name: "kernels",
  setup(build) {
    const variables = names.map((name) => `var evenkeel_${name}=${literal(readFileSync(wasmOf(name)))};`);
    build.initialOptions.footer = { js: variables.join("\n") };
    build.onLoad({ filter: /kernels\.generated\.ts$/ }, ({ path: file }) => ({
      contents: readFileSync(file, "utf8").replace(/(\w+)(Text = \(\): string =>\s+)".*";/g, (whole, name, code) =>
        names.includes(name) ? `${name}${code}evenkeel_${name};` : whole,
      ),
      loader: "ts",
    }));
  },
});

/** The script of the workers of evenkeel/threads, as a text: they are started without a file of their own. */
async function buildWorkerScript() {
  const { outputFiles } = await build({
    ...BUNDLE,
    entryPoints: ["src/threads/worker.ts"],
    plugins: [sourceOf("slim"), pureLoader],
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
 * One source, bundled once for each way of getting the kernels (src/sources); the conditions of package.json choose.
 * `texts` are the modules that the code carries,
 * `files` how those that it does not carry are imported.
 */
const LEAVES = [
  { outfile: "dist/index.js", source: "inline", texts: PARTS },
  { outfile: "dist/index.cjs", source: "inline", texts: PARTS },
  { outfile: "dist/workerd.js", source: "workerd", files: (part) => `${part}.wasm` },
  { outfile: "dist/edge-light.js", source: "edge-light", files: (part) => `${part}.wasm?module` },
  { outfile: "dist/slim.js", source: "slim" },
  { outfile: "dist/slim.cjs", source: "slim" },
  // Its kernels are others, for a memory that threads share.
  { outfile: "dist/threads.js", source: "slim", entry: "src/threads/index.ts", texts: ["shared"] },
  { outfile: "dist/threads.cjs", source: "slim", entry: "src/threads/index.ts", texts: ["shared"] },
];

/** Puts a leaf's source in the place of the usual one; modules of parts that it imports stay files of their own. */
const sourceOf = (source) => ({
  name: "source",
  setup(build) {
    build.onResolve({ filter: /\/sources\/inline\.js$/ }, () => ({
      path: path.join(root, `src/sources/${source}.ts`),
    }));
    build.onResolve({ filter: /\.wasm(\?module)?$/ }, (found) => ({
      path: `./${source}/${path.basename(found.path).replace(/\.wasm.*/, ".js")}`,
      external: true,
    }));
  },
});

/**
 * The modules of parts that a leaf imports, each by a file of its own: bundlers keep an import of a `.wasm` file even where
 * nothing uses it, but leave out a file of a package that has no side effects.
 */
function writeParts(folder, wasmFile) {
  mkdirSync(folder, { recursive: true });
  for (const part of PARTS)
    writeFileSync(path.join(folder, `${part}.js`), `export { default } from "../kernels/${wasmFile(part)}";\n`);
}

/** Has the loader do nothing when it is imported: its decoder is made where it is used, and ES2022 has what it polyfills. */
const pureLoader = {
  name: "loader",
  setup(build) {
    build.onLoad({ filter: /@assemblyscript.loader.index\.js$/ }, ({ path: file }) => ({
      contents: readFileSync(file, "utf8")
        .replace(/^const utf16 = (.*);.*$/m, "const utf16 = () => $1;")
        .replaceAll("utf16.decode", "utf16().decode")
        .replace(/^Object\.hasOwn = [\s\S]*?^};$/m, ""),
    }));
  },
};

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
  for (const { outfile, source, entry = "src/index.ts", texts = [], files } of LEAVES) {
    if (files !== undefined) writeParts(path.join(root, "dist", source), files);
    await build({
      ...BUNDLE,
      entryPoints: [entry],
      plugins: [sourceOf(source), kernelsLast(texts), pureLoader],
      format: outfile.endsWith(".cjs") ? "cjs" : "esm",
      outfile,
    });
  }
  copyFileSync(allWasm, path.join(root, "dist/kernels.wasm"));
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
    plugins: [kernelsLast(PARTS), pureLoader],
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

await buildKernels();
await buildWorkerScript();
if (!process.argv.includes("--kernels")) await buildPackage();
