// The Lambdas at work: what the run has recorded of its invocations is played over the tiles. A tile is lit while its
// neuron's Lambda works and fades when that has ended; a bar goes from layer to layer when the Trainer does.

import { readInvocations, readInvocationsOf, readInvocationsOfNeuron, Trouble } from "./api.js";
import { contextOf } from "./colors.js";
import { byId, count, element, figure } from "./text.js";

const POLL_MS = 1000;
/** A run stores its records every two seconds, so the page plays them so much later. */
const LEAD_SECONDS = 0.5;
const MOST_BEHIND_SECONDS = 10;
const FADE_SECONDS = 0.6;
const PASS_SECONDS = 0.35;
const RATE_SECONDS = 2;
const SAY_MS = 500;
const CALM_MS = 1000;
const SHORTEST_REPLAY_SECONDS = 6;
const LONGEST_REPLAY_SECONDS = 30;
const MOST_LISTED = 200;
const NOT_RECORDED = "With snapshots: 0 a run does not record when its Lambdas worked.";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Moments of the run's clock as moments of the page's: `pace` seconds of the run pass in one of the page. */
class Clock {
  #origin = 0;
  #started = null;
  pace = 1;

  get runs() {
    return this.#started !== null;
  }

  set(moment, pace = 1) {
    this.#origin = moment;
    this.#started = performance.now() / 1000;
    this.pace = pace;
  }

  stop() {
    this.#started = null;
  }

  now() {
    return this.#origin + (performance.now() / 1000 - this.#started) * this.pace;
  }
}

export class Lambdas {
  #network;
  #canvas = byId("lights");
  #run = null;
  #next = 0;
  #clock = new Clock();
  #waiting = [];
  #lit = new Map();
  #passing = [];
  #recent = [];
  #played = 0;
  #said = 0;
  #latest = null;
  #generation = null;
  #step = { place: "", neurons: new Set() };
  #replays = false;
  #drawing = false;
  #listing = 0;

  constructor(network) {
    this.#network = network;
    byId("replay").addEventListener("click", () => this.#replay());
    byId("lights-on").addEventListener("change", () => this.#stop());
  }

  /** The run as it is now; from the first call on, a run that goes on is followed. */
  take(run) {
    const first = this.#run === null;
    this.#run = run;
    if (run.strategy !== "neuron" || run.saved) return;
    byId("lambdas").hidden = false;
    byId("lambdas-legend").hidden = !run.records_invocations;
    if (!run.records_invocations) {
      this.#note(NOT_RECORDED);
      return;
    }
    byId("lights-label").hidden = run.has_ended;
    byId("replay").hidden = run.epoch === 0;
    if (first && !run.has_ended) this.#follow();
  }

  async #follow() {
    for (let isLast = false; !isLast; await sleep(POLL_MS)) {
      isLast = this.#run.has_ended;
      const found = await readInvocations(this.#next).catch(passing);
      if (!found) continue;
      this.#next = found.next;
      if (!this.#replays && byId("lights-on").checked) this.#add(found.rows);
    }
  }

  /** Rows of a run that goes on, to be played at its own pace. */
  #add(rows) {
    if (rows.length === 0) return;
    const newest = Math.max(...rows.map(ended));
    const late = this.#clock.runs && this.#clock.now() < newest - MOST_BEHIND_SECONDS;
    const fresh = rows.filter((row) => ended(row) > newest - MOST_BEHIND_SECONDS / 2);
    const first = Math.min(...fresh.map(({ start }) => start));
    // Where all that came before is played, the clock waits for what has just come.
    const idle = !this.#clock.runs || (this.#waiting.length === 0 && this.#clock.now() > first);
    if (idle || late) this.#clock.set(first - LEAD_SECONDS);
    this.#enqueue(late ? fresh : idle ? fresh : rows);
  }

  async #replay() {
    if (this.#replays) {
      this.#stop();
      return;
    }
    const epoch = this.#network.epoch;
    const found = await readInvocationsOf(epoch).catch(passing);
    if (!found) return;
    this.#stop();
    if (found.rows.length === 0) {
      this.#note(epoch === 0 ? "Epoch 0 is the start: nothing had worked." : `Nothing is recorded of epoch ${count(epoch)}.`);
      return;
    }
    this.#replays = true;
    byId("replay").textContent = "Stop";
    const first = Math.min(...found.rows.map(({ start }) => start));
    const span = Math.max(...found.rows.map(ended)) - first;
    const seconds = Math.min(Math.max(span, SHORTEST_REPLAY_SECONDS), LONGEST_REPLAY_SECONDS);
    this.#clock.set(first - 0.05 * span, span / seconds || 1);
    this.#enqueue(found.rows);
  }

  #stop() {
    this.#replays = false;
    byId("replay").textContent = "Play this epoch's Lambdas";
    this.#waiting = [];
    this.#lit.clear();
    this.#passing = [];
    this.#recent = [];
    this.#clock.stop();
    this.#note("");
    this.#clear();
  }

