// The page: keeps what is chosen, asks the server for it, and hands it to the parts that draw.

import { askWhatIf, readEpoch, readExample, readNeuron, readPlane, readRun, Trouble } from "./api.js";
import { paintScale } from "./colors.js";
import { Curves } from "./curves.js";
import { Lambdas } from "./invocations.js";
import { NetworkView } from "./network.js";
import { hideNeuron, showNeuron } from "./neuron.js";
import { shapeOf } from "./pictures.js";
import "./share.js";
import { listenToSteps, showSteps } from "./stepping.js";
import { remember } from "./story.js";
import { byId, count, element, figure, named, score, scoreName } from "./text.js";

const STEP_MS = 125;
const POLL_MS = 1000;
const SETTLED_MS = 200;
const SLOW_MS = 700;

const chosen = { position: 0, example: null, neuron: null, off: new Set(), weights: new Map() };
let run = null;
let frame = null;
let playing = false;
let changed = null;
let asked = 0;
let reading = null;
let settling = 0;
let turns = 0;

const network = new NetworkView(byId("box"), byId("canvas"), byId("neurons"), choose);
const lambdas = new Lambdas(network);
const curves = new Curves(byId("curves"), (epoch) => {
  pause();
  show(nearest(epoch));
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function say(text) {
  byId("status").textContent = text;
}

/** Runs `work` and shows its failure as text. */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    pause();
    if (!(error instanceof Trouble)) throw error;
    say(error.message);
    return null;
  }
}

// The run

function facts() {
  const going = !run.has_ended;
  const kind = run.status === "FAILED" ? "bad" : going ? "going" : "";
  byId("facts").replaceChildren(
    element("span", `Run ${run.run_id}`),
    element("span", run.status, { className: `pill ${kind}` }),
    element("span", `strategy ${run.strategy}`),
    element("span", `epoch ${count(run.epoch)} of ${count(run.epochs)}`),
    element("span", `layers ${run.sizes.map(count).join("-")}`),
  );
  byId("follow-label").hidden = !going;
}

/** Takes a newer account of the run in; the layout and the lists are made once. */
function take(newer) {
  const first = run === null;
  const epoch = first ? null : epochShown();
  const isLast = !first && chosen.position === run.epochs_shown.length - 1;
  const follows = isLast && byId("follow").checked && !playing;
  run = newer;
  if (!first && !follows) stay(epoch);
  byId("epoch").max = run.epochs_shown.length - 1;
  facts();
  showSteps(run);
  if (first) begin();
  curves.show(run);
  lambdas.take(run);
  if (first) show(startPosition());
  else if (follows && run.epochs_shown.at(-1) !== epoch) show(run.epochs_shown.length - 1);
  else mark();
}

/** The epochs to step through change while a run goes on: the one that is looked at stays among them. */
function stay(epoch) {
  run.epochs_shown = [...new Set([...run.epochs_shown, epoch])].sort((one, other) => one - other);
  chosen.position = run.epochs_shown.indexOf(epoch);
}

