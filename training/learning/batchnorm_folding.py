"""Batch-norm folding: merge frozen norms into the convolutions before them, and undo it.

A few hundred photos in batches of 16 measure a norm's mean and variance worse than ImageNet did; left as they are, the
norms are a factor and a bias of each channel, and a convolution can have both.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORM_AFTER = {"conv1": "bn1", "conv2": "bn2", "0": "1"}  # in torchvision's ResNet18; the numbers are of `downsample`


def fold_norms(network: nn.Module) -> None:
    """Fold the batch norms of a ResNet18 into its convolutions, in place: the same function as in evaluation mode.

    The convolutions' weights still learn; their new biases do not, as PyTorch makes them constants.
    """
    network.eval()
    for module in list(network.modules()):
        for conv, norm in NORM_AFTER.items():
            before, after = getattr(module, conv, None), getattr(module, norm, None)
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(before, after))
                setattr(module, norm, nn.Identity())


def state_with_norms(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network, as torchvision's ResNet18 has it: a norm that was folded only adds the bias."""
    state = {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
    for conv, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            parent, _, name = conv.rpartition(".")
            norm = nn.BatchNorm2d(module.out_channels)
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
            norm.bias = nn.Parameter(state.pop(f"{conv}.bias"))
            prefix = f"{parent}.{NORM_AFTER[name]}".lstrip(".")
            state |= {f"{prefix}.{key}": value.detach() for key, value in norm.state_dict().items()}
    return state
