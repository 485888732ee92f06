// The panel of one neuron: its formula with the numbers in it, weights, gradient, and histogram of z.

import { colorOf, contextOf, largestOf, theme } from "./colors.js";
import { paintNumbers, planeAtlas, shapeOf } from "./pictures.js";
import { showStory } from "./story.js";
import { byId, count, element, figure, inputName, named, percent, sum } from "./text.js";

const MOST_BARS = 16;
const MOST_POINTS = 400;

/** Shows the neuron of a frame: what the server says of it, of the example, of the epoch and of the plane. */
export function showNeuron(run, { neuron, example, epoch, plane }) {
  const { layer, neuron: number } = neuron;
  byId("neuron-title").textContent = `neuron ${number} of layer ${layer}`;
  byId("neuron-hint").hidden = true;
  byId("neuron-body").hidden = false;
  const numbers = example.layers[layer - 1];
  const [z, a, dz] = [numbers.z[number - 1], numbers.a[number - 1], numbers.dz?.[number - 1]];
  const source = layer === 1 ? "x" : "a of layer " + (layer - 1);
  byId("formula").replaceChildren(
    element("p", `z = w · ${layer === 1 ? "x" : "a"} + b = ${sum(z === null ? null : z - neuron.b, neuron.b)} = ${figure(z)}`),
    element("p", `a = ${neuron.activation}(z) = ${figure(a)}`),
    element("p", `dz = ${figure(dz)}`),
    element("p", `b = ${figure(neuron.b)}, db = ${figure(neuron.db)}`),
  );
  const facts = epoch.layers[layer - 1];
  byId("activity").textContent =
    `For example ${example.index} (label ${named(example.label)}), with ${source} as input. ` +
    `Over the training set: active for ${percent(facts.active[number - 1])} of the examples, ` +
    `mean ${figure(facts.mean[number - 1])}, spread ${figure(facts.spread[number - 1])}` +
    `${facts.saturated?.[number - 1] ? `, saturated for ${percent(facts.saturated[number - 1])}` : ""}. ` +
    `dz is the derivative of this example's own cost; dw and db are those of the cost over all examples.`;
  byId("plane-part").hidden = !plane;
  if (plane) showPlane(run, plane, neuron, example);
  showWeights(run, neuron, example);
  byId("histogram-part").hidden = !neuron.histogram;
  if (neuron.histogram) showHistogram(neuron.histogram, z);
  showStory(layer, number, epoch.epoch);
  showExamples(neuron.examples, example.index);
  byId("weight-input").max = neuron.w.length;
}

export function hideNeuron() {
  byId("neuron-title").textContent = "Neuron";
  byId("neuron-hint").hidden = false;
  byId("neuron-body").hidden = true;
}

function showWeights(run, { layer, w, dw }, example) {
  const shape = layer === 1 ? shapeOf(run) : null;
  byId("pictures").hidden = !shape;
  byId("bars").hidden = Boolean(shape);
  const most = Math.min(w.length, MOST_BARS);
  byId("weights-title").textContent =
    shape || most === w.length ? `Weights w (${count(w.length)})` : `Largest ${most} of ${count(w.length)} weights w`;
  if (!shape) return showBars(run, layer, w, dw, layer === 1 ? example.x : example.layers[layer - 2].a);
  const parts = [["weights w", w]];
  if (dw) parts.push(["gradient dw", dw]);
  if (example.x) parts.push(["products w × x", w.map((weight, index) => weight * example.x[index])]);
  const figures = pictureSlots(parts.length);
  parts.forEach(([name, numbers], index) => {
    const [canvas, caption] = figures[index].children;
    const largest = largestOf(numbers);
    const most = numbers.some(Boolean) ? `±${figure(largest)}` : "0";
    paintNumbers(canvas, numbers, shape, largest);
    canvas.setAttribute("aria-label", `${name} as a picture`);
    caption.textContent = `${name}, largest ${most}`;
  });
}

function showPlane(run, plane, { layer, neuron, activation }, example) {
  const canvas = byId("plane");
  const side = canvas.clientWidth || 200;
  const context = contextOf(canvas, side, side);
  context.imageSmoothingEnabled = false;
  const { canvas: picture } = planeAtlas([plane.layers[layer - 1][neuron - 1]], plane.side, activation, 1);
  context.drawImage(picture, 0, 0, side, side);
  const at = (x, y) => [
    ((x - plane.x[0]) / (plane.x[1] - plane.x[0])) * side,
    (1 - (y - plane.y[0]) / (plane.y[1] - plane.y[0])) * side,
  ];
  const step = Math.ceil(plane.points.length / MOST_POINTS);
  for (let index = 0; index < plane.points.length; index += step) {
    const { x, y, label } = plane.points[index];
    dot(context, at(x, y), 2.5, fillOf(run, label));
  }
  if (example.x) {
    context.lineWidth = 3;
    dot(context, at(...example.x), 6, fillOf(run, example.label));
    context.lineWidth = 1;
  }
  canvas.setAttribute("aria-label", `What neuron ${neuron} of layer ${layer} answers over the plane, with the examples.`);
  const names = run.classes.length === 2 ? ` White is ${run.classes[1]}, black ${run.classes[0]}.` : "";
  byId("plane-note").textContent = `Dots: training examples; the large one is the chosen example.${names}`;
}

