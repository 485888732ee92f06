// The strongest weights between two layers.

const BUCKETS = 512;

/**
 * The `most` largest weights by magnitude as [{input, neuron, weight}], both from 0. Counts magnitudes in buckets
 * instead of sorting: a layer may have hundreds of thousands of weights, and the page asks at every step.
 */
export function strongest(weights, largest, most) {
  if (!weights || !largest) return [];
  const counts = new Uint32Array(BUCKETS + 1);
  const bucket = (weight) => Math.min(BUCKETS, Math.floor((Math.abs(weight) / largest) * BUCKETS));
  for (const row of weights) for (const weight of row) counts[bucket(weight)] += 1;
  let least = BUCKETS;
  for (let total = counts[least]; total < most && least > 0; total += counts[least]) least -= 1;
  const found = [];
  weights.forEach((row, neuron) => {
    row.forEach((weight, input) => {
      if (weight !== 0 && bucket(weight) >= least) found.push({ input, neuron, weight });
    });
  });
  found.sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight));
  return found.slice(0, most);
}

/** The strongest weights into neuron `neuron` (from 0). */
export function strongestInto(weights, neuron, most) {
  if (!weights) return [];
  return ofLargest(weights[neuron].map((weight, input) => ({ input, neuron, weight })), most);
}

/** The strongest weights out of input `input` (from 0). */
export function strongestFrom(weights, input, most) {
  if (!weights) return [];
  return ofLargest(weights.map((row, neuron) => ({ input, neuron, weight: row[input] })), most);
}

function ofLargest(edges, most) {
  return edges.sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight)).slice(0, most);
}
