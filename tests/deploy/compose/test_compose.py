"""compose.yaml as data: what must hold for each service, whichever is added next."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"s3-buckets", "s3-users", "airflow-init"}
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


def filled_in(value: Any, settings: dict[str, str]) -> Any:
    """As compose reads a value, with `settings` in .env."""
    if isinstance(value, dict):
        return {name: filled_in(inner, settings) for name, inner in value.items()}
    found = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
    return found.sub(lambda it: settings.get(it[1]) or it[2] or "", value) if isinstance(value, str) else value


def test_another_s3_server_is_one_setting() -> None:
    """Whoever speaks to the store is told where it is by S3_ENDPOINT alone."""
    at = {
        name: filled_in(it.get("environment", {}), {"S3_ENDPOINT": "https://else:9"}) for name, it in SERVICES.items()
    }
    told = {name for name, environment in at.items() if environment.get("MINIO_ENDPOINT") == "https://else:9"}
    assert told >= {"api", "ui", "s3-buckets", "s3-users", "mlflow", "airflow-scheduler", "airflow-init"}
    assert not [name for name, environment in at.items() if name != "s3" and "s3:9000" in json.dumps(environment)]
    assert "S3_ENDPOINT=s3:9000" in (ROOT / ".env.example").read_text().splitlines()


STACK_NAMES = ["mlflow:5000", "localhost:5000", "127.0.0.1:5000"]
HOST_NAMES = ["meadow:5000", "meadow.local:5000"]
ADDRESSES = ["192.168.1.20:5000", "8.8.8.8:5000", "[fe80::1]:5000"]
STRANGERS = [
    "evil.example:5000",
    "1.2.3.4.evil.example:5000",
    "192.168.1.20.evil.example:5000",
    "1a.2.3.4:5000",
    "x:5000",
]


def mlflow_settings(tmp_path: Path, **settings: str) -> dict[str, str]:
    """What the image's script starts MLflow with, as compose calls it."""
    environment = filled_in(SERVICES["mlflow"]["environment"], settings)
    script = (ROOT / "deploy/mlflow/serve.sh").read_text().replace("/opt/mlflow/", f"{ROOT}/deploy/mlflow/")
    (tmp_path / "serve.sh").write_text(script)
    (tmp_path / "mlflow").write_text("#!/bin/sh\nexec env\n")
    reachable = "case $1 in */reachable.py) exit 0 ;; esac"
    (tmp_path / "python").write_text(f'#!/bin/sh\n{reachable}\nexec {sys.executable} "$@"\n')
    for name in ("mlflow", "python"):
        (tmp_path / name).chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    ran = subprocess.run(["sh", tmp_path / "serve.sh"], env=environment, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in ran.stdout.splitlines())


