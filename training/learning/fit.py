"""Fine-tuning: linear probe first, then the upper layers, then weight interpolation (LP-FT and WiSE-FT).

Probing before fine-tuning keeps the pretrained features intact while the new head is still wrong, which pays most on
photos from other sources (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). The stem and the first stage know
edges and colours, which 400 photos cannot teach better: they stay frozen, and so do all batch norms
(`training.learning.batchnorm_folding`).
The result is a weight interpolation between the probed network and the tuned one (WiSE-FT), for the same reason.
Of the epochs the last is kept (`training.learning.history`).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runtime.cli.progress import Advance
from training.learning.augment import augment
from training.learning.batchnorm_folding import fold_norms, state_with_norms
from training.learning.feature_cache import FeatureCache
from training.learning.history import EpochFigures
from training.learning.imbalance import balanced_cross_entropy, class_shares
from training.learning.matmul_convolutions import use_matmuls
from training.learning.sampling import epoch_rows, epoch_size
from training.metrics.priors import class_priors
from training.metrics.scores import predictions_from, score
from training.metrics.unknown import unknown_auroc
from training.model.network import build, normalise
from training.model.precision import choose_precision
from training.recipe import UNKNOWN_PRIOR, UNKNOWN_SHARE, Precision, Recipe, crop_size, is_validated

FROZEN = ("conv1", "layer1")
TRAINED = ("layer2", "layer3", "layer4", "fc")

# Hyperparameters, chosen by cross-validation on about 400 photos; those of `Recipe` can be set for each run.
# optimiser: AdamW
BATCH = 16  # 320 photos: 20 steps an epoch; larger batches take too few steps in five epochs
LEARNING_RATE = 3e-4  # of the last stage
HEAD_LEARNING_RATE = 1e-3  # low: the linear probe has put the head in place already
DEPTH_DECAY = (
    0.6  # discriminative learning rates: each stage further down is slower (Howard and Ruder 2018, 1801.06146)
)
SCRATCH_LEARNING_RATE = 1e-3  # of random weights
WEIGHT_DECAY = 0.05
WARM_UP = 0.1  # of all steps, linear; then cosine decay
# regularisation
LABEL_SMOOTHING = 0.05  # a few labels are wrong
PROBE_STRENGTH = 0.01  # scikit-learn's C: strong regularisation, 512 features meet a few hundred photos
TUNED_SHARE = 0.7  # WiSE-FT's alpha, from the probed weights to the tuned ones (Wortsman et al. 2022, arXiv:2109.01903)
PREDICTED_AT_ONCE = 8  # photos; larger batches of 224 px fall out of the cache


@dataclass(frozen=True)
class TrainingPhotos:
    """Photos as pixels and class indices; with `unknown`, those of other things have the index after the last label's.

    `train` [N, s, s, 3] are a little larger than the input, to be cropped from (`stored_size`); `validation`
    [M, size, size, 3] are decoded exactly as they are served. There may be none of these.
    """

    labels: list[str]
    train: NDArray[np.uint8]
    train_truth: NDArray[np.int64]
    validation: NDArray[np.uint8]
    validation_truth: NDArray[np.int64]
    unknown: bool = False

    @property
    def classes(self) -> int:
        """How many a network tells apart: one for each label, and the unknown class if it is learned."""
        return len(self.labels) + self.unknown

    @property
    def epoch_size(self) -> int:
        """How many training photos an epoch shows."""
        return epoch_size(self.train_truth, len(self.labels))

    def epoch_rows(self, generator: Generator) -> Tensor:
        """The training photos of one epoch, shuffled: int64 [`epoch_size`]."""
        return epoch_rows(self.train_truth, len(self.labels), generator)

    @property
    def shares(self) -> Tensor:
        """The share of each class in an epoch, [`classes`]."""
        return class_shares(self.train_truth, self.classes, labels=len(self.labels))

    @property
    def learned_priors(self) -> Tensor | None:
        """The priors that the training learns for, [`classes`]; None where all classes are alike."""
        return self._priors(UNKNOWN_SHARE)

    @property
    def priors(self) -> Tensor | None:
        """The priors that the finished network is for, [`classes`]; None where all classes are alike."""
        return self._priors(UNKNOWN_PRIOR)

    def _priors(self, unknown: float) -> Tensor | None:
        if not self.unknown:
            return None
        return torch.from_numpy(class_priors(len(self.labels), unknown=True, prior=unknown).astype(np.float32))


@dataclass(frozen=True)
class Fitted:
    """The weights of the last epoch, and the figures of all."""

    state: dict[str, Tensor]
    history: list[EpochFigures]
    precision: Precision


def fit(photos: TrainingPhotos, recipe: Recipe, advance: Advance) -> Fitted:
    """Train a network on `photos`; `advance` is called once for each of its `steps`.

    Equal recipes on equal photos give equal weights on the same machine. Raises WeightsError.
    """
    precision = recipe.precision or choose_precision()
    torch.manual_seed(recipe.seed)
    generator = Generator().manual_seed(recipe.seed)
    pretrained = recipe.weights != "none"
    network = _built(photos.classes, recipe.weights, precision)
    frozen = probed = None
    if pretrained:
        _probe(network, photos, crop_size(recipe, recipe.epochs))
        frozen = nn.Sequential(network.conv1, nn.ReLU(inplace=True), network.maxpool, network.layer1)
        probed = copy.deepcopy(network)
    trunk = _Trunk(network, frozen)
    held_out = FeatureCache(photos.validation, frozen)
    optimiser = torch.optim.AdamW(_groups(network, pretrained=pretrained), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_then_cosine(steps(photos.epoch_size, recipe)))
    average = AveragedModel(network, multi_avg_fn=_ema(photos), use_buffers=True)
    shares, priors = photos.shares, photos.learned_priors
    history: list[EpochFigures] = []
    reached: Any = network
    for epoch in range(1, recipe.epochs + 1):
        began = time.monotonic()
        size = crop_size(recipe, epoch)
        losses = []
        trunk.train()
        for indices in _batches(photos.epoch_rows(generator)):
            pixels, truth = torch.from_numpy(photos.train[indices]), torch.from_numpy(photos.train_truth[indices])
            batch = augment(normalise(pixels), size, generator)  # [B, 3, size, size]
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                logits = trunk(batch)  # [B, C]
            loss = balanced_cross_entropy(logits.float(), truth, shares, LABEL_SMOOTHING, priors=priors)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if epoch > 1 or recipe.epochs == 1:
                average.update_parameters(network)
            losses.append(loss.item())
            advance(note=_note(epoch, recipe.epochs, losses[-1], history))
        figures = {}
        if is_validated(epoch, recipe.epochs):
            reached = _reached(network, average, probed)
            figures = _validate(_Trunk(reached, frozen).stages.eval(), held_out, photos)
        history.append(
            EpochFigures(
                epoch=epoch,
                seconds=round(time.monotonic() - began, 2),
                learning_rate=float(schedule.get_last_lr()[0]),
                train_loss=float(np.mean(losses)),
                **figures,
            )
        )
    return Fitted(_with_priors(state_with_norms(reached), photos), history, precision)


def _built(classes: int, weights: str, precision: Precision) -> Any:
    """The network that a training begins with, laid out as its convolutions want it."""
    network: Any = build(classes, weights)
    network.to(memory_format=torch.channels_last)
    if weights != "none":
        fold_norms(network)
    if precision == "fp32":
        use_matmuls(network)
    return network


def _with_priors(state: dict[str, Tensor], photos: TrainingPhotos) -> dict[str, Tensor]:
    """The weights for the priors that are expected: a label shift moves each logit by the log of the priors' ratio.

    Saerens et al. 2002, https://doi.org/10.1162/089976602753284446, eq. 2.4.
    """
    if photos.priors is None or photos.learned_priors is None:
        return state
    return state | {"fc.bias": state["fc.bias"] + (photos.priors / photos.learned_priors).log()}


def _reached(network: nn.Module, average: AveragedModel, probed: nn.Module | None) -> nn.Module:
    """The network as it would be handed on now: its averaged weights, part of the way from the probed ones."""
    tuned = average.module if average.n_averaged else network
    return interpolate_weights(probed, tuned, TUNED_SHARE) if probed else tuned


def steps(count: int, recipe: Recipe) -> int:
    """How many batches a run takes whose epochs show `count` training photos."""
    return recipe.epochs * math.ceil(count / BATCH)


def predict_logits(network: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits [N, C] of `pixels` [N, H, W, 3] in FP32; the network must be in evaluation mode."""
    return _logits(network, FeatureCache(pixels, None))


