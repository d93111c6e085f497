from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
import pytest
from click.testing import CliRunner

import runtime
from runtime.cli import options
from runtime.cli.options import serving_options, settings_of
from runtime.host.cores import InferenceCores, inference_cores
from runtime.host.cpu import available_cpus
from tests.support.appliances.following import metric
from tests.support.appliances.servers import appliance
from tests.support.forks import forked
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.suite.repeats import THOROUGH
from tests.support.waiting import wait_until


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m runtime` to its end, started as in `tests.support.appliances.servers.appliance`."""
    if not THOROUGH:
        return forked.run("runtime", *arguments, **environment)
    command = [sys.executable, "-m", "runtime", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_a_busy_port_stops_the_start_with_one_line(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("--bundle", str(bundle), DANDELION_HOST="127.0.0.1", PORT=port)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "choose another with PORT= or DANDELION_HOST=\n"
    )


def test_a_prefix_that_is_no_plain_path_stops_the_start_with_one_line() -> None:
    done = run(DANDELION_PATH_PREFIX="meadow")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: DANDELION_PATH_PREFIX: 'meadow' is no plain path such as /meadow\n",
    )


def test_an_address_of_another_host_stops_the_start_with_one_line(tmp_path: Path) -> None:
    done = run("--bundle", str(write_bundle(tmp_path / "v1")), DANDELION_HOST="192.0.2.1", PORT="0")
    assert done.returncode == 1
    assert re.fullmatch(r"Error: cannot listen on 192\.0\.2\.1 .*DANDELION_HOST=\n", done.stderr)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eight"),
        ("PORT", "70000"),
        ("DANDELION_BUNDLE", "/nowhere"),
        ("DANDELION_LOG_LEVEL", "loud"),
        ("DANDELION_THREADS", "0"),
        ("DANDELION_MAX_UPLOAD_MB", "-1"),
        ("DANDELION_MAX_MEGAPIXELS", "many"),
        ("DANDELION_DRAIN_S", "-1"),
    ],
)
def test_a_bad_environment_value_stops_the_start_with_one_line_that_names_it(name: str, value: str) -> None:
    done = run(**{name: value})
    assert done.returncode == 2
    assert re.fullmatch(rf"Error: Invalid value .*'{name}'.*{value}.*\n", done.stderr)


def test_a_folder_without_a_bundle_stops_the_start_with_one_line(tmp_path: Path) -> None:
    done = run("--port", "0", DANDELION_BUNDLE=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {tmp_path / 'manifest.json'}: No such file or directory; "
        "point at a bundle folder that holds a manifest.json\n"
    )


def test_a_checkout_without_its_default_bundle_stops_the_start_with_one_line(tmp_path: Path) -> None:
    shutil.copytree(Path(runtime.__file__).parent, tmp_path / "runtime", ignore=shutil.ignore_patterns("*.json"))
    command = [sys.executable, "-m", "runtime", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(r"Error: .*default: holds 0 bundles, not one; .*name another bundle\n", done.stderr)


def test_check_verifies_a_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1")
    good = run("check", str(bundle))
    assert good.returncode == 0
    assert "colours v1: 32 x 32 px, labels dandelion, grass" in good.stdout
    (bundle / "model.onnx").write_bytes(b"broken")
    bad = run("check", str(bundle))
    assert bad.returncode == 1
    assert "fetch the bundle again" in bad.stderr


def test_sigterm_ends_it_with_exit_code_0(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), from_scratch=True) as running:
        assert httpx.post(running.url + "/predict", files={"file": photo()}).status_code == 200
        assert running.stop() == 0
        assert "Traceback" not in running.log.read_text()


def test_sigterm_lets_the_request_under_way_finish(tmp_path: Path) -> None:
    data = photo()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), from_scratch=True) as running:
        address = urlsplit(running.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(head.encode() + data[:100])
            wait_until(lambda: metric(running, "dandelion_in_flight") >= 2, "it is read, beside the metrics")
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert running.process.poll() is None
            connection.sendall(data[100:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert running.process.wait(timeout=20) == 0


def test_the_default_bundle_serves_without_any_setting(tmp_path: Path) -> None:
    with appliance(tmp_path, from_scratch=True) as running:
        answer = httpx.post(running.url + "/predict", files={"file": photo()}).json()
        assert answer["probabilities"].keys() == {"dandelion", "grass"}


def test_the_log_tells_the_threads_of_one_inference(tmp_path: Path) -> None:
    with appliance(tmp_path) as running:
        assert f"one inference: {inference_cores().describe(inference_cores().threads)}" in running.log.read_text()


def test_threads_that_are_set_are_taken_whatever_the_cores(tmp_path: Path) -> None:
    with appliance(tmp_path, "--threads", "3") as running:
        assert "one inference: 3 threads" in running.log.read_text()


@pytest.mark.parametrize(("setting", "threads"), [({}, "4"), ({"DANDELION_THREADS": "8"}, "8")])
def test_a_setting_goes_before_the_choice_of_cores(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, str], threads: str
) -> None:
    @click.command()
    @serving_options
    def told(log_level: str, log_format: str, **options: Any) -> None:
        settings = settings_of(**options)
        click.echo(f"{settings.threads} {settings.workers == available_cpus()}")

    monkeypatch.setattr(options, "inference_cores", lambda: InferenceCores(4, frozenset({4, 5, 6, 7}), "4 of 8 cores"))
    assert CliRunner().invoke(told, env=setting).output == f"{threads} True\n"


def test_help_names_every_variable() -> None:
    text = run("serve", "--help").stdout
    for name in (
        "PORT",
        "DANDELION_HOST",
        "DANDELION_BUNDLE",
        "DANDELION_THREADS",
        "DANDELION_MAX_UPLOAD_MB",
        "DANDELION_MAX_MEGAPIXELS",
        "DANDELION_LOG_LEVEL",
    ):
        assert f"env var: {name}" in " ".join(text.split())


def test_telemetry_of_onnxruntime_is_off_before_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading, runtime\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1' and 'onnxruntime' not in sys.modules\n"
        "import runtime.inference.onnxruntime_session\n"
        "print(len(os.listdir('/proc/self/task')))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"  # no thread but ours
    assert list(tmp_path.iterdir()) == []  # and no files
