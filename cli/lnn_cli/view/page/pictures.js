// Small pictures: an example, weights, and heat maps over the plane of two features.

import { largestOf, paintPixel } from "./colors.js";

const ATLAS_COLUMNS = 32;

/** [height, width, channels] of the run's pictures, or null. */
export function shapeOf(run) {
  if (!run.image_shape) return null;
  const [height, width, channels = 1] = run.image_shape;
  return height * width * channels === run.sizes[0] ? [height, width, channels] : null;
}

/** Canvas of an example, from its darkest value in black to its lightest in white. */
export function examplePicture(x, [height, width, channels]) {
  const canvas = sized(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  let lowest = Infinity;
  let highest = -Infinity;
  for (const value of x) {
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  const scale = 255 / (highest - lowest || 1);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let part = 0; part < 3; part += 1) {
      const value = x[pixel * channels + (channels >= 3 ? part : 0)];
      image.data[pixel * 4 + part] = (value - lowest) * scale;
    }
    image.data[pixel * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Draws signed numbers of a picture's shape onto the canvas; the channels of a pixel are summed. */
export function paintNumbers(canvas, numbers, [height, width, channels], largest = largestOf(numbers)) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  fill(image, width, 0, 0, numbers, [height, width, channels], 0, largest);
  context.putImageData(image, 0, 0);
}

/** One canvas with the weights of every neuron as a picture, and where each one is. */
export function weightAtlas(weights, shape, largest, most) {
  return atlas(weights.slice(0, most), shape, (_) => 0, (_) => largest);
}

/** One canvas with the heat map of every neuron of a layer. The server's first row is the lowest y. */
export function planeAtlas(layer, side, activation, most) {
  const middle = activation === "sigmoid" || activation === "softmax" ? 0.5 : 0;
  const flipped = layer.slice(0, most).map((values) => {
    const rows = [];
    for (let row = side - 1; row >= 0; row -= 1) rows.push(...values.slice(row * side, (row + 1) * side));
    return rows;
  });
  const largest = (values) => (middle ? middle : largestOf(values));
  return atlas(flipped, [side, side, 1], () => middle, largest);
}

function atlas(pictures, shape, middleOf, largestOfOne) {
  const [height, width] = shape;
  const columns = Math.min(ATLAS_COLUMNS, pictures.length);
  const canvas = sized(width * columns, height * Math.ceil(pictures.length / columns));
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  pictures.forEach((numbers, index) => {
    const left = (index % columns) * width;
    const top = Math.floor(index / columns) * height;
    fill(image, canvas.width, left, top, numbers, shape, middleOf(numbers), largestOfOne(numbers));
  });
  context.putImageData(image, 0, 0);
  const place = (index) => [(index % columns) * width, Math.floor(index / columns) * height, width, height];
  return { canvas, place };
}

function fill(image, stride, left, top, numbers, [height, width, channels], middle, largest) {
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const first = (row * width + column) * channels;
      let value = numbers[first];
      for (let part = 1; part < channels; part += 1) value += numbers[first + part];
      paintPixel(image.data, (top + row) * stride + left + column, (value - middle) / largest);
    }
  }
}

function sized(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}
