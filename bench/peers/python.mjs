/**
 * PyTorch, scikit-learn and numpy, as Debian packages them, through one Python process that is kept alive: it answers
 * each line with a line and times its own blocks, so that its turns alternate with ours.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PYTHON = "/usr/bin/python3";
const script = fileURLToPath(new URL("reference.py", import.meta.url));

/** A process that answers one line to each line; lines are asked for one at a time. */
function startProcess() {
  const child = spawn(PYTHON, [script], { stdio: ["pipe", "pipe", "ignore"] });
  const waiting = [];
  let ended;
  const fail = (error) => {
    ended = error;
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  child.on("error", (error) => fail(new Error(`${PYTHON} does not run: ${error.message}`)));
  child.stdin.on("error", fail);
  child.on("exit", () => fail(new Error(`${PYTHON} ended; are python3-numpy and python3-torch installed?`)));
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(JSON.parse(line)));
  const answer = () => new Promise((resolve, reject) => (ended ? reject(ended) : waiting.push({ resolve, reject })));
  const ask = async (request) => {
    const answered = answer();
    if (!ended) child.stdin.write(`${JSON.stringify(request)}\n`);
    const { error, ...reply } = await answered;
    if (error) throw new Error(error);
    return reply;
  };
  return { ready: answer(), ask, stop: () => child.stdin.end() };
}

const floats = (file) => {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
};

/** The peers in that process: a list of { name, contestant(problem) }, and what is missing. */
export async function openPython() {
  const python = startProcess();
  const { peers, missing } = await python.ready;
  const directory = mkdtempSync(path.join(tmpdir(), "evenkeel-bench-"));
  const written = { inputs: undefined, files: undefined };

  /** Files with the inputs of a case, written once for all the peers. */
  function filesOf(inputs) {
    if (written.inputs !== inputs) {
      const entries = Object.entries(inputs).map(([key, { data, shape }]) => {
        const file = path.join(directory, key);
        writeFileSync(file, data);
        return [key, { file, shape, dtype: data instanceof Float32Array ? "float32" : "uint8" }];
      });
      Object.assign(written, { inputs, files: Object.fromEntries(entries) });
    }
    return written.files;
  }

  const peer = (name) => ({
    name,
    async contestant({ operation, shape, options, view, inputs }) {
      const request = { peer: name, operation, shape, options, view, inputs: filesOf(inputs), directory };
      const { lacks, results } = await python.ask(request);
      if (lacks) return undefined;
      return {
        block: async (count) => (await python.ask({ peer: name, block: count })).seconds,
        result: () => Object.fromEntries(Object.entries(results).map(([key, file]) => [key, floats(file)])),
      };
    },
  });
  const close = () => {
    python.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  return { peers: peers.map(peer), missing, close };
}
