"""The workspace: what people teach from, on disk. Datasets, classes, photos with labels, their features, undo."""
