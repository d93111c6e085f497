"""What the tasks of a pipeline import once they run: who imports this has it all, and forks have it for nothing."""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "boto3",
    "export.bundle.build",
    "export.release.outcome",
    "export.release.register",
    "export.release.release",
    "export.steps",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "runtime.serving.feedback.review_counter",
    "torch.onnx._internal.exporter._core",
    "training.data.fetch",
    "training.data.fetched_files",
    "training.data.prepare",
    "training.evaluation.evaluate",
    "training.feedback.accepted",
    "training.learning.history",
    "training.model.checkpoint",
    "training.pipeline.fitting",
    "training.pipeline.steps",
    "training.tracking.run_record",
)
for name in MODULES:
    import_module(name)