def _logits(network: nn.Module, photos: FeatureCache) -> NDArray[np.float32]:
    with torch.inference_mode():
        return torch.cat([network(batch).float() for batch in photos.batches(PREDICTED_AT_ONCE)]).numpy()


class _Trunk(nn.Module):
    """The network as it is trained: `stages` learn; the `frozen` layers below them run without gradients."""

    def __init__(self, network: Any, frozen: nn.Module | None) -> None:
        super().__init__()
        self._frozen = [frozen] if frozen else []  # in a list: `train()` must not reach it
        below = [] if frozen else [network.conv1, network.bn1, network.relu, network.maxpool, network.layer1]
        above = [network.layer2, network.layer3, network.layer4, network.avgpool, nn.Flatten(), network.fc]
        self.stages = nn.Sequential(*below, *above)

    def forward(self, batch: Tensor) -> Tensor:
        for frozen in self._frozen:
            with torch.no_grad():
                batch = frozen(batch)  # [B, 64, size / 4, size / 4]
        logits: Tensor = self.stages(batch)  # [B, C]
        return logits


def _probe(network: Any, photos: TrainingPhotos, size: int) -> None:
    """Linear probe: set the head to a regularised logistic regression on the pretrained features.

    Whole photos at `size`, that of the last crops, show things about as large as the crops of an average epoch do.
    """
    head, network.fc = network.fc, nn.Identity()
    features = predict_logits(network.eval(), _scaled(photos.train, size))  # [N, 512]
    network.fc = head
    probe = LogisticRegression(C=PROBE_STRENGTH, max_iter=1000, class_weight=_probe_weights(photos))
    with threadpool_limits(1):  # as in `training.inspection.crossvalidation`
        probe.fit(features, photos.train_truth)
    weight, bias = torch.from_numpy(probe.coef_).float(), torch.from_numpy(probe.intercept_).float()  # [C, 512], [C]
    if photos.classes == 2:  # scikit-learn has one row for two classes: the difference of their logits
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)


