"""tritonclient: the encoded photo as a BYTES tensor of the Open Inference Protocol."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import tritonclient.http as triton

case, url, file = sys.argv[1:]
if case != "v2":
    sys.exit(3)
client = triton.InferenceServerClient(urlsplit(url).netloc)
assert client.is_server_live()
assert client.is_server_ready()
name = os.environ["MODEL"]
assert client.is_model_ready(name)
metadata = client.get_model_metadata(name)
photo = triton.InferInput("photos", [1], "BYTES")
photo.set_data_from_numpy(np.array([Path(file).read_bytes()], object))
result = client.infer(name, [photo])
label = result.as_numpy("label").reshape(-1)[0]
print(label.decode() if isinstance(label, bytes) else label, [output["name"] for output in metadata["outputs"]])
print(200)
