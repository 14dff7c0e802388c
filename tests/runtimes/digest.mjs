/**
 * npm run digest -- [--write]
 *
 * Prints a SHA-256 for each method, of all that it gives for fixed inputs of many sizes, f32 and f64, from the heap and from
 * linear memory, and of what threads share out. --write keeps the list that every runtime must come to, after a change
 * that changes bits on purpose.
 */
import { readFileSync, writeFileSync } from "node:fs";
import workerThreads from "node:worker_threads";
import * as api from "../../dist/index.js";
import * as threads from "../../dist/threads.js";
import { compareDigests, runSuite } from "./suite.mjs";
import { runThreads, watchWorkers } from "./threads.mjs";

const file = new URL("digests.json", import.meta.url);
const results = [runSuite(api), await runThreads(api, threads, watchWorkers(workerThreads))];
const failures = results.flatMap((result) => result.failures);
const digests = Object.assign({}, ...results.map((result) => result.digests));
if (process.argv.includes("--write") && failures.length === 0) {
  writeFileSync(file, `${JSON.stringify(digests, null, 2)}\n`);
}
for (const [name, digest] of Object.entries(digests)) console.log(`${digest}  ${name}`);
const problems = [...failures, ...compareDigests(digests, JSON.parse(readFileSync(file, "utf8")))];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
