/** What has to be put in order when the process ends, by itself or by a signal. */
import { unlinkSync } from "node:fs";

const tasks = new Set<() => void>();

/** Has a task done at the end, whatever the end. */
export function atEnd(task: () => void): void {
  tasks.add(task);
}

/** The task is done, or needed no more. */
export function notAtEnd(task: () => void): void {
  tasks.delete(task);
}

function runTasks(): void {
  for (const task of tasks) task();
  tasks.clear();
}

export function cleanUpAtEnd(): void {
  process.on("exit", runTasks);
  // Not SIGHUP: a listener would undo what nohup did.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      runTasks();
      // With the listener gone this ends the process, and tells the shell why.
      process.kill(process.pid, signal);
    });
  }
}

/** A file that does not outlive the process, unless it is kept. */
export class TemporaryFile {
  readonly path: string;
  readonly #task = () => {
    try {
      unlinkSync(this.path);
    } catch {
      // Gone already: that is what was wanted.
    }
  };

  /** For a file that was just made. */
  constructor(path: string) {
    this.path = path;
    atEnd(this.#task);
  }

  /** The file has become something else. */
  keep(): void {
    notAtEnd(this.#task);
  }

  remove(): void {
    notAtEnd(this.#task);
    this.#task();
  }
}
