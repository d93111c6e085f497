from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort

from benchmarks.contenders.dequantized import dequantized
from runtime.bundle.default import default_bundle
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import Bundle
from runtime.inference.onnxruntime_session import session_options


def test_without_its_quantisation_the_default_network_computes_in_fp32_and_says_nearly_the_same():
    bundle = Bundle.open(default_bundle())
    model = onnx.load(bundle.model)
    made = dequantized(model)
    onnx.checker.check_model(made)
    kinds = Counter(node.op_type for node in made.graph.node)
    assert "QuantizeLinear" not in kinds
    assert kinds["DequantizeLinear"] == 1  # the pixels, which are bytes
    assert kinds["Conv"] == Counter(node.op_type for node in model.graph.node)["Conv"]
    pixels = np.stack([draw(pattern, 0, bundle.manifest.input) for pattern in PATTERNS])
    answers = [
        ort.InferenceSession(each.SerializeToString(), session_options(1)).run(["probabilities"], {"pixels": pixels})[0]
        for each in (model, made)
    ]
    np.testing.assert_allclose(*answers, atol=0.1)
    assert np.abs(answers[0] - answers[1]).max() > 1e-6  # and is not quantised
