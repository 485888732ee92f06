// The network on one canvas. Each epoch is drawn once into a scene; a frame copies scenes, and fades from one to the
// next. The neurons are real buttons above the canvas.

import { colorOf, contextOf, largestOf, theme } from "./colors.js";
import { strongest, strongestFrom, strongestInto } from "./edges.js";
import { arrange } from "./layout.js";
import { examplePicture, planeAtlas, shapeOf, weightAtlas } from "./pictures.js";
import { count, element, figure, fitted, inputName, named, percent } from "./text.js";

const EDGES = 120;
const EDGES_OF_ONE = 40;
const FADE_MS = 110;
const BOUNDED = new Set(["sigmoid", "softmax", "tanh"]);
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class NetworkView {
  #canvas;
  #box;
  #list;
  #onChoose;
  #run = null;
  #where = null;
  #scene = document.createElement("canvas");
  #before = null;
  #fadeStarted = 0;
  #waiting = false;
  #latest = null;
  #buttons = [];
  #context = null;

  /** `onChoose(layer, neuron)` hears of a click or of Enter; both count from 1. */
  constructor(box, canvas, list, onChoose) {
    [this.#box, this.#canvas, this.#list, this.#onChoose] = [box, canvas, list, onChoose];
    list.addEventListener("click", (event) => {
      const place = this.#placeOf(event.target);
      if (place) onChoose(...place);
    });
    list.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Lays the run out for the box's width; draws again what was shown. */
  show(run) {
    this.#run = run;
    this.#where = arrange(run, this.#box.clientWidth);
    const { width, height } = this.#where;
    this.#context = contextOf(this.#canvas, width, height);
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
    this.#before = null;
    this.#placeButtons();
    if (!this.#latest) return;
    this.draw(this.#latest);
    // At once: a canvas that was resized is empty, and a frame later is a flicker.
    this.#copy(performance.now());
  }

  /** Where everything stands; see layout.js. */
  get where() {
    return this.#where;
  }

  /** The epoch that is drawn. */
  get epoch() {
    return this.#latest?.epoch.epoch ?? 0;
  }

  /** Draws what `frame` holds: epoch, example, plane, chosen, off (a Set of "layer,neuron"), changed (answer, layers). */
  draw(frame) {
    const moved = this.#latest && this.#latest.epoch !== frame.epoch;
    this.#latest = frame;
    if (!this.#where) return;
    if (moved && !calm.matches) {
      const spare = this.#before ?? document.createElement("canvas");
      this.#before = this.#scene;
      this.#scene = spare;
      this.#fadeStarted = performance.now();
    } else {
      this.#before = null;
    }
    this.#drawScene(frame);
    this.#canvas.setAttribute("aria-label", describe(this.#run, frame));
    this.#press(frame.chosen);
    this.#ask();
  }

  #ask() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame((now) => {
      this.#waiting = false;
      this.#copy(now);
    });
  }

  #copy(now) {
    const { width, height } = this.#where;
    const share = this.#before ? Math.min(1, (now - this.#fadeStarted) / FADE_MS) : 1;
    const context = this.#context;
    context.clearRect(0, 0, width, height);
    if (share < 1 && this.#before.width) context.drawImage(this.#before, 0, 0, width, height);
    context.globalAlpha = share;
    context.drawImage(this.#scene, 0, 0, width, height);
    context.globalAlpha = 1;
    if (share < 1) this.#ask();
  }

  #drawScene(frame) {
    const { width, height } = this.#where;
    const colors = theme();
    const context = contextOf(this.#scene, width, height);
    // Opaque, so that a fade shows no mixture of both scenes and the page behind them.
    context.fillStyle = colors.card;
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    context.font = FONT;
    this.#drawEdges(context, frame, colors);
    this.#drawCaptions(context, colors);
    this.#drawInput(context, frame, colors);
    for (let layer = 1; layer < this.#run.sizes.length; layer += 1) this.#drawTiles(context, frame, layer, colors);
    this.#drawOutput(context, frame, colors);
  }

  #drawEdges(context, { epoch, chosen }, colors) {
    epoch.layers.forEach(({ weights, largest }, index) => {
      const layer = index + 1;
      this.#strokes(context, layer, strongest(weights, largest, EDGES), largest, colors, chosen ? 0.3 : 1);
      if (chosen && chosen[0] === layer) {
        this.#strokes(context, layer, strongestInto(weights, chosen[1] - 1, EDGES_OF_ONE), largest, colors, 1.3);
      }
      if (chosen && chosen[0] === index) {
        this.#strokes(context, layer, strongestFrom(weights, chosen[1] - 1, EDGES_OF_ONE), largest, colors, 1.3);
      }
    });
  }

  #strokes(context, layer, edges, largest, colors, strength) {
    for (const { input, neuron, weight } of edges) {
      const [fromX, fromY] = this.#where.place(layer - 1, input);
      const [toX, toY] = this.#where.place(layer, neuron);
      const share = Math.abs(weight) / largest;
      const middle = (fromX + toX) / 2;
      context.strokeStyle = weight < 0 ? colors.minus : colors.plus;
      context.setLineDash(weight < 0 ? [5, 3] : []);
      context.lineWidth = 0.5 + 2.5 * share;
      context.globalAlpha = Math.min(1, (0.12 + 0.6 * share) * strength);
      context.beginPath();
      context.moveTo(fromX, fromY);
      context.bezierCurveTo(middle, fromY, middle, toY, toX, toY);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  #drawCaptions(context, colors) {
    context.textAlign = "center";
    const centers = this.#where.columns.map(({ left, width }) => left + width / 2);
    const pitch = Math.min(...centers.slice(1).map((center, index) => center - centers[index])) - 6;
    this.#run.sizes.forEach((units, layer) => {
      const column = this.#where.columns[layer];
      const drawn = column.tiles?.length ?? units;
      const number = drawn < units ? `${count(drawn)} of ${count(units)}` : count(units);
      context.fillStyle = colors.text;
      const center = Math.max(layer ? 0 : 18, column.left + column.width / 2);
      const titles = layer ? [`layer ${layer}`, String(layer)] : ["input", "in"];
      context.fillText(longest(context, titles, pitch), center, 14);
      context.fillStyle = colors.dim;
      const kinds = layer ? [`${number} ${this.#run.activations[layer - 1]}`, number] : [number];
      context.fillText(longest(context, kinds, pitch), center, 30);
    });
  }

  #drawInput(context, { example }, colors) {
    const { picture, features, more } = this.#where.columns[0];
    context.strokeStyle = colors.edge;
    context.lineWidth = 1;
    if (picture) {
      const [width, height] = picture.size;
      context.fillStyle = colors.back;
      context.fillRect(picture.x, picture.y, width, height);
      if (example?.x) {
        context.drawImage(examplePicture(example.x, shapeOf(this.#run)), picture.x, picture.y, width, height);
      }
      context.strokeRect(picture.x, picture.y, width, height);
      return;
    }
    const largest = example?.x ? largestOf(example.x) : 1;
    features.forEach(({ x, y, size }, index) => {
      context.fillStyle = example?.x ? colorOf(example.x[index] / largest) : colors.back;
      context.beginPath();
      context.arc(x + size / 2, y + size / 2, size / 2, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      if (x < 22) return;
      context.fillStyle = colors.text;
      context.textAlign = "right";
      const name = more > 0 && index === features.length - 1 ? `+${count(more)}` : inputName(this.#run, index);
      context.fillText(fitted(context, name, x - 3), x - 3, y + size / 2 + 4);
    });
  }

  #drawTiles(context, frame, layer, colors) {
    const tiles = this.#where.columns[layer].tiles;
    const { weights, largest } = frame.epoch.layers[layer - 1];
    const answers = frame.changed?.layers[layer - 1]?.a ?? frame.example?.layers[layer - 1].a;
    const most = answers ? largestOf(answers) : 1;
    const activation = this.#run.activations[layer - 1];
    let atlas = null;
    if (frame.plane) {
      atlas = planeAtlas(frame.plane.layers[layer - 1], frame.plane.side, activation, tiles.length);
    } else if (layer === 1 && weights && shapeOf(this.#run)) {
      atlas = weightAtlas(weights, shapeOf(this.#run), largest, tiles.length);
    }
    tiles.forEach(({ x, y, size }, index) => {
      const shade = answers ? colorOf(shareOf(answers[index], activation, most, Boolean(frame.plane))) : colors.line;
      if (atlas) {
        context.drawImage(atlas.canvas, ...atlas.place(index), x, y, size, size);
        const frameWidth = Math.max(1, size / 12);
        context.lineWidth = frameWidth;
        context.strokeStyle = shade;
        context.strokeRect(x + frameWidth / 2, y + frameWidth / 2, size - frameWidth, size - frameWidth);
      } else {
        context.fillStyle = shade;
        context.fillRect(x, y, size, size);
      }
      context.lineWidth = 1;
      context.strokeStyle = colors.edge;
      context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
      if (frame.off.has(`${layer},${index + 1}`)) cross(context, x, y, size, colors);
    });
  }

  #drawOutput(context, { example, changed }, colors) {
    const layer = this.#run.sizes.length - 1;
    const tiles = this.#where.columns[layer].tiles;
    if (tiles[0].across > 1 || !example) return;
    const answers = changed?.layers[layer - 1]?.a ?? example.layers[layer - 1].a;
    const answer = named(changed?.answer ?? example.answer);
    const several = this.#run.classes.length === tiles.length;
    context.textAlign = "left";
    tiles.forEach(({ x, y, size }, index) => {
      const left = x + size + 6;
      const room = this.#where.width - left - 2;
      const name = several ? String(this.#run.classes[index]) : (this.#run.targets[index] ?? answer);
      const isAnswer = !several || name === answer;
      const share = this.#where.regression ? figure(answers[index]) : percent(answers[index]);
      const ofClass = several || this.#run.classes.length !== 2 ? share : `p(${this.#run.classes[1]}) ${share}`;
      context.font = isAnswer ? `bold ${FONT}` : FONT;
      context.fillStyle = isAnswer ? colors.text : colors.dim;
      const high = y + size / 2;
      if (size >= 30) {
        context.fillText(shortened(context, isAnswer && several ? `▸ ${name}` : name, room), left, high - 2);
        context.fillText(longest(context, [ofClass, share], room), left, high + 13);
      } else {
        const marked = `${isAnswer && several ? "▸ " : ""}${name}`;
        context.fillText(longest(context, [`${marked} ${share}`, marked], room), left, high + 4);
      }
    });
    context.font = FONT;
  }

  // The buttons

  #placeButtons() {
    const { columns } = this.#where;
    const fits = this.#buttons.length === columns.length - 1
      && this.#buttons.every((row, index) => row.length === columns[index + 1].tiles.length);
    if (!fits) this.#makeButtons();
    this.#buttons.forEach((row, index) => {
      row.forEach((button, position) => {
        const { x, y, size } = columns[index + 1].tiles[position];
        button.style.left = `${x}px`;
        button.style.top = `${y}px`;
        button.style.width = button.style.height = `${size}px`;
      });
    });
  }

  #makeButtons() {
    this.#buttons = [];
    const groups = this.#where.columns.slice(1).map((column, index) => {
      const group = element("div");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", `neurons of layer ${index + 1}`);
      const row = column.tiles.map((_, position) => {
        const button = element("button", undefined, { type: "button", tabIndex: index + position ? -1 : 0 });
        button.setAttribute("aria-label", `neuron ${position + 1} of layer ${index + 1}`);
        button.setAttribute("aria-pressed", "false");
        button.title = `neuron ${position + 1} of layer ${index + 1}`;
        button.dataset.place = `${index + 1},${position + 1}`;
        return button;
      });
      this.#buttons.push(row);
      group.append(...row);
      return group;
    });
    this.#list.replaceChildren(...groups);
  }

  #placeOf(target) {
    return target.dataset?.place?.split(",").map(Number);
  }

  #press(chosen) {
    for (const pressed of this.#list.querySelectorAll('[aria-pressed="true"]')) {
      pressed.setAttribute("aria-pressed", "false");
    }
    if (!chosen) return;
    const button = this.#buttons[chosen[0] - 1]?.[chosen[1] - 1];
    if (!button) return;
    button.setAttribute("aria-pressed", "true");
    this.#tabTo(button);
  }

  /** One tab stop for all neurons; the arrow keys move among them. */
  #tabTo(button) {
    for (const other of this.#list.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
  }

  #move(event) {
    const place = this.#placeOf(event.target);
    if (!place || event.altKey || event.ctrlKey || event.metaKey) return;
    let [layer, neuron] = [place[0] - 1, place[1] - 1];
    const { across } = this.#where.columns[layer + 1].tiles[neuron];
    const column = neuron % across;
    if (event.key === "ArrowDown") neuron += across;
    else if (event.key === "ArrowUp") neuron -= across;
    else if (event.key === "ArrowRight" && column < across - 1) neuron += 1;
    else if (event.key === "ArrowLeft" && column > 0) neuron -= 1;
    else if (event.key === "ArrowRight") [layer, neuron] = this.#beside(layer, neuron, 1);
    else if (event.key === "ArrowLeft") [layer, neuron] = this.#beside(layer, neuron, -1);
    else if (event.key === "Home") neuron = 0;
    else if (event.key === "End") neuron = this.#buttons[layer].length - 1;
    else return;
    event.preventDefault();
    const button = this.#buttons[layer]?.[neuron];
    if (!button) return;
    this.#tabTo(button);
    button.focus();
  }

  /** The neuron of the next layer at about the same height. */
  #beside(layer, neuron, step) {
    const tiles = this.#where.columns[layer + 1 + step]?.tiles;
    if (!tiles) return [layer, neuron];
    const { y } = this.#where.columns[layer + 1].tiles[neuron];
    const distance = (tile) => Math.abs(tile.y - y) * 1000 + (step > 0 ? tile.x : -tile.x);
    const nearest = tiles.reduce((best, tile, index) => (distance(tile) < distance(tiles[best]) ? index : best), 0);
    return [layer + step, nearest];
  }
}

