"""Messages to people, over SNS. A message that cannot be sent is logged and never fails a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lnn.names import stays_apart
from lnn.text.characters import escaped, in_ascii

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from lnn.runs.record import Run
    from lnn.serving.registry import ModelRecord

logger = logging.getLogger(__name__)

SUBJECT_LENGTH = 100
"""SNS refuses longer subjects, and subjects that are not ASCII (SNS API reference, Publish)."""


class Notifier:
    """The topic of one deployment."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic = topic_arn

    def started(self, run: Run) -> None:
        examples = run.dimensions["examples"] if run.dimensions else 0
        self._publish(
            f"LNN: training {run.network} has started",
            run,
            f"{run.epochs} epochs on {examples} examples, strategy {run.strategy}: {run.strategy_reason}.",
            f"Follow it:  lnn watch {run.run_id}",
        )

    def progress(self, run: Run, epoch: int, cost: float) -> None:
        self._publish(
            f"LNN: epoch {epoch} of {run.epochs}, cost {cost:.4g}",
            run,
            f"Epoch {epoch} of {run.epochs} is done; its cost is {cost:.6g}.",
            f"Follow it:  lnn watch {run.run_id}\nEnd it now, keeping the model:  lnn stop {run.run_id}",
        )

    def ended(self, run: Run) -> None:
        """The message for a run that is COMPLETED, FAILED or STOPPED."""
        run_id, reason = run.run_id, run.reason
        match run.status:
            case "COMPLETED":
                model = run.artifacts["params"] if run.artifacts else None
                self._publish(
                    f"LNN: training completed{_in_subject(run.test_accuracy, run.test_r2, run.base_rate('test'))}",
                    run,
                    _figures(run),
                    f"The model:  {model}\nTry it:  lnn predict IMAGE --model {run_id}",
                )
            case "STOPPED":
                self._publish(
                    f"LNN: training stopped after epoch {run.epoch} of {run.epochs or '?'}",
                    run,
                    f"{reason}\n{_figures(run)}",
                    f"Go on from here:  lnn resume {run_id}",
                )
            case _:
                resumable = run.is_prepared
                self._publish(
                    "LNN: training failed",
                    run,
                    str(reason),
                    f"Mend the cause, then:  lnn resume {run_id}"
                    if resumable
                    else "Correct the input and upload it again.",
                )

    def model_staged(self, model: ModelRecord, production: ModelRecord | None) -> None:
        """The message for a new model in staging; ``production`` is the model that it would replace."""
        model_id = model["model_id"]
        name, score = _test_score(model)
        scores = model.get("test_accuracy"), model.get("test_r2"), model.get("base_rate")
        self._send(
            f"LNN: model staged{_in_subject(*scores)}",
            f"Model {model_id}\n\nIt waits in staging.\n{name[0].upper()}{name[1:]}: {score}\n{_reservations(model)}"
            f"In production: {_standing(model, production)}\n\n"
            f"Try it:  lnn page --staging\nPromote it:  lnn promote {model_id}\n"
            f"On a tenth of the requests first:  lnn promote {model_id} --canary 10\n"
            f"Reject it:  lnn reject {model_id}\n",
        )

    def model_held_back(self, model: ModelRecord) -> None:
        """The message for a new model that leaves staging to the one that is there."""
        model_id = model["model_id"]
        name, score = _test_score(model)
        self._send(
            "LNN: model not staged",
            f"Model {model_id}\n\nIt does not take staging: {escaped(model.get('held_back', ''))}.\n"
            f"{name[0].upper()}{name[1:]}: {score}\n{_reservations(model)}\n"
            f"Staging and production are unchanged.\n"
            f"Promote it nevertheless:  lnn promote {model_id}\n",
        )

    def model_refused(self, model: ModelRecord) -> None:
        """The message for an uploaded model that cannot predict."""
        reason = model.get("refused", "no reason is recorded")
        self._send(
            "LNN: model refused",
            f"Model {model['model_id']}\n\n{escaped(model['source'])} cannot predict: {escaped(reason)}.\n\n"
            "Production is unchanged. Correct the file and upload it again.\n",
        )

    def _publish(self, subject: str, run: Run, body: str, next_step: str) -> None:
        if stays_apart(run.dataset_key):
            return
        self._send(subject, f"Run {run.run_id}\n\n{body}\n\n{next_step}\n")

    def _send(self, subject: str, message: str) -> None:
        try:
            self._client.publish(
                TopicArn=self._topic, Subject=in_ascii(subject)[:SUBJECT_LENGTH], Message=escaped(message, keep="\n")
            )
        except (BotoCoreError, ClientError) as error:
            logger.warning("notification lost", extra={"subject": subject, "error": str(error)})


