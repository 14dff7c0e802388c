/** An application that has the packed package installed: one entry for each way of loading it, and their bundles. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(path.dirname(here));
const SUITE = ["suite.mjs", "calls.mjs", "sha256.mjs", "threads.mjs"];

const RUN = `
export async function run(api) {
  await api.init();
  return runSuite(api);
}`;

/** Workers as Node, Deno and Bun have them. */
const WATCH = `import { syncBuiltinESMExports } from "node:module";
import workerThreads from "node:worker_threads";
import { runThreads, watchWorkers } from "./threads.mjs";
const workers = watchWorkers(typeof Worker === "function" ? globalThis : workerThreads);
syncBuiltinESMExports();
export const run = (api, threads) => runThreads(api, threads, workers);`;

const SEND = `const send = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) });
const sendError = (error) => send({ failures: [String(error?.stack ?? error)], digests: {} });`;

const page = (script, names = ["evenkeel"]) => {
  const files = { evenkeel: "index.js", "evenkeel/threads": "threads.js" };
  const imports = Object.fromEntries(names.map((name) => [name, `./node_modules/evenkeel/dist/${files[name]}`]));
  return `<!doctype html><meta charset="utf-8">
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="./${script}"></script>`;
};

const ENTRIES = {
  "run.mjs": `import { runSuite } from "./suite.mjs";${RUN}`,
  "esm.mjs": `import * as api from "evenkeel";
import { run } from "./run.mjs";
console.log(JSON.stringify(await run(api)));`,
  "cjs.cjs": `const api = require("evenkeel");
import("./run.mjs").then(({ run }) => run(api)).then((result) => console.log(JSON.stringify(result)));`,
  "slim.mjs": `import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as api from "evenkeel/slim";
import { run } from "./run.mjs";
let message = "";
try {
  api.selu({ data: new Float32Array(1), shape: [1] });
} catch (error) {
  message = error.message;
}
await api.init(readFileSync(fileURLToPath(import.meta.resolve("evenkeel/kernels.wasm"))));
const result = await run(api);
if (!message.startsWith("evenkeel/slim carries no kernels")) result.failures.push(\`without kernels: \${message}\`);
console.log(JSON.stringify(result));`,
  "slim.cjs": `const api = require("evenkeel/slim");
api.initSync(require("node:fs").readFileSync(require.resolve("evenkeel/kernels.wasm")));
import("./run.mjs").then(({ run }) => run(api)).then((result) => console.log(JSON.stringify(result)));`,
  "worker.js": `import * as api from "evenkeel";
import { run } from "./run.mjs";
export default {
  async fetch() {
    return Response.json(await run(api));
  },
};`,
  "run-threads.mjs": WATCH,
  "threads-esm.mjs": `import * as api from "evenkeel";
import * as threads from "evenkeel/threads";
import { run } from "./run-threads.mjs";
console.log(JSON.stringify(await run(api, threads)));`,
  "threads-cjs.cjs": `const api = require("evenkeel");
const threads = require("evenkeel/threads");
import("./run-threads.mjs").then(({ run }) => run(api, threads)).then((result) => console.log(JSON.stringify(result)));`,
  "threads-worker.js": `import * as threads from "evenkeel/threads";
import { runRefusal } from "./threads.mjs";
export default {
  async fetch() {
    return Response.json(await runRefusal(threads));
  },
};`,
  // A page sends its result to the server that it came from.
  "page.js": `import * as api from "evenkeel";
import { run } from "./run.mjs";
${SEND}
run(api).then(send, sendError);`,
  "threads-page.js": `import * as api from "evenkeel";
import * as threads from "evenkeel/threads";
import { runLoss, runRefusal, runThreads, watchWorkers } from "./threads.mjs";
${SEND}
async function run() {
  if (!crossOriginIsolated) return runRefusal(threads);
  const { failures, digests } = await runThreads(api, threads, watchWorkers(globalThis));
  return { failures: [...failures, ...(await runLoss(threads))], digests };
}
run().then(send, sendError);`,
  "index.html": '<!doctype html><meta charset="utf-8"><script type="module" src="./page.js"></script>',
  "threads.html": '<!doctype html><meta charset="utf-8"><script type="module" src="./threads-page.js"></script>',
  "plain.html": page("page.js"),
  "plain-threads.html": page("threads-page.js", ["evenkeel", "evenkeel/threads"]),
};

