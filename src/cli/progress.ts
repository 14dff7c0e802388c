/** Shows on a terminal how far a run has come. Elsewhere nothing is shown. */
import { Presets, SingleBar } from "cli-progress";
import { atEnd, notAtEnd } from "./cleanup.js";
import type { Source } from "./formats/format.js";

export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #source: Source;
  readonly #hasEnd: boolean;

  /** Also where the run is broken off: the bar hides the cursor. */
  readonly #stop = () => this.#bar?.stop();

  constructor(source: Source, task: string) {
    this.#source = source;
    this.#hasEnd = source.progress() !== undefined;
    if (!process.stderr.isTTY) return;
    const how = this.#hasEnd ? "{bar} {percentage}% | {rows} rows | {eta_formatted} left" : "{rows} rows";
    this.#bar = new SingleBar(
      {
        stream: process.stderr,
        format: `${task} ${how}`,
        hideCursor: true,
        clearOnComplete: true,
        barsize: 30,
        fps: 10,
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    this.#bar.start(1, 0, { rows: 0 });
    atEnd(this.#stop);
  }

  update(rows: number): void {
    this.#bar?.update(this.#source.progress() ?? 0, { rows: rows.toLocaleString("en") });
  }

  /** Takes the bar away. */
  stop(): void {
    notAtEnd(this.#stop);
    this.#stop();
  }
}