def _figures(run: Run) -> str:
    lines = [f"Epochs: {run.epoch}"]
    if run.final_cost is not None:
        lines.append(f"Cost: {run.final_cost:.6g}")
    if run.best_epoch is not None and run.validation_cost is not None:
        lines.append(f"Lowest validation cost: {run.validation_cost:.6g}, of epoch {run.best_epoch}")
    if run.train_accuracy is not None:
        lines.append(f"Accuracy: {run.train_accuracy:.1%} training, {run.test_accuracy:.1%} test")
    if (metrics := run.test_metrics) is not None:
        low, high = metrics.interval
        lines.append(f"Base rate: {metrics.base_rate:.1%} test, by always answering {metrics.most_frequent}")
        lines.append(f"Interval of the test accuracy: {low:.1%} to {high:.1%}, of 95% confidence")
        lines.append(f"Balanced accuracy: {metrics.balanced_accuracy:.1%} test")
        lines.append(f"Recall: {metrics.recall_in_words}")
    for name in ("rmse", "mae", "r2") if run.is_regression else ():
        train, test = run.attribute(f"train_{name}"), run.attribute(f"test_{name}")
        if train is not None and test is not None:
            lines.append(f"{name.upper()}: {train:.4g} training, {test:.4g} test")
    if run.training_seconds is not None:
        lines.append(f"Training time: {run.training_seconds:.1f} s")
    lines += [f"Warning: {remark}" for remark in run.remarks]
    return "\n".join(lines)


def _in_subject(accuracy: float | None, r2: float | None, base_rate: float | None) -> str:
    """The score on the test set, for the end of a subject; empty where there is none."""
    if accuracy is not None:
        return f", test accuracy {accuracy:.1%}" + ("" if base_rate is None else f" (base rate {base_rate:.1%})")
    return "" if r2 is None else f", test R2 {r2:.3f}"


def _test_score(model: ModelRecord) -> tuple[str, str]:
    """The name and the value of the score on the test set, and for regression R2 beside RMSE."""
    if "targets" in model:
        rmse, r2 = model.get("test_rmse"), model.get("test_r2")
        return "test RMSE", "not known" if rmse is None else f"{rmse:.4g}" + ("" if r2 is None else f", R2 {r2:.3f}")
    accuracy, base_rate = model.get("test_accuracy"), model.get("base_rate")
    if accuracy is None:
        return "test accuracy", "not known"
    return "test accuracy", f"{accuracy:.1%}" + ("" if base_rate is None else f" (base rate {base_rate:.1%})")


def _reservations(model: ModelRecord) -> str:
    """Lines about what the test accuracy is to be read with; empty where that is not known."""
    balanced, recall = model.get("balanced_accuracy"), model.get("recall")
    lines = [] if balanced is None else [f"Balanced accuracy: {balanced:.1%}"]
    lines += [] if recall is None else [f"Recall: {recall}"]
    return "".join(f"{line}\n" for line in [*lines, *(f"Warning: {remark}" for remark in model.get("remarks", ()))])


def _standing(model: ModelRecord, production: ModelRecord | None) -> str:
    """How the model in production compares with a new one."""
    if production is None:
        return "no model yet"
    text = f"{production['model_id']}, {' '.join(_test_score(production))}"
    new, old = model.get("test_rmse"), production.get("test_rmse")
    if new is not None and old is not None:
        return f"{text}; the RMSE of the new one is {abs(new - old):.4g} {'higher' if new > old else 'lower'}"
    new, old = model.get("test_accuracy"), production.get("test_accuracy")
    if new is None or old is None:
        return text
    points = (new - old) * 100
    return f"{text}; the new one has {abs(points):.1f} percentage points {'more' if points >= 0 else 'less'}"
