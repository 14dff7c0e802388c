/**
 * npm run digest -- [--write]
 *
 * Prints a SHA-256 for each method, of all that it gives for fixed inputs of many sizes, f32 and f64, from the heap and from
 * linear memory. --write keeps the list that every runtime must come to, after a change that changes bits on purpose.
 */
import { readFileSync, writeFileSync } from "node:fs";
import * as api from "../../dist/index.js";
import { compareDigests, runSuite } from "./suite.mjs";

const file = new URL("digests.json", import.meta.url);
const { failures, digests } = runSuite(api);
if (process.argv.includes("--write") && failures.length === 0) {
  writeFileSync(file, `${JSON.stringify(digests, null, 2)}\n`);
}
for (const [name, digest] of Object.entries(digests)) console.log(`${digest}  ${name}`);
const problems = [...failures, ...compareDigests(digests, JSON.parse(readFileSync(file, "utf8")))];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
