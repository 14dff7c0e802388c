/** The peers, in the order in which they are shown. */
import { existsSync } from "node:fs";
import { openPython } from "./python.mjs";

/**
 * Modules with `name`, `operations`, `contestant(operation, problem)` and, where there is something to load, `open()`.
 */
const MODULES = ["plain", "onnxruntime", "tfjs", "jax", "numpy-ts", "ml-matrix"];

const reason = (error) => String(error?.message ?? error).split("\n")[0];

async function openModule(file) {
  const module = await import(`./${file}.mjs`);
  await module.open?.();
  return {
    name: module.name,
    contestant: (problem) => {
      const operation = module.operations[problem.operation];
      return operation && module.contestant(operation, problem);
    },
  };
}

/** The plain loops alone, which are always there. */
export const openLoops = async () => ({ peers: [await openModule("plain")], close: () => {} });

/** Opens what is installed; says in one line each what is not. */
export async function openPeers(say) {
  const installed = existsSync(new URL("../node_modules", import.meta.url));
  if (!installed) say("The peers from npm are not installed: npm install --prefix bench");
  const peers = [];
  for (const file of installed ? MODULES : ["plain"]) {
    try {
      peers.push(await openModule(file));
    } catch (error) {
      say(`Skipped: ${file}: ${reason(error)}`);
    }
  }
  let close = () => {};
  try {
    const python = await openPython();
    for (const [name, why] of Object.entries(python.missing)) say(`Skipped: ${name}: ${why}`);
    peers.push(...python.peers);
    close = python.close;
  } catch (error) {
    say(`Skipped: PyTorch, scikit-learn and numpy: ${reason(error)}`);
  }
  return { peers, close };
}

/**
 * The peers that can do a case, ready to be called: a list of contestants with their results, and notes on the others.
 */
export async function contestantsOf(problem, peers) {
  const contestants = [];
  const lacking = [];
  const failed = [];
  for (const { name, contestant } of peers) {
    try {
      const made = await contestant(problem);
      if (made) contestants.push({ name, ...made });
      else lacking.push(name);
    } catch (error) {
      failed.push(`${name}: ${reason(error)}`);
    }
  }
  return { contestants, lacking, failed };
}
