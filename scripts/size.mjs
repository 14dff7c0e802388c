/**
 * npm run size -- [--check]
 *
 * Gzipped sizes: the whole package, the kernels alone, and applications that use one method only, beside what the one
 * with layer norm takes with other libraries. --check holds ours to their budgets.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const peers = path.join(root, "bench/node_modules");
const gzipped = (content) => gzipSync(content, { level: 9 }).length;
const sizeOf = (...files) => files.reduce((sum, file) => sum + gzipped(readFileSync(file)), 0);

/** An application of one statement, bundled and minified as for production. */
async function bundled(contents, resolveDir) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    format: "esm",
    charset: "utf8",
    platform: "browser",
    mainFields: ["browser", "module", "main"],
    external: ["node:*", "fs", "path", "os", "util", "crypto", "worker_threads", "perf_hooks", "module", "url"],
    write: false,
    logLevel: "error",
  });
  return gzipped(outputFiles[0].contents);
}

const KB = 1000;
const dist = path.join(root, "dist");
const application = (name, use = name) =>
  bundled(`import { ${name} } from "./dist/index.js"; globalThis.y = ${use};`, root);
const ours = [
  { name: "evenkeel, all of it", size: sizeOf(path.join(dist, "index.js")), budget: 122 * KB },
  { name: "evenkeel, the kernels' module alone", size: sizeOf(path.join(dist, "kernels.wasm")), budget: 39 * KB },
  { name: "an application with layerNorm", size: await application("layerNorm"), budget: 17 * KB },
  { name: "an application with batchNorm", size: await application("batchNorm"), budget: 22.5 * KB },
  { name: "an application with StandardScaler", size: await application("StandardScaler"), budget: 16 * KB },
  { name: "an application with matmul", size: await application("matmul"), budget: 12.7 * KB },
  { name: "an application with imageToTensor", size: await application("imageToTensor"), budget: 10.5 * KB },
  { name: "an import that is not used", size: await application("layerNorm", "1"), budget: 100 },
];

/** The least that computes a layer norm with each; recorded sizes are of the versions in bench/package.json. */
const others = [
  {
    name: "numpy-ts, mean, variance and arithmetic",
    folder: "numpy-ts",
    recorded: 41_500,
    measure: () =>
      bundled(
        'import * as np from "numpy-ts/core"; globalThis.y = [np.mean, np.variance, np.subtract, np.divide];',
        peers,
      ),
  },
  {
    name: "TensorFlow.js, wasm backend",
    folder: "@tensorflow/tfjs-backend-wasm",
    recorded: 214_500,
    measure: async () =>
      (await bundled(
        'import * as tf from "@tensorflow/tfjs-core"; import "@tensorflow/tfjs-backend-wasm"; globalThis.y = [tf.moments, tf.sub, tf.mul];',
        peers,
      )) + sizeOf(path.join(peers, "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm")),
  },
  {
    name: "jax-js",
    folder: "@jax-js/jax",
    recorded: 62_700,
    measure: () => bundled('import { nn } from "@jax-js/jax"; globalThis.y = nn.standardize;', peers),
  },
  {
    name: "ONNX Runtime Web, wasm backend",
    folder: "onnxruntime-web",
    recorded: 3_711_800,
    measure: () =>
      sizeOf(
        ...["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"].map((file) =>
          path.join(peers, "onnxruntime-web/dist", file),
        ),
      ),
  },
];

const kilobytes = (size) => `${(size / KB).toFixed(1)} KB`.padStart(11);
for (const { name, size, budget } of ours) {
  const over = size > budget;
  console.log(`${kilobytes(size)}  ${name}${over ? `: over its budget of ${budget / KB} KB` : ""}`);
  if (over && process.argv.includes("--check")) process.exitCode = 1;
}
console.log("\nbeside it, gzipped JavaScript and wasm");
for (const { name, folder, recorded, measure } of others) {
  const installed = existsSync(path.join(peers, folder));
  console.log(`${kilobytes(installed ? await measure() : recorded)}  ${name}${installed ? "" : " (recorded)"}`);
}