@pytest.fixture(scope="module")
def mlflow_security() -> Any:
    """MLflow's own check of hosts and origins, without the server around it, which takes long to import."""
    package = importlib.util.find_spec("mlflow")
    assert package
    assert package.origin
    file = Path(package.origin).parent / "server/security_utils.py"
    spec = importlib.util.spec_from_file_location("mlflow_security_utils", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("bound", "answered"),
    [
        ("", STACK_NAMES),
        ("127.0.0.1", STACK_NAMES),
        ("192.168.1.20", [*STACK_NAMES, *HOST_NAMES, "192.168.1.20:5000"]),
        ("[fe80::1]", [*STACK_NAMES, *HOST_NAMES, "[fe80::1]:5000"]),
        ("0.0.0.0", [*STACK_NAMES, *HOST_NAMES, *ADDRESSES]),  # noqa: S104
        ("::", [*STACK_NAMES, *HOST_NAMES, *ADDRESSES]),
    ],
)
def test_mlflow_answers_to_the_names_that_bind_admin_opens_it_to(
    bound: str, answered: list[str], tmp_path: Path, mlflow_security: Any
) -> None:
    given = mlflow_settings(tmp_path, BIND_ADMIN=bound, DANDELION_HOSTS="meadow,meadow.local")
    hosts = given["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    origins = given["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    asked = [*STACK_NAMES, *HOST_NAMES, *ADDRESSES, *STRANGERS]
    assert [host for host in asked if mlflow_security.is_allowed_host_header(hosts, host)] == answered
    blocked = mlflow_security.should_block_cors_request
    assert [host for host in asked if not blocked(f"http://{host}", "POST", origins)] == answered


def test_mlflow_finds_a_store_with_tls_and_its_names_can_be_given(tmp_path: Path) -> None:
    assert mlflow_settings(tmp_path)["MLFLOW_S3_ENDPOINT_URL"] == "http://s3:9000"
    given = mlflow_settings(tmp_path, S3_ENDPOINT="https://store.example", MLFLOW_SERVER_ALLOWED_HOSTS="x:5000")
    assert given["MLFLOW_S3_ENDPOINT_URL"] == "https://store.example"
    assert given["MLFLOW_SERVER_ALLOWED_HOSTS"] == "x:5000"
    assert given["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "http://x:5000"


@pytest.mark.parametrize("bound", ["meadow", "0.0.0"])
def test_an_address_that_is_none_stops_mlflow_with_one_line(bound: str, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        mlflow_settings(tmp_path, BIND_ADMIN=bound)
    assert (
        failed.value.stderr
        == f"BIND_ADMIN={bound}: is no address; 127.0.0.1 is this machine alone, 0.0.0.0 everybody\n"
    )


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
        for alias in (aliases(service, "metrics") if "PORT" in service.get("environment", {}) else ())
    }
    assert searched == given


SERVING = {"appliance", "api", "ui"}


def networks(name: str) -> set[str]:
    return set(SERVICES[name]["networks"])


def aliases(service: dict[str, Any], network: str) -> list[str]:
    joined = service.get("networks")
    found: list[str] = ((joined.get(network) or {}) if isinstance(joined, dict) else {}).get("aliases", [])
    return found


def test_page_and_api_share_a_network_with_the_store_and_with_who_reads_their_metrics_alone() -> None:
    assert networks("appliance") == {"serving"}
    for name in ("api", "ui"):
        assert networks(name) == {"serving", "storage", "metrics"}
    for network, others in (("serving", set()), ("storage", {"s3"}), ("metrics", {"prometheus"})):
        assert {name for name in SERVICES if network in networks(name)} - SERVING == others
    assert {name for name in SERVICES if "admin" in networks(name)} == set(SERVICES) - SERVING
    assert set(COMPOSE["networks"]) == {"serving", "storage", "metrics", "admin"}


def test_what_shares_a_network_with_them_shows_operators_alone_its_page() -> None:
    """Both listen there under a name that only the operators' network knows."""
    (console,) = [after for word, after in pairwise(SERVICES["s3"]["command"]) if word == "--console-address"]
    (listening,) = [
        word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if word.startswith("--web.listen-address=")
    ]
    for name, address in (("s3", console), ("prometheus", listening)):
        assert aliases(SERVICES[name], "admin") == [address.split(":")[0]]
        (between,) = networks(name) - {"admin"}
        assert COMPOSE["networks"][between] == {"internal": True}, "its ports would be published from there"
    assert not {"--web.enable-admin-api", "--web.enable-lifecycle"} & set(SERVICES["prometheus"]["command"])


def test_the_root_key_of_the_store_is_given_to_the_store_and_what_sets_it_up_alone() -> None:
    holders = {name for name, service in SERVICES.items() if "${S3_SECRET_KEY" in str(service.get("environment"))}
    assert holders == {"s3", "s3-buckets", "s3-users"}


@pytest.mark.parametrize(
    ("user", "services"),
    [
        ("APPLIANCE", {"api", "ui"}),
        ("PIPELINE", {name for name in SERVICES if name.startswith("airflow")}),
        ("MLFLOW", {"mlflow"}),
    ],
)
def test_each_part_has_a_key_of_its_own_that_has_its_policy(user: str, services: set[str]) -> None:
    for kind in ("ACCESS", "SECRET"):
        holders = {
            name for name, service in SERVICES.items() if f"${{S3_{user}_{kind}_KEY" in str(service.get("environment"))
        }
        assert holders == {"s3-users", *services}
    assert (ROOT / f"deploy/s3/{user.lower()}.json").exists()
    assert f"user {user.lower()} " in (ROOT / "deploy/s3/users.sh").read_text()


def test_no_policy_allows_everything_and_the_appliance_may_write_corrections_and_taught_photos_alone() -> None:
    for file in (ROOT / "deploy/s3").glob("*.json"):
        for statement in json.loads(file.read_text())["Statement"]:
            assert statement["Effect"] == "Allow"
            assert all(re.fullmatch(r"s3:[A-Za-z]+", action) for action in statement["Action"])
            assert all(re.match(r"arn:aws:s3:::[a-z-]+(/|$)", found) for found in statement["Resource"])
    writing = [
        (action, found)
        for statement in json.loads((ROOT / "deploy/s3/appliance.json").read_text())["Statement"]
        for action in statement["Action"]
        for found in statement["Resource"]
        if not re.match("s3:(Get|List)", action)
    ]
    places = ("feedback/*", "taught/*", "products/*/taught/*")
    assert sorted(writing) == sorted(
        (action, f"arn:aws:s3:::dandelion-data/{place}")
        for action in ("s3:DeleteObject", "s3:PutObject")
        for place in places
    )


@pytest.mark.parametrize("name", ["appliance", "api", "ui"])
def test_what_people_teach_and_the_inbox_keep_is_bounded_by_the_settings_of_the_host(name: str) -> None:
    told = SERVICES[name]["environment"]
    for setting in ("TEACH_PHOTOS", "TEACH_MB", "INBOX_PHOTOS", "INBOX_MB", "INBOX_DAYS"):
        assert told[f"DANDELION_{setting}"].startswith(f"${{DANDELION_{setting}:-")


def test_secrets_have_no_default_and_every_variable_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name, default in re.findall(r"\$\{(\w+)(:?[-?][^}]*)?\}", TEXT):
        assert re.search(rf"^(# )?{name}=", example, re.MULTILINE), f"{name} is not in .env.example"
        if re.search(r"PASSWORD|SECRET|FERNET", name):
            assert default == ":?run make env", f"{name} has a default"


def test_every_secret_is_generated_fresh_and_kept(tmp_path: Path) -> None:
    written = [generate(tmp_path / name) for name in ("first", "second")]
    names = re.findall(r"^# generated: (?!host names).*\n(\w+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
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
