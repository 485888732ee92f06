// Cost, and accuracy or R², over the epochs, with a marker at the epoch shown.

import { count, element, figure, score, scoreName } from "./text.js";

const SPACE = "http://www.w3.org/2000/svg";
const MOST_POINTS = 600;
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 10, 8, 20];
const HEIGHT = 112;

export class Curves {
  #box;
  #onEpoch;
  #markers = [];
  #notes = [];
  #run = null;
  #width = 0;
  #drawn = "";

  /** `onEpoch(epoch)` hears which epoch a click in a curve is nearest to. */
  constructor(box, onEpoch) {
    [this.#box, this.#onEpoch] = [box, onEpoch];
    box.addEventListener("click", (event) => {
      if (!event.target.closest("svg")) return;
      const share = (event.clientX - box.getBoundingClientRect().left - LEFT) / (this.#width - LEFT - RIGHT);
      this.#onEpoch(Math.max(0, Math.min(1, share)) * this.#last());
    });
  }

  /** Draws the run's history again, if it or the width has changed. */
  show(run) {
    const width = this.#box.clientWidth;
    const key = `${width} ${run.history.length} ${run.epoch}`;
    this.#run = run;
    if (key === this.#drawn) return;
    [this.#drawn, this.#width] = [key, width];
    this.#markers = [];
    const parts = thinned(run.history);
    const cost = this.#chart("cost", parts, [["cost", "cost"]], 0);
    const both = [["train", "training"], ["test", "test"]].filter(([key]) => parts.some((one) => known(one[key])));
    const charts = [cost];
    if (both.length) charts.push(this.#chart(scoreName(run), parts, both, 1));
    this.#notes = charts.map(() => element("p", "", { className: "note" }));
    this.#box.replaceChildren(...charts.flatMap((chart, index) => [this.#notes[index], chart]));
  }

  /** Moves the marker to the epoch and writes its numbers above the curves. */
  mark(epoch) {
    const x = this.#x(epoch);
    for (const marker of this.#markers) {
      marker.setAttribute("x1", x);
      marker.setAttribute("x2", x);
    }
    const row = this.#run.history.find((one) => one.epoch === epoch);
    const said = row ? [`cost ${figure(row.cost)}`, this.#scores(row)] : ["cost", scoreName(this.#run)];
    this.#notes.forEach((note, index) => (note.textContent = said[index]));
  }

  #scores(row) {
    const parts = [];
    if (known(row.train)) parts.push(`training ${score(this.#run, row.train)}`);
    if (known(row.test)) parts.push(`test ${score(this.#run, row.test)} (dashed)`);
    if (known(this.#run.base_rate)) parts.push(`base rate ${score(this.#run, this.#run.base_rate)} (dotted)`);
    return `${scoreName(this.#run)}: ${parts.join(", ") || "unknown"}`;
  }

  #last() {
    return Math.max(1, this.#run.history.at(-1)?.epoch ?? 1);
  }

  #x(epoch) {
    return LEFT + (epoch / this.#last()) * (this.#width - LEFT - RIGHT);
  }

  #chart(name, rows, lines, top) {
    const values = rows.flatMap((row) => lines.map(([key]) => row[key]).filter(known));
    const base = top && known(this.#run.base_rate) ? this.#run.base_rate : null;
    let lowest = Math.min(0, ...values);
    if (top) lowest = Math.max(-1, Math.min(...values, base ?? 1));
    const highest = top ? 1 : Math.max(...values, 1e-12);
    if (top) lowest = Math.min(lowest, 0.9);
    const y = (value) => TOP + (1 - (Math.max(lowest, value) - lowest) / (highest - lowest)) * (HEIGHT - TOP - BOTTOM);

    const picture = svg("svg", { viewBox: `0 0 ${this.#width} ${HEIGHT}`, role: "img" });
    const last = rows.at(-1);
    const ends = lines.map(([key, said]) => `${said} ${figure(rows.find((row) => known(row[key]))?.[key])} to ${figure(last?.[key])}`);
    picture.setAttribute("aria-label", `${name} over ${count(this.#last())} epochs: ${ends.join("; ")}`);
    for (const value of [lowest, highest]) {
      const high = y(value);
      picture.append(svg("line", { class: "axis", x1: LEFT, x2: this.#width - RIGHT, y1: high, y2: high }));
      picture.append(label(top ? score(this.#run, value) : figure(value), LEFT - 6, high + 4, "end"));
    }
    picture.append(label("0", LEFT, HEIGHT - 4, "middle"), label(count(this.#last()), this.#width - RIGHT, HEIGHT - 4, "end"));
    if (base !== null) {
      picture.append(svg("path", { class: "base", d: `M${LEFT} ${y(base)}H${this.#width - RIGHT}` }));
    }
    for (const [key] of lines) {
      const points = rows.filter((row) => known(row[key])).map((row) => `${this.#x(row.epoch).toFixed(1)} ${y(row[key]).toFixed(1)}`);
      if (points.length) picture.append(svg("path", { class: key, d: `M${points.join("L")}` }));
    }
    const marker = svg("line", { class: "marker", y1: 0, y2: HEIGHT - BOTTOM });
    picture.append(marker);
    this.#markers.push(marker);
    return picture;
  }
}

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

function thinned(rows) {
  const step = Math.max(1, Math.ceil(rows.length / MOST_POINTS));
  return rows.filter((_, index) => index % step === 0 || index === rows.length - 1);
}

function svg(tag, attributes) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function label(text, x, y, anchor) {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}
