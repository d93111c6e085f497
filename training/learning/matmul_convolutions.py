"""Convolutions of a training by matrix products, where oneDNN's own way is slow.

oneDNN computes a convolution of many channels and few places more slowly than a product of two matrices, and a weight
gradient slower still (`benchmarks/NOTES.md`, "Training it"). Laid out as a matrix (im2col, Chellapilla et al. 2006),
both are one product, and in the last stage the gradient of the input is one, too. Only the rounding differs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of the output. Below GRADIENT_CHANNELS the matrix is larger than it is worth; below ALL_CHANNELS, on larger maps,
# oneDNN's forward pass and its gradient of the input are as fast.
GRADIENT_CHANNELS = 256
ALL_CHANNELS = 512


class MatmulGradConv2d(nn.Conv2d):
    """A 3 x 3 convolution with a padding of 1 that computes its weight gradient as a matrix product."""

    def forward(self, photos: Tensor) -> Tensor:
        """Convolve [N, C, H, W]."""
        out: Tensor = _WeightGradient.apply(photos, self.weight, self.bias, self.stride[0])  # type: ignore[no-untyped-call]
        return out


class MatmulConv2d(nn.Conv2d):
    """A 3 x 3 convolution with a padding of 1 that is a matrix product, forwards and backwards."""

    def forward(self, photos: Tensor) -> Tensor:
        """Convolve [N, C, H, W]; the result is in channels-last memory order."""
        out: Tensor = _Product.apply(photos, self.weight, self.bias, self.stride[0])  # type: ignore[no-untyped-call]
        return out


def use_matmuls(network: nn.Module) -> None:
    """Let the wide 3 x 3 convolutions of a ResNet18 be computed so; they keep their parameters."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.out_channels >= GRADIENT_CHANNELS:
                setattr(module, name, _like(layer))


def _like(layer: nn.Conv2d) -> nn.Conv2d:
    kind = MatmulConv2d if layer.out_channels >= ALL_CHANNELS else MatmulGradConv2d
    made = kind(layer.in_channels, layer.out_channels, 3, layer.stride[0], 1, device="meta")
    made.weight, made.bias = layer.weight, layer.bias
    return made


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, photos: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(photos, weight)
        ctx.stride = stride
        return F.conv2d(photos, weight, bias, stride, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        photos, weight = ctx.saved_tensors
        of_photos = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            stride = [ctx.stride] * 2
            of_photos, _, _ = torch.ops.aten.convolution_backward(
                gradient, photos, weight, None, stride, [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            )
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, _columns(photos, ctx.stride))
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_photos, of_weight, of_bias, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, photos: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        columns = _columns(photos, stride)
        ctx.save_for_backward(columns, weight)
        ctx.photos, ctx.stride = photos.shape, stride
        down, across = ((side - 1) // stride + 1 for side in photos.shape[2:])
        shape = len(photos), len(weight), down, across
        out = torch.empty(shape, dtype=photos.dtype, memory_format=torch.channels_last)  # no view: ReLUs work in place
        torch.mm(columns, _matrix(weight).t(), out=_rows(out))
        if bias is not None:
            out += bias.view(-1, 1, 1)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        columns, weight = ctx.saved_tensors
        of_photos = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_photos = _input_gradient(gradient, weight, ctx.photos, ctx.stride)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, columns)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_photos, of_weight, of_bias, None


def _columns(photos: Tensor, stride: int) -> Tensor:
    """What each output place sees of [N, C, H, W] (im2col): [N * H' * W', 9 * C]."""
    padded = F.pad(photos.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # [N, H + 2, W + 2, C]
    patches = padded.unfold(1, 3, stride).unfold(2, 3, stride)  # [N, H', W', C, 3, 3]
    return patches.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _matrix(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] as [O, 9 * C]; no copy where it is in channels-last memory order."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _rows(output: Tensor) -> Tensor:
    """[N, O, H', W'] as [N * H' * W', O]; no copy where it is in channels-last memory order."""
    return output.permute(0, 2, 3, 1).flatten(0, 2)


def _weight_gradient(gradient: Tensor, columns: Tensor) -> Tensor:
    """The gradient [O, C, 3, 3], channels last, from that of the output [N, O, H', W'] and the input's `columns`."""
    return (_rows(gradient).t() @ columns).view(gradient.shape[1], 3, 3, -1).permute(0, 3, 1, 2)


def _input_gradient(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """The gradient of the input, of `shape` [N, C, H, W]: each output place gives its own to the nine it saw."""
    count, channels, height, width = shape
    down, across = gradient.shape[2:]
    given = (_rows(gradient) @ _matrix(weight)).view(count, down, across, 3, 3, channels)
    padded = gradient.new_zeros(count, height + 2, width + 2, channels)
    for y in range(3):
        for x in range(3):
            seen = padded[:, y : y + stride * (down - 1) + 1 : stride, x : x + stride * (across - 1) + 1 : stride]
            seen += given[:, :, :, y, x]
    return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