  #enqueue(rows) {
    this.#waiting = [...this.#waiting, ...rows].sort((one, other) => one.start - other.start);
    if (this.#drawing) return;
    this.#drawing = true;
    this.#tick();
  }

  #tick() {
    if (!this.#clock.runs) {
      this.#drawing = false;
      return;
    }
    const now = this.#clock.now();
    this.#advance(now);
    this.#draw(now);
    this.#say();
    const going = this.#waiting.length + this.#lit.size + this.#passing.length > 0;
    if (!going) {
      this.#drawing = false;
      if (this.#replays) this.#stop();
      else if (!this.#run.has_ended) this.#note(`${this.#begun()}Waiting for the next invocations.`);
      return;
    }
    if (calm.matches) setTimeout(() => this.#tick(), CALM_MS);
    else requestAnimationFrame(() => this.#tick());
  }

  /** What has begun by now is lit; what has faded is not. */
  #advance(now) {
    const pace = this.#clock.pace;
    let begun = 0;
    while (begun < this.#waiting.length && this.#waiting[begun].start <= now) begun += 1;
    for (const row of this.#waiting.splice(0, begun)) {
      if (row.role === "neuron") this.#work(row);
      else if (row.layer && !row.late) this.#passing.push(row);
      this.#recent.push(row);
      this.#played += 1;
      if (row.layer && !isAside(row)) this.#latest = row;
      if (row.state === "start" && row.generation > 1) this.#generation = row;
    }
    const left = calm.matches ? CALM_MS / 1000 : FADE_SECONDS;
    for (const [key, row] of this.#lit) if (now > ended(row) + left * pace) this.#lit.delete(key);
    this.#passing = this.#passing.filter((row) => now < row.start + PASS_SECONDS * pace);
    this.#recent = this.#recent.filter((row) => row.start > now - RATE_SECONDS * pace);
  }

  #work(row) {
    this.#lit.set(`${row.layer},${row.neuron}`, row);
    if (isAside(row)) return;
    const place = [row.generation, row.epoch, row.batch, row.state, row.layer].join();
    if (this.#step.place !== place) this.#step = { place, neurons: new Set() };
    this.#step.neurons.add(row.neuron);
  }

  #clear() {
    const context = this.#canvas.getContext("2d");
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.restore();
    this.#canvas.dataset.lit = "0";
  }

  #draw(now) {
    const where = this.#network.where;
    if (!where) return;
    const context = this.#contextFor(where);
    const colors = palette();
    context.clearRect(0, 0, where.width, where.height);
    if (!calm.matches) for (const row of this.#passing) this.#drawPass(context, where, row, now, colors);
    this.#canvas.dataset.lit = String(this.#lit.size);
    for (const row of this.#lit.values()) {
      const tile = where.columns[row.layer]?.tiles[row.neuron - 1];
      if (!tile) continue;
      const over = (now - ended(row)) / (FADE_SECONDS * this.#clock.pace);
      const strength = calm.matches || over <= 0 ? 1 : Math.max(0, 1 - over);
      light(context, tile, row, strength, colors);
    }
  }

  #contextFor({ width, height }) {
    const ratio = window.devicePixelRatio || 1;
    if (this.#canvas.width === Math.round(width * ratio) && this.#canvas.height === Math.round(height * ratio)) {
      return this.#canvas.getContext("2d");
    }
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
    return contextOf(this.#canvas, width, height);
  }

  /** The step is complete and the Trainer goes on: to the next layer, or back from the output. */
  #drawPass(context, { columns, height }, row, now, colors) {
    const middle = (layer) => columns[layer].left + columns[layer].width / 2;
    const last = columns.length - 1;
    const to = row.state === "forward" ? Math.min(row.layer + 1, last) : row.layer - 1;
    const share = Math.min(1, (now - row.start) / (PASS_SECONDS * this.#clock.pace));
    const x = middle(row.layer) + (middle(to) - middle(row.layer)) * share;
    context.globalAlpha = 0.5 * (1 - share);
    context.fillStyle = colors[row.state] ?? colors.update;
    context.fillRect(x - 4, 40, 8, height - 40);
    context.globalAlpha = 1;
  }

  /** In words, twice a second: how far the step has come, and how fast they follow each other. */
  #say() {
    const at = performance.now();
    if (at - this.#said < SAY_MS || !this.#latest) return;
    this.#said = at;
    const { epoch, layer, state } = this.#latest;
    const rate = this.#recent.length / RATE_SECONDS;
    const slow = this.#clock.pace === 1 ? "" : ` Played at ${figure(this.#clock.pace)} of its pace.`;
    const pace = this.#replays ? slow : `, ${figure(rate)} invocations a second.`;
    const neurons = `${count(this.#step.neurons.size)} of ${count(this.#run.sizes[layer])} neurons`;
    this.#note(`${this.#begun()}Epoch ${count(epoch)}, layer ${layer}, ${state}: ${neurons}${this.#replays ? "." : ""}${pace}`);
  }

  /** Another Trainer has begun a generation: the run was resumed, or somebody had died. */
  #begun() {
    if (this.#generation === null || this.#replays) return "";
    return `Generation ${this.#generation.generation} began at ${timeOf(this.#generation)}. `;
  }

  #note(text) {
    byId("lambdas-note").textContent = text;
    byId("lambdas-note").dataset.played = String(this.#played);
  }

  /** Lists the invocations in which the chosen neuron worked on an epoch. */
  async list(epoch, chosen) {
    const part = byId("own-part");
    if (this.#run?.strategy !== "neuron" || this.#run.saved || !chosen) {
      part.hidden = true;
      return;
    }
    if (!this.#run.records_invocations) {
      part.hidden = false;
      byId("own-table").hidden = true;
      byId("own-note").textContent = NOT_RECORDED;
      return;
    }
    const asked = ++this.#listing;
    const found = await readInvocationsOfNeuron(epoch, ...chosen).catch(passing);
    if (!found || asked !== this.#listing) return;
    part.hidden = false;
    const shown = found.invocations.slice(0, MOST_LISTED);
    byId("own").replaceChildren(...shown.map(rowOf));
    byId("own-table").hidden = shown.length === 0;
    const rest = found.invocations.length - shown.length;
    const nothing = epoch === 0 ? "Epoch 0 is the start: it had not worked yet." : "None is recorded yet.";
    byId("own-note").textContent = shown.length === 0 ? nothing : rest ? `${count(rest)} more are not listed.` : "";
  }
}

const ended = ({ start, seconds }) => start + seconds;
/** What is no part of the step that goes on: its own is over, or nobody came. */
const isAside = ({ late, missed }) => late || missed;

/** The main poll tells of a server that is gone; a feed has nothing to add. */
function passing(error) {
  if (!(error instanceof Trouble)) throw error;
  return null;
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["forward", "backward", "update", "wrong"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function light(context, { x, y, size }, row, strength, colors) {
  const crossed = row.failed || row.missed;
  const color = crossed ? colors.wrong : (colors[row.state] ?? colors.update);
  const reach = Math.max(2, size / 7);
  context.globalAlpha = 0.35 * strength;
  context.fillStyle = color;
  context.fillRect(x - reach, y - reach, size + 2 * reach, size + 2 * reach);
  context.globalAlpha = strength;
  context.strokeStyle = color;
  context.lineWidth = Math.max(2, size / 10);
  context.setLineDash(row.attempt > 1 || row.late ? [4, 3] : []);
  context.strokeRect(x - 1, y - 1, size + 2, size + 2);
  context.setLineDash([]);
  if (crossed) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y);
    context.lineTo(x, y + size);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** When it began, in UTC, to the hundredth of a second. */
const timeOf = ({ start }) => new Date(start * 1000).toISOString().slice(11, 22);

function rowOf(one) {
  const row = element("tr");
  const kind = one.failed ? "failed" : one.missed ? "never arrived" : one.late ? "late" : one.cold ? "cold" : "warm";
  const step = `${one.state}${one.batch ? `, batch ${one.batch + 1}` : ""}`;
  row.append(...[timeOf(one), (one.seconds * 1000).toFixed(1), step, one.attempt, kind].map((text) => element("td", text)));
  return row;
}
