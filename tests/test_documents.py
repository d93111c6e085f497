"""Documents as code: their commands, links, paths and versions exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Group

import benchmarks.__main__
import export.__main__
import runtime.__main__
import training.__main__
import ui.__main__

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        ROOT / "benchmarks/NOTES.md",
        ROOT / "deploy/kit/GUIDE.md",
    ]
)
PROGRAMS: dict[str, Command] = {
    "benchmarks": benchmarks.__main__.main,
    "export": export.__main__.main,
    "runtime": runtime.__main__.main,
    "training": training.__main__.main,
    "ui": ui.__main__.main,
}
FOLDERS = "|".join((*PROGRAMS, "dags", "deploy", "docs", "tests"))

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def commands(document: Path) -> Iterator[str]:
    """The command lines of a document, in blocks and within sentences."""
    text = document.read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (line.split(" #")[0].split("|")[0].strip() for line in block.splitlines() if line.strip())
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", prose):
        if not code.endswith("…`"):
            yield code


def words_of(command: str) -> list[str]:
    """A command without the settings before it."""
    words = [word for word in shlex.split(command) if word != "time"]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        del words[0]
    return words


@every_document
def test_every_python_command_exists_with_its_options(document: Path) -> None:
    for line in (line for line in commands(document) if "python -m " in line):
        words = words_of(line)
        name = words[words.index("-m") + 1]
        if name not in PROGRAMS:
            continue
        command, rest = PROGRAMS[name], words[words.index("-m") + 2 :]
        while isinstance(command, Group) and rest and not rest[0].startswith("-"):
            names = rest[0].split("|")  # as the changelog lists them
            assert set(names) <= command.commands.keys(), line
            command, rest = command.commands[names[0]], rest[1:]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
            "--help"
        }
        assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known, line


@every_document
def test_every_make_target_exists(document: Path) -> None:
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "deploy/targets.mk").read_text()
    for line in (line for line in commands(document) if re.search(r"^(\w+=\S+ |time )*make ", line)):
        for target in words_of(line)[1:]:
            if "=" not in target and re.fullmatch(r"[a-z-]+", target):
                assert re.search(rf"^{target}:", makefiles, re.MULTILINE), line


@every_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_path_of_the_repository_exists(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # which tells of paths as they were
    for path in re.findall(rf"`((?:{FOLDERS}|\.ci|\.github)/[\w./-]+)`", document.read_text()):
        assert (ROOT / path).exists(), path


def test_the_steps_of_worked_examples_name_what_is_in_their_files() -> None:
    """In a numbered step, what is in backticks and no path is a name in one of the files of that step."""
    steps = re.findall(r"^\d+\. .+(?:\n   .+)*", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert steps
    for step in steps:
        paths = [ROOT / path for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", step)]
        texts = [file.read_text() for path in paths for file in (path, *path.glob("*.*")) if file.is_file()]
        for name in re.findall(r"`([A-Za-z_]\w+)`", step):
            assert any(re.search(rf"\b{name}\b", text) for text in texts), (name, step)


def test_every_document_that_the_code_names_exists() -> None:
    folders = [ROOT / name for name in (*PROGRAMS, "dags", "deploy")]
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        for path in re.findall(r"\b((?:docs|benchmarks)/[\w-]+\.md)\b", file.read_text()):
            assert (ROOT / path).exists(), f"{file}: {path}"


def test_the_readme_is_one_screen_and_the_glossary_one_page() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    assert len(readme) <= 130
    assert sum(line.startswith("![") for line in readme) == 2
    assert len((ROOT / "docs/glossary.md").read_text().splitlines()) <= 60


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")}


def test_every_file_that_repeats_the_version_has_that_of_the_project() -> None:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    repeats = {
        "compose.yaml": r"dandelion(?:-airflow|-mlflow)?:(\d[\w.]*)\}",
        "deploy/k8s/overlays/minikube/kustomization.yaml": r"dandelion[\w-]*, newTag: ([\w.]+)\}|_TAG=([\w.]+)",
        **{f"deploy/{image}/Dockerfile": r"ARG VERSION=(\S+)" for image in ("airflow", "appliance", "mlflow")},
    }
    for path, pattern in repeats.items():
        versions = {match[match.lastindex or 0] for match in re.finditer(pattern, (ROOT / path).read_text())}
        assert versions == {found[1]}, path


def test_the_changelog_begins_with_what_is_unreleased_and_the_version_of_the_project() -> None:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found
    assert headings[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(found[1])}\] - (unreleased|\d{{4}}-\d\d-\d\d)", headings[1])
