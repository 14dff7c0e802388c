import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, type SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { expect, test } from "vitest";
import { values } from "../support/numbers.js";
import { numbersOf, Workspace } from "./command.js";

type Codec = "SNAPPY" | "ZSTD" | "UNCOMPRESSED";

/** A Zstandard frame that stores its content as it is: RFC 8878, raw blocks. */
function zstd(content: Uint8Array): Uint8Array {
  // Magic number; single segment with a size of 4 bytes.
  const header = Buffer.alloc(9);
  header.writeUInt32LE(0xfd2fb528, 0);
  header.writeUInt8(0xa0, 4);
  header.writeUInt32LE(content.length, 5);
  const parts: Uint8Array[] = [header];
  const most = 1 << 17;
  for (let at = 0; at === 0 || at < content.length; at += most) {
    const block = content.subarray(at, at + most);
    const isLast = at + most >= content.length ? 1 : 0;
    const blockHeader = Buffer.alloc(3);
    blockHeader.writeUIntLE((block.length << 3) | isLast, 0, 3);
    parts.push(blockHeader, block);
  }
  return Buffer.concat(parts);
}

function parquet(elements: SchemaElement[], groups: unknown[][][], codec: Codec = "SNAPPY"): Uint8Array {
  const bytes = new ByteWriter();
  const schema = [{ name: "schema", num_children: elements.length }, ...elements];
  const writer = new ParquetWriter({ writer: bytes, schema, codec, compressors: { ZSTD: zstd } });
  for (const columns of groups) {
    const columnData = columns.map((data, i) => ({ name: elements[i].name, data: data as number[] }));
    writer.write({ columnData, rowGroupSize: 1e6 });
  }
  writer.finish();
  return bytes.getBytes();
}

