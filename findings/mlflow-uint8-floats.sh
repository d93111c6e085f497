#!/usr/bin/env bash
# Finding: MLflow's scoring server takes fractions for a model whose signature says uint8, cuts them off and answers
# 200. A client that sends pixels scaled to 0..1, as most networks want them, gets an ordinary answer about a black
# photo. MLflow's schema enforcement promises otherwise, and in Python the same model refuses the same array. The
# server, though, makes an array of the signature's type out of the JSON (np.array(values, dtype=...)) before
# enforcement sees it. NumPy refuses integers that do not fit there, so 300 is a 400; of fractions it keeps the integer
# part. int8 to int64 are alike.
# Remedy: a signature of float32 and a check of the range in the model; test a client with a bright photo, too.
#
# Seen with Python 3.11, mlflow-skinny 3.17.2, NumPy 2.4.6, Linux:
#   Python, 0.9: MlflowException
#   HTTP, 0.9: 200 mean 0.0
#   HTTP, 230: 200 mean 230.0
#   HTTP, 300: 400
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MLFLOW_DISABLE_TELEMETRY=true
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 numpy==2.4.6 pandas==3.1.1 fastapi==0.165.0 httpx==0.28.1
cat >"$work/mean.py" <<'PYTHON'
import mlflow


class Mean(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [float(model_input["pixels"].mean())]


mlflow.models.set_model(Mean())
PYTHON
cat >"$work/ask.py" <<'PYTHON'
import warnings

import mlflow
import numpy as np
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server
from mlflow.types import Schema, TensorSpec

warnings.simplefilter("ignore")
pixels = Schema([TensorSpec(np.dtype("uint8"), (-1, 2, 2, 3), "pixels")])
signature = mlflow.models.ModelSignature(inputs=pixels)
mlflow.pyfunc.save_model("model", python_model="mean.py", signature=signature, pip_requirements=[])
model = mlflow.pyfunc.load_model("model")
server = TestClient(scoring_server.init(model))  # what `mlflow models serve` runs


def photo(value):
    return {"pixels": np.full((1, 2, 2, 3), value)}


try:
    print("Python, 0.9:", model.predict(photo(0.9)))
except mlflow.MlflowException as error:
    print("Python, 0.9:", type(error).__name__)
for value in (0.9, 230, 300):
    answer = server.post("/invocations", json={"inputs": {"pixels": photo(value)["pixels"].tolist()}})
    mean = f" mean {answer.json()['predictions'][0]}" if answer.status_code == 200 else ""
    print(f"HTTP, {value}: {answer.status_code}{mean}")
PYTHON
(cd "$work" && venv/bin/python ask.py) | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
Python, 0.9: MlflowException
HTTP, 0.9: 200 mean 0.0
HTTP, 230: 200 mean 230.0
HTTP, 300: 400
SEEN
