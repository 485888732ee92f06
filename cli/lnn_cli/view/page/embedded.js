// Stands for api.js in a file that `lnn view --html` has saved: the same answers, from the data in the file.

/** A failure with a text for the person at the page. */
export class Trouble extends Error {}

const data = JSON.parse(document.getElementById("data").textContent);

for (const part of document.querySelectorAll("[data-live]")) part.hidden = true;
for (const part of document.querySelectorAll("[data-saved]")) part.hidden = false;
document.getElementById("saved").textContent = data.said;
if (data.start && !location.hash) {
  try {
    history.replaceState(null, "", data.start);
  } catch {
    // A page within a report has no address of its own.
  }
}

function frameOf(epoch) {
  const frame = data.frames[epoch];
  if (!frame) throw new Trouble(`This file does not have epoch ${epoch}; lnn view shows it.`);
  return frame;
}

export const readRun = async () => data.run;
export const readEpoch = async (epoch) => frameOf(epoch).epoch;
export const readPlane = async (epoch) => ({ ...frameOf(epoch).plane, points: data.points });

export async function readExample(epoch, example) {
  const found = frameOf(epoch).examples[example];
  if (!found) throw new Trouble(`This file does not have example ${example}; lnn view shows it.`);
  return { ...found, x: data.inputs[example] };
}

export async function readNeuron(epoch, layer, neuron) {
  const frame = frameOf(epoch);
  const [row, of] = [neuron - 1, frame.layers?.[layer - 1]];
  const { weights, biases } = frame.epoch.layers[layer - 1];
  if (!weights) throw new Trouble("This file does not have the weights of so large a layer; lnn view shows them.");
  return {
    ...{ epoch, layer, neuron, activation: data.run.activations[layer - 1], w: weights[row], b: biases[row] },
    ...{ dw: of?.dw[row], db: of?.db[row], histogram: of?.histograms[row] },
    examples: Object.values(frame.examples).map(({ index, label, layers }) => {
      const { z, a, dz } = layers[layer - 1];
      return { index, label, z: z[row], a: a[row], dz: dz[row] };
    }),
  };
}
