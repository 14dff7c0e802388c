import { expect, test } from "vitest";
import { Workspace } from "./command.js";

/** A file as numpy.save writes it; what differs is given. */
function npy(
  data: Float32Array | Float64Array | Int32Array,
  shape: string,
  { descr = data instanceof Float32Array ? "<f4" : "<f8", order = "False", version = 1 } = {},
): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const lengthBytes = version === 1 ? 2 : 4;
  const total = Math.ceil((8 + lengthBytes + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(total, " ");
  header.write("\x93NUMPY", "latin1");
  header.writeUInt8(version, 6);
  header.writeUInt8(0, 7);
  header.writeUIntLE(total - 8 - lengthBytes, 8, lengthBytes);
  header.write(text, 8 + lengthBytes);
  header.write("\n", total - 1);
  return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/** The header's text and the elements of a file of version 1. */
function parse(bytes: Buffer): { header: string; data: Buffer } {
  const end = 10 + bytes.readUInt16LE(8);
  expect(end % 64).toBe(0);
  return { header: bytes.toString("latin1", 10, end).trim(), data: bytes.subarray(end) };
}

for (const { ArrayClass, descr } of [
  { ArrayClass: Float32Array, descr: "<f4" },
  { ArrayClass: Float64Array, descr: "<f8" },
] as const) {
  test(`${descr} stays ${descr}, in versions 1 and 2`, async () => {
    const at = new Workspace();
    for (const version of [1, 2]) {
      at.write("data.npy", npy(ArrayClass.of(0, 5, 10, 5, 20, NaN), "(3, 2)", { version }));
      await at.expect(["fit", "min-max", "data.npy", "--columns", "1", "-o", "model.json"]);
      await at.expect(["transform", "model.json", "data.npy", "-o", "scaled.npy"]);
      const { header, data } = parse(at.bytes("scaled.npy"));
      expect(header).toBe(`{'descr': '${descr}', 'fortran_order': False, 'shape': (3, 2), }`);
      const wanted = ArrayClass.of(0, 5, 0.5, 5, 1, NaN);
      expect(data).toEqual(Buffer.from(wanted.buffer));
      // What is piped in and out is the same.
      const piped = await at.run(["transform", "model.json", "-"], at.bytes("data.npy"));
      expect(piped.stdout).toEqual(at.bytes("scaled.npy"));
    }
    await at.expect(["inverse", "model.json", "scaled.npy", "-o", "restored.npy"]);
    expect(parse(at.bytes("restored.npy")).data).toEqual(
      parse(npy(ArrayClass.of(0, 5, 10, 5, 20, NaN), "(3, 2)")).data,
    );
  });
}

test("a list of numbers is one column, and stays a list", async () => {
  const at = new Workspace();
  at.write("data.npy", npy(Float64Array.of(1, 2, 4), "(3,)"));
  await at.expect(["fit", "max-abs", "data.npy", "-o", "model.json"]);
  await at.expect(["transform", "model.json", "data.npy", "-o", "scaled.npy"]);
  const { header, data } = parse(at.bytes("scaled.npy"));
  expect(header).toContain("'shape': (3,)");
  expect(data).toEqual(Buffer.from(Float64Array.of(0.25, 0.5, 1).buffer));
});

test("to text and back, and by names where the file has none", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n0,1\n4,3\n2,\n");
  await at.expect(["fit", "min-max", "data.csv", "-o", "model.json"]);
  await at.expect(["transform", "model.json", "data.csv", "-o", "scaled.npy"]);
  const { header, data } = parse(at.bytes("scaled.npy"));
  expect(header).toContain("'shape': (3, 2)");
  expect(data).toEqual(Buffer.from(Float64Array.of(0, 0, 1, 1, 0.5, NaN).buffer));
  // A pipe cannot go back to write the number of rows: it has to wait.
  const piped = await at.run(["transform", "model.json", "data.csv", "--format", "npy"]);
  expect(piped.stdout).toEqual(at.bytes("scaled.npy"));
  const text = await at.expect(["inverse", "model.json", "scaled.npy", "--format", "csv"]);
  expect(text).toBe("column1,column2\n0,1\n4,3\n2,NaN\n");
  expect(at.files).toEqual(["data.csv", "model.json", "scaled.npy"]);
});

test("text cannot be written, and says where", async () => {
  const at = new Workspace();
  at.write("data.csv", "a,b\n0,1\n4,x\n");
  await at.expect(["fit", "min-max", "data.csv", "--columns", "a", "-o", "model.json"]);
  const { code, stderr } = await at.run(["transform", "model.json", "data.csv", "-o", "scaled.npy"]);
  expect(stderr).toContain('data.csv, row 3, column 2 (b): "x" is not a number, and NPY holds nothing else');
  expect([code, at.files]).toEqual([1, ["data.csv", "model.json"]]);
  await at.expect(["transform", "model.json", "data.csv", "--drop-rest", "-o", "scaled.npy"]);
  expect(parse(at.bytes("scaled.npy")).data).toEqual(Buffer.from(Float64Array.of(0, 1).buffer));
});

const six = Float64Array.of(1, 2, 3, 4, 5, 6);
const refused: Record<string, [Buffer, string]> = {
  "whole numbers": [npy(Int32Array.of(1, 2), "(2, 1)", { descr: "<i4" }), "holds elements of <i4"],
  "big-endian numbers": [npy(six, "(3, 2)", { descr: ">f8" }), "holds elements of >f8"],
  "Fortran order": [npy(six, "(3, 2)", { order: "True" }), "is in Fortran order"],
  "three axes": [npy(six, "(3, 2, 1)"), "has shape (3, 2, 1)"],
  "a single number": [npy(six.slice(0, 1), "()"), "has shape ()"],
  "too few elements": [npy(six, "(4, 2)"), "data.npy, row 4: is missing or cut off"],
  "too many elements": [npy(six, "(2, 2)"), "holds more data than its shape (2, 2) takes"],
  "half a header": [npy(six, "(3, 2)").subarray(0, 40), "ends within its header"],
  "another version": [npy(six, "(3, 2)", { version: 4 }), "is of version 4"],
};

for (const [name, [bytes, says]] of Object.entries(refused)) {
  test(`refused: ${name}`, async () => {
    const at = new Workspace();
    at.write("data.npy", bytes);
    const { code, stderr } = await at.run(["fit", "standard", "data.npy"]);
    expect(stderr).toContain("evenkeel: data.npy");
    expect(stderr).toContain(says);
    expect(code).toBe(1);
  });
}
