"""ONNX export: a serving graph from raw pixels to calibrated probabilities and class-activation maps."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.inference.onnxruntime_session import ACTIVATION_MAP, INPUT, PROBABILITIES
from training.learning.batchnorm_folding import fold_norms
from training.model.network import PIXEL_SCALE, PIXEL_ZERO


class ServingGraph(nn.Module):
    """A trained ResNet18 rearranged for inference; the same function of the same photo.

    Batch normalisation is folded into the convolutions. The 7 x 7 stem with stride 2 on 3 channels is written as a
    4 x 4 stem with stride 1 on the 12 channels of 2 x 2 pixel blocks (space to depth): the same products, in a shape
    that vector instructions fill. The fully connected layer moves in front of the pooling, which is linear too: its
    outputs by place are the class-activation map, their mean plus the bias are the logits.
    """

    def __init__(self, network: Any, temperature: float) -> None:
        """Copy the weights of `network`; `temperature` divides the logits (Guo et al. 2017, arXiv:1706.04599)."""
        super().__init__()
        network = copy.deepcopy(network)
        fold_norms(network)
        self.stem = _space_to_depth_stem(network.conv1)
        self.pool = network.maxpool
        self.body = nn.Sequential(network.layer1, network.layer2, network.layer3, network.layer4)
        classes, channels = network.fc.weight.shape
        self.evidence = nn.Conv2d(channels, classes, 1, bias=False)
        self.evidence.weight = nn.Parameter(network.fc.weight.detach()[:, :, None, None])
        self.bias = nn.Parameter(network.fc.bias.detach())
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3] to probabilities [N, C] and activation map [N, C, H/32, W/32]."""
        _, height, width, colours = pixels.shape
        blocks = pixels.reshape(-1, height // 2, 2, width // 2, 2, colours)
        blocks = blocks.permute(0, 1, 3, 2, 4, 5).reshape(-1, height // 2, width // 2, 4 * colours)
        x = (blocks.permute(0, 3, 1, 2).float() - PIXEL_ZERO) / PIXEL_SCALE  # [N, 12, H/2, W/2]
        x = F.relu(self.stem(F.pad(x, (2, 1, 2, 1))))  # [N, 64, H/2, W/2]
        x = self.body(self.pool(x))  # [N, 512, H/32, W/32]
        evidence = self.evidence(x)
        logits = evidence.mean(dim=(2, 3)) + self.bias
        return F.softmax(logits / self.temperature, dim=1), evidence


def to_onnx(graph: ServingGraph, image_size: int) -> onnx.ModelProto:
    """The graph as one self-contained ONNX model for photos of `image_size` px a side, with a dynamic batch."""
    example = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # torch's own exporter trips over a deprecation in torch.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
            input_names=[INPUT],
            output_names=[PROBABILITIES, ACTIVATION_MAP],
            opset_version=20,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model: onnx.ModelProto = program.model_proto
    _drop_debug_information(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _space_to_depth_stem(stem: Any) -> nn.Conv2d:
    """The kernel [64, 3, 7, 7] as [64, 12, 4, 4]: a zero row and column in front, then 2 x 2 blocks to channels."""
    weight = F.pad(stem.weight.detach(), (1, 0, 1, 0))  # [64, 3, 8, 8]
    outputs, colours, *_ = weight.shape
    blocks = weight.reshape(outputs, colours, 4, 2, 4, 2).permute(0, 3, 5, 1, 2, 4)
    rearranged = nn.Conv2d(4 * colours, outputs, kernel_size=4)
    rearranged.weight = nn.Parameter(blocks.reshape(outputs, 4 * colours, 4, 4).contiguous())
    rearranged.bias = nn.Parameter(stem.bias.detach())
    return rearranged


def drop_unused_initializers(model: onnx.ModelProto) -> None:
    """Remove the constants that no node reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    for constant in [constant for constant in model.graph.initializer if constant.name not in used]:
        model.graph.initializer.remove(constant)


def _drop_debug_information(model: onnx.ModelProto) -> None:
    """The exporter writes stack traces with paths of the exporting machine into every node."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
