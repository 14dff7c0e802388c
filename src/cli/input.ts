/** Where data comes from: a file, or standard input for `-`. */
import { closeSync, createReadStream, createWriteStream, fstatSync, openSync, readSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { TemporaryFile } from "./cleanup.js";
import { DataError, explain } from "./errors.js";

/** Bytes read at a time: large enough for the parsers, small enough for the memory. */
const CHUNK_BYTES = 1 << 18;

/** The first bytes of a regular file as Latin-1 text; nothing of what cannot be read twice. */
export function firstText(file: string): string {
  if (file === "-") return "";
  const fd = openFd(file);
  try {
    const bytes = Buffer.alloc(64);
    return fstatSync(fd).isFile() ? bytes.toString("latin1", 0, readSync(fd, bytes)) : "";
  } finally {
    closeSync(fd);
  }
}

function openFd(file: string): number {
  try {
    const fd = openSync(file, "r");
    if (!fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
  } catch (error) {
    throw new DataError(`${file}: cannot be read: ${explain(error)}`);
  }
  throw new DataError(`${file}: cannot be read: is a folder`);
}

export class Input {
  /** As the user calls it. */
  readonly name: string;
  /** Its size in bytes, where it is known. */
  readonly size: number | undefined;
  /** How many bytes were read so far. */
  bytesRead = 0;
  /** The first bytes, at least 8 where there are as many. */
  head: Buffer = Buffer.alloc(0);
  readonly #stream: NodeJS.ReadableStream;
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #path: string | undefined;
  #spooled: TemporaryFile | undefined;

  private constructor(name: string, stream: NodeJS.ReadableStream, size: number | undefined, file: string | undefined) {
    this.name = name;
    this.size = size;
    this.#stream = stream;
    this.#iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#path = file;
  }

  static async open(target: string): Promise<Input> {
    const input = target === "-" ? new Input("standard input", process.stdin, undefined, undefined) : openFile(target);
    while (input.head.length < 8) {
      const chunk = await input.#next();
      if (chunk === undefined) break;
      input.head = Buffer.concat([input.head, chunk]);
    }
    return input;

    function openFile(file: string): Input {
      const fd = openFd(file);
      const stat = fstatSync(fd);
      const stream = createReadStream(file, { fd, highWaterMark: CHUNK_BYTES });
      // Only a regular file has a size, and can be read again at any place.
      return stat.isFile() ? new Input(file, stream, stat.size, file) : new Input(file, stream, undefined, undefined);
    }
  }

  /** All bytes from the start, in chunks of a size that suits the parsers. */
  async *chunks(): AsyncGenerator<Buffer> {
    let waiting: Buffer[] = [this.head];
    let bytes = this.head.length;
    for (;;) {
      const chunk = await this.#next();
      if (chunk !== undefined) {
        waiting.push(chunk);
        bytes += chunk.length;
      }
      if (bytes >= CHUNK_BYTES / 2 || (chunk === undefined && bytes > 0)) {
        this.bytesRead += bytes;
        yield waiting.length === 1 ? waiting[0] : Buffer.concat(waiting, bytes);
        waiting = [];
        bytes = 0;
      }
      if (chunk === undefined) return;
    }
  }

  /** The path of a file with these bytes, which can be read at any place. A pipe is copied to a temporary file. */
  async file(): Promise<string> {
    if (this.#path !== undefined) return this.#path;
    if (this.#spooled === undefined) {
      const file = path.join(os.tmpdir(), `evenkeel-${process.pid}-input.tmp`);
      const copy = createWriteStream(file, { flags: "wx", mode: 0o600 });
      this.#spooled = new TemporaryFile(file);
      await pipeline(this.chunks(), copy);
    }
    return this.#spooled.path;
  }

  close(): void {
    if ("destroy" in this.#stream) (this.#stream as unknown as { destroy(): void }).destroy();
    this.#spooled?.remove();
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      const { value, done } = await this.#iterator.next();
      return done ? undefined : value;
    } catch (error) {
      throw new DataError(`${this.name}: cannot be read: ${explain(error)}`);
    }
  }
}
