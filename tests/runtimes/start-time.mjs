/**
 * npm run start-time -- [--check]
 *
 * Milliseconds from import to the first result, each in a fresh process: Node, Deno, Bun, and TensorFlow.js on its wasm
 * backend in Node; and those of a Worker's first answer beside an empty Worker's. --check holds the ratios to limits.
 */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleForServers, installApplication, wasmBeside } from "./application.mjs";
import { installRuntimes } from "./install.mjs";

installRuntimes();
const { bun, deno, nodes, withWorkerd, workerd } = await import("./processes.mjs");

const ROUNDS = 9;
const app = installApplication();
await bundleForServers(app);
const bundles = path.join(app.folder, "bundles");
const peers = fileURLToPath(new URL("../../bench/package.json", import.meta.url));

const first = `const y = layerNorm({ data: new Float32Array(64 * 768).fill(1), shape: [64, 768] }, { normalizedShape: 768 });`;
const timed = (work) => `const start = performance.now();\n${work}\nconsole.log(performance.now() - start);\n`;
const file = (name, text) => {
  const to = path.join(app.folder, name);
  writeFileSync(to, text);
  return to;
};
const ours = file("start.mjs", timed(`const { layerNorm } = await import("evenkeel");\n${first}`));

// An application that uses one method and is bundled, as applications for browsers and edge functions are.
await build({
  stdin: { contents: 'export { layerNorm } from "evenkeel";', resolveDir: app.folder },
  bundle: true,
  minify: true,
  format: "esm",
  charset: "utf8",
  outfile: path.join(bundles, "layer-norm.mjs"),
});
const bundled = file(
  "start-bundled.mjs",
  timed(`const { layerNorm } = await import("./bundles/layer-norm.mjs");\n${first}`),
);

const cached = { NODE_COMPILE_CACHE: path.join(app.folder, "compile-cache") };
const inDeno = [deno, "run", "--allow-read", "--node-modules-dir=manual"];
const ALONE = "layerNorm alone, bundled, in this Node";
const contestants = [
  ...nodes
    .filter(({ binary }) => binary)
    .flatMap(({ version, binary }) => [
      { name: `Node ${version}`, command: [binary, ours] },
      // The first round fills it.
      version >= 22 && { name: `Node ${version}, with its compile cache`, command: [binary, ours], env: cached },
    ]),
  deno && { name: "Deno", command: [...inDeno, ours] },
  bun && { name: "Bun", command: [bun, ours] },
  { name: ALONE, command: [process.execPath, bundled] },
  deno && { name: "layerNorm alone, bundled, in Deno", command: [...inDeno, bundled] },
  bun && { name: "layerNorm alone, bundled, in Bun", command: [bun, bundled] },
  tensorflow(),
].filter(Boolean);

/** Layer norm in TensorFlow.js, as its users write it, where the bench's peers are installed. */
function tensorflow() {
  const node = nodes.find(({ version }) => version === 20)?.binary;
  if (node === undefined || !existsSync(path.join(path.dirname(peers), "node_modules/@tensorflow/tfjs-backend-wasm")))
    return undefined;
  const text = timed(`const require = (await import("node:module")).createRequire(${JSON.stringify(peers)});
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-wasm");
await tf.setBackend("wasm");
const x = tf.ones([64, 768]);
const { mean, variance } = tf.moments(x, 1, true);
x.sub(mean).div(variance.add(1e-5).sqrt()).dataSync();`);
  return { name: "TensorFlow.js wasm, Node 20", command: [node, file("start-tf.mjs", text)] };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const times = new Map();
const note = (name, value) => times.set(name, [...(times.get(name) ?? []), value]);

/** A Worker's first answer; the server is there, but has not been asked anything. */
async function firstAnswer(script) {
  return withWorkerd(bundles, script, async (url) => {
    const start = performance.now();
    await (await fetch(url)).text();
    return performance.now() - start;
  });
}

const workers = { "Worker, empty": "empty.mjs", Worker: "start-worker.mjs" };
writeFileSync(path.join(bundles, "empty.mjs"), `export default { fetch: () => new Response("1") };\n`);
await build({
  stdin: {
    contents: `import { layerNorm } from "evenkeel";
export default { fetch() {\n${first}\nreturn new Response(String(y.data[0])); } };`,
    resolveDir: app.folder,
  },
  bundle: true,
  minify: true,
  format: "esm",
  conditions: ["workerd"],
  plugins: [wasmBeside],
  outfile: path.join(bundles, "start-worker.mjs"),
});

for (let round = 0; round < ROUNDS; round++) {
  for (const { name, command, env } of contestants) {
    const output = execFileSync(command[0], command.slice(1), {
      cwd: app.folder,
      encoding: "utf8",
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "ignore"],
    });
    note(name, Number(output.trim().split("\n").pop()));
  }
  if (workerd !== undefined)
    for (const [name, script] of Object.entries(workers)) note(name, await firstAnswer(script));
}

console.log("from import to the first result, medians of fresh processes");
for (const [name, values] of times) console.log(`${median(values).toFixed(1).padStart(8)} ms  ${name}`);

const of = (name) => median(times.get(name) ?? [Number.NaN]);
/** Ratios with room, since a busy machine slows everything; where one side was not measured, nothing is asked. */
const rules = [
  ["the package's start to that of TensorFlow.js", of("Node 20") / of("TensorFlow.js wasm, Node 20"), 0.2],
  ["an application's start to that of TensorFlow.js", of(ALONE) / of("TensorFlow.js wasm, Node 20"), 0.1],
  ["an application's start to that of the whole package", of(ALONE) / of("Node 20"), 0.6],
  ["the Worker's first answer to an empty one's", of("Worker") / of("Worker, empty"), 3],
];
for (const [rule, ratio, limit] of rules) {
  if (Number.isNaN(ratio)) continue;
  console.log(`${ratio <= limit ? "ok    " : "FAILED"}  ${rule}: ${ratio.toFixed(2)}, at most ${limit}`);
  if (ratio > limit && process.argv.includes("--check")) process.exitCode = 1;
}