const double = (name: string): SchemaElement => ({ name, type: "DOUBLE", repetition_type: "OPTIONAL" });
const text: SchemaElement = { name: "name", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" };
const time: SchemaElement = {
  name: "time",
  type: "INT64",
  repetition_type: "REQUIRED",
  logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
};
const price: SchemaElement = {
  name: "price",
  type: "INT32",
  converted_type: "DECIMAL",
  scale: 2,
  precision: 9,
  repetition_type: "REQUIRED",
};

test("row groups are read and written, and other columns keep their types and every bit", async () => {
  const at = new Workspace();
  const groups = [
    [
      ["ä", null],
      [1600000000000001n, -1n],
      [0, null],
      [123n, -456n],
    ],
    [["b"], [2n], [10], [99999n]],
    [
      ["c", ""],
      [3n, 4n],
      [NaN, 5],
      [1n, 0n],
    ],
  ];
  at.write("data.parquet", parquet([text, time, double("x"), price], groups));
  await at.expect(["fit", "min-max", "data.parquet", "--columns", "x", "-o", "model.json"]);
  await at.expect(["transform", "model.json", "data.parquet", "-o", "scaled.parquet"]);
  const file = await asyncBufferFromFile(at.path("scaled.parquet"));
  const { schema } = await parquetMetadataAsync(file);
  expect(schema.slice(1).map(({ name, type }) => [name, type])).toEqual([
    ["name", "BYTE_ARRAY"],
    ["time", "INT64"],
    ["x", "DOUBLE"],
    ["price", "INT32"],
  ]);
  expect(schema[2].logical_type).toEqual(time.logical_type);
  const parsers = { timestampFromMicroseconds: (micros: bigint) => micros };
  const rows = await parquetReadObjects({ file, parsers });
  const cents = rows.map(({ price }) => Math.round(100 * price));
  expect(rows.map(({ name }) => name ?? null)).toEqual(["ä", null, "b", "c", ""]);
  expect(rows.map(({ time }) => time)).toEqual([1600000000000001n, -1n, 2n, 3n, 4n]);
  expect(rows.map(({ x }) => x ?? null)).toEqual([0, null, 1, NaN, 0.5]);
  expect(cents).toEqual([123, -456, 99999, 1, 0]);
  await at.expect(["inverse", "model.json", "scaled.parquet", "-o", "restored.parquet"]);
  const restored = await parquetReadObjects({ file: await asyncBufferFromFile(at.path("restored.parquet")), parsers });
  expect(restored.map(({ x }) => x ?? null)).toEqual([0, null, 10, NaN, 5]);
  // As text, values mean what they mean.
  const csv = await at.expect(["transform", "model.json", "data.parquet", "--format", "csv"]);
  expect(csv.split("\n").slice(0, 3)).toEqual([
    "name,time,x,price",
    "ä,2020-09-13T12:26:40.000001Z,0,1.23",
    ",1969-12-31T23:59:59.999999Z,,-4.56",
  ]);
});

test("numbers of all kinds are read, whatever the compression", async () => {
  const at = new Workspace();
  const elements: SchemaElement[] = [
    { name: "i", type: "INT32", repetition_type: "REQUIRED" },
    { name: "l", type: "INT64", repetition_type: "OPTIONAL" },
    { name: "f", type: "FLOAT", repetition_type: "REQUIRED" },
    price,
  ];
  const columns = [
    [1, -2, 4],
    [8n, null, -16n],
    [0.5, 0.25, -0.5],
    [100n, 200n, -400n],
  ];
  for (const codec of ["ZSTD", "SNAPPY", "UNCOMPRESSED"] as const) {
    at.write("data.parquet", parquet(elements, [columns], codec));
    const scaled = await at.scale(["max-abs"], "data.parquet");
    expect(scaled).toBe("i,l,f,price\n0.25,0.5,1,0.25\n-0.5,,0.5,0.5\n1,-1,-1,-1\n");
  }
});

test("a long file comes through pipes in row groups", async () => {
  const at = new Workspace();
  const x = values(150_000, 5);
  const rows = Array.from(x, (value, i) => `${value},${i}\n`);
  at.write("data.csv", `x,i\n${rows.join("")}`);
  await at.expect(["fit", "max-abs", "data.csv", "--columns", "x", "-o", "model.json"]);
  const { stdout } = await at.run(["transform", "model.json", "data.csv", "--dtype", "f32", "--format", "parquet"]);
  at.write("scaled.parquet", stdout);
  const { schema, row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(at.path("scaled.parquet")));
  expect(row_groups).toHaveLength(2);
  expect(schema.slice(1).map(({ name, type }) => [name, type])).toEqual([
    ["x", "FLOAT"],
    ["i", "BYTE_ARRAY"],
  ]);
  const csv = await at.expect(["inverse", "model.json", "-", "--format", "csv", "--dtype", "f64"], stdout);
  expect(numbersOf(csv).every(([y, i], row) => i === row && Math.abs(y - x[row]) < 1e-7)).toBe(true);
  expect(at.files).toEqual(["data.csv", "model.json", "scaled.parquet"]);
});

test("lists, records, dates and other kinds pass through to text, and say why they do not to Parquet", async () => {
  const at = new Workspace();
  const rest: SchemaElement[] = [
    { name: "list", repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", type: "INT32", repetition_type: "OPTIONAL" },
    { name: "day", type: "INT32", converted_type: "DATE", repetition_type: "REQUIRED" },
    { name: "flag", type: "BOOLEAN", repetition_type: "OPTIONAL" },
    { name: "json", type: "BYTE_ARRAY", converted_type: "JSON", repetition_type: "OPTIONAL" },
  ];
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({
    writer: bytes,
    schema: [{ name: "schema", num_children: 5 }, double("x"), ...rest],
  });
  writer.write({
    columnData: [
      { name: "x", data: [2, 4] },
      { name: "list", data: [[1, 2], []] },
      { name: "day", data: [0, 19000] },
      { name: "flag", data: [true, null] as unknown as boolean[] },
      { name: "json", data: [{ a: 1 }, null] },
    ],
  });
  writer.finish();
  at.write("data.parquet", bytes.getBytes());
  await at.expect(["fit", "max-abs", "data.parquet", "-o", "model.json"]);
  expect(await at.expect(["transform", "model.json", "data.parquet", "--format", "csv"])).toBe(
    'x,list,day,flag,json\n0.5,"[1,2]",1970-01-01,true,"{""a"":1}"\n1,[],2022-01-08,,\n',
  );
  const { code, stderr } = await at.run(["transform", "model.json", "data.parquet", "-o", "scaled.parquet"]);
  expect(stderr).toContain("data.parquet, column 2 (list): holds lists or records");
  expect([code, at.files]).toEqual([1, ["data.parquet", "model.json"]]);
});

test("what cannot be worked on says so", async () => {
  const at = new Workspace();
  const old: SchemaElement = {
    name: "when",
    type: "INT64",
    repetition_type: "REQUIRED",
    converted_type: "TIMESTAMP_MILLIS",
  };
  at.write(
    "data.parquet",
    parquet(
      [double("x"), old],
      [
        [
          [1, 2],
          [3n, 4n],
        ],
      ],
    ),
  );
  const chosen = await at.run(["fit", "standard", "data.parquet", "--columns", "when"]);
  expect(chosen.stderr).toBe("evenkeel: data.parquet, column 2 (when): does not hold numbers\n");
  expect(chosen.code).toBe(1);
  at.write("cut.parquet", at.bytes("data.parquet").subarray(0, 60));
  const cut = await at.run(["fit", "standard", "cut.parquet"]);
  expect(cut.stderr).toMatch("evenkeel: cut.parquet: is not a whole Parquet file");
  expect(cut.code).toBe(1);
});
