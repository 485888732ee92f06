"""The reference of parameters.json: a table of the settings model's fields."""

import json

from pydantic.fields import FieldInfo

from lnn.job.hyperparameters import Settings


def table() -> str:
    """A row for each key, in the model's order: its meaning, its values, and its default."""
    rows = [
        f"| `{name}` | {_cell(field.title)} | {_cell(field.description)} | {_default(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| key | meaning | value | default |", "|---|---|---|---|", *rows])


def _cell(text: str | None) -> str:
    if not text:
        raise ValueError("a field of the settings has no title or no description")
    return text.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else f"`{json.dumps(field.default)}`"
