#!/usr/bin/env bash
# Finding: it depends on the runtime whether an ONNX model's Resize smooths a photo, and which of its sides it shrinks.
# antialias=1 (opset 18) is there to bring the resize of training, Pillow's or torchvision's, into the graph.
# onnxruntime and tract do it; OpenVINO and OpenCV leave it out and look at two columns in eight, without an error or a
# warning. And of pixels as decoders give them, (1, height, width, 3), OpenCV takes the last two axes for the sides,
# whatever the node's sizes and the output's shape say: the height stays. A network that ends in a global average pool
# takes either picture and answers. onnx's checker passes the model, and on smooth photos the first difference is too
# small to be noticed.
# Remedy: resize before the model, or by AveragePool where the factor is whole; compare runtimes with stripes, too.
#
# Seen with Python 3.11, onnx 1.23.2, onnxruntime 1.32.0, tract 0.23.9, openvino 2026.4.1, opencv-python-headless
# 5.0.0.93, x86-64 Linux; of eight columns two are white (255), so a quarter is 64; from 256 to 32 pixels a side:
#   onnxruntime: NCHW (1, 3, 32, 32) 62..64, NHWC (1, 32, 32, 3) 62..64
#   tract: NCHW (1, 3, 32, 32) 61..63, NHWC (1, 32, 32, 3) 61..63
#   openvino: NCHW (1, 3, 32, 32) 255..255, NHWC (1, 32, 32, 3) 255..255
#   opencv: NCHW (1, 3, 32, 32) 255..255, NHWC (1, 256, 32, 3) 255..255
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ORT_DISABLE_TELEMETRY=1
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 tract==0.23.9 openvino==2026.4.1 \
  opencv-python-headless==5.0.0.93
cat >"$work/shrink.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper, numpy_helper

photo = np.zeros((1, 256, 256, 3), np.uint8)
photo[:, :, 3::8] = photo[:, :, 4::8] = 255


def write(shape, sizes):
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=1)
    x, y = (helper.make_tensor_value_info(name, TensorProto.UINT8, dims) for name, dims in (("x", shape), ("y", sizes)))
    graph = helper.make_graph([node], "shrink", [x], [y], [numpy_helper.from_array(np.array(sizes), "sizes")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "shrink.onnx")


def shrink(runtime, pixels):
    if runtime == "onnxruntime":
        return onnxruntime.InferenceSession("shrink.onnx").run(None, {"x": pixels})[0]
    if runtime == "tract":
        return tract.onnx().load("shrink.onnx").into_model().into_runnable().run([pixels])[0].to_numpy()
    if runtime == "openvino":
        return openvino.Core().compile_model("shrink.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0]
    network = cv2.dnn.readNetFromONNX("shrink.onnx")
    network.setInput(pixels)
    return network.forward()


for runtime in ("onnxruntime", "tract", "openvino", "opencv"):
    seen = []
    for layout, axes, sizes in (("NCHW", (0, 3, 1, 2), [1, 3, 32, 32]), ("NHWC", (0, 1, 2, 3), [1, 32, 32, 3])):
        pixels = np.ascontiguousarray(photo.transpose(axes))
        write(pixels.shape, sizes)
        y = shrink(runtime, pixels)
        seen.append(f"{layout} {y.shape} {y.min()}..{y.max()}")
    print(f"{runtime}: {', '.join(seen)}")
PYTHON
(cd "$work" && venv/bin/python shrink.py) | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
onnxruntime: NCHW (1, 3, 32, 32) 62..64, NHWC (1, 32, 32, 3) 62..64
tract: NCHW (1, 3, 32, 32) 61..63, NHWC (1, 32, 32, 3) 61..63
openvino: NCHW (1, 3, 32, 32) 255..255, NHWC (1, 32, 32, 3) 255..255
opencv: NCHW (1, 3, 32, 32) 255..255, NHWC (1, 256, 32, 3) 255..255
SEEN
