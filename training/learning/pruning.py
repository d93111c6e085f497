"""Structured channel pruning with knowledge distillation: a narrow network made of a wide one.

The channels between the two convolutions of a residual block are seen by that block alone: removing some changes no
other shape. The channels that feed most into the second convolution are kept. The loss is repaired in two steps. First,
each second convolution is refitted by least squares to the output of the wide block (He et al. 2017,
https://arxiv.org/abs/1707.06168). Then the narrow network, the student, is trained to agree with the wide one, the
teacher: block by block (feature distillation, Romero et al. 2015, https://arxiv.org/abs/1412.6550) and in its logits
(knowledge distillation, Hinton et al. 2015, https://arxiv.org/abs/1503.02531), on crops and on mixup of photos
(Zhang et al. 2018, https://arxiv.org/abs/1710.09412).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runtime.cli.progress import Advance, progress
from training.learning.augment import augment
from training.learning.batchnorm_folding import fold_norms, state_with_norms
from training.learning.fit import LABEL_SMOOTHING, TrainingPhotos, predict_logits
from training.learning.imbalance import balanced_cross_entropy
from training.model.checkpoint import Checkpoint, CheckpointError, git_commit
from training.model.network import blocks, normalise

SHARE = 0.25  # of the channels inside the blocks, by the stages' shares below: twice as fast
EPOCHS = 50
STAGE_SHARES = {64: 2.0, 128: 1.5, 256: 1.0, 512: 0.75}  # of `share`: all later blocks see what an early one gets wrong
LANE = 16  # channels: what INT8 kernels take at once; widths are multiples of it

BATCH = 32
LEARNING_RATE = 6e-4
CROPPED = 0.5  # of the photos in a batch; the others are shown whole
WARM_UP = 0.1  # of all steps
TEMPERATURE = 2.0  # of the logits that are compared
TRUTH_WEIGHT = 0.5  # of the cross-entropy with the labels, beside the distillation loss
MAX_MIXUP = 0.5  # the largest share of another photo
AVERAGED_STEPS = 30  # of the exponential moving average of the weights

REFIT_BYTES = 2**29  # of activations for the least squares: more photos than fit are left out
REFIT_VIEWS = 5  # crops of each photo
REFIT_ROWS = 20_000  # places of a batch that enter the least squares
RIDGE = 0.003  # how much the solution is drawn to the weights that were
AT_ONCE = 64


@dataclass(frozen=True)
class Narrowed:
    """The narrow checkpoint, and how often it is right on the validation photos; the wide one's is in it."""

    checkpoint: Checkpoint
    accuracy: float


def narrow(
    wide: Checkpoint, photos: TrainingPhotos, *, share: float = SHARE, epochs: int = EPOCHS, seed: int = 42
) -> Narrowed:
    """Narrow a trained network to `share` of the channels inside its blocks, with progress.

    `photos` are those it was trained on, at its size; the narrow one sees no validation photo until it is done. Equal
    seeds give equal weights on the same machine. Raises CheckpointError for a network that is narrow already.
    """
    if wide.widths is not None:
        raise CheckpointError("the checkpoint is of a narrow network already; name the wide one it was made of")
    torch.manual_seed(seed)
    generator = Generator().manual_seed(seed)
    teacher: Any = wide.network()
    fold_norms(teacher)
    teacher.to(memory_format=torch.channels_last).requires_grad_(False)
    with progress(f"narrow, {wide.image_size} px", 1 + epochs * math.ceil(photos.epoch_size / BATCH)) as advance:
        views = _views(photos, wide.image_size, generator)
        with torch.no_grad():
            student = _prune_channels(teacher, share, views)
            _refit(teacher, student, views, generator)
        advance(note="refitted")
        learned: nn.Module = student
        if epochs:
            learned = _distil(teacher, student, photos, wide, epochs, generator, advance)
    widths = [block.conv1.out_channels for block in blocks(learned)]
    right, wide_right = (_accuracy(network, photos) for network in (learned, teacher))
    checkpoint = replace(
        wide,
        state_dict=state_with_norms(learned),
        epochs=epochs,
        seed=seed,
        git_commit=git_commit(),
        widths=widths,
        wide_accuracy=wide_right,
    )
    return Narrowed(checkpoint, right)


