// Numbers and names as text.

const whole = new Intl.NumberFormat("en-US");

export const byId = (id) => document.getElementById(id);

export const count = (value) => whole.format(value);

export const percent = (share) => `${(share * 100).toFixed(1)}%`;

/** Three digits that matter. */
export function figure(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "unknown";
  return String(Number(value.toPrecision(3)));
}

/** A sum as one writes it: no plus before a minus. */
export const sum = (one, other) => `${figure(one)} ${other < 0 ? "-" : "+"} ${figure(other && Math.abs(other))}`;

/** An accuracy in percent; R² of a regression as a number. */
export const score = (run, value) => (value === null ? "unknown" : isRegression(run) ? figure(value) : percent(value));

export const scoreName = (run) => (isRegression(run) ? "R²" : "accuracy");

export const isRegression = (run) => run.classes.length === 0;

/** A label or an answer: the name of a class, one number, or several. */
export function named(value) {
  if (Array.isArray(value)) return value.map(named).join(", ");
  return typeof value === "number" ? figure(value) : String(value);
}

/** An input of the network, from 0: the name of a table's column, or x with its number. */
export const inputName = (run, index) => run.features[index] ?? `x${index + 1}`;

/** The text, cut off where it would be wider than `width` in the context's font. */
export function fitted(context, text, width) {
  let length = text.length;
  while (length > 1 && context.measureText(text).width > width) {
    length -= 1;
    text = `${text.slice(0, length)}\u2026`;
  }
  return text;
}

/** An element with text; `parts` are its properties. */
export function element(tag, text, parts = {}) {
  const made = Object.assign(document.createElement(tag), parts);
  if (text !== undefined) made.textContent = text;
  return made;
}
