#!/usr/bin/env bash
# The whole system once, on this machine: a local cloud, Terraform, and two trainings on handwritten digits.
set -euo pipefail
cd "$(dirname "$0")/.."
lnn=.venv/bin/lnn
digits=examples/digits/datasets.h5
home=${LNN_HOME:-.lnn/local}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1/3  Local cloud: an AWS emulator and a Redis, with this repository's Terraform applied"
.venv/bin/python -m lnn_tools.local_cloud up

say "2/3  Training on 1,438 handwritten digits; the strategy is chosen by the planner"
"$lnn" train "$digits" --parameters parameters.json --wait
trained=$("$lnn" runs --limit 1 --json | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)[0]["run_id"])')

say "3/3  The same data, three epochs with one Lambda invocation for each neuron"
"$lnn" train "$digits" --parameters examples/digits/perceptrons.json --wait

say "Done"
bucket=$("$lnn" show "$trained" --json | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["artefacts"]["params"].rpartition("/prediction_input/")[0])')
cat <<SUMMARY
  model     $bucket/prediction_input/$trained/params.h5
  results   $bucket/training_results/$trained/results.json
  logs      CloudWatch groups /aws/lambda/lnn-{launch,trainer,neuron}; the emulator's own: $home/emulator.log

  The local cloud is still up. Try next:
    $lnn history $trained        the cost, epoch by epoch
    $lnn show latest                             what the perceptrons' run did
    $lnn promote $trained        let its model answer the prediction API
    $lnn page                                    the API's page, in your browser
    make down                                         stop the local cloud
SUMMARY
