/**
 * Where results go. A file is written beside its final name and renamed when it is whole, so that whatever happens there
 * is either the old file or the new one under that name, and an input may be its own output.
 */
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  write as writeCallback,
  writeSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { TemporaryFile } from "./cleanup.js";
import { DataError, explain, UsageError } from "./errors.js";

const writeFd = promisify(writeCallback);

export interface Output {
  write(bytes: Uint8Array): Promise<void>;
  /** Replaces bytes that were written before; false where that is not possible. */
  readonly canPatch: boolean;
  patch(bytes: Uint8Array, position: number): void;
  /** Gives the file its name. Nothing is there before. */
  commit(): Promise<void>;
  /** Leaves no trace. After `commit` it does nothing. */
  discard(): void;
}

/** `-` is standard output. `patched`: bytes will be replaced, for which what goes to a pipe has to wait for its end. */
export function openOutput(target: string, patched = false): Output {
  if (target === "-") return patched ? new SpooledOutput() : new StandardOutput();
  try {
    const stat = existsSync(target) ? statSync(target) : undefined;
    if (stat?.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    if (stat !== undefined && !stat.isFile()) return new Device(target);
    return new FileOutput(target);
  } catch (error) {
    throw new DataError(`${target}: cannot be written: ${explain(error)}`);
  }
}

/** Throws where a result would overwrite an input that is not the data it is made of. */
export function refuseSameFile(target: string, input: string, consequence: string): void {
  if (target === "-" || input === "-" || !existsSync(target) || !existsSync(input)) return;
  if (!statSync(target).isFile() || realpathSync(target) !== realpathSync(input)) return;
  throw new UsageError(`--output ${target} is an input: ${consequence}; choose another name`);
}

/** Writes all bytes, however many the system takes at a time. */
async function writeAll(name: string, fd: number, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length; ) at += (await writeFd(fd, bytes, at, bytes.length - at)).bytesWritten;
  } catch (error) {
    throw new DataError(`${name}: cannot be written: ${explain(error)}`);
  }
}

class FileOutput implements Output {
  readonly canPatch = true;
  readonly #target: string;
  readonly #temporary: TemporaryFile;
  readonly #fd: number;
  #open = true;
  #isDone = false;

  constructor(target: string) {
    const exists = existsSync(target);
    // Through a symbolic link, so that the link stays and its target is replaced.
    this.#target = exists ? realpathSync(target) : path.resolve(target);
    const { dir, base } = path.parse(this.#target);
    const temporary = path.join(dir, `.${base}.evenkeel-${process.pid}.tmp`);
    this.#fd = openSync(temporary, "w", exists ? statSync(this.#target).mode & 0o777 : 0o666);
    this.#temporary = new TemporaryFile(temporary);
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#target, this.#fd, bytes);
  }

  patch(bytes: Uint8Array, position: number): void {
    writeSync(this.#fd, bytes, 0, bytes.length, position);
  }

  async commit(): Promise<void> {
    try {
      fsyncSync(this.#fd);
      this.#close();
      renameSync(this.#temporary.path, this.#target);
    } catch (error) {
      throw new DataError(`${this.#target}: cannot be written: ${explain(error)}`);
    }
    this.#temporary.keep();
    this.#isDone = true;
  }

  discard(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#close();
    this.#temporary.remove();
  }

  #close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** A device or pipe that has a name: there is nothing to rename. */
class Device implements Output {
  readonly canPatch = false;
  readonly #name: string;
  readonly #fd: number;
  #open = true;

  constructor(name: string) {
    this.#name = name;
    this.#fd = openSync(name, "w");
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#name, this.#fd, bytes);
  }

  patch(): void {}

  async commit(): Promise<void> {
    this.discard();
  }

  discard(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** Standard output, by way of a temporary file. */
class SpooledOutput implements Output {
  readonly canPatch = true;
  readonly #fd: number;
  readonly #file: TemporaryFile;

  constructor() {
    const file = path.join(os.tmpdir(), `evenkeel-${process.pid}-output.tmp`);
    this.#fd = openSync(file, "wx+", 0o600);
    this.#file = new TemporaryFile(file);
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#file.path, this.#fd, bytes);
  }

  patch(bytes: Uint8Array, position: number): void {
    writeSync(this.#fd, bytes, 0, bytes.length, position);
  }

  async commit(): Promise<void> {
    const output = new StandardOutput();
    const stream = createReadStream(this.#file.path, { fd: this.#fd, start: 0, autoClose: false });
    for await (const bytes of stream) await output.write(bytes);
  }

  discard(): void {
    this.#file.remove();
  }
}

class StandardOutput implements Output {
  readonly canPatch = false;

  write(bytes: Uint8Array): Promise<void> {
    // The callback comes when the reader has taken the bytes: no more than one batch waits in memory.
    return new Promise((resolve, reject) =>
      process.stdout.write(bytes, (error) => (error ? reject(error) : resolve())),
    );
  }

  patch(): void {}
  async commit(): Promise<void> {}
  discard(): void {}
}
