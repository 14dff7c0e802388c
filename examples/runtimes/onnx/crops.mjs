/** Lines of text as a text detector would cut them out of a page: drawn here, upright or turned by 180°. */
import { fileURLToPath } from "node:url";
import { createCanvas, GlobalFonts } from "@napi-rs/canvas";

const WIDTH = 384;
const HEIGHT = 96;
const MARGIN = 14;
const STYLES = ["300-normal", "400-normal", "400-italic", "700-normal"];
const PLACES = ["Garden", "Harbour", "Library", "Market", "Museum", "Terminal"];
const THINGS = ["Exit 12", "Level B", "Gate", "Street", "Hall", "Tickets", "No. 407"];

for (const style of STYLES) {
  const file = import.meta.resolve(`@fontsource/roboto/files/roboto-latin-${style}.woff2`);
  GlobalFonts.registerFromPath(fileURLToPath(file), `Roboto ${style}`);
}

/** The pixels of one line, which fills the crop from left to right. */
function draw(text, style, turned) {
  const canvas = createCanvas(WIDTH, HEIGHT);
  const context = canvas.getContext("2d");
  context.fillStyle = "#f4f1ea";
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = "#22252b";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.translate(WIDTH / 2, HEIGHT / 2);
  if (turned) context.rotate(Math.PI);
  context.font = `100px "Roboto ${style}"`;
  const size = Math.min(64, (100 * (WIDTH - 2 * MARGIN)) / context.measureText(text).width);
  context.font = `${size}px "Roboto ${style}"`;
  context.fillText(text, 0, 0);
  return context.getImageData(0, 0, WIDTH, HEIGHT);
}

/** Every text in every style, each upright (label 0) and turned (label 1). */
export function makeCrops() {
  const texts = PLACES.flatMap((place) => THINGS.map((thing) => `${place} ${thing}`));
  return texts.flatMap((text) =>
    STYLES.flatMap((style) =>
      [0, 1].map((label) => {
        const { data, width, height } = draw(text, style, label === 1);
        return { text, style, label, image: { data, width, height } };
      }),
    ),
  );
}

/** The image as a bad scan has it: each byte v becomes `contrast`·v + `brightness`. */
export function faded({ data, width, height }, { contrast, brightness }) {
  const bytes = data.map((value, i) => (i % 4 === 3 ? value : contrast * value + brightness));
  return { data: bytes, width, height };
}
