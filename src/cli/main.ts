/** The `evenkeel` command: what can be typed, and what exit code a failure gives. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { cleanUpAtEnd } from "./cleanup.js";
import { type FitOptions, runFit } from "./commands/fit.js";
import { type InspectOptions, runInspect } from "./commands/inspect.js";
import { runMerge } from "./commands/merge.js";
import { runTransform, type TransformOptions } from "./commands/transform.js";
import { DataError, UsageError } from "./errors.js";
import { parseDelimiter } from "./formats/csv.js";
import { type AnyScaler, type Method, methods } from "./methods.js";

const INTRODUCTION = `Normalizes tables of numbers: CSV, NPY (NumPy) and Parquet files of any size.

"fit" learns from a table and writes a model. "transform" applies the model to
any table with the same columns, and "inverse" takes it back.`;

const EXAMPLES = `
Examples:
  $ evenkeel inspect data.csv
  $ evenkeel fit standard data.csv --columns age,income -o model.json
  $ evenkeel transform model.json data.csv -o scaled.csv
  $ evenkeel inverse model.json scaled.csv -o restored.csv

Files are known by their content. "-" stands for standard input or output.
Missing values are empty cells and NaN (null in Parquet); they are left out when
fitting, and stay missing. Errors name row and column, counted from 1; in CSV
the header is row 1.

Exit codes: 0 done, 1 something is wrong with a data or model file, 2 wrong usage.`;

/** An option whose value is parsed by a function that throws a `UsageError`. */
function parsedOption(flags: string, description: string, parse: (text: string, before: unknown) => unknown): Option {
  return new Option(flags, description).argParser((text, before) => {
    try {
      return parse(text, before);
    } catch (error) {
      // So that the message names the option.
      throw error instanceof UsageError ? new InvalidArgumentError(error.message) : error;
    }
  });
}

/** Options of every command that reads tables. */
function addTextOptions(command: Command): Command {
  return command
    .addOption(
      parsedOption(
        "--delimiter <character>",
        'what separates the fields of CSV; "tab" for tabs (default: comma, tab for .tsv)',
        parseDelimiter,
      ),
    )
    .option("--no-header", "the first row of CSV holds values, not names; choose columns by number")
    .addOption(
      parsedOption(
        "--missing <text>",
        'text that marks a missing value in CSV, such as "NA", besides nothing and NaN; may be given several times',
        (text, before) => [...((before ?? []) as string[]), text],
      ),
    );
}

function addSelection(command: Command): Command {
  return command
    .option("--columns <list>", "the columns to work on, by name or number: age,income,5-8 (default: all)")
    .option("--except <list>", "columns to leave out, by name or number");
}

function addOutput(command: Command): Command {
  const option = new Option("-o, --output <file>", 'where to write; "-" is standard output');
  return command.addOption(option.default("-", "standard output"));
}

