/** Runtimes that are a command: Node, Deno, Bun, and Workers by workerd and miniflare. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const modules = fileURLToPath(new URL("node_modules", import.meta.url));
const LIMIT = 10 * 60 * 1000;

/** The binary of a package that has one for each platform, in a scope of its own. */
function binaryOf(scope, ...names) {
  const folder = path.join(modules, scope);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    for (const file of names) if (existsSync(path.join(folder, name, file))) return path.join(folder, name, file);
  }
  return undefined;
}

export const deno = binaryOf("@deno", "deno");
export const bun = binaryOf("@oven", "bin/bun");
export const workerd = binaryOf("@cloudflare", "bin/workerd");
export const nodes = [18, 20, 22, 24].map((version) => ({
  version,
  binary: [path.join(modules, `node-${version}/bin/node`)].find((file) => existsSync(file)),
}));

/** Runs a program that prints its result as JSON in its last line. */
async function run(cwd, binary, ...args) {
  const options = { cwd, timeout: LIMIT, maxBuffer: 1 << 26, env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" } };
  const { stdout } = await promisify(execFile)(binary, args, options);
  return JSON.parse(stdout.trim().split("\n").pop());
}

/** Something to be run, or why it cannot be. */
const runtime = (name, binary, ...args) => ({
  name,
  suite: args.some((arg) => arg.startsWith("threads-")) ? "threads" : "package",
  run: (app) => (binary === undefined ? "its package is not installed" : run(app.folder, binary, ...args)),
});

export const processes = [
  ...nodes.flatMap(({ version, binary }) => [
    runtime(`Node ${version}, import`, binary, "esm.mjs"),
    runtime(`Node ${version}, require`, binary, "cjs.cjs"),
  ]),
  runtime("Node, evenkeel/slim", process.execPath, "slim.mjs"),
  runtime("Node, evenkeel/slim, require", process.execPath, "slim.cjs"),
  runtime("Node, the entry for edge functions", process.execPath, "bundles/edge-light.mjs"),
  runtime("Deno", deno, "run", "--allow-read", "--node-modules-dir=manual", "esm.mjs"),
  runtime("Bun, import", bun, "esm.mjs"),
  runtime("Bun, require", bun, "cjs.cjs"),
  ...nodes.map(({ version, binary }) => runtime(`Node ${version}, threads`, binary, "threads-esm.mjs")),
  runtime("Node, threads, require", process.execPath, "threads-cjs.cjs"),
  runtime("Deno, threads", deno, "run", "--node-modules-dir=manual", "threads-esm.mjs"),
  runtime("Bun, threads", bun, "threads-esm.mjs"),
  ...[
    { suite: "package", suffix: "", script: "worker.mjs" },
    { suffix: ", threads are refused", script: "threads-worker.mjs" },
  ].flatMap(({ suite, suffix, script }) => [
    {
      name: `workerd${suffix}`,
      suite,
      run: (app) => (workerd === undefined ? "its package is not installed" : answerOfWorkerd(app, script)),
    },
    { name: `miniflare${suffix}`, suite, run: (app) => answerOfMiniflare(app, script) },
  ]),
];

/** A port that is free now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Connects, and hangs up: says that a server is there without asking it anything. */
function connect(port) {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, "127.0.0.1", () => resolve(socket.destroy()));
    socket.on("error", reject);
  });
}

/** Calls until the answer comes, for a server that is starting. */
export async function patiently(call, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; ; ) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Starts `workerd serve` with the worker of `bundles/`, and stops it after `use`. */
export async function withWorkerd(folder, script, use) {
  const port = await freePort();
  const config = path.join(folder, `${script}.capnp`);
  const imported = readFileSync(path.join(folder, script), "utf8").matchAll(/"\.\/(\w+\.wasm)"/g);
  const kernels = Array.from(imported, ([, name]) => `, (name = "${name}", wasm = embed "${name}")`);
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "${script}")${kernels.join("")}],
  compatibilityDate = "2026-01-01",
);
`,
  );
  const server = spawn(workerd, ["serve", config], { stdio: ["ignore", "ignore", "inherit"] });
  try {
    await patiently(() => connect(port));
    return await use(`http://127.0.0.1:${port}/`);
  } finally {
    server.kill();
  }
}

function answerOfWorkerd({ folder }, script) {
  return withWorkerd(path.join(folder, "bundles"), script, async (url) => (await fetch(url)).json());
}

async function answerOfMiniflare({ folder }, script) {
  const { Miniflare } = await import("miniflare");
  const miniflare = new Miniflare({
    modules: true,
    modulesRoot: path.join(folder, "bundles"),
    scriptPath: path.join(folder, "bundles", script),
    modulesRules: [
      { type: "ESModule", include: ["**/*.mjs"] },
      { type: "CompiledWasm", include: ["**/*.wasm"] },
    ],
    compatibilityDate: "2026-01-01",
  });
  try {
    return await (await miniflare.dispatchFetch("http://localhost/")).json();
  } finally {
    await miniflare.dispose();
  }
}
