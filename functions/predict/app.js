// The page: takes a picture, asks the API, shows the answer. Every address is relative: the same page stands for
// production and, under staging/, for the model under review.
"use strict";

const SENT_AS_IT_IS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);
const LARGE_BYTES = 1_000_000;
const SIDE = 1024;
const SHOWN = 10;
const TINY = 128;
// Without its slash the address of staging is one step higher.
const BARE = location.pathname.endsWith("/staging");
const HOME = BARE ? "staging/" : "";

const byId = (id) => document.getElementById(id);
let latest = 0;
let latestFile = null;
let shown = null;

/** What a person can do something about; the text is for them. */
class Trouble extends Error {}

const percent = (share) => `${(share * 100).toFixed(1)}%`;
const figure = (value) => String(Number(value.toPrecision(6)));

function tell(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

/** The answer of the API as JSON; throws Trouble with its reason. */
async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Trouble("The network cannot be reached. Try again in a moment.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 429) throw new Trouble("Too many requests at the moment. Try again in a few seconds.");
  throw new Trouble(answer.reason ?? answer.message ?? `The request failed with status ${response.status}.`);
}

/** Whether it is a PNG of 16 bits a channel: this browser would keep 8, where the API can tell what is lost. */
async function isDeep(file) {
  const head = new Uint8Array(await file.slice(0, 25).arrayBuffer());
  return String.fromCharCode(...head.slice(1, 4)) === "PNG" && head[24] === 16;
}

/**
 * What to send: the file itself, or, where it is large or of another format, a smaller PNG made of it. Of what this
 * browser cannot read the beginning: the API says what it is, and how a picture is made of it.
 */
async function content(file) {
  if (file.type && !file.type.startsWith("image/")) throw new Trouble(`${file.name || "This"} is not a picture.`);
  if (SENT_AS_IT_IS.has(file.type) && file.size <= LARGE_BYTES) return file;
  if (await isDeep(file)) return file;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
return file.slice(0, LARGE_BYTES, "application/octet-stream");
  }
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Trouble("The picture could not be made smaller."))), "image/png");
  });
}

function named(name, share) {
  const line = document.createElement("li");
  for (const [kind, text] of Object.entries({ name, share })) {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = text;
    line.append(part);
  }
  return line;
}

const numberRow = ([name, value]) => named(name, figure(value));

function row([name, probability]) {
  const line = named(name, percent(probability));
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true");
  bar.append(document.createElement("span"));
  bar.firstChild.style.width = percent(probability);
  line.append(bar);
  return line;
}

