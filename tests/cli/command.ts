/** Runs the built command in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished, vi } from "vitest";

// A busy machine is slow to start processes.
vi.setConfig({ testTimeout: 30_000 });

export const executable = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
}

/** A folder for the files of a test. It is removed at the end of the test. */
export class Workspace {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "evenkeel-test-"));

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return name;
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  bytes(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  /** All files, hidden ones too. */
  get files(): string[] {
    return readdirSync(this.folder).sort();
  }

  /** Starts the command in the folder, with its temporary files there too. */
  start(...args: string[]): ChildProcess {
    const env = { ...process.env, TMPDIR: this.folder };
    return spawn(process.execPath, [executable, ...args], { cwd: this.folder, env });
  }

  async run(args: string[], input: string | Uint8Array = ""): Promise<Outcome> {
    const child = this.start(...args);
    // A command that fails may not read all of it.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    return finished(child);
  }

  /** Runs a command that has to succeed, and returns what it printed. */
  async expect(args: string[], input: string | Uint8Array = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0 || stderr !== "") throw new Error(`evenkeel ${args.join(" ")}: exit code ${code}: ${stderr}`);
    return stdout.toString();
  }

  /** Fits and transforms to text. */
  async scale(method: string[], file: string): Promise<string> {
    await this.expect(["fit", ...method, file, "-o", "model.json"]);
    return this.expect(["transform", "model.json", file, "--format", "csv"]);
  }
}

export function finished(child: ChildProcess): Promise<Outcome> {
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout?.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => {
    stderr += bytes;
  });
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout: Buffer.concat(stdout), stderr }));
  });
}

/** The numbers of a CSV text without quotes, by rows, without its header. */
export function numbersOf(csv: string): number[][] {
  const rows = csv.trimEnd().split("\n").slice(1);
  return rows.map((row) => row.split(",").map((cell) => (cell === "" ? NaN : Number(cell))));
}
