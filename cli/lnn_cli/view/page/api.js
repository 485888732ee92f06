// What the local server answers. What it says of an epoch never changes, so the page keeps the latest answers.

const KEPT = 160;
const kept = new Map();

/** A failure with a text for the person at the page. */
export class Trouble extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Trouble("lnn view has ended. Start it again in the terminal to go on.");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw new Trouble(answer?.error ?? `The local server failed with status ${response.status}.`);
}

function askOnce(path) {
  const known = kept.get(path);
  kept.delete(path);
  const answer = known ?? ask(path);
  kept.set(path, answer);
  answer.catch(() => kept.delete(path));
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return answer;
}

let history = [];
let completeTo = 0;

/** The run as it is now. Of its history, the server is asked for the rows that are missing here. */
export async function readRun() {
  const run = await ask(`api/run?after=${completeTo}`);
  history = [...history.filter(({ epoch }) => epoch <= run.history_after), ...run.history];
  completeTo = run.complete_to;
  return { ...run, history };
}

export const readEpoch = (epoch) => askOnce(`api/epoch/${epoch}`);
export const readExample = (epoch, example) => askOnce(`api/epoch/${epoch}/example/${example}`);
export const readPlane = (epoch) => askOnce(`api/epoch/${epoch}/plane`);
export const readNeuron = (epoch, layer, neuron, examples) =>
  askOnce(`api/epoch/${epoch}/neuron/${layer}/${neuron}?${examples.map((index) => `example=${index}`).join("&")}`);
export const readInvocations = (number) => ask(`api/invocations/${number}`);
export const readInvocationsOf = (epoch) => ask(`api/epoch/${epoch}/invocations`);
export const readInvocationsOfNeuron = (epoch, layer, neuron) =>
  ask(`api/epoch/${epoch}/neuron/${layer}/${neuron}/invocations`);
export const askNext = (expected) =>
  ask("api/next", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ expected }),
  });
export const askWhatIf = (epoch, change) =>
  ask(`api/epoch/${epoch}/what-if`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(change),
  });
