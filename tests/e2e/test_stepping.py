"""Step by step on real functions, in a real browser: each press of Next is one step, whatever gets lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lnn.job.pauses import Pauses
from support.e2e_cloud import CloudUnderTest, environment, eventually
from support.e2e_jobs import NEURON_DATASET, network

PARAMETERS = network(4, 3, output="softmax", epochs=3, learning_rate=0.1)
OF_EPOCH = [
    "layer 1 forward has been computed: 4 neurons.",
    "layer 2 forward has been computed: 3 neurons.",
    "the cost has been computed: ",
    "layer 2 backward has been computed: 3 neurons have their gradients and their next weights.",
    "layer 1 backward has been computed: 4 neurons have their gradients and their next weights.",
]
PATIENCE_MS = 60_000


def test_two_epochs_step_by_step_with_the_button_to_the_bits_of_a_run_that_does_not_wait(
    cloud: CloudUnderTest, tmp_path: Path, browser: Any
) -> None:
    """In the second epoch Neurons die as they are called; while the run waits, the Trainer, and what Redis holds."""
    plain = cloud.start("not-stepped", NEURON_DATASET, PARAMETERS | {"strategy": "neuron"})
    dataset, parameters = tmp_path / "datasets.h5", tmp_path / "parameters.json"
    dataset.write_bytes(NEURON_DATASET)
    parameters.write_text(json.dumps(PARAMETERS))
    began = cloud.lnn_json("train", dataset, "--parameters", parameters, "--step")
    run_id = began["run_id"]
    run = eventually(lambda: (now := cloud.run(run_id)).is_paused and now, "the run to wait", state=lambda: run_id)
    assert run.strategy == "neuron"
    command = [Path(sys.executable).with_name("lnn"), "view", run_id, "--no-open"]
    with subprocess.Popen(command, env=environment(cloud.home), stdout=subprocess.PIPE, text=True) as view:
        try:
            assert view.stdout is not None
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(view.stdout.readline().strip())
            for epoch in (1, 2):
                for place, told in enumerate(OF_EPOCH):
                    page.wait_for_function(
                        "(text) => document.getElementById('step-done').textContent.startsWith(text)",
                        arg=f"Epoch {epoch}: {told}",
                    )
                    assert cloud.run(run_id).steps_passed == (epoch - 1) * len(OF_EPOCH) + place
                    if (epoch, place) == (2, 1):
                        for process in cloud.workers("trainer"):
                            process.kill()
                    if (epoch, place) == (2, 3):
                        for key in cloud.redis_keys(run_id):
                            cloud.redis.delete(key)
                    page.click("#step-next")
                    if (epoch, place) == (2, 0):
                        for process in cloud.workers("neuron"):
                            process.kill()
            page.wait_for_function("() => document.getElementById('step-done').textContent.startsWith('Epoch 3')")
            assert page.text_content("#epoch-label") == "epoch 2 of 3"
            page.wait_for_function("() => document.body.textContent.includes('Generation 2 began')")
        finally:
            view.terminate()
    # The command line takes the rest, and says how it ends.
    assert "completed 3 epochs" in cloud.lnn("step", run_id, "--epochs", "1").stdout
    ended = cloud.completed(run_id)
    cloud.completed(plain)
    assert cloud.outcome(run_id) == cloud.outcome(plain)
    assert ended.steps_allowed == 3 * Pauses.of(ended.plan or {}).per_epoch
    cloud.await_no_keys(run_id)
