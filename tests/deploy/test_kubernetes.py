"""The rendered Kubernetes objects as data: what must hold for each, whichever is added next."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.serving.settings import Settings

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


def render(folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [BIN / "kubectl", "kustomize", ROOT / "deploy/k8s" / folder], check=True, capture_output=True, text=True
    )
    return list(yaml.safe_load_all(done.stdout))


OBJECTS = render("overlays/minikube")
TASK: dict[str, Any] = yaml.safe_load((ROOT / "deploy/k8s/base/task.yaml").read_text())


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """(name, pod's spec, pod's labels) of everything that runs."""
    for found in OBJECTS:
        if found["kind"] in WORKLOADS:
            template = found["spec"]["template"]
            yield found["metadata"]["name"], template["spec"], template["metadata"]["labels"]
    yield "task", TASK["spec"], TASK["metadata"]["labels"]


PODS = list(pods())
every_pod = pytest.mark.parametrize(("name", "spec", "labels"), PODS, ids=[name for name, *_ in PODS])


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@every_pod
def test_a_pod_is_nobody_special(name: str, spec: dict[str, Any], labels: dict[str, str]) -> None:
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert spec.get("automountServiceAccountToken") is (name == "airflow-scheduler")
    for container in containers(spec):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True


@every_pod
def test_a_pod_says_what_it_needs(name: str, spec: dict[str, Any], labels: dict[str, str]) -> None:
    for container in containers(spec):
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("spec", [spec for name, spec, _ in PODS if name != "task"])  # the executor puts its image in
def test_an_image_has_a_version(spec: dict[str, Any]) -> None:
    for container in containers(spec):
        assert ":" in container["image"]
        assert not container["image"].endswith(":latest")


@every_pod
def test_every_config_map_and_secret_of_a_pod_exists(name: str, spec: dict[str, Any], labels: dict[str, str]) -> None:
    maps = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "ConfigMap"}
    script = (ROOT / "deploy/minikube.sh").read_text()
    for key, reference in references(spec):
        if key in {"configMapRef", "configMap"}:
            assert reference["name"] in maps
        else:
            assert f"\n  secret {reference['name']} " in script, f"minikube.sh makes no secret {reference['name']}"


@pytest.mark.parametrize("name", ["api", "ui"])
def test_the_probes_ask_different_questions(name: str) -> None:
    (container,) = named("Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_the_api_scales_spreads_and_survives_a_drain() -> None:
    spec = named("Deployment", "api")["spec"]
    scaler = named("HorizontalPodAutoscaler", "api")["spec"]
    assert "replicas" not in spec
    assert scaler["minReplicas"] == 2
    assert named("PodDisruptionBudget", "api")["spec"]["minAvailable"] == 1
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["template"]["spec"]["topologySpreadConstraints"]


@pytest.mark.parametrize("name", ["api", "ui"])
def test_what_an_appliance_may_keep_fits_its_volume_else_the_pod_would_be_evicted(name: str) -> None:
    spec = named("Deployment", name)["spec"]["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    told = {each["name"]: each["value"] for each in container["env"]}
    usual = Settings(threads=1, workers=1)
    taught_mib = int(told.get("DANDELION_TEACH_MB", usual.teach_bytes >> 20))
    kept_mib = taught_mib + ((usual.feedback_bytes + usual.inbox_bytes) >> 20)
    models_mib = 256  # versions, features, large uploads in transit
    assert kept_mib + models_mib <= int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 1024


def test_every_door_is_closed_but_those_that_are_named() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "NetworkPolicy"}
    closed = policies.pop("closed")
    assert closed["podSelector"] == {}
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}
    listening = {
        (each["spec"]["selector"]["app.kubernetes.io/name"], port.get("targetPort"))
        for each in OBJECTS
        if each["kind"] == "Service"
        for port in each["spec"]["ports"]
    }
    opened = {
        spec["podSelector"]["matchLabels"].get("app.kubernetes.io/name")
        for spec in policies.values()
        if "Ingress" in spec["policyTypes"]
    }
    assert opened - {name for name, _ in listening} == set(), "a policy for a service that does not exist"


def test_page_and_api_may_reach_the_store_and_the_name_service_alone() -> None:
    policies = [each["spec"] for each in OBJECTS if each["kind"] == "NetworkPolicy"]
    for name in ("api", "ui"):
        (labels,) = [labels for pod, _, labels in PODS if pod == name]
        reached = [
            (to["podSelector"]["matchLabels"], sorted(port["port"] for port in rule["ports"]))
            for spec in policies
            if "Egress" in spec["policyTypes"] and selects(spec["podSelector"], labels)
            for rule in spec.get("egress", [])
            for to in rule["to"]
        ]
        assert reached == [({"k8s-app": "kube-dns"}, [53, 53]), ({"app.kubernetes.io/name": "s3"}, [9000])]


def test_services_of_operators_are_reached_by_each_other_alone() -> None:
    serving = [labels for pod, _, labels in PODS if pod in {"api", "ui"}]
    for each in OBJECTS:
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] not in {"api", "ui", "s3"}:
            for rule in each["spec"].get("ingress", []):
                assert rule["from"]
                for door in rule["from"]:
                    assert not any(selects(door["podSelector"], labels) for labels in serving), each["metadata"]["name"]


@every_pod
def test_a_pod_has_the_key_of_its_part_of_the_store(name: str, spec: dict[str, Any], labels: dict[str, str]) -> None:
    secrets = {reference["name"] for kind, reference in references(spec) if kind.startswith("secret")}
    airflow = name == "task" or name.startswith("airflow")
    expected = {
        "api": {"s3-appliance"},
        "ui": {"s3-appliance"},
        "mlflow": {"s3-mlflow"},
        "s3": {"s3-root"},
        "s3-setup": {"s3-root", "s3-appliance", "s3-pipeline", "s3-mlflow"},
    }
    found = {secret for secret in secrets if secret.startswith("s3-")}
    assert found == ({"s3-pipeline"} if airflow else expected.get(name, set()))


def test_who_uses_the_databases_and_the_store_may_reach_them() -> None:
    for name, spec, labels in PODS:
        text = yaml.safe_dump(spec)
        if "@postgres/" in text:
            assert labels.get("postgres-client") == "true", name
        if re.search(r"name: (store|s3-\w+)$", text, re.MULTILINE) and name != "s3":
            assert labels.get("s3-client") == "true", name


def test_services_and_selectors_fit() -> None:
    for each in OBJECTS:
        if each["kind"] == "Service":
            wanted = each["spec"]["selector"].items()
            assert [name for name, _, labels in PODS if wanted <= labels.items()], each["metadata"]["name"]


def test_prometheus_finds_pods_by_the_headless_services() -> None:
    (text,) = [
        each["data"]["prometheus.yml"]
        for each in OBJECTS
        if "prometheus.yml" in each.get("data", {}) and "scrape_configs" in each["data"]["prometheus.yml"]
    ]
    config = yaml.safe_load(text)
    for job in config["scrape_configs"]:
        for found in job.get("dns_sd_configs", []):
            service = named("Service", found["names"][0])["spec"]
            assert service["clusterIP"] == "None"
            assert service["ports"][0]["port"] == found["port"]


def test_no_secret_is_in_the_repository() -> None:
    assert [each for each in OBJECTS if each["kind"] == "Secret"] == []


def test_the_image_versions_are_those_of_the_project() -> None:
    text = (ROOT / "deploy/k8s/overlays/minikube/kustomization.yaml").read_text()
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert set(re.findall(r"newName: dandelion\S*, newTag: ([\w.]+)", text)) == {version[1]}
    assert f"WORKER_CONTAINER_TAG={version[1]}" in text


def test_compose_and_kubernetes_run_the_same_images() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for _, spec, _ in PODS[:-1]:
        for container in containers(spec):
            name, _, digest = container["image"].partition("@")
            assert name.split(":")[0] in compose
            assert digest in compose


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector selects a pod with these labels."""
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] in {"In", "NotIn"}
        if (labels.get(rule["key"]) in rule["values"]) != (rule["operator"] == "In"):
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def references(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (kind of reference, reference) to a config map or a secret inside a pod's spec."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"configMapRef", "configMap", "secretRef", "secretKeyRef"}:
                yield key, inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
