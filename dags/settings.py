"""Pipeline parameters: given to the run, else an Airflow Variable, else the environment, else the default."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from airflow.sdk import Param

from runtime.errors import Refusal
from training.recipe import (
    AUTO,
    DEFAULT_EPOCHS,
    DEFAULT_IMAGE_SIZE,
    DEFAULT_OTHER,
    DEFAULT_SEED,
    DEFAULT_WEIGHTS,
    LARGEST,
    NO_OTHER,
    PUBLIC_OTHER,
    SMALLEST,
    STEP,
    UNKNOWN_EPOCHS,
)


class BadSetting(Refusal):
    """A Variable or an environment value that is not what its parameter takes."""


class Setting(NamedTuple):
    """One parameter; its Variable is `dandelion_<name>`. `rule` is JSON Schema, for a value that is given."""

    name: str
    variable: str | None
    default: Any
    rule: dict[str, Any]
    description: str
    required: bool = False


# A number's rules bind numbers alone, a text's pattern texts alone.
_SIZE = {"type": ["integer", "string"], "minimum": SMALLEST, "maximum": LARGEST, "multipleOf": STEP,
         "pattern": f"^({AUTO}|[0-9]+)$"}  # fmt: skip
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}

SOURCE = (
    Setting("source", "DANDELION_SOURCE", None, {"type": "string"},
            "Folder or base URL of `<class>/<photo>`; if empty, what the product was taught from on an appliance, else "
            "the public dandelion and grass photos"),
    Setting("listing", None, None, {"type": "string"},
            "JSON list of what the source holds, where a server does not tell"),
    Setting("other", "DANDELION_OTHER", DEFAULT_OTHER, {"type": "string"},
            f"Photos of none of the classes: {PUBLIC_OTHER}, a folder of `<kind>/<photo>`, or {NO_OTHER}"),
    Setting("workers", None, 8, {"type": "integer", "minimum": 1, "maximum": 64}, "Downloads at once"),
    Setting("classes", None, None, {"type": "array", "items": {"type": "string"}},
            "Class folders to train on; all of them if empty"),
)  # fmt: skip

RECIPE = (
    Setting("image_size", "IMAGE_SIZE", DEFAULT_IMAGE_SIZE, _SIZE,
            f"Side of the model's square input in px, a multiple of {STEP}; {AUTO}: measure which one is enough"),
    Setting("epochs", "EPOCHS", None, {"type": "integer", "minimum": 1, "maximum": 1000},
            f"Passes over the photos; {DEFAULT_EPOCHS} if empty, {UNKNOWN_EPOCHS} with photos of other things"),
    Setting("weights", "DANDELION_WEIGHTS", DEFAULT_WEIGHTS, {"type": "string"},
            "imagenet, none, or the path of a ResNet18 state dict"),
    Setting("seed", None, DEFAULT_SEED, {"type": "integer"}, "Same seed, same machine: same result"),
    Setting("validation", None, 0.2, _SHARE | {"minimum": 0.05, "maximum": 0.5},
            "Share of the photos that is kept for validation"),
)  # fmt: skip

RELEASE = (
    Setting("min_accuracy", "DANDELION_MIN_ACCURACY", None, _SHARE,
            "Refuse a model below this validation accuracy; 0.93 for the public photos, no floor for others if empty"),
    Setting("tolerance", "DANDELION_TOLERANCE", 0.02, _SHARE,
            "A model takes the champion's place unless it is right on fewer photos by more than this share"),
    Setting("product", "DANDELION_PRODUCT", None, {"type": "string"},
            "Name of the model, and whose photos it learns from; it takes the place of a model of another name. By the "
            "labels if empty, and then another product keeps its place"),
    Setting("replace", None, False, {"type": "boolean"},
            "Take the champion's place even if it is another product or has other labels"),
)  # fmt: skip

BATCH = (
    Setting("photos", None, None, {"type": "string", "minLength": 1},
            "Folder or s3://bucket/prefix of the photos to classify", required=True),
    Setting("out", None, None, {"type": "string", "pattern": r"\.(csv|parquet)$"},
            "Table to write, s3://… or a path, .csv or .parquet; below predictions/ in the data store if empty"),
    Setting("version", None, None, {"type": "string"}, "Version of the model; the one that is served if empty"),
    Setting("photos_per_task", None, 2000, {"type": "integer", "minimum": 1}, "Photos of one mapped task"),
    Setting("threads", None, None, {"type": "integer", "minimum": 1},
            "Photos at once in one task; one a core if empty"),
)  # fmt: skip


def params(*groups: tuple[Setting, ...]) -> dict[str, Param]:
    """The form that Airflow shows; every field may be left empty."""
    return {setting.name: _param(setting) for group in groups for setting in group}


def resolve(given: dict[str, Any], *groups: tuple[Setting, ...]) -> dict[str, Any]:
    """The values to work with, each checked against its rule. Raises BadSetting or ProductError, naming the culprit."""
    from training.product import checked_product

    values = {setting.name: _resolve(setting, given.get(setting.name)) for group in groups for setting in group}
    if values.get("product"):
        checked_product(values["product"])
    return values


def _param(setting: Setting) -> Param:
    rule = dict(setting.rule)
    kind = rule.pop("type")
    if setting.required:
        return Param(type=kind, title=_title(setting), description=f"{setting.description}.", **rule)
    places = [f"the Variable dandelion_{setting.name}", *([setting.variable] if setting.variable else [])]
    fallback = "" if setting.default is None else f", then {setting.default}"
    description = f"{setting.description}. Empty: {', then '.join(places)}{fallback}."
    return Param(None, type=["null", *_kinds(setting)], title=_title(setting), description=description, **rule)


def _kinds(setting: Setting) -> list[str]:
    kinds = setting.rule["type"]
    return [kinds] if isinstance(kinds, str) else kinds


def _title(setting: Setting) -> str:
    return setting.name.replace("_", " ")


def _resolve(setting: Setting, given: Any) -> Any:
    from airflow.sdk import Variable

    if given not in (None, "", []):
        return _checked(setting, given, f"the parameter {setting.name}")
    name = f"dandelion_{setting.name}"
    stored = Variable.get(name, default=None)
    if stored not in (None, ""):
        return _checked(setting, stored, f"the Airflow Variable {name}")
    found = os.environ.get(setting.variable or "")
    return _checked(setting, found, setting.variable or "") if found else setting.default


def _checked(setting: Setting, text: Any, origin: str) -> Any:
    import json

    import jsonschema

    value, kinds = text, _kinds(setting)
    if kinds != ["string"] and isinstance(text, str):
        try:
            value = json.loads(text)
        except ValueError as error:
            if "string" not in kinds:
                raise BadSetting(f"{origin}: {text!r} is no {' or '.join(kinds)}; mend it") from error
    try:
        jsonschema.validate(value, setting.rule)
    except jsonschema.ValidationError as error:
        raise BadSetting(f"{origin}: {error.message}; mend it") from error
    return value