function begin() {
  document.title = `${run.run_id} - lnn view`;
  byId("example").replaceChildren(
    ...run.probes.map(({ index, label }) => element("option", `${index}: ${named(label)}`, { value: index })),
  );
  chosen.example = run.probes[0]?.index ?? 0;
  byId("go-layer").replaceChildren(
    ...run.sizes.slice(1).map((units, index) => element("option", `${index + 1}`, { value: index + 1 })),
  );
  restore();
  fillIn();
  network.show(run);
  let width = byId("box").clientWidth;
  new ResizeObserver(() => {
    if (byId("box").clientWidth === width) return;
    width = byId("box").clientWidth;
    network.show(run);
    curves.show(run);
    mark();
  }).observe(byId("box"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
}

function tileLegend() {
  if (frame.plane) return "Tile: activation over the plane of both features. Its frame: activation for the example.";
  const shape = shapeOf(run);
  if (!shape || !frame.epoch.layers[0].weights) return "Tile: activation for the example.";
  const sum = shape[2] > 1 ? ", summed over the colors" : "";
  return (
    `Tile in layer 1: weights as a picture${sum}, framed in the color of the activation for the example. ` +
    "Tile in a later layer: that activation."
  );
}

/** What changes as a run goes on. */
const stateOf = (of) => of && `${of.status} ${of.has_ended} ${of.epoch} ${of.history.length} ${JSON.stringify(of.step)}`;

async function poll() {
  for (let lost = false; !run?.has_ended; ) {
    await sleep(POLL_MS);
    const newer = await attempt(readRun);
    if (newer && lost) say("");
    lost = !newer;
    if (newer && stateOf(newer) !== stateOf(run)) take(newer);
  }
}

// The epoch and the example

const epochShown = () => run.epochs_shown[chosen.position] ?? 0;

function nearest(epoch) {
  const far = (position) => Math.abs(run.epochs_shown[position] - epoch);
  return run.epochs_shown.reduce((best, _, position) => (far(position) < far(best) ? position : best), 0);
}

async function read(position) {
  const epoch = run.epochs_shown[position];
  const { example, neuron } = chosen;
  const [ofEpoch, ofExample, plane, ofNeuron] = await Promise.all([
    readEpoch(epoch),
    readExample(epoch, example),
    run.sizes[0] === 2 ? readPlane(epoch) : null,
    neuron ? readNeuron(epoch, ...neuron, examplesAsked(example)) : null,
  ]);
  return { epoch: ofEpoch, example: ofExample, plane, neuron: ofNeuron };
}

function examplesAsked(example) {
  const probes = run.probes.map(({ index }) => index);
  return probes.includes(example) ? probes : [example, ...probes];
}

/** Shows the epoch at this position of the slider, or what has been chosen since it was asked for. */
function show(position) {
  chosen.position = Math.max(0, Math.min(run.epochs_shown.length - 1, position));
  mark();
  asked += 1;
  reading ??= refresh().finally(() => (reading = null));
  return reading;
}

/** One question at a time: the server computes one after the other, and a slider that is dragged asks for many. */
async function refresh() {
  for (let ask = 0; ask !== asked; ) {
    ask = asked;
    const waiting = setTimeout(() => say(`The local server computes epoch ${count(epochShown())}.`), SLOW_MS);
    const next = await attempt(() => read(chosen.position));
    clearTimeout(waiting);
    if (!next || ask !== asked) continue;
    say("");
    frame = next;
    remember(frame.epoch);
    changed = null;
    redraw();
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLED_MS);
  }
}

/** What waits until the slider rests: browsers refuse addresses that change too often. */
function settle() {
  keep();
  whatIf();
  lambdas.list(epochShown(), chosen.neuron);
}

function mark() {
  const label = `epoch ${count(epochShown())} of ${count(run.epochs)}`;
  byId("epoch-label").textContent = label;
  byId("epoch").value = chosen.position;
  byId("epoch").setAttribute("aria-valuetext", label);
  byId("previous").disabled = chosen.position === 0;
  byId("next").disabled = chosen.position >= run.epochs_shown.length - 1;
  curves.mark(epochShown());
}

function redraw() {
  if (!frame) return;
  network.draw({ ...frame, chosen: chosen.neuron, off: chosen.off, changed });
  byId("canvas").dataset.epoch = String(frame.epoch.epoch);
  const { example } = frame;
  byId("legend-tiles").textContent = tileLegend();
  byId("example").value = String(chosen.example);
  const answer = changed?.answer ?? example.answer;
  const verdict = changed || example.right === null ? "" : example.right ? ", right" : `, wrong: it is ${named(example.label)}`;
  byId("answer").textContent = `answer ${named(answer)}${verdict}`;
  if (frame.neuron && chosen.neuron) showNeuron(run, frame);
  else hideNeuron();
  showOff();
}

function stepExample(step) {
  const position = run.probes.findIndex(({ index }) => index === chosen.example);
  const next = run.probes[(position + step + run.probes.length) % run.probes.length];
  if (!next) return;
  chosen.example = next.index;
  show(chosen.position);
}

// Play

async function play() {
  if (playing) return pause();
  playing = true;
  const turn = ++turns;
  byId("play").textContent = "Pause";
  const last = () => run.epochs_shown.length - 1;
  if (chosen.position >= last()) chosen.position = -1;
  while (playing && turn === turns && chosen.position < last()) {
    const started = performance.now();
    await show(chosen.position + 1);
    if (chosen.position < last()) read(chosen.position + 1).catch(() => {}); // the next step says what failed
    await sleep(Math.max(0, STEP_MS - (performance.now() - started)));
  }
  if (turn === turns) pause();
}

function pause() {
  playing = false;
  byId("play").textContent = "Play";
}

// The neuron

function choose(layer, neuron) {
  chosen.neuron = [layer, neuron];
  fillIn();
  show(chosen.position);
}

/** The form that chooses a neuron by its numbers shows the chosen one. */
function fillIn() {
  const [layer, neuron] = chosen.neuron ?? [1, 1];
  byId("go-layer").value = String(layer);
  byId("go-neuron").max = run.sizes[layer];
  byId("go-neuron").value = String(neuron);
}

// What if

const keyOf = ([layer, neuron]) => `${layer},${neuron}`;

function showOff() {
  if (chosen.neuron) {
    const isOutput = chosen.neuron[0] === run.sizes.length - 1;
    byId("off").disabled = isOutput;
    byId("off-hint").hidden = !isOutput;
    byId("off").textContent = chosen.off.has(keyOf(chosen.neuron)) ? "Switch this neuron on" : "Switch this neuron off";
  }
  const changes = [
    ...[...chosen.off].map((key) => {
      const [layer, neuron] = key.split(",");
      return `neuron ${neuron} of layer ${layer} is off`;
    }),
    ...[...chosen.weights.values()].map(({ layer, neuron, input, value, since }) => {
      const what = `${input ? `weight ${input}` : "bias"} of neuron ${neuron} of layer ${layer}`;
      return since === undefined ? `${what} is ${value}` : `${what} stays at ${figure(value)} from epoch ${count(since)} on`;
    }),
  ];
  byId("what-if").hidden = changes.length === 0;
  const list = byId("changes");
  if (list.dataset.said === changes.join()) return;
  list.dataset.said = changes.join();
  list.replaceChildren(...changes.map((text) => element("li", text)));
}

async function whatIf() {
  if (playing || !frame || chosen.off.size + chosen.weights.size === 0) return;
  const ask = asked;
  const of = frame;
  const change = {
    example: of.example.index,
    off: [...chosen.off].map((key) => key.split(",").map(Number)),
    weights: [...chosen.weights.values()].filter(({ since = 0 }) => since <= of.epoch.epoch),
  };
  const answer = await attempt(() => askWhatIf(of.epoch.epoch, change));
  if (!answer || ask !== asked || of !== frame) return;
  changed = answer;
  redraw();
  const parts = [["test", answer.before.test, answer.test], ["training", answer.before.train, answer.train]]
    .filter(([, before]) => before !== null && before !== undefined)
    .map(([name, before, after]) => `${name} ${scoreName(run)} ${score(run, before)} → ${score(run, after)}`);
  parts.push(`answer ${named(of.example.answer)} → ${named(answer.answer)}`);
  byId("outcome").textContent = parts.join(", ");
}

/** Sets the weight of the form's input into the chosen neuron; `since` is the first epoch that it holds for. */
function changeWeight(value, since) {
  const [layer, neuron] = chosen.neuron;
  const input = Number(byId("weight-input").value);
  chosen.weights.set(`${layer},${neuron},${input}`, { layer, neuron, input, value, since });
  change();
}

function change() {
  changed = null;
  asked += 1;
  byId("outcome").textContent = "";
  redraw();
  whatIf();
}

// The address keeps what is chosen, so that a reload shows the same.

function keep() {
  const parts = new URLSearchParams({ epoch: epochShown(), example: chosen.example });
  if (chosen.neuron) parts.set("neuron", keyOf(chosen.neuron));
  try {
    history.replaceState(null, "", `#${parts}`);
  } catch {
    // A page within a report has no address of its own.
  }
}

function restore() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const example = Number(parts.get("example") ?? NaN);
  if (run.probes.some(({ index }) => index === example)) chosen.example = example;
  const [layer, neuron] = (parts.get("neuron") ?? "").split(",").map(Number);
  if (layer >= 1 && neuron >= 1 && neuron <= (run.sizes[layer] ?? 0)) chosen.neuron = [layer, neuron];
}

