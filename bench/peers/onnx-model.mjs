/** Writes ONNX models of one node, in the few fields of the protobuf format that such a model has (onnx.proto3). */

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;
const FLOAT = 1;

const text = (string) => [...new TextEncoder().encode(string)];
const float = (value) => [...new Uint8Array(Float32Array.of(value).buffer)];

function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

const number = (field, value) => [...varint(field * 8 + VARINT), ...varint(value)];
const bytes = (field, content) => [...varint(field * 8 + BYTES), ...varint(content.length), ...content];

/** A whole number is an INT attribute; { float } a FLOAT. */
function attribute(name, value) {
  const isFloat = typeof value === "object";
  return [
    ...bytes(1, text(name)),
    ...(isFloat ? [...varint(2 * 8 + FIXED32), ...float(value.float)] : number(3, value)),
    ...number(20, isFloat ? 1 : 2),
  ];
}

function valueInfo(name, shape) {
  const dimensions = shape.flatMap((size) => bytes(1, number(1, size)));
  const tensorType = [...number(1, FLOAT), ...bytes(2, dimensions)];
  return [...bytes(1, text(name)), ...bytes(2, bytes(1, tensorType))];
}

function constant(name, { data, shape }) {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [...shape.flatMap((size) => number(1, size)), ...number(2, FLOAT), ...bytes(8, text(name)), ...bytes(9, raw)];
}

/**
 * The bytes of a model that is one operator. `inputs` and `outputs` give the shapes of what is fed and fetched;
 * `constants` are f32 tensors in the model, as the weights of a real model are. The operator takes the inputs first.
 */
export function onnxModel(operator, { inputs, constants = {}, outputs, attributes = {}, opset = 23 }) {
  const node = [
    ...[...Object.keys(inputs), ...Object.keys(constants)].flatMap((name) => bytes(1, text(name))),
    ...Object.keys(outputs).flatMap((name) => bytes(2, text(name))),
    ...bytes(4, text(operator)),
    ...Object.entries(attributes).flatMap(([name, value]) => bytes(5, attribute(name, value))),
  ];
  const graph = [
    ...bytes(1, node),
    ...bytes(2, text("bench")),
    ...Object.entries(constants).flatMap(([name, value]) => bytes(5, constant(name, value))),
    ...Object.entries(inputs).flatMap(([name, shape]) => bytes(11, valueInfo(name, shape))),
    ...Object.entries(outputs).flatMap(([name, shape]) => bytes(12, valueInfo(name, shape))),
  ];
  const irVersion = number(1, 10);
  return Uint8Array.from([...irVersion, ...bytes(7, graph), ...bytes(8, [...bytes(1, []), ...number(2, opset)])]);
}
