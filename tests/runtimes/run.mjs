/**
 * npm run test:runtimes -- [--only text]
 *
 * Packs the package, checks the packed file, installs it into an empty folder, and runs the same small suite on every
 * runtime and in every browser that is there, and what threads share out, where there are some. The digests of all results
 * must be those of digests.json.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installRuntimes } from "./install.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({ options: { only: { type: "string", default: "" } } });

installRuntimes();
const { installApplication, bundleForServers } = await import("./application.mjs");
const { processes } = await import("./processes.mjs");
const { browsers } = await import("./browsers.mjs");
const { compareDigests } = await import("./suite.mjs");

const kept = JSON.parse(readFileSync(path.join(here, "digests.json"), "utf8"));
/** The digests of a suite; checks that are none have none. */
const wantedOf = (suite) =>
  Object.fromEntries(
    Object.entries(kept).filter(([name]) => (name.startsWith("threads: ") ? "threads" : "package") === suite),
  );

const app = installApplication();
await bundleForServers(app);

function command(name, ...args) {
  const file = path.join(here, "node_modules/.bin", name);
  execFileSync(file, args, { cwd: here, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return { failures: [], digests: {} };
}

/** The packed file as tools for package authors see it. A wasm file has no CommonJS form to check. */
const checks = [
  { name: "publint", run: () => command("publint", "run", "--strict", app.tarball) },
  {
    name: "are the types wrong",
    run: () => command("attw", app.tarball, "--profile", "node16", "--exclude-entrypoints", "kernels.wasm"),
  },
];

let failed = 0;
for (const { name, suite, run } of [...checks, ...processes, ...browsers]) {
  if (!name.toLowerCase().includes(options.only.toLowerCase())) continue;
  const start = performance.now();
  let problems;
  try {
    const result = await run(app);
    if (typeof result === "string") {
      console.log(`skipped  ${name}: ${result}`);
      continue;
    }
    problems = [...result.failures, ...compareDigests(result.digests, wantedOf(suite))];
  } catch (error) {
    problems = [String(error.stdout || error.stderr || error.stack || error)];
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${problems.length === 0 ? "ok     " : "FAILED "}  ${name} (${seconds} s)`);
  for (const problem of problems) console.log(`         ${problem.trimEnd().split("\n").join("\n         ")}`);
  if (problems.length > 0) failed++;
}
if (failed > 0) {
  console.log(`${failed} failed`);
  process.exitCode = 1;
}
