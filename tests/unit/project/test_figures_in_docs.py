"""A figure has one home, in the code: what the docs say of it is what the code says now."""

from __future__ import annotations

import re

import pytest

from lnn import train
from lnn.aws import clients, idempotency, invoker, pricing, s3_client
from lnn.data import class_names, dataset, images, on_disk
from lnn.network import parts
from lnn.parameter_server import barrier, connection, heartbeat, process_group
from lnn.planning import workload
from lnn.runs import lease as lease_renewal
from lnn.runs import log_size, stopping, store, watchdog
from lnn.serving import requests, router
from lnn.strategies.data_parallel import memory as worker_memory
from lnn.strategies.neuron import costs, layout, trainer
from support.repository import REPOSITORY

WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
MIB = 2**20


def retries_of(config: object) -> int:
    """Tries in all: botocore's `max_attempts` counts those after the first (botocore.config.Config)."""
    retries = config.retries  # type: ignore[attr-defined]
    return int(retries.get("total_max_attempts") or retries["max_attempts"] + 1)


def terraform_default(variable: str, attribute: str | None = None) -> float:
    """The default of a number in terraform/variables.tf, or of a number in an object."""
    text = (REPOSITORY / "terraform" / "variables.tf").read_text(encoding="utf-8")
    (block,) = re.findall(rf'^variable "{variable}" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL)
    pattern = rf"{attribute}\s*= optional\(number, ([\d.]+)\)" if attribute else r"^  default\s*= ([\d.]+)$"
    return float(re.findall(pattern, block, re.MULTILINE)[0])


def planned(resource: str) -> int:
    """How many of a resource the default plan for AWS has: a test of Terraform's holds the inventory to the plan."""
    inventory = (REPOSITORY / "tests" / "terraform" / "inventories" / "aws-default.yaml").read_text(encoding="utf-8")
    return int(re.findall(rf"  {resource}: (\d+)", inventory)[0])


PROTOCOL, PREDICTIONS, CLOUDWATCH, TROUBLESHOOTING = (
    f"docs/{page}.md" for page in ("protocol", "predictions", "cloudwatch", "troubleshooting")
)
LEASE = store.LEASE_SECONDS
SIGN_OF_LIFE_SECONDS = heartbeat.HEARTBEAT_SECONDS + 2 * process_group.BLOCK_SECONDS
PAUSE = train.PAUSE_SECONDS

FIGURES: list[tuple[str, str, list[float]]] = [
    ("docs/concepts.md", "{} seconds, renewed for as long as somebody works on the run", [LEASE]),
    (PROTOCOL, "The lease (`lease_expires`, {} seconds)", [LEASE]),
    (PROTOCOL, "seen the same heartbeat for {} seconds by its own clock", [LEASE]),
    (PROTOCOL, "whose heartbeat is not of the last {} seconds", [watchdog.QUIET_SECONDS]),
    (PROTOCOL, "and to see for {} s that nobody renews the lease", [LEASE]),
    (PROTOCOL, "any step more than {} seconds after the last renewal", [trainer.RENEWAL_SECONDS]),
    (PROTOCOL, "of one that renews it every {} outlives two tries", [lease_renewal.INTERVAL_SECONDS]),
    (PROTOCOL, "the third after {} seconds, the fourth after {}, further ones", [PAUSE, 2 * PAUSE]),
    (PROTOCOL, "further ones after {} each", [train.LONGEST_PAUSE_SECONDS]),
    (PROTOCOL, "After {} that all began at the same epoch", [train.ATTEMPTS_WITHOUT_PROGRESS]),
    (PROTOCOL, "and {} minutes after the first fault that was told there", [train.FAULT_SECONDS / 60]),
    (PROTOCOL, "finds Redis away or full waits for it ({} s, under", [train.PARAMETER_SERVER_SECONDS]),
    (PROTOCOL, "stays unconfirmed for {} seconds is dispatched again", [barrier.DISPATCH_SECONDS]),
    (PROTOCOL, "after five such attempts (at {} s:", [workload.LONGEST_SECONDS]),
    (PROTOCOL, "{} seconds they end it after the next batch instead", [stopping.LONG_EPOCH_SECONDS]),
    (PROTOCOL, "a key of {} seconds, renewed every", [heartbeat.HEARTBEAT_SECONDS]),
    (PROTOCOL, "looks for its peer every {} seconds", [process_group.BLOCK_SECONDS]),
    (
        PROTOCOL,
        "miss its sign of life within {} seconds",
        [heartbeat.HEARTBEAT_SECONDS + 2 * process_group.BLOCK_SECONDS],
    ),
    (PROTOCOL, "waits for the claim to lapse ({} s)", [idempotency.LOCK_SECONDS]),
    (PROTOCOL, "after {} minutes the watch ends the run", [watchdog.launch_seconds(workload.LONGEST_SECONDS) / 60]),
    (PROTOCOL, "seen nobody do so for {} seconds", [watchdog.CLOSING_SECONDS]),
    (PROTOCOL, "and an exchange for up to {} s, connect anew", [process_group.PATIENCE_SECONDS]),
    (
        PROTOCOL,
        "S3 does not answer | {} tries of {} seconds, then {} of {} (the latter alone for objects over {} MiB)",
        [
            retries_of(clients.PROMPT),
            clients.PROMPT.read_timeout,
            retries_of(clients.CONFIG),
            clients.CONFIG.read_timeout,
            s3_client.PROMPT_BYTES / MIB,
        ],
    ),
    (PROTOCOL, "S3 fails | {} tries", [retries_of(clients.CONFIG)]),
    (
        PROTOCOL,
        "SNS does not answer, or refuses | {} tries of {} seconds",
        [retries_of(clients.IMPATIENT), clients.IMPATIENT.read_timeout],
    ),
    (PROTOCOL, "DynamoDB fails | {} tries", [retries_of(clients.TABLES)]),
    (
        PROTOCOL,
        "DynamoDB does not answer | {} tries of {} seconds",
        [retries_of(clients.TABLES), clients.TABLES.read_timeout],
    ),
    (PROTOCOL, "until it is Active ({} minutes at most)", [invoker.WAKING_SECONDS / 60]),
    (PROTOCOL, "past {} times its planned invocations", [layout.BUDGET_FACTOR]),
    (PROTOCOL, "and {} more, a `neuron` run fails", [layout.BUDGET_ALLOWANCE]),
    (PREDICTIONS, "At most {} MB (Lambda's limit)", [requests.MAX_BYTES / 1e6]),
    (PREDICTIONS, "{} million pixels, {} a side", [requests.MAX_PIXELS / 1e6, requests.MAX_SIDE]),
    (PREDICTIONS, "reads what is in use at most once a {}", [router.REFRESH_SECONDS]),
    (
        PREDICTIONS,
        "`prediction_throttling` ({} requests a second, {} at once)",
        [terraform_default("prediction_throttling", "rate"), terraform_default("prediction_throttling", "burst")],
    ),
    (
        TROUBLESHOOTING,
        "{} million pixels, {} a side and {} MB are the most",
        [requests.MAX_PIXELS / 1e6, requests.MAX_SIDE, requests.MAX_BYTES / 1e6],
    ),
    (
        CLOUDWATCH,
        "every {} seconds and at the end, in at most {} lines",
        [log_size.METRICS_INTERVAL_SECONDS, log_size.METRICS_LINES],
    ),
    (CLOUDWATCH, "kept for `log_retention_days` ({})", [terraform_default("log_retention_days")]),
    (CLOUDWATCH, "`throttles`, {} |", [terraform_default("alarm_thresholds", "throttles")]),
    (CLOUDWATCH, "`errors`, {} |", [terraform_default("alarm_thresholds", "errors")]),
    (CLOUDWATCH, "`cache_memory_percent`, {} |", [terraform_default("alarm_thresholds", "cache_memory_percent")]),
    ("docs/aws.md", "valid for {} minutes, renewed before", [connection.TOKEN_LIFETIME_SECONDS / 60]),
    ("docs/aws.md", "(about {} GB of tensors for a cache.t4g.micro)", [costs.CACHE_MB / 1000]),
    ("docs/aws.md", "idle_minutes = {}, instance_type", [terraform_default("notebook", "idle_minutes")]),
    ("docs/aws.md", "volume_gb = {} }}", [terraform_default("notebook", "volume_gb")]),
    ("docs/datasets.md", "{} bytes of JSON at most", [class_names.MAX_NAMES_BYTES]),
    (
        "docs/aws.md",
        "a private subnet, {} endpoints, {} security groups",
        [planned("aws_vpc_endpoint"), planned("aws_security_group")],
    ),
    ("docs/aws.md", "a dashboard, {} alarms", [planned("aws_cloudwatch_metric_alarm")]),
    ("docs/aws.md", "| US dollars for a million invocations | {} |", [pricing.PER_INVOCATION * 1e6]),
    ("docs/pictures.md", "white is {}, and", [images.DEEP_WHITE]),
    ("docs/pictures.md", "refused where no value reaches {}, which", [images.DIM]),
    ("docs/pictures.md", "refused where those end below {} of 255", [images.DIM >> 8]),
    ("docs/adr/20261121-data-shards.md", "shards of about {} MB", [dataset.SHARD_BYTES / MIB]),
    ("docs/adr/20261121-data-shards.md", "a reserve of {}%", [worker_memory.RESERVE * 100]),
    ("docs/adr/20261121-data-shards.md", "for {} MB at least", [worker_memory.LEAST_HELD_MB]),
    ("docs/adr/20261121-data-shards.md", "run in blocks of about {} MB", [on_disk.BLOCK_BYTES / MIB]),
    (
        "docs/adr/20261130-batches-in-parts.md",
        "at least {} million multiplications and {} examples",
        [parts.LEAST_MULTIPLICATIONS / 1e6, parts.LEAST_EXAMPLES],
    ),
    ("docs/adr/20261130-batches-in-parts.md", "exceed {} MB together", [parts.GRADIENT_BYTES / MIB]),
    ("docs/adr/20261121-fuse.md", "`neuron` run costs {} times what it was estimated at", [layout.BUDGET_FACTOR]),
    (
        "docs/adr/20261121-metrics-as-lines.md",
        "writes at most {} lines every {} seconds",
        [log_size.METRICS_LINES, log_size.METRICS_INTERVAL_SECONDS],
    ),
    ("docs/adr/20261121-idempotency-with-a-short-lock.md", "The lock lasts {} seconds", [idempotency.LOCK_SECONDS]),
    ("docs/adr/20261128-clocks.md", "heartbeat for the {} seconds of a lease", [LEASE]),
    ("docs/adr/20261128-clocks.md", "observed for {} seconds in the same way", [watchdog.CLOSING_SECONDS]),
    ("docs/adr/20261128-clocks.md", "heartbeat is more than {} seconds old", [watchdog.QUIET_SECONDS]),
    ("docs/adr/20261128-clocks.md", "a Launch that never finished, {} minutes", [watchdog.CLOCKS_DIFFER_SECONDS / 60]),
    ("docs/adr/20261128-clocks.md", "at most {} seconds after the look that first suspects it", [LEASE]),
    ("docs/adr/20261128-clocks.md", "Powertools' lock of {} seconds", [idempotency.LOCK_SECONDS]),
]


def as_number(text: str) -> float:
    if text.lower() in WORDS:
        return float(WORDS.index(text.lower()))
    if text == "second":
        return 1.0
    return float(text.replace(",", ""))


@pytest.mark.parametrize(("page", "sentence", "values"), FIGURES, ids=[f"{row[0]}: {row[1][:40]}" for row in FIGURES])
def test_a_figure_in_the_docs_is_the_code_s(page: str, sentence: str, values: list[float]) -> None:
    text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
    pattern = r"([\w.,]*\w)".join(re.escape(part) for part in sentence.replace("}}", "}").split("{}"))
    found = re.findall(pattern, text)
    assert found, "the sentence has changed: change it here, too"
    for numbers in found:
        said = [as_number(number) for number in ([numbers] if isinstance(numbers, str) else numbers)]
        assert said == pytest.approx(values)
