"""The order of the pipelines; what each task does is in `training.steps`, `export.steps` and `runtime.batch`."""
