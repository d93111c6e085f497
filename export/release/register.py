"""MLflow model registry: the served model with its signature and a champion or challenger alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import mlflow
import numpy as np
import onnx
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from runtime.bundle.manifest import MANIFEST, MODEL, Bundle
from runtime.inference.onnxruntime_session import INPUT
from training.tracking.server import Tracker

CHAMPION, CHALLENGER = "champion", "challenger"
VERSION_TAG = "dandelion.version"
ARTIFACT = "model"


class Registered(NamedTuple):
    """A version in the registry."""

    version: str
    alias: str
    url: str


def register(tracker: Tracker, bundle: Bundle, *, promoted: bool, reason: str, tags: Mapping[str, str]) -> Registered:
    """Register the bundle's INT8 model once and give it its alias. Raises TrackerAway.

    The champion is what the models store points at; its alias moves only to a model that was promoted.
    """
    run_id = bundle.manifest.mlflow_run or tracker.run_named(bundle.manifest.version).info.run_id
    with tracker.answering():
        found = _registered(tracker, bundle) or _add(tracker, run_id, bundle, tags)
        name, alias = found.name, CHAMPION if promoted else CHALLENGER
        tracker.client.set_model_version_tag(name, found.version, "reason", reason)
        tracker.client.update_model_version(name, found.version, description=f"{alias}: {reason}")
        tracker.client.set_registered_model_alias(name, alias, found.version)
        if promoted:
            _resign(tracker, found)
    tracker.finish(run_id)
    return Registered(str(found.version), alias, tracker.page_of(run_id))


def _registered(tracker: Tracker, bundle: Bundle) -> ModelVersion | None:
    found = tracker.client.search_model_versions(f"name = '{bundle.manifest.name}'")
    return next((one for one in found if one.tags.get(VERSION_TAG) == bundle.manifest.version), None)


def _add(tracker: Tracker, run_id: str, bundle: Bundle, tags: Mapping[str, str]) -> ModelVersion:
    manifest = bundle.manifest
    metrics = manifest.metrics
    scores = {
        f"{precision}_{name}": getattr(figures, name)
        for precision, figures in (("int8", metrics.int8), ("fp32", metrics.fp32))
        if figures
        for name in ("accuracy", "f1")
    }
    if metrics.agreement is not None:
        scores["agreement"] = metrics.agreement
    if manifest.unknown and manifest.unknown.metrics:
        scores["own_called_unknown"] = manifest.unknown.metrics.own_called_unknown
        scores["other_answered_with_certainty"] = manifest.unknown.metrics.other_answered_with_certainty
    tracker.client.log_batch(run_id, metrics=[Metric(name, value, 0, 0) for name, value in scores.items()])
    tracker.client.log_artifact(run_id, str(bundle.path / MANIFEST), "bundle")
    model = onnx.load(bundle.path / MODEL)
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        logged = mlflow.onnx.log_model(
            model,
            name=ARTIFACT,
            signature=signature(model),
            input_example={INPUT: np.zeros((1, manifest.input.height, manifest.input.width, 3), np.uint8)},
            pip_requirements=["onnxruntime", "onnx", "numpy"],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
        )
    client = tracker.client
    if not client.search_registered_models(f"name = '{manifest.name}'"):
        client.create_registered_model(manifest.name, description=f"Tells {', '.join(manifest.labels)} apart, in INT8")
    return client.create_model_version(
        manifest.name,
        source=logged.model_uri,
        run_id=run_id,
        model_id=logged.model_id,
        tags={VERSION_TAG: manifest.version, "dataset.sha256": manifest.dataset.sha256, **tags},
    )


def _resign(tracker: Tracker, champion: ModelVersion) -> None:
    """A champion is not its own challenger."""
    aliases = tracker.client.get_registered_model(champion.name).aliases
    if str(aliases.get(CHALLENGER)) == str(champion.version):
        tracker.client.delete_registered_model_alias(champion.name, CHALLENGER)


def signature(model: onnx.ModelProto) -> ModelSignature:
    """The graph's own tensors by their names: `{"pixels": ...}` is what Python and MLflow's server take."""
    return ModelSignature(Schema(_tensors(model.graph.input)), Schema(_tensors(model.graph.output)))


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> list[ColSpec | TensorSpec]:
    """Name, type and shape of each; a dimension of any size is -1."""
    kinds = [(value.name, value.type.tensor_type) for value in values]
    return [
        TensorSpec(
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
            tuple(size.dim_value or -1 for size in kind.shape.dim),
            name,
        )
        for name, kind in kinds
    ]
