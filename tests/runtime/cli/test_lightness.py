from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

import pytest

HEAVY = {"torch", "torchvision", "mlflow", "airflow", "apache-airflow", "nicegui", "onnx", "onnxscript", "sklearn",
         "scikit-learn", "scipy", "matplotlib"}  # fmt: skip

NOT_FOR_HELP = {"litestar", "uvicorn", "onnxruntime", "boto3", "PIL", "numpy", "prometheus_client", "nacl", "rich"}


def test_importing_all_of_the_runtime_imports_nothing_heavy() -> None:
    code = (
        "import importlib, pkgutil, sys, runtime\n"
        "for module in pkgutil.walk_packages(runtime.__path__, 'runtime.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
    assert not {"training", "export", "ui", "benchmarks"} & set(done.stdout.split())


@pytest.mark.parametrize("arguments", ["--help", "serve --help", "check --help", "batch --help", "key",
                                       "models --help", "models list --help", "store --help",
                                       "teach --help"])  # fmt: skip
def test_help_imports_neither_the_web_framework_nor_a_decoder_nor_the_network(arguments: str) -> None:
    code = (
        "import runpy, sys\n"
        "try:\n"
        "    runpy.run_module('runtime', run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print('imported:', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not NOT_FOR_HELP & set(done.stdout.rpartition("imported:")[2].split())


def test_checking_a_bundle_imports_no_web_framework() -> None:
    code = (
        "import sys\n"
        "from runtime.__main__ import main\n"
        "main(['check'], standalone_mode=False)\n"
        "print('imported:', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout.split()
    assert not {"litestar", "uvicorn", "boto3"} & set(done.stdout.split())


def closure(package: str, seen: set[str]) -> set[str]:
    if package in seen:
        return seen
    seen.add(package)
    try:
        needed = requires(package) or []
    except PackageNotFoundError:  # for another platform
        return seen
    for requirement in needed:
        if "extra ==" not in requirement:
            closure(re.split(r"[ \[<>=!~;(]", requirement, maxsplit=1)[0].lower(), seen)
    return seen


def test_the_base_dependencies_bring_nothing_heavy_even_through_third_parties() -> None:
    packages = closure("dandelion", set())
    assert "numpy" in packages
    assert not {*HEAVY, "onnxruntime"} & packages
