/**
 * The windows of a two-dimensional convolution as columns of a matrix, and the sum that goes back.
 *
 * Formula: rowPatches y[(c·kh + i)·kw + j, oy·outW + ox] = x(c, oy·strideY + i·dilationY − padY, ox·strideX +
 *   j·dilationX − padX), 0 outside; rowPatchesAdd adds each y to its place in x.
 * Shapes: y [channels·kh·kw, outH·outW]; element (c, row, column) of x [channels, height, width] is at c·channelStep +
 *   row·rowStep + column·columnStep, so that either layout can be read. y may not overlap x.
 * Error: rowPatches is exact; rowPatchesAdd adds at most kh·kw terms to an element, in order, in T.
 */
import { v } from "../vec";

/** The first ox for which ox·stride + shift ≥ least, at most limit. */
function firstAt(least: i32, shift: i32, stride: i32, limit: i32): i32 {
  const need = least - shift;
  if (need <= 0) return 0;
  const ox = (need + stride - 1) / stride;
  return ox < limit ? ox : limit;
}

/** y[i] = x[i·step] for i < n. */
function gather<T>(y: usize, x: usize, n: i32, step: i32): void {
  const stepBytes = <usize>step * sizeof<T>();
  const end = y + <usize>n * sizeof<T>();
  for (; y < end; y += sizeof<T>(), x += stepBytes) store<T>(y, load<T>(x));
}

/** x[i·step] += y[i] for i < n. */
function scatter<T>(x: usize, y: usize, n: i32, step: i32): void {
  const stepBytes = <usize>step * sizeof<T>();
  const end = y + <usize>n * sizeof<T>();
  for (; y < end; y += sizeof<T>(), x += stepBytes) {
    store<T>(x, v.oneNaNOf<T>(<T>(load<T>(x) + load<T>(y))));
  }
}

/** x[i] += y[i] for i < n. */
function add<T>(x: usize, y: usize, n: i32): void {
  const end = x + v.wholeBytes<T>(n);
  for (; x < end; x += 16, y += 16) v.store(x, v.oneNaN<T>(v.add<T>(v.load(x), v.load(y))));
  const rest = n & (v.lanes<T>() - 1);
  if (rest) v.storeHead<T>(x, v.oneNaN<T>(v.add<T>(v.load(x), v.load(y))), rest);
}

/** One row of y, all windows of one tap; `back` adds it to x. */
function tap<T>(
  y: usize,
  x: usize,
  height: i32,
  width: i32,
  outH: i32,
  outW: i32,
  strideY: i32,
  strideX: i32,
  shiftY: i32,
  shiftX: i32,
  rowStep: i32,
  columnStep: i32,
  back: bool,
): void {
  const rowBytes = <usize>outW * sizeof<T>();
  const from = firstAt(0, shiftX, strideX, outW);
  const to = firstAt(width, shiftX, strideX, outW);
  const step = strideX * columnStep;
  for (let oy = 0; oy < outH; oy++, y += rowBytes) {
    const row = oy * strideY + shiftY;
    if (row < 0 || row >= height || from >= to) {
      if (!back) memory.fill(y, 0, rowBytes);
      continue;
    }
    const inside = y + <usize>from * sizeof<T>();
    const at = x + <usize>(row * rowStep + (from * strideX + shiftX) * columnStep) * sizeof<T>();
    const n = to - from;
    if (back) {
      if (step == 1) add<T>(at, inside, n);
      else scatter<T>(at, inside, n, step);
      continue;
    }
    memory.fill(y, 0, <usize>from * sizeof<T>());
    memory.fill(y + <usize>to * sizeof<T>(), 0, <usize>(outW - to) * sizeof<T>());
    if (step == 1) memory.copy(inside, at, <usize>n * sizeof<T>());
    else gather<T>(inside, at, n, step);
  }
}

function movePatches<T>(
  y: usize,
  x: usize,
  channels: i32,
  height: i32,
  width: i32,
  kh: i32,
  kw: i32,
  outH: i32,
  outW: i32,
  strideY: i32,
  strideX: i32,
  padY: i32,
  padX: i32,
  dilationY: i32,
  dilationX: i32,
  channelStep: i32,
  rowStep: i32,
  columnStep: i32,
  back: bool,
): void {
  const bytes = <usize>(outH * outW) * sizeof<T>();
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        tap<T>(
          y,
          x,
          height,
          width,
          outH,
          outW,
          strideY,
          strideX,
          i * dilationY - padY,
          j * dilationX - padX,
          rowStep,
          columnStep,
          back,
        );
        y += bytes;
      }
    }
    x += <usize>channelStep * sizeof<T>();
  }
}

export function rowPatches<T>(
  y: usize,
  x: usize,
  channels: i32,
  height: i32,
  width: i32,
  kh: i32,
  kw: i32,
  outH: i32,
  outW: i32,
  strideY: i32,
  strideX: i32,
  padY: i32,
  padX: i32,
  dilationY: i32,
  dilationX: i32,
  channelStep: i32,
  rowStep: i32,
  columnStep: i32,
): void {
  movePatches<T>(
    y,
    x,
    channels,
    height,
    width,
    kh,
    kw,
    outH,
    outW,
    strideY,
    strideX,
    padY,
    padX,
    dilationY,
    dilationX,
    channelStep,
    rowStep,
    columnStep,
    false,
  );
}

export function rowPatchesAdd<T>(
  x: usize,
  y: usize,
  channels: i32,
  height: i32,
  width: i32,
  kh: i32,
  kw: i32,
  outH: i32,
  outW: i32,
  strideY: i32,
  strideX: i32,
  padY: i32,
  padX: i32,
  dilationY: i32,
  dilationX: i32,
  channelStep: i32,
  rowStep: i32,
  columnStep: i32,
): void {
  movePatches<T>(
    y,
    x,
    channels,
    height,
    width,
    kh,
    kw,
    outH,
    outW,
    strideY,
    strideX,
    padY,
    padX,
    dilationY,
    dilationX,
    channelStep,
    rowStep,
    columnStep,
    true,
  );
}
