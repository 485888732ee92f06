#!/usr/bin/env bash
# The whole system once, on this machine: a local cloud, Terraform, two trainings, and a report of the second one.
set -euo pipefail
cd "$(dirname "$0")/.."
lnn=.venv/bin/lnn
report=build/demo.html

say() { printf "\n\033[1m%s\033[0m\n" "$*"; }
run() {
  printf "\$ %s\n" "$*"
  "$@"
}

say "1/3  Local cloud: an AWS emulator and a Redis, with this repository's Terraform applied"
.venv/bin/python -m lnn_tools.local_cloud up

say "2/3  A table of 150 flowers; a Lambda invocation for each neuron"
run "$lnn" train examples/tables/iris.csv --label species --parameters examples/tables/perceptrons.json --wait

say "3/3  1,438 handwritten digits; the planner chooses the strategy"
run "$lnn" train examples/digits/datasets.h5 --parameters parameters.json --wait

"$lnn" report latest --output "$report" --force >/dev/null
say "Done. The report of the digits' training is $report"
cat <<NEXT
  Next, on this local cloud:

    $lnn view
        look into the network, neuron by neuron, epoch by epoch
    $lnn train FILE.csv --label COLUMN --wait
        train on a table of your own
    $lnn promote staging
        let the model of the digits answer the prediction API
    $lnn page
        the page of the API, in your browser: draw a digit
    make notebooks
        Introduction, Codebook, Analysis and Client, as pages to read
    make down
        stop the local cloud and forget its runs
NEXT