def width_of(channels: int, share: float) -> int:
    """How many of a block's inner channels are kept: a multiple of LANE, at least one, at most all.

    `channels` tell the stage: the first has 64.
    """
    part = share * STAGE_SHARES[channels]
    return min(channels, max(LANE, round(channels * part / LANE) * LANE))


def _accuracy(network: nn.Module, photos: TrainingPhotos) -> float:
    """How often it names the right one of the labels, on the validation photos that show one."""
    labels = len(photos.labels)
    own = photos.validation_truth < labels
    said = predict_logits(network, photos.validation[own])[:, :labels].argmax(axis=1)
    return float((said == photos.validation_truth[own]).mean())


def _views(photos: TrainingPhotos, size: int, generator: Generator) -> Tensor:
    """Crops of training photos, [N, 3, size, size], as many as fit."""
    fit = REFIT_BYTES // (64 * (size // 4) ** 2 * 4)  # the first blocks have 64 channels, at a quarter of the size
    rows = torch.cat([torch.randperm(len(photos.train), generator=generator) for _ in range(REFIT_VIEWS)])[:fit]
    parts = [normalise(torch.from_numpy(photos.train[part.numpy()])) for part in torch.split(rows, AT_ONCE)]
    return torch.cat([_view(part, size, generator) for part in parts])


def _view(photos: Tensor, size: int, generator: Generator) -> Tensor:
    """Photos [N, 3, s, s] as a training batch: half of them whole, as they are served, the others varied."""
    whole = F.interpolate(photos, (size, size), mode="bilinear", align_corners=False, antialias=True)
    cut = torch.rand(len(photos), 1, 1, 1, generator=generator) < CROPPED
    return torch.where(cut, augment(photos, size, generator), whole).contiguous(memory_format=torch.channels_last)


def _prune_channels(wide: Any, share: float, views: Tensor) -> Any:
    """Structured pruning: a copy that keeps the inner channels with the largest activations and onward weights."""
    narrowed = copy.deepcopy(wide)
    inputs = [_stem(wide, part) for part in torch.split(views, AT_ONCE)]
    for block, kept in zip(blocks(wide), blocks(narrowed), strict=True):
        energy = torch.stack([F.relu(block.conv1(part)).square().sum((0, 2, 3)) for part in inputs]).sum(0)
        energy *= block.conv2.weight.square().sum((0, 2, 3))  # [channels]
        best = energy.topk(width_of(len(energy), share)).indices.sort().values
        kept.conv1 = _convolution(block.conv1, block.conv1.weight[best], block.conv1.bias[best])
        kept.conv2 = _convolution(block.conv2, block.conv2.weight[:, best], block.conv2.bias)
        inputs = [block(part) for part in inputs]
    return narrowed


