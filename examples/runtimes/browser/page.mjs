/** The page: an image becomes a tensor, which is shown as pictures and as statistics of its channels. */
import { imagePresets, imageToTensor, MinMaxScaler, StandardScaler, tensorToImage } from "evenkeel";

const element = (id) => document.getElementById(id);
/** A photo of a phone is brought to this before its pixels are read. */
const LARGEST_SIDE = 1024;
const CHANNELS = ["Red", "Green", "Blue"];

let image;

/** The pixels of something that a canvas can draw. */
function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** A picture for the start: three overlapping discs of light. */
function sample() {
  const size = 256;
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "lighter";
  ["#f33", "#3d6", "#46f"].forEach((color, i) => {
    const angle = (2 * Math.PI * i) / 3 - Math.PI / 2;
    const [x, y] = [size * (0.5 + 0.17 * Math.cos(angle)), size * (0.54 + 0.17 * Math.sin(angle))];
    const glow = context.createRadialGradient(x, y, 0, x, y, size * 0.34);
    glow.addColorStop(0, color);
    glow.addColorStop(1, "#000");
    context.fillStyle = glow;
    context.fillRect(0, 0, size, size);
  });
  return pixelsOf(canvas, size, size);
}

function show(canvas, { data, width, height }) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
}

/** One channel as gray levels, from its least value to its greatest. */
function grayLevels(plane, low, high, size) {
  const data = new Uint8ClampedArray(4 * plane.length).fill(255);
  const scale = high > low ? 255 / (high - low) : 0;
  plane.forEach((value, i) => {
    data.fill((value - low) * scale, 4 * i, 4 * i + 3);
  });
  return { data, width: size, height: size };
}

function update() {
  const scale = imagePresets[element("preset").value];
  const size = Number(element("size").value);
  const start = performance.now();
  const x = imageToTensor(image, { ...scale, resize: { width: size, height: size } });
  const time = performance.now() - start;
  show(element("restored"), tensorToImage(x, scale));

  // The same pixels as rows of r, g and b: the scalers' columns are the channels.
  const { data } = imageToTensor(image, { ...scale, resize: { width: size, height: size }, layout: "channels-last" });
  const rows = { data, shape: [size * size, 3] };
  const moments = new StandardScaler().fit(rows);
  const range = new MinMaxScaler().fit(rows);
  const lines = CHANNELS.map((channel, c) => {
    const [low, high] = [range.dataMin[c], range.dataMax[c]];
    const plane = x.data.subarray(c * size * size, (c + 1) * size * size);
    show(element(`channel${c}`), grayLevels(plane, low, high, size));
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = channel;
    line.append(head);
    for (const value of [moments.mean[c], Math.sqrt(moments.variance[c]), low, high]) {
      line.insertCell().textContent = value.toFixed(3);
    }
    return line;
  });
  element("statistics").replaceChildren(...lines);
  element("caption").textContent = `[${x.shape.join(", ")}] in ${time.toFixed(1)} ms`;
}

async function open(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const shrink = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * shrink)));
    image = pixelsOf(bitmap, width, height);
    element("message").textContent = `${file.name}, ${bitmap.width} × ${bitmap.height}`;
    bitmap.close();
    update();
  } catch {
    element("message").textContent = `${file.name} is not an image that this browser can read`;
  }
}

const drop = element("drop");
element("file").addEventListener("change", ({ target }) => target.files[0] && open(target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) open(file);
  });
}
for (const id of ["preset", "size"]) element(id).addEventListener("change", update);

image = sample();
update();
