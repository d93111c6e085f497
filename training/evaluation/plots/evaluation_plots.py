"""Evaluation plots: confusion matrix, ROC and precision-recall curves, calibration, learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.metrics import auc, confusion_matrix, precision_recall_curve, roc_curve

from runtime.bundle.manifest import Scores
from training.evaluation.plots.axes import canvas, style, titled
from training.evaluation.plots.palette import CLASS_COLOURS, GREEN, GREY, INK, YELLOW
from training.learning.history import EpochFigures
from training.metrics.scores import Predictions

FEW_CLASSES = 6  # more have no place for shares beside their counts

_MEADOW = LinearSegmentedColormap.from_list("meadow", ["#f6f8f3", "#a9c8a0", GREEN])


def confusion_plot(predictions: Predictions) -> Figure:
    """Counts, and each row's shares: what became of the photos of one class."""
    classes = len(predictions.labels)
    counts = confusion_matrix(predictions.truth, predictions.predicted, labels=range(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = titled(4.6, 4.2, "What was called what")
    axes.imshow(shares, cmap=_MEADOW, vmin=0, vmax=1)
    few = classes <= FEW_CLASSES
    size = 11 if few else max(4.0, 80 / classes)
    for row, column in np.argwhere(counts) if not few else np.ndindex(classes, classes):
        colour = "white" if shares[row, column] > 0.6 else INK
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}" if few else f"{counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    turned = 0 if classes < 4 else 45 if few else 90
    tick_size = 10 if few else size
    axes.set_xticks(range(classes), predictions.labels, rotation=turned, fontsize=tick_size)
    axes.set_yticks(
        range(classes), predictions.labels, rotation=90 if classes < 4 else 0, va="center", fontsize=tick_size
    )
    axes.set_xlabel("the model says")
    axes.set_ylabel("it is")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def reliability_plot(predictions: Predictions, bins: int = 10) -> Figure:
    """Confidence against accuracy (Guo et al. 2017, arXiv:1706.04599), with the number of photos below."""
    figure = canvas(4.6, 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    style(upper, "Is it as sure as it should be?")
    style(lower)
    right = predictions.predicted == predictions.truth
    index = np.minimum((predictions.confidence * bins).astype(int), bins - 1)
    upper.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="ideal")
    filled = [b for b in range(bins) if (index == b).any()]
    confidence = [float(predictions.confidence[index == b].mean()) for b in filled]
    accuracy = [float(right[index == b].mean()) for b in filled]
    upper.plot(confidence, accuracy, "-o", color=GREEN, markerfacecolor=YELLOW, markeredgecolor=INK, label="model")
    upper.set_ylabel("right")
    upper.set_ylim(-0.03, 1.05)
    upper.legend(frameon=False, loc="upper left")
    lower.hist(predictions.confidence, bins=bins, range=(0, 1), color=GREEN, rwidth=0.9)
    lower.set_ylabel("photos")
    lower.set_xlabel("confidence")
    lower.set_xlim(max(0.0, 1 / len(predictions.labels) - 0.1), 1.02)
    return figure


def threshold_plots(predictions: Predictions) -> Figure:
    """ROC and precision-recall curves, one against the rest for each class."""
    figure = canvas(9.2, 4.0)
    roc, precision_recall = figure.subplots(1, 2)
    style(roc, "Hits against false alarms (ROC)")
    style(precision_recall, "Precision against recall")
    roc.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1)
    for index, label in enumerate(predictions.labels):
        truth, probability = predictions.truth == index, predictions.probabilities[:, index]
        if not truth.any() or truth.all():
            continue
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        false_alarms, hits, _ = roc_curve(truth, probability)
        roc.plot(false_alarms, hits, color=colour, linewidth=2, label=f"{label} (area {auc(false_alarms, hits):.3f})")
        precision, recall, _ = precision_recall_curve(truth, probability)
        precision_recall.plot(recall, precision, color=colour, linewidth=2, label=label)
    for axes, x, y in ((roc, "false alarms", "hits"), (precision_recall, "recall", "precision")):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        # No line where all photos are of one class; more of them than a legend can tell apart where there are many.
        if 0 < len(axes.get_legend_handles_labels()[0]) <= len(CLASS_COLOURS) + 1:
            axes.legend(frameon=False, loc="lower left" if axes is precision_recall else "lower right")
    return figure


def curves_plot(history: Sequence[EpochFigures]) -> Figure:
    """Loss and quality by epoch, as far as it was validated; the last epoch is kept, and marked."""
    figure = canvas(9.2, 3.4)
    loss, quality = figure.subplots(1, 2)
    style(loss, "Loss")
    style(quality, "Validation accuracy and F1")
    epochs = [figures.epoch for figures in history]
    loss.plot(epochs, [figures.train_loss for figures in history], "-o", color=GREY, label="training", markersize=4)
    validated = [figures for figures in history if figures.validation_accuracy is not None]
    tried = [figures.epoch for figures in validated]
    loss.plot(
        tried, [figures.validation_loss for figures in validated], "-o", color=GREEN, label="validation", markersize=4
    )
    accuracy = [figures.validation_accuracy for figures in validated]
    quality.plot(tried, accuracy, "-o", color=GREEN, label="accuracy", markersize=4)
    quality.plot(tried, [figures.validation_f1 for figures in validated], "--", color=INK, label="F1", linewidth=1)
    quality.plot(tried[-1:], accuracy[-1:], "o", color=YELLOW, markeredgecolor=INK, markersize=10, label="kept")
    for axes in (loss, quality):
        axes.set_xticks(epochs if len(epochs) <= 12 else epochs[:: len(epochs) // 10])
        axes.set_xlim(epochs[0] - 0.3, epochs[-1] + 0.3)
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    return figure


def folds_plot(folds: Sequence[Scores]) -> Figure:
    """Accuracy of each fold, with their mean and standard deviation."""
    figure, axes = titled(9.2, 2.6, "Accuracy, fold by fold")
    accuracy = np.array([fold.accuracy for fold in folds])
    mean, deviation = float(accuracy.mean()), float(accuracy.std())
    axes.axhspan(mean - deviation, mean + deviation, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(mean, color=GREEN, linewidth=1.5, label=f"mean {mean:.4f} ± {deviation:.4f}")
    axes.plot(range(1, len(folds) + 1), accuracy, "o", color=YELLOW, markeredgecolor=INK, markersize=9)
    axes.set_xticks(range(1, len(folds) + 1))
    axes.set_xlabel("fold")
    axes.margins(x=0.1, y=0.3)
    axes.legend(frameon=False)
    return figure