def _convolution(like: Any, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    made = nn.Conv2d(weight.shape[1], weight.shape[0], like.kernel_size, like.stride, like.padding)
    made.weight, made.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return made


def _refit(wide: Any, narrowed: Any, views: Tensor, generator: Generator) -> None:
    """Refit each second convolution by ridge regression to the output of the wide block, first block first."""
    theirs = [_stem(wide, part) for part in torch.split(views, AT_ONCE)]
    ours = list(theirs)
    for teacher, student in zip(blocks(wide), blocks(narrowed), strict=True):
        size = student.conv1.out_channels * 9 + 1
        gram = torch.zeros(size, size, dtype=torch.float64)
        moment = torch.zeros(size, student.conv2.out_channels, dtype=torch.float64)
        for their, our in zip(theirs, ours, strict=True):
            wanted = teacher.conv2(F.relu(teacher.conv1(their))) + _shortcut(teacher, their) - _shortcut(student, our)
            seen = F.unfold(F.relu(student.conv1(our)), 3, padding=1)  # im2col: [N, 9 * width, H * W]
            rows = seen.permute(0, 2, 1).flatten(0, 1)  # [N * H * W, 9 * width]
            chosen = torch.randperm(len(rows), generator=generator)[:REFIT_ROWS]
            inputs = F.pad(rows[chosen], (0, 1), value=1.0)  # the bias
            gram += (inputs.T @ inputs).double()
            moment += (inputs.T @ wanted.permute(0, 2, 3, 1).flatten(0, 2)[chosen]).double()
        before = torch.cat([student.conv2.weight.flatten(1), student.conv2.bias[:, None]], dim=1).T.double()
        ridge = RIDGE * gram.diagonal().mean()
        solved = torch.linalg.solve(gram + ridge * torch.eye(size, dtype=torch.float64), moment + ridge * before)
        student.conv2.weight.copy_(solved[:-1].T.reshape(student.conv2.weight.shape))
        student.conv2.bias.copy_(solved[-1])
        theirs, ours = [teacher(part) for part in theirs], [student(part) for part in ours]


def _distil(
    teacher: Any,
    student: Any,
    photos: TrainingPhotos,
    wide: Checkpoint,
    epochs: int,
    generator: Generator,
    advance: Advance,
) -> nn.Module:
    """Distil for `epochs`, in the precision of the teacher's training; returns the moving average of the student."""
    student.to(memory_format=torch.channels_last).requires_grad_(True)
    student.conv1.requires_grad_(False)
    total = epochs * math.ceil(photos.epoch_size / BATCH)
    optimiser = torch.optim.AdamW([each for each in student.parameters() if each.requires_grad], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=total, pct_start=WARM_UP)
    decay = 1 - 1 / AVERAGED_STEPS
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    shares, priors = photos.shares, photos.priors
    for epoch in range(1, epochs + 1):
        for rows in torch.split(photos.epoch_rows(generator), BATCH):
            batch = _view(normalise(torch.from_numpy(photos.train[rows.numpy()])), wide.image_size, generator)
            truth = F.one_hot(torch.from_numpy(photos.train_truth[rows.numpy()]), photos.classes).float()
            other, share = torch.randperm(len(rows), generator=generator), torch.rand(len(rows), 1, generator=generator)
            share *= MAX_MIXUP
            truth = truth.lerp(truth[other], share)
            batch = batch.lerp(batch[other], share[:, :, None, None]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=wide.precision == "bf16"):
                with torch.no_grad():
                    wanted, answer = _block_outputs(teacher, batch)
                given, logits = _block_outputs(student, batch)
            loss = _feature_loss(given, wanted) + _distillation_loss(logits.float(), answer.float())
            named = balanced_cross_entropy(logits.float(), truth, shares, LABEL_SMOOTHING, priors=priors)
            loss = loss + TRUTH_WEIGHT * named
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            average.update_parameters(student)
            advance(note=f"epoch {epoch}/{epochs}, loss {loss.item():.3f}")
    learned: nn.Module = average.module
    return learned.eval()


def _block_outputs(network: Any, batch: Tensor) -> tuple[list[Tensor], Tensor]:
    """The outputs of the eight blocks, and the logits [N, C]."""
    outputs = [_stem(network, batch)]
    for block in blocks(network):
        outputs.append(block(outputs[-1]))
    return outputs[1:], network.fc(network.avgpool(outputs[-1]).flatten(1))


def _feature_loss(given: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Feature distillation: squared error in units of the teacher's variance, averaged over the blocks."""
    errors = [F.mse_loss(a.float(), b.float()) / b.float().var() for a, b in zip(given, wanted, strict=True)]
    return torch.stack(errors).mean()


def _distillation_loss(logits: Tensor, answer: Tensor) -> Tensor:
    """KL divergence of softened logits [N, C] from the teacher's."""
    says, should = (F.log_softmax(each / TEMPERATURE, dim=1) for each in (logits, answer))
    return F.kl_div(says, should, reduction="batchmean", log_target=True) * TEMPERATURE**2


def _stem(network: Any, photos: Tensor) -> Tensor:
    stem: Tensor = network.maxpool(F.relu(network.conv1(photos)))
    return stem


def _shortcut(block: Any, inputs: Tensor) -> Tensor:
    past: Tensor = inputs if block.downsample is None else block.downsample(inputs)
    return past