/** Packs the package and installs it into an empty folder; returns that and the packed file. */
export function installApplication() {
  const work = path.join(here, "app");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(path.join(work, "bundles"), { recursive: true });
  const npm = (cwd, ...args) => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  npm(root, "pack", "--ignore-scripts", "--pack-destination", work);
  const { name, version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  const tarball = path.join(work, `${name}-${version}.tgz`);
  writeFileSync(path.join(work, "package.json"), '{ "private": true, "type": "module" }\n');
  npm(work, "install", "--offline", "--no-audit", "--no-fund", tarball);
  for (const file of SUITE) copyFileSync(path.join(here, file), path.join(work, file));
  for (const [file, text] of Object.entries(ENTRIES)) writeFileSync(path.join(work, file), `${text}\n`);
  return { folder: work, tarball };
}

/** Leaves the kernels' files beside the bundle, as bundlers for Workers do. */
export const wasmBeside = {
  name: "wasm-beside",
  setup(build) {
    build.onResolve({ filter: /\.wasm$/ }, ({ path: file, resolveDir }) => {
      const beside = path.basename(file);
      copyFileSync(path.join(resolveDir, file), path.join(path.dirname(build.initialOptions.outfile), beside));
      return { path: `./${beside}`, external: true };
    });
  },
};

/** Makes a module of `.wasm?module`, as bundlers for edge functions do. */
const wasmModule = {
  name: "wasm-module",
  setup(build) {
    build.onResolve({ filter: /\.wasm\?module$/ }, ({ path: file, resolveDir }) => ({
      path: path.join(resolveDir, file.replace("?module", "")),
      namespace: "wasm-module",
    }));
    build.onLoad({ filter: /./, namespace: "wasm-module" }, ({ path: file }) => ({
      contents: `export default new WebAssembly.Module(Uint8Array.from(atob(${JSON.stringify(
        readFileSync(file, "base64"),
      )}), (character) => character.charCodeAt(0)));`,
    }));
  },
};

/** The bundles, each made when it is asked for. */
export const bundlers = {
  async esbuild({ folder }) {
    await build({
      absWorkingDir: folder,
      entryPoints: ["page.js"],
      bundle: true,
      minify: true,
      outfile: "bundles/esbuild/page.js",
    });
  },
  async rollup({ folder }) {
    const { rollup } = await import("rollup");
    const { nodeResolve } = await import("@rollup/plugin-node-resolve");
    const bundle = await rollup({ input: path.join(folder, "page.js"), plugins: [nodeResolve({ browser: true })] });
    await bundle.write({ file: path.join(folder, "bundles/rollup/page.js"), format: "es" });
  },
  async webpack({ folder }) {
    const { default: webpack } = await import("webpack");
    const output = { path: path.join(folder, "bundles/webpack"), filename: "page.js" };
    const options = { mode: "production", context: folder, entry: "./page.js", output, performance: false };
    await new Promise((resolve, reject) => {
      webpack(options, (error, stats) => {
        if (error ?? stats.hasErrors()) reject(error ?? new Error(stats.toString()));
        else resolve();
      });
    });
  },
  vite: (app) => bundleByVite(app, "index.html", "vite"),
};

/** Vite starts from a page. */
export async function bundleByVite({ folder }, html, name) {
  const { build: viteBuild } = await import("vite");
  await viteBuild({
    root: folder,
    base: "./",
    logLevel: "error",
    build: {
      outDir: `bundles/${name}`,
      emptyOutDir: true,
      rollupOptions: { input: path.join(folder, html) },
    },
  });
}

/** Bundles for Workers and edge functions. */
export async function bundleForServers({ folder }) {
  const options = { absWorkingDir: folder, bundle: true, format: "esm", charset: "utf8" };
  for (const [from, to] of [
    ["worker.js", "worker.mjs"],
    ["threads-worker.js", "threads-worker.mjs"],
  ]) {
    await build({
      ...options,
      entryPoints: [from],
      conditions: ["workerd", "worker", "browser"],
      plugins: [wasmBeside],
      outfile: path.join(folder, `bundles/${to}`),
    });
  }
  await build({
    ...options,
    entryPoints: ["esm.mjs"],
    conditions: ["edge-light"],
    plugins: [wasmModule],
    outfile: "bundles/edge-light.mjs",
  });
}

/** The page of a bundle. */
export function writeBundlePage({ folder }, name) {
  const file = path.join(folder, "bundles", name, "index.html");
  const kind = name === "rollup" ? ' type="module"' : "";
  writeFileSync(file, `<!doctype html><meta charset="utf-8"><script${kind} src="./page.js"></script>\n`);
}
