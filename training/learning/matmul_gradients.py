"""Weight gradients of convolutions by one matrix product, where oneDNN's own way is slow.

In FP32 on AVX2, oneDNN computes the weight gradient of a convolution with many channels and few places at 9 to 25
billion products a second in one thread, half of what it reaches forwards. Laid out as a matrix (im2col, Chellapilla et
al. 2006), the same gradient is one product of two matrices at 35 to 40. Only the rounding differs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEWEST_CHANNELS = 256  # of the output: below that the matrix is larger than it is worth


class MatmulGradConv2d(nn.Conv2d):
    """A 3 x 3 convolution with a padding of 1 that computes its weight gradient as a matrix product."""

    def forward(self, photos: Tensor) -> Tensor:
        """Convolve [N, C, H, W]."""
        stride = self.stride[0]
        out: Tensor = _Convolution.apply(photos, self.weight, self.bias, stride)  # type: ignore[no-untyped-call]
        return out


def use_matmul_gradients(network: nn.Module) -> None:
    """Let the wide 3 x 3 convolutions of a ResNet18 compute their weight gradients so; they keep their parameters."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.out_channels >= FEWEST_CHANNELS:
                setattr(module, name, _like(layer))


def _like(layer: nn.Conv2d) -> MatmulGradConv2d:
    made = MatmulGradConv2d(layer.in_channels, layer.out_channels, 3, layer.stride[0], 1, device="meta")
    made.weight, made.bias = layer.weight, layer.bias
    return made


class _Convolution(torch.autograd.Function):
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
            of_weight = _weight_gradient(gradient, photos, ctx.stride)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_photos, of_weight, of_bias, None


def _weight_gradient(gradient: Tensor, photos: Tensor, stride: int) -> Tensor:
    """The gradient [O, C, 3, 3], channels last, of a convolution of [N, C, H, W] with the output's `gradient`."""
    padded = F.pad(photos.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # [N, H + 2, W + 2, C]
    patches = padded.unfold(1, 3, stride).unfold(2, 3, stride)  # [N, H', W', C, 3, 3]
    columns = patches.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)  # [N * H' * W', 9 * C]
    rows = gradient.permute(0, 2, 3, 1).flatten(0, 2)  # [N * H' * W', O]
    return (rows.t() @ columns).view(rows.shape[1], 3, 3, -1).permute(0, 3, 1, 2)
