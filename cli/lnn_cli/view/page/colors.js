// One scale for every signed number: dark blue, gray, light yellow. Its lightness only rises, so it reads in gray too.

const MINUS = [22, 36, 120];
const ZERO = [140, 150, 147];
const PLUS = [255, 214, 94];
const STEPS = 256;

const table = new Uint8ClampedArray(STEPS * 3);
for (let step = 0; step < STEPS; step += 1) {
  const share = (step / (STEPS - 1)) * 2 - 1;
  const end = share < 0 ? MINUS : PLUS;
  // A power below 1 keeps small values apart from 0.
  const strength = Math.abs(share) ** 0.8;
  for (let part = 0; part < 3; part += 1) table[step * 3 + part] = ZERO[part] + (end[part] - ZERO[part]) * strength;
}

const at = (share) => 3 * Math.round((Math.max(-1, Math.min(1, share || 0)) + 1) * 0.5 * (STEPS - 1));

/** CSS color of a share from -1 to 1. */
export function colorOf(share) {
  const start = at(share);
  return `rgb(${table[start]},${table[start + 1]},${table[start + 2]})`;
}

/** Writes the color of a share into pixel `index` of an ImageData's array. */
export function paintPixel(pixels, index, share) {
  const start = at(share);
  pixels[index * 4] = table[start];
  pixels[index * 4 + 1] = table[start + 1];
  pixels[index * 4 + 2] = table[start + 2];
  pixels[index * 4 + 3] = 255;
}

/** The page's own colors, which differ in dark mode. */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const names = ["back", "card", "text", "dim", "line", "edge", "accent", "plus", "minus"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

export function largestOf(values) {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest || 1;
}

/** Sets the canvas to its box in device pixels and returns a context that draws in CSS pixels. */
export function contextOf(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

export function paintScale(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x += 1) {
    context.fillStyle = colorOf((x / (canvas.width - 1)) * 2 - 1);
    context.fillRect(x, 0, 1, canvas.height);
  }
}