function startPosition() {
  const epoch = new URLSearchParams(location.hash.slice(1)).get("epoch");
  return epoch === null || !run.has_ended ? run.epochs_shown.length - 1 : nearest(Number(epoch));
}

function listen() {
  const onClick = (id, work) => byId(id).addEventListener("click", work);
  byId("epoch").addEventListener("input", (event) => {
    pause();
    show(Number(event.target.value));
  });
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    onClick(id, () => {
      pause();
      show(chosen.position + step);
    });
  }
  onClick("play", play);
  onClick("example-previous", () => stepExample(-1));
  onClick("example-next", () => stepExample(1));
  byId("example").addEventListener("change", (event) => {
    chosen.example = Number(event.target.value);
    show(chosen.position);
  });
  byId("go-layer").addEventListener("change", (event) => (byId("go-neuron").max = run.sizes[event.target.value]));
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    choose(Number(byId("go-layer").value), Number(byId("go-neuron").value));
  });
  onClick("off", () => {
    const key = keyOf(chosen.neuron);
    if (!chosen.off.delete(key)) chosen.off.add(key);
    change();
  });
  byId("weight").addEventListener("submit", (event) => {
    event.preventDefault();
    changeWeight(Number(byId("weight-value").value));
  });
  onClick("freeze", () => {
    const input = Number(byId("weight-input").value);
    if (!frame.neuron || !byId("weight-input").reportValidity()) return;
    changeWeight(input ? frame.neuron.w[input - 1] : frame.neuron.b, frame.epoch.epoch);
  });
  onClick("back", () => {
    chosen.off.clear();
    chosen.weights.clear();
    change();
    byId(chosen.neuron ? "off" : "play").focus();
  });
}

paintScale(byId("scale"));
listen();
listenToSteps(async () => take(await readRun()), attempt);
const first = await attempt(readRun);
if (first) take(first);
await poll();
