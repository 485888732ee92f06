// Step by step: what a run that waits at each barrier has just done, and the button that lets it go on.

import { askNext } from "./api.js";
import { byId, count } from "./text.js";

const SOON_MS = 150;
const SOON = 40;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let allowed = 0;
let latest = null;
let pressed = Promise.resolve();

/** Shows where the run is, if it is one that waits. */
export function showSteps(run) {
  latest = run;
  const { step } = run;
  byId("steps").hidden = !step || run.has_ended;
  if (!step) return;
  allowed = Math.max(allowed, step.allowed);
  const { waits } = step;
  say("step-done", waits ? `${sentence(waits.done)}.` : "The run is at work on its next step.");
  say("step-following", waits ? `Next: ${waits.next}.` : "");
  const last = run.epoch ? "the last that is finished" : "the start";
  say(
    "step-shown",
    `The newest network below is that after epoch ${count(run.epoch)}, ${last}. ` +
      "The run waits 30 minutes at most, then it stops and keeps its model.",
  );
}

/** Lets the run go on: one step for each press, however fast they come. `attempt` shows what fails. */
export function listenToSteps(readAgain, attempt) {
  const press = () => {
    pressed = pressed.then(() => attempt(() => next(readAgain)));
  };
  byId("step-next").addEventListener("click", press);
  document.addEventListener("keydown", (event) => {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    const isText = event.target.closest?.("input, select, textarea");
    if (event.key === "n" && isPlain && !isText && !byId("steps").hidden) press();
  });
}

/** A request that gets lost is sent again with the next press: it names the step that the page knows. */
async function next(readAgain) {
  const before = allowed;
  allowed = (await askNext(before)).allowed;
  watch(readAgain, allowed).catch(() => {}); // the page's own poll says what failed
}

/** Looks more often than the page does anyway, until the run has come to its next pause. */
async function watch(readAgain, until) {
  for (let looks = 0; looks < SOON && allowed === until; looks += 1) {
    await sleep(SOON_MS);
    await readAgain();
    if (latest.has_ended || latest.step.waits) return;
  }
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

/** A status that stays the same is not read out again. */
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