/** Values that a method refuses were typed by the user. */
function createScaler(method: Method, config: Record<string, unknown>): AnyScaler {
  try {
    return method.create(config);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

function addFit(program: Command): void {
  const parent = program
    .command("fit")
    .summary("learn a method from a table, and write it as a model")
    .description("Learns a method from a table, and writes it as a model (JSON).")
    .usage("<method> <input> [options]")
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText(
      "after",
      `
Examples:
  $ evenkeel fit standard data.csv -o model.json
  $ evenkeel fit min-max data.csv --columns age,income --feature-range=-1,1 -o model.json
  $ evenkeel fit robust data.parquet --except id > model.json

"evenkeel fit <method> --help" shows the options of a method.`,
    );
  for (const method of methods) {
    const command = parent
      .command(method.name)
      .summary(method.summary)
      .description(`${method.summary[0].toUpperCase()}${method.summary.slice(1)}.`)
      .argument("<input>", 'the table: CSV, NPY or Parquet; "-" is standard input');
    for (const { flags, description, parse } of method.options) {
      command.addOption(parse ? parsedOption(flags, description, parse) : new Option(flags, description));
    }
    addTextOptions(addSelection(addOutput(command)));
    command.action((input: string, options: FitOptions & Record<string, unknown>) => {
      const { output, columns, except, delimiter, header, missing, ...config } = options;
      return runFit(method, createScaler(method, config), input, {
        output,
        columns,
        except,
        delimiter,
        header,
        missing,
      });
    });
  }
}

function addTransform(program: Command, name: "transform" | "inverse"): void {
  const isInverse = name === "inverse";
  const command = program
    .command(name)
    .summary(isInverse ? "take scaled values back to the original ones" : "apply a model to a table")
    .description(
      isInverse
        ? "Takes the values of a transformed table back to the original ones."
        : "Applies a model to a table. Other columns are passed through as they are.",
    )
    .argument("<model>", "the model that evenkeel fit wrote")
    .argument("<input>", 'the table: CSV, NPY or Parquet; "-" is standard input');
  addOutput(command)
    .option("--columns <list>", "the columns to work on, by name or number (default: those of the model)")
    .option("--drop-rest", "write only the columns that the model works on")
    .addOption(
      new Option("--format <name>", "the format of the output (default: by its name, else as the input)").choices([
        "csv",
        "npy",
        "parquet",
      ]),
    )
    .addOption(
      new Option("--dtype <type>", "the precision of the result (default: as the input; f64 for CSV)").choices([
        "f32",
        "f64",
      ]),
    );
  addTextOptions(command).addHelpText(
    "after",
    isInverse
      ? `
Example:
  $ evenkeel inverse model.json scaled.csv -o restored.csv`
      : `
Examples:
  $ evenkeel transform model.json data.csv -o scaled.csv
  $ evenkeel transform model.json data.csv -o data.csv          (in place)
  $ evenkeel transform model.json data.csv -o scaled.parquet    (to another format)
  $ gzip -dc data.csv.gz | evenkeel transform model.json - | gzip > scaled.csv.gz

The output gets its name only when it is whole: a run that fails or is killed
leaves what was there before.`,
  );
  command.action((model: string, input: string, options: TransformOptions) =>
    runTransform(name, model, input, options),
  );
}

function addInspect(program: Command): void {
  const command = program
    .command("inspect")
    .summary("show what is in a model, or statistics of a table")
    .description("Shows what a model has learned, or statistics of each column of a table.")
    .argument("<file>", 'a model, or a table: CSV, NPY or Parquet; "-" is a table from standard input');
  addTextOptions(addSelection(command)).addHelpText(
    "after",
    `
Examples:
  $ evenkeel inspect data.csv
  $ evenkeel inspect model.json

Of more than 2048 rows, quartiles and histograms are close approximations.`,
  );
  command.action(async (file: string, options: InspectOptions) => {
    process.stdout.write(await runInspect(file, options));
  });
}

function addMerge(program: Command): void {
  const command = program
    .command("merge")
    .summary("make one model of those of the parts of a data set")
    .description(
      "Makes one model of several that were fitted on parts of a data set: the same as one fit on the whole.",
    )
    .argument("<models...>", "two models or more, of the same method, options and columns");
  addOutput(command).addHelpText(
    "after",
    `
Example:
  $ evenkeel fit standard part1.csv -o part1.json
  $ evenkeel fit standard part2.csv -o part2.json
  $ evenkeel merge part1.json part2.json -o model.json`,
  );
  command.action((models: string[], { output }: { output: string }) => runMerge(models, output));
}

function makeProgram(): Command {
  const program = new Command("evenkeel")
    .description(INTRODUCTION)
    .version(process.env.EVENKEEL_VERSION as string, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(add --help for what can be said)")
    .exitOverride();
  addFit(program);
  addTransform(program, "transform");
  addTransform(program, "inverse");
  addInspect(program);
  addMerge(program);
  return program;
}

/** Prints what went wrong and returns the exit code that says so. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  // The reader of a pipe has seen enough, as `head` has after its lines.
  if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0;
  const isExpected = error instanceof UsageError || error instanceof DataError || error instanceof RangeError;
  const { message, stack } = error as Error;
  process.stderr.write(`evenkeel: ${isExpected ? message : stack}\n`);
  return error instanceof UsageError ? 2 : 1;
}

cleanUpAtEnd();
// Writing reports its errors itself.
process.stdout.on("error", () => {});
makeProgram()
  .parseAsync()
  .catch((error) => {
    process.exitCode = report(error);
  });
