"""kserve's InferenceRESTClient, with the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

case, url, file = sys.argv[1:]
if case != "v2":
    sys.exit(3)
base, name = url.removesuffix("/predict"), os.environ["MODEL"]


async def main() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(base)
    assert await client.is_server_ready(base)
    assert await client.is_model_ready(base, name)
    photo = InferInput("photos", [1], "BYTES")
    photo.set_data_from_numpy(np.array([Path(file).read_bytes()], object), binary_data=True)
    answer = await client.infer(base, InferRequest(name, [photo]), model_name=name)
    print([(output.name, output.data) for output in answer.outputs if output.name == "label"], 200, sep="\n")


asyncio.run(main())