const signed = (value) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toPrecision(3)}`;

/** One neuron that spoke for the answer or against it, with the share of the loudest as a bar. */
function termRow({ neuron, a, w, term }, layer, loudest) {
  const line = named(`neuron ${neuron} of layer ${layer}`, signed(term));
  const bar = document.createElement("div");
  bar.className = term < 0 ? "bar against" : "bar";
  bar.setAttribute("aria-hidden", "true");
  bar.append(document.createElement("span"));
  bar.firstChild.style.width = percent(loudest ? Math.abs(term) / loudest : 0);
  line.append(bar);
  line.title = `a ${figure(a)} times w ${figure(w)}`;
  return line;
}

/** What the network saw, and which neurons spoke for its answer. */
function explain({ explanation, inverted }) {
  const { answer, layer, neurons, others, b, z, seen } = explanation;
  byId("seen-part").hidden = byId("invert-part").hidden = !seen;
  byId("invert").checked = inverted;
  if (seen) {
    const picture = byId("seen");
    picture.alt = "The picture as the network saw it";
    picture.onload = () => {
      byId("seen-size").textContent = `as the network saw it, ${picture.naturalHeight} by ${picture.naturalWidth} pixels`;
    };
    picture.src = seen;
  }
  const why = byId("why");
  why.hidden = !neurons.length;
  why.querySelector("summary").textContent = `Neurons that spoke for ${answer}, or against it`;
  why.querySelector("ol").replaceChildren(...neurons.map((one) => termRow(one, layer, Math.abs(neurons[0].term))));
  why.querySelector("p").textContent =
    `Each is its activation times its weight. With ${signed(others)} of the others and ${signed(b)} of the bias ` +
    `they add up to z = ${signed(z)}.`;
}

function show(file, answer) {
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  const picture = byId("picture");
  picture.onload = () => picture.classList.toggle("tiny", Math.max(picture.naturalWidth, picture.naturalHeight) <= TINY);
  picture.alt = file.name ? `Your picture, ${file.name}` : "Your picture";
  picture.src = shown;

  // A model of regression answers numbers by the names of its targets, which have an order of their own.
  const numbers = answer.values !== undefined;
  const lines = Object.entries(numbers ? answer.values : answer.probabilities);
  if (!numbers) lines.sort((one, other) => other[1] - one[1]);
  const line = numbers ? numberRow : row;
  const [first, value] = lines[0];
  byId("answer").textContent = numbers ? `${first}: ${figure(value)}` : answer.class;
  byId("classes").setAttribute("aria-label", numbers ? "Predicted numbers" : "Probability of each class");
  byId("classes").replaceChildren(...lines.slice(0, SHOWN).map(line));
  const rest = lines.slice(SHOWN);
  const more = byId("more");
  more.hidden = !rest.length;
  more.open = false;
  more.querySelector("summary").textContent = `${rest.length} more ${numbers ? "numbers" : "classes"}`;
  more.querySelector("ol").replaceChildren(...rest.map(line));
  explain(answer);
  byId("by").textContent = `Model ${answer.model}, in ${answer.stage}`;
  byId("result").hidden = false;
}

/** `invert` is auto: the API finds out from the picture's border; or always or never, as a person has chosen. */
async function predict(file, invert = "auto") {
  latestFile = file;
  const turn = ++latest;
  tell("");
  document.body.classList.add("busy");
  try {
    const body = await content(file);
    const answer = await call(`${HOME}predict?explain=true&invert=${invert}`, { method: "POST", headers: { "content-type": body.type }, body });
    if (turn === latest) show(file, answer);
  } catch (error) {
    if (turn !== latest) return;
    byId("result").hidden = true;
    tell(error instanceof Trouble ? error.message : "Something went wrong on this page. Reload it and try again.");
  } finally {
    if (turn === latest) document.body.classList.remove("busy");
  }
}

function take(files) {
  const [file] = files;
  if (file) predict(file);
  return Boolean(file);
}

function describe(health) {
  const staging = health.entrance === "staging";
  byId("stage").hidden = !staging;
  byId("stage").textContent = "This model is under review. It is not in production.";
  byId("other").href = staging ? (BARE ? "./" : "../") : "staging/";
  byId("other").textContent = staging ? "Model in production" : "Model under review";
  const { model, canary } = health;
  const facts = [];
  if (model) {
    facts.push(["Model", model.model_id], ["Stage", model.stage]);
    if (model.test_accuracy !== undefined) facts.push(["Test accuracy", percent(model.test_accuracy)]);
    if (model.base_rate !== undefined) facts.push(["Base rate", percent(model.base_rate)], ["Recall", model.recall]);
    for (const remark of model.remarks ?? []) facts.push(["Warning", remark]);
    for (const [name, score] of [["RMSE", model.test_rmse], ["MAE", model.test_mae], ["R2", model.test_r2]])
      if (score !== undefined) facts.push([`Test ${name}`, figure(score)]);
  }
  if (canary && !staging) facts.push(["Canary", `${canary.model} answers ${canary.percent}%`]);
  byId("model").replaceChildren(
    ...facts.flatMap(([name, value]) => {
      const [term, detail] = ["dt", "dd"].map((tag) => document.createElement(tag));
      term.textContent = name;
      detail.textContent = value;
      return [term, detail];
    }),
  );
  if (!model) tell(staging ? "No model is under review." : "No model is in production yet.");
  else if (!model.image_shape) tell("This model takes numbers, not pictures. Use its API.");
  const takes = Boolean(model?.image_shape);
  byId("file").disabled = byId("clear").disabled = !takes;
  byId("drawing").setAttribute("aria-disabled", String(!takes));
}

byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("file").addEventListener("change", (event) => {
  take(event.target.files);
  // So that the same file can be chosen again.
  event.target.value = "";
});
byId("invert").addEventListener("change", (event) => predict(latestFile, event.target.checked ? "always" : "never"));
const drawing = drawingField(byId("drawing"), (blob) => predict(new File([blob], "drawing.png", { type: blob.type })));
byId("clear").addEventListener("click", drawing.clear);
document.addEventListener("paste", (event) => {
  if (take(event.clipboardData.files)) event.preventDefault();
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (!take(event.dataTransfer.files)) tell("There was no file in that. Drop a picture's file, or choose one.");
});

call(`${HOME}health`).then(describe, (error) => tell(error instanceof Trouble ? error.message : "The model cannot be reached."));