function describe(run, { epoch, example, changed }) {
  const layers = run.sizes.slice(1).map((units, index) => `${units} ${run.activations[index]}`).join(", then ");
  const answer = example ? ` It answers ${named(changed?.answer ?? example.answer)} for example ${example.index}.` : "";
  return `The network after epoch ${count(epoch.epoch)}: ${run.sizes[0]} inputs, then ${layers}.${answer}`;
}

/** The first of the texts that fits; the last one shortened where none does. */
function longest(context, texts, room) {
  return texts.find((text) => context.measureText(text).width <= room) ?? shortened(context, texts.at(-1), room);
}

/** Share of the scale for an activation: bounded ones have their own scale, others that of the layer's largest. */
function shareOf(value, activation, largest, isPlane) {
  if (activation === "sigmoid" && isPlane) return 2 * value - 1;
  return BOUNDED.has(activation) ? value : value / largest;
}

function shortened(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length - 1;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
  return `${text.slice(0, end)}…`;
}

function cross(context, x, y, size, colors) {
  context.fillStyle = colors.card;
  context.globalAlpha = 0.6;
  context.fillRect(x, y, size, size);
  context.globalAlpha = 1;
  context.strokeStyle = colors.text;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + size, y + size);
  context.moveTo(x + size, y);
  context.lineTo(x, y + size);
  context.stroke();
}
