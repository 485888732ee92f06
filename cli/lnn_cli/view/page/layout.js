// Where everything of the network stands, in CSS pixels. Nothing here draws.

import { isRegression } from "./text.js";
import { shapeOf } from "./pictures.js";

export const MOST_TILES = 1024;
/** Height of the captions above the tiles. */
export const TOP = 42;
const MOST_FEATURES = 16;
const MOST_IN_COLUMN = 24;
const LARGEST_TILE = 56;
const LARGEST_GRID_TILE = 30;
const NARROWEST_COLUMN = 36;

/**
 * Tiles of every layer as {x, y, size}, the input column, and the size of the whole.
 * `place(layer, index)` is the center of input or neuron `index` (from 0) of a layer (0 is the input).
 */
export function arrange(run, boxWidth) {
  const layers = run.sizes.length - 1;
  const width = Math.max(boxWidth, NARROWEST_COLUMN * (layers + 1));
  const height = Math.round(Math.max(340, Math.min(560, width * 0.62)));
  const outputs = run.sizes.at(-1);
  const labels = outputs <= MOST_IN_COLUMN ? Math.min(120, Math.max(64, width * 0.13)) : 6;
  const free = height - TOP - 8;
  const shape = shapeOf(run);

  const shares = run.sizes.map((units, layer) => {
    if (layer === 0) return shape ? 1.6 : run.features.length ? 1.3 : 0.6;
    return units > MOST_IN_COLUMN ? 2.2 : 1;
  });
  const inner = width - labels - 12;
  const gap = (inner * 0.4) / layers;
  const part = (inner * 0.6) / shares.reduce((sum, share) => sum + share, 0);

  const columns = [];
  let left = 6;
  run.sizes.forEach((units, layer) => {
    const column = { left, width: part * shares[layer] };
    left += column.width + gap;
    if (layer === 0) Object.assign(column, inputColumn(column, units, shape, free));
    else column.tiles = tilesOf(column, Math.min(units, MOST_TILES), free, part);
    columns.push(column);
  });

  const place = (layer, index) => {
    if (layer === 0) return inputPlace(columns[0], index, shape);
    const tile = columns[layer].tiles[Math.min(index, columns[layer].tiles.length - 1)];
    return [tile.x + tile.size / 2, tile.y + tile.size / 2];
  };
  return { width, height, labels, columns, place, regression: isRegression(run) };
}

function inputColumn(column, units, shape, free) {
  const middle = TOP + free / 2;
  if (shape) {
    const [rows, across] = shape;
    const scale = Math.min(column.width / across, free / rows, 170 / Math.max(rows, across));
    const size = [across * scale, rows * scale];
    return { picture: { x: column.left + (column.width - size[0]) / 2, y: middle - size[1] / 2, size, scale } };
  }
  const shown = Math.min(units, MOST_FEATURES);
  const step = Math.min(48, free / shown);
  const size = Math.min(30, step - 4, column.width);
  const first = middle - (step * shown) / 2;
  const features = Array.from({ length: shown }, (_, index) => ({
    x: column.left + column.width - size,
    y: first + step * index + (step - size) / 2,
    size,
  }));
  return { features, more: units - shown };
}

function inputPlace(column, index, shape) {
  if (column.picture) {
    const [, across, channels] = shape;
    const pixel = Math.floor(index / channels);
    const { x, y, scale } = column.picture;
    return [x + ((pixel % across) + 0.5) * scale, y + (Math.floor(pixel / across) + 0.5) * scale];
  }
  const node = column.features[Math.min(index, column.features.length - 1)];
  return [node.x + node.size / 2, node.y + node.size / 2];
}

function tilesOf(column, units, free, part) {
  const folded = units > MOST_IN_COLUMN;
  const [across, step] = folded ? gridOf(units, column.width, free) : [1, Math.min(LARGEST_TILE + 12, free / units)];
  const size = folded ? step - 2 : Math.max(6, Math.min(LARGEST_TILE, part, step - Math.max(2, step * 0.14)));
  const down = Math.ceil(units / across);
  const left = column.left + (column.width - across * step) / 2;
  const top = TOP + (free - down * step) / 2;
  return Array.from({ length: units }, (_, index) => ({
    x: left + (index % across) * step + (step - size) / 2,
    y: top + Math.floor(index / across) * step + (step - size) / 2,
    size,
    across,
  }));
}

/** Tiles across and the largest step that fits. */
function gridOf(units, width, height) {
  let best = [1, 0];
  for (let across = 1; across <= units; across += 1) {
    const step = Math.min(LARGEST_GRID_TILE, width / across, height / Math.ceil(units / across));
    if (step > best[1]) best = [across, step];
  }
  return best;
}
