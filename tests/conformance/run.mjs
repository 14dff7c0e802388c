/**
 * Holds the built package against reference cases.
 *
 *   npm run conformance -- DIR [--json]
 *
 * Runs every case of DIR's JSON files and prints those that fail, a table of operations, and the totals.
 */
import { parseArgs } from "node:util";
import * as api from "evenkeel";
import { readCases, runCase } from "./runner.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "boolean" } } });
if (positionals.length !== 1) {
  console.error("usage: npm run conformance -- DIR [--json]");
  process.exit(2);
}

const table = new Map();
const totals = { passed: 0, failed: 0 };
for (const testCase of readCases(positionals[0])) {
  const results = runCase(api, testCase);
  const failures = results.filter((result) => !result.ok);
  const row = table.get(testCase.op) ?? { passed: 0, failed: 0, unsupported: 0 };
  table.set(testCase.op, row);
  if (failures.length === 0) row.passed++;
  else if (failures[0].unsupported) row.unsupported++;
  else row.failed++;
  totals[failures.length === 0 ? "passed" : "failed"]++;
  if (values.json) {
    const worst = failures[0] ?? results.reduce((a, b) => ((b.maxAbs ?? 0) > (a.maxAbs ?? 0) ? b : a), results[0]);
    const { file, op, name, ok, output, maxAbs, maxRel, message } = worst;
    console.log(JSON.stringify({ file, op, name, ok, output, maxAbs, maxRel, message }));
  } else {
    for (const { file, op, name, output, message } of failures) {
      console.log(`FAIL ${file} ${op} "${name}" ${output ?? ""}: ${message}`);
    }
  }
}
if (!values.json) {
  const width = Math.max(2, ...[...table.keys()].map((op) => op.length));
  console.log(`${"op".padEnd(width)} · passed · failed · unsupported`);
  for (const [op, { passed, failed, unsupported }] of [...table].sort()) {
    const [a, b, c] = [passed, failed, unsupported].map(String);
    console.log(`${op.padEnd(width)} · ${a.padStart(6)} · ${b.padStart(6)} · ${c.padStart(11)}`);
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
}
process.exit(totals.failed === 0 ? 0 : 1);