/** Two classes are black and white, more have hues; numbers have none. */
function fillOf({ classes }, label) {
  const index = classes.indexOf(label);
  if (classes.length <= 2) return index === 0 ? "#000" : "#fff";
  return `hsl(${(360 * index) / classes.length} 80% 55%)`;
}

function dot(context, [x, y], radius, fill) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.strokeStyle = fill === "#000" ? "#fff" : "#000";
  context.stroke();
}

/** The figures are made once and painted again. */
function pictureSlots(wanted) {
  const box = byId("pictures");
  while (box.children.length > wanted) box.lastChild.remove();
  while (box.children.length < wanted) {
    const slot = element("figure");
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    slot.append(canvas, element("figcaption"));
    box.append(slot);
  }
  return box.children;
}

function showBars(run, layer, w, dw, inputs) {
  const order = w.map((_, index) => index).sort((one, other) => Math.abs(w[other]) - Math.abs(w[one]));
  const shown = order.slice(0, MOST_BARS);
  const rows = barRows(shown.length);
  const largest = largestOf(w);
  shown.forEach((index, row) => {
    const [name, input, number, picture, gradient] = rows[row].children;
    name.textContent = layer === 1 ? inputName(run, index) : `a${index + 1}`;
    input.textContent = inputs ? figure(inputs[index]) : "";
    number.textContent = figure(w[index]);
    gradient.textContent = figure(dw?.[index]);
    bar(picture.firstChild, w[index] / largest);
  });
}

function barRows(wanted) {
  const box = byId("bars");
  if (!box.firstChild) {
    const table = element("table");
    const head = element("tr");
    for (const name of ["input", "value", "w", "", "dw"]) {
      head.append(name ? element("th", name, { scope: "col" }) : element("td"));
    }
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    box.append(table);
  }
  const body = box.querySelector("tbody");
  while (body.children.length > wanted) body.lastChild.remove();
  while (body.children.length < wanted) {
    const row = element("tr");
    for (let cell = 0; cell < 5; cell += 1) row.append(element("td"));
    const canvas = element("canvas");
    canvas.setAttribute("aria-hidden", "true");
    row.children[3].append(canvas);
    body.append(row);
  }
  return body.children;
}

function bar(canvas, share) {
  const context = contextOf(canvas, 72, 13);
  const colors = theme();
  const end = 36 + 35 * share;
  context.fillStyle = share < 0 ? colors.minus : colors.plus;
  context.fillRect(Math.min(36, end), 2, Math.abs(end - 36), 9);
  context.fillStyle = colors.dim;
  context.fillRect(35.5, 0, 1, 13);
}

function showHistogram({ edges, counts }, z) {
  const canvas = byId("histogram");
  const [width, height] = [canvas.clientWidth || 300, canvas.clientHeight || 120];
  const context = contextOf(canvas, width, height);
  const colors = theme();
  const lowest = Math.min(edges[0], z);
  const highest = Math.max(edges.at(-1), z);
  const x = (value) => 4 + ((value - lowest) / (highest - lowest || 1)) * (width - 8);
  const most = Math.max(1, ...counts);
  const floor = height - 18;
  const largest = Math.max(Math.abs(lowest), Math.abs(highest)) || 1;
  counts.forEach((number, index) => {
    const high = (number / most) * (floor - 16);
    context.fillStyle = colorOf((edges[index] + edges[index + 1]) / 2 / largest);
    const left = x(edges[index]);
    const across = Math.max(1, x(edges[index + 1]) - left - 1);
    context.fillRect(left, floor - high, across, high);
    context.strokeStyle = colors.edge;
    if (number) context.strokeRect(left, floor - high, across, high);
  });
  context.fillStyle = colors.dim;
  context.fillRect(0, floor, width, 1);
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillText(figure(lowest), 2, height - 4);
  context.textAlign = "right";
  context.fillText(figure(highest), width - 2, height - 4);
  context.fillStyle = colors.text;
  context.fillRect(x(z) - 1, 12, 2, floor - 12);
  context.textAlign = x(z) > width / 2 ? "right" : "left";
  context.fillText(`z = ${figure(z)}`, x(z) + (x(z) > width / 2 ? -4 : 4), 11);
  const total = counts.reduce((sum, number) => sum + number, 0);
  canvas.setAttribute(
    "aria-label",
    `Histogram of z over ${count(total)} examples, from ${figure(edges[0])} to ${figure(edges.at(-1))}; the chosen example has ${figure(z)}.`,
  );
}

function showExamples(examples, chosen) {
  const body = byId("examples");
  while (body.children.length > examples.length) body.lastChild.remove();
  while (body.children.length < examples.length) {
    const row = element("tr");
    for (let cell = 0; cell < 5; cell += 1) row.append(element("td"));
    body.append(row);
  }
  examples.forEach((one, index) => {
    const row = body.children[index];
    row.className = one.index === chosen ? "chosen" : "";
    [one.index, named(one.label), figure(one.z), figure(one.a), figure(one.dz)].forEach((text, cell) => {
      row.children[cell].textContent = text;
    });
  });
}