def _probe_weights(photos: TrainingPhotos) -> str | dict[int, float]:
    """Each class counts alike; the unknown class as much as in an epoch."""
    if photos.learned_priors is None:
        return "balanced"
    counts = np.bincount(photos.train_truth, minlength=photos.classes)
    weights = photos.learned_priors.numpy() * len(photos.train_truth) / np.maximum(counts, 1)
    return dict(enumerate(weights.tolist()))


def interpolate_weights(probed: nn.Module, tuned: nn.Module, share: float) -> nn.Module:
    """WiSE-FT: a network whose weights are `share` of the way from the first to the second.

    Wortsman et al. 2022, https://arxiv.org/abs/2109.01903.
    """
    network = copy.deepcopy(probed)
    with torch.no_grad():
        for weight, goal in zip(network.parameters(), tuned.parameters(), strict=True):
            weight.lerp_(goal, share)
    return network


def _scaled(photos: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    images = [Image.fromarray(photo).resize((size, size), Image.Resampling.BILINEAR) for photo in photos]
    return np.stack([np.asarray(image) for image in images])


def _groups(network: Any, *, pretrained: bool) -> list[dict[str, Any]]:
    if not pretrained:
        return [{"params": list(network.parameters()), "lr": SCRATCH_LEARNING_RATE}]
    for name in FROZEN:
        getattr(network, name).requires_grad_(False)
    stages = TRAINED[:-1]
    rates = [LEARNING_RATE * DEPTH_DECAY**below for below in reversed(range(len(stages)))]
    groups = zip(TRAINED, [*rates, HEAD_LEARNING_RATE], strict=True)
    # The head first: its rate is the one that is reported.
    return [{"params": list(getattr(network, name).parameters()), "lr": rate} for name, rate in reversed(list(groups))]


def _warm_up_then_cosine(total: int) -> Any:
    """Learning-rate schedule: linear warm-up, then cosine decay to 0 after `total` steps."""
    warm = WARM_UP * total

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))

    return factor


def _batches(rows: Tensor) -> Iterator[NDArray[np.int64]]:
    order = rows.numpy()
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        # Batch normalisation cannot learn from a single photo: let it see one twice.
        yield batch if len(batch) > 1 else np.repeat(batch, 2)


def _ema(photos: TrainingPhotos) -> Any:
    """Exponential moving average of the weights over about one epoch, which steadies the last steps."""
    decay = 1 - 1 / math.ceil(photos.epoch_size / BATCH)
    return get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]


def _validate(stages: nn.Module, held_out: FeatureCache, photos: TrainingPhotos) -> dict[str, float]:
    if not len(photos.validation):
        return {}
    probabilities = F.softmax(torch.from_numpy(_logits(stages, held_out)), dim=1).numpy()
    paths = [""] * len(photos.validation)
    said = predictions_from(photos.labels, paths, photos.validation_truth, probabilities)
    scores = score(said.own)
    figures = {
        "validation_loss": scores.log_loss,
        "validation_accuracy": scores.accuracy,
        "validation_precision": scores.precision,
        "validation_recall": scores.recall,
        "validation_f1": scores.f1,
    }
    told_apart = unknown_auroc(said)
    return figures if told_apart is None else figures | {"validation_unknown_auroc": told_apart}


def _note(epoch: int, epochs: int, loss: float, history: list[EpochFigures]) -> str:
    note = f"epoch {epoch}/{epochs}, loss {loss:.3f}"
    if validated := [figures for figures in history if figures.validation_accuracy is not None]:
        note += f", validation accuracy {validated[-1].validation_accuracy:.3f}, F1 {validated[-1].validation_f1:.3f}"
    return note
