// How one neuron changed over the epochs that the page has seen. It costs no question to the server.

import { contextOf, theme } from "./colors.js";
import { byId, count, figure } from "./text.js";

const seen = new Map();

/** Keeps, of every neuron, the length of w, and b; a layer with too many weights has no length. */
export function remember({ epoch, layers }) {
  if (seen.has(epoch)) return;
  const lengths = layers.map(({ weights }) => weights?.map((row) => Math.hypot(...row)));
  seen.set(epoch, { lengths, biases: layers.map(({ biases }) => biases) });
}

/** Draws |w| and b of a neuron over the epochs seen, with a marker at the epoch shown. */
export function showStory(layer, neuron, epoch) {
  const epochs = [...seen.keys()].sort((one, other) => one - other);
  const of = (numbers) => numbers[layer - 1]?.[neuron - 1];
  const lengths = epochs.map((one) => of(seen.get(one).lengths)).filter(Number.isFinite);
  const biases = epochs.map((one) => of(seen.get(one).biases));
  const canvas = byId("story");
  const said = [`b ${change(biases)}`];
  if (lengths.length) said.unshift(`|w| ${change(lengths)}`);
  const known = epochs.length === 1 ? "1 epoch seen" : `${count(epochs.length)} epochs seen`;
  byId("story-note").textContent = `${known}: ${said.join(" (solid), ")} (dashed). Play shows more of them.`;
  canvas.setAttribute("aria-label", `Over ${known}: ${said.join(", ")}`);

  const [width, height] = [canvas.clientWidth || 300, canvas.clientHeight || 90];
  const context = contextOf(canvas, width, height);
  const colors = theme();
  const lowest = Math.min(0, ...biases);
  const highest = Math.max(0, ...biases, ...lengths) || 1;
  const last = Math.max(1, epochs.at(-1));
  // The epochs to step through are spaced by their logarithm: so is the axis.
  const x = (one) => 4 + (Math.log1p(one) / Math.log1p(last)) * (width - 8);
  const y = (value) => 6 + (1 - (value - lowest) / (highest - lowest)) * (height - 12);
  context.fillStyle = colors.line;
  context.fillRect(0, y(0), width, 1);
  context.fillStyle = colors.text;
  context.fillRect(x(epoch), 0, 1, height);
  context.lineWidth = 2;
  if (lengths.length) trace(context, epochs, lengths, x, y, colors.accent, []);
  trace(context, epochs, biases, x, y, colors.plus, [6, 3]);
}

const change = (values) =>
  values.length === 1 ? figure(values[0]) : `from ${figure(values[0])} to ${figure(values.at(-1))}`;

function trace(context, epochs, values, x, y, color, dash) {
  context.strokeStyle = color;
  context.fillStyle = color;
  context.setLineDash(dash);
  context.beginPath();
  epochs.forEach((epoch, index) => context.lineTo(x(epoch), y(values[index])));
  context.stroke();
  context.setLineDash([]);
  if (epochs.length < 20) epochs.forEach((epoch, index) => context.fillRect(x(epoch) - 2, y(values[index]) - 2, 4, 4));
}
