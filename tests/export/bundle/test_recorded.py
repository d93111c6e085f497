"""`python -m export record`: the same model as a new version, with golden cases of the native kernel."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from export.__main__ import main
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, SIGNATURE, Bundle
from runtime.inference.backends import open_validated
from runtime.registry.signature import SIGNING_VARIABLE, new_keys, public_key, verify
from tests.runtime.native.models import loads_prebuilt
from tests.support.models.bundles import change_manifest, write_bundle

PRIVATE, PUBLIC = new_keys()


def run(bundle: Path, *options: str, key: str | None = None) -> Result:
    return CliRunner().invoke(main, ["record", str(bundle), *options], env={SIGNING_VARIABLE: key})


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The default bundle with golden cases to six decimals, as earlier releases wrote them."""
    folder = Path(shutil.copytree(default_bundle(), tmp_path / "v1"))
    cases = msgspec.to_builtins(Bundle.open(folder).manifest.golden)
    change_manifest(
        folder, version="v1", golden=[case | {"int8": [round(each, 6) for each in case["int8"]]} for case in cases]
    )
    return folder


@loads_prebuilt
def test_a_bundle_of_an_earlier_release_becomes_a_version_from_which_nothing_deviates(
    earlier: Path, tmp_path: Path
) -> None:
    done = run(earlier, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "out").iterdir()
    assert f"made {folder}\nnext: make run BUNDLE={folder}" in done.output
    old, new = Bundle.open(earlier).manifest, Bundle.open(folder)
    assert open_validated(new, threads=1).kernel.deviation == 0
    assert new.manifest.version == folder.name != old.version
    assert msgspec.structs.replace(new.manifest, version="v1", created=old.created, golden=old.golden) == old
    again = run(earlier, "--out", str(tmp_path / "out"))
    assert again.exit_code == 1
    assert "is there already, and a version never changes" in again.output


@loads_prebuilt
def test_a_new_version_is_signed_if_there_is_a_key(earlier: Path, tmp_path: Path) -> None:
    done = run(earlier, "--out", str(tmp_path), "--version", "v2", key=PRIVATE)
    assert f"made {tmp_path / 'v2'}, signed" in done.output
    manifest, signature = ((tmp_path / "v2" / name).read_bytes() for name in (MANIFEST, SIGNATURE))
    verify(manifest, signature, public_key(PUBLIC), origin="v2")


@pytest.mark.parametrize("own", [True, False])
def test_a_bundle_whose_cases_would_stay_as_they_are_is_left_alone(own: bool, tmp_path: Path) -> None:
    bundle = default_bundle() if own else write_bundle(tmp_path / "v1")
    done = run(bundle, "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "its golden cases stay as they are" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
