"""The client that OpenAPI Generator makes of our OpenAPI document, in Python."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

case, url, file = sys.argv[1:]
if case not in {"form", "large"}:  # it makes a form of the operation, whatever else the body may be
    sys.exit(3)
base = url.removesuffix("/predict")
document = urllib.request.urlopen(f"{base}/docs/openapi.json", timeout=60).read()
folder = Path(sys.prefix) / "generated" / hashlib.sha256(document).hexdigest()[:16]
if not folder.exists():
    folder.parent.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent))
    (work / "openapi.json").write_bytes(document)
    # In its folder, since it takes no path with a blank.
    generator = [Path(sys.prefix) / "bin" / "openapi-generator-cli", "generate", "-g", "python"]
    options = ["-i", "openapi.json", "-o", "."]
    made = subprocess.run([*generator, *options], cwd=work, check=False, capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(work)
        sys.exit(made.stderr)
    work.rename(folder)
sys.path.insert(0, str(folder))

import openapi_client  # noqa: E402 - it has been generated above

api = openapi_client.PredictApi(openapi_client.ApiClient(openapi_client.Configuration(host=base)))
try:
    answer = api.predict_predict_with_http_info(("photo.jpg", Path(file).read_bytes()))
    print(answer.data.to_json(), answer.status_code, sep="\n")
except openapi_client.ApiException as refused:
    print(refused.body, refused.status, sep="\n")
