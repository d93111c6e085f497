"""compose.yaml as data: what must hold for each service, whichever is added next."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"s3-buckets", "airflow-init"}
# Which images bring a health check of their own (deploy/*/Dockerfile).
CHECKED_BY_IMAGE = {"appliance", "api", "ui", "mlflow"}

every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_a_service_is_bounded_hardened_and_in_a_profile(name: str) -> None:
    service = SERVICES[name]
    assert "mem_limit" in service
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert set(service["profiles"]) <= {"appliance", "full"}
    assert "privileged" not in service


@every_service
def test_a_service_that_stays_says_whether_it_is_healthy(name: str) -> None:
    check = SERVICES[name].get("healthcheck", {})
    if name in ONCE:
        assert check == {"disable": True}
    elif name not in CHECKED_BY_IMAGE:
        assert check["test"]


@every_service
def test_an_image_is_pinned_and_can_be_replaced(name: str) -> None:
    image = SERVICES[name]["image"]
    found = re.fullmatch(r"\$\{(IMAGE_\w+):-([^}]+)\}", image)
    assert found, image
    assert ":latest" not in found[2]
    assert re.search(r":[\w.-]+(@sha256:[0-9a-f]{64})?$", found[2])
    assert found[1] in (ROOT / ".env.example").read_text()


@every_service
def test_nothing_waits_for_a_service_of_another_profile_or_without_a_condition(name: str) -> None:
    waits = SERVICES[name].get("depends_on", {})
    for other, how in waits.items():
        assert set(SERVICES[name]["profiles"]) <= set(SERVICES[other]["profiles"])
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert how == {"condition": expected}


def test_the_api_waits_for_nobody() -> None:
    """Without a store it serves its last good model; a stack that is half up must still answer."""
    assert "depends_on" not in SERVICES["api"]
    assert "depends_on" not in SERVICES["ui"]


def test_the_ports_are_those_of_the_original_stack() -> None:
    published = {
        name: sorted(int(port.rsplit(":", 2)[1]) for port in service.get("ports", []))
        for name, service in SERVICES.items()
        if service.get("ports")
    }
    assert published == {
        "appliance": [8000, 8501],
        "api": [8000],
        "ui": [8501],
        "s3": [9000, 9001],
        "mlflow": [5000],
        "airflow-api-server": [8080],
        "prometheus": [9090],
        "grafana": [3000],
    }


def test_tools_of_operators_are_bound_to_this_host() -> None:
    for name in ("s3", "mlflow", "airflow-api-server", "prometheus", "grafana"):
        assert all(port.startswith("${BIND_ADMIN:-127.0.0.1}:") for port in SERVICES[name]["ports"])


def test_every_volume_is_named_and_every_mounted_file_exists() -> None:
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists()
                assert volume.endswith(":ro")
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_prometheus_finds_the_appliances_under_the_names_that_compose_gives_them() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    searched = {
        (name, found["port"])
        for job in config["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    }
    given = {
        (alias, int(service["environment"]["PORT"]))
        for service in SERVICES.values()
        for alias in (service.get("networks") or {}).get("default", {}).get("aliases", [])
    }
    assert searched == given


def test_secrets_have_no_default_and_every_variable_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name, default in re.findall(r"\$\{(\w+)(:?[-?][^}]*)?\}", TEXT):
        assert re.search(rf"^(# )?{name}=", example, re.MULTILINE), f"{name} is not in .env.example"
        if re.search(r"PASSWORD|SECRET|FERNET", name):
            assert default == ":?run make env", f"{name} has a default"


def test_every_secret_is_generated_fresh_and_kept(tmp_path: Path) -> None:
    written = [generate(tmp_path / name) for name in ("first", "second")]
    names = re.findall(r"^# generated: .*\n(\w+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(names) >= 10
    for name in names:
        values = {re.search(rf"^{name}=(.*)$", text, re.MULTILINE)[1] for text in written}  # type: ignore[index]
        assert len(values) == 2
        assert all(len(value) >= 44 for value in values)
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600


def test_secrets_are_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "env"
    before = generate(file)
    again = subprocess.run([ROOT / "deploy/env.sh", file], capture_output=True, text=True)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert file.read_text() == before


def test_the_admin_key_is_given_to_the_appliance_as_its_hash_alone(tmp_path: Path) -> None:
    import hashlib

    text = generate(tmp_path / "env")
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    hashed = hashlib.sha256(values["DANDELION_ADMIN_KEY"].encode()).hexdigest()
    assert values["DANDELION_ADMIN_KEYS"] == f"sha256:{hashed}"
    assert "DANDELION_ADMIN_KEY}" not in TEXT


def generate(file: Path) -> str:
    subprocess.run([ROOT / "deploy/env.sh", file], check=True, capture_output=True)
    return file.read_text()
