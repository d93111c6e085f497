"""The offline kit, on a host that has an engine and nothing else: no route, no name server, no registry."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.engine import PACKAGES, ROOT, Engine, offline_docker, offline_podman
from tests.support.suite.system_packages import needs, needs_root
from tests.support.waiting import wait_until

pytestmark = [needs(*PACKAGES), needs_root, pytest.mark.timeout(1800)]  # the first builds the images, and three more

NEWER = "FROM {image}\nLABEL newer=yes\n"
BROKEN = 'FROM {image}\nCMD ["no_such_module"]\n'
WRONG = 'FROM {image}\nENTRYPOINT ["false"]\n'


class Host:
    """A machine of which only the engine and a few folders exist."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.root = root
        self.command = root / "usr/local/bin/dandelion"

    def do(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return self.engine.run(*command, DANDELION_ROOT=str(self.root), DANDELION_WAIT_S="90")

    def dandelion(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.do(self.command, *arguments)

    def version(self) -> str:
        return (self.root / "var/lib/dandelion-kit/current").read_text().split()[1]

    def health(self) -> str:
        program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/health', timeout=60).status)"
        return self.do("python3", "-c", program).stdout.strip()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("signer", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder


@pytest.fixture(scope="module")
def kits(engine: Engine, image: str, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kits by name: 1.0 and 2.0 are good, `broken` does not start, `wrong` fails its own check."""
    folder = tmp_path_factory.mktemp("kits")
    images = {"1.0": image}
    for name, recipe in (("2.0", NEWER), ("broken", BROKEN), ("wrong", WRONG)):
        images[name] = f"dandelion:{name}"
        engine.docker("build", "--tag", images[name], "-", stdin=recipe.format(image=image))
    return {name: pack(folder, name, images[name], keys / "signer") for name in images}


def pack(folder: Path, version: str, image: str, key: Path) -> Path:
    done = subprocess.run(
        [ROOT / "deploy/kit/pack.sh"],
        env=os.environ | {"IMAGE": image, "VERSION": version, "KEY": str(key), "OUT": str(folder), "LEVEL": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (kit,) = folder.glob(f"dandelion-{version}-*.kit.tar")
    return kit


ENGINES = [
    pytest.param(offline_docker, id="docker"),
    pytest.param(
        offline_podman,
        id="podman",
        marks=needs("podman"),
    ),
]


@pytest.fixture(scope="module", params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    with request.param(folder) as engine:
        host = Host(engine, folder / "root")
        yield host
        engine.docker("rm", "--force", "--volumes", "dandelion", check=False)


@pytest.fixture(scope="module")
def installed(host: Host, kits: dict[str, Path], keys: Path) -> Host:
    unpacked = unpack(kits["1.0"], host.root.parent / "kit")
    done = host.do(unpacked / "install.sh", "--key", keys / "signer.pub")
    assert done.returncode == 0, done.stdout + done.stderr
    return host


def unpack(kit: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-xf", kit, "-C", folder], check=True)
    (unpacked,) = folder.iterdir()
    return unpacked


def repack(unpacked: Path, file: Path) -> Path:
    with tarfile.open(file, "w") as archive:
        archive.add(unpacked, unpacked.name)
    return file


def refused(host: Host, kit: Path, because: str) -> None:
    before = host.version()
    done = host.dandelion("upgrade", kit)
    assert done.returncode == 1
    assert because in done.stderr
    assert host.version() == before
    assert host.health() == "200"


def test_the_host_has_no_way_out(host: Host) -> None:
    routes = host.do("ip", "route").stdout.splitlines()
    bridges = {" dev docker0 ", " dev cni-podman0 "}  # the engine's own, which lead nowhere
    assert all(any(bridge in route for bridge in bridges) for route in routes)
    assert host.do("python3", "-c", "import socket; socket.create_connection(('192.0.2.1', 80), 2)").returncode == 1


def test_it_installs_and_answers(installed: Host) -> None:
    assert installed.version() == "1.0"
    assert installed.health() == "200"
    status = installed.dandelion("status")
    assert "version 1.0, before it none" in status.stdout
    assert "answers on port 8000" in status.stdout


def test_it_comes_back_when_its_process_is_killed(installed: Host) -> None:
    os.kill(installed.engine.pid("dandelion"), 9)
    wait_until(lambda: installed.health() == "200", "it is back")


def test_it_upgrades(installed: Host, kits: dict[str, Path]) -> None:
    done = installed.dandelion("upgrade", kits["2.0"])
    assert done.returncode == 0, done.stderr
    assert installed.version() == "2.0"


def test_a_kit_with_one_flipped_byte_is_refused(installed: Host, kits: dict[str, Path], tmp_path: Path) -> None:
    unpacked = unpack(kits["2.0"], tmp_path / "kit")
    with (unpacked / "image.tar.gz").open("r+b") as image:
        image.seek(1_000_000)
        byte = image.read(1)
        image.seek(1_000_000)
        image.write(bytes([byte[0] ^ 1]))
    refused(installed, repack(unpacked, tmp_path / "damaged.kit.tar"), "the kit is damaged")


def test_a_truncated_kit_is_refused(installed: Host, kits: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "short.kit.tar"
    with kits["2.0"].open("rb") as whole:
        short.write_bytes(whole.read(5_000_000))
    refused(installed, short, "not a kit, or damaged")


def test_a_changed_kit_with_fresh_checksums_is_refused(installed: Host, kits: dict[str, Path], tmp_path: Path) -> None:
    unpacked = unpack(kits["2.0"], tmp_path / "kit")
    (unpacked / "version").write_text("3.0\n")
    names = sorted(file.name for file in unpacked.iterdir() if not file.name.startswith("SHA256SUMS"))
    sums = subprocess.run(["sha256sum", *names], cwd=unpacked, check=True, capture_output=True, text=True)
    (unpacked / "SHA256SUMS").write_text(sums.stdout)
    refused(installed, repack(unpacked, tmp_path / "changed.kit.tar"), "the signature is not one by")


def test_an_unsigned_kit_is_refused_where_a_key_is_trusted(
    installed: Host, kits: dict[str, Path], tmp_path: Path
) -> None:
    unpacked = unpack(kits["2.0"], tmp_path / "kit")
    (unpacked / "SHA256SUMS.sig").unlink()
    refused(installed, repack(unpacked, tmp_path / "unsigned.kit.tar"), "not signed")


def test_a_kit_signed_by_a_stranger_is_refused(
    installed: Host, kits: dict[str, Path], keys: Path, tmp_path: Path
) -> None:
    unpacked = unpack(kits["2.0"], tmp_path / "kit")
    (unpacked / "SHA256SUMS.sig").unlink()
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", keys / "stranger", "-n", "dandelion-kit", unpacked / "SHA256SUMS"]
    subprocess.run(sign, check=True)
    refused(installed, repack(unpacked, tmp_path / "strange.kit.tar"), "the signature is not one by")


def test_a_version_that_fails_its_own_check_changes_nothing(installed: Host, kits: dict[str, Path]) -> None:
    refused(installed, kits["wrong"], "nothing has changed")


def test_a_version_that_ends_at_once_is_taken_back_before_the_time_to_answer_is_up(
    installed: Host, kits: dict[str, Path]
) -> None:
    refused(installed, kits["broken"], "version broken keeps ending (see above); the one before runs again")


def test_rollback_goes_to_the_version_before_and_back(installed: Host, kits: dict[str, Path]) -> None:
    before = installed.version()
    assert before == "2.0", "the tests above have upgraded"
    for expected in ("1.0", "2.0"):
        done = installed.dandelion("rollback")
        assert done.returncode == 0, done.stderr
        assert installed.version() == expected
        assert installed.health() == "200"


def test_a_missing_file_is_one_line(installed: Host) -> None:
    for action in ("upgrade", "import"):
        done = installed.dandelion(action, "/no/such/file")
        assert done.returncode == 1
        assert done.stderr.splitlines() == ["dandelion: /no/such/file: there is no such file"]


def test_a_bundle_is_imported_and_a_tampered_one_refused(installed: Host, tmp_path: Path) -> None:
    from runtime.bundle.default import default_bundle

    good = tmp_path / "model.bundle"
    with tarfile.open(good, "w") as archive:
        archive.add(default_bundle(), default_bundle().name)
    done = installed.dandelion("import", good)
    assert done.returncode == 0, done.stderr
    bad = tmp_path / "tampered.bundle"
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    done = installed.dandelion("import", bad)
    assert done.returncode == 1
    assert "the model was not taken in" in done.stderr


def test_uninstalling_leaves_settings_and_state(installed: Host) -> None:
    assert installed.dandelion("uninstall").returncode == 0
    assert not installed.command.exists()
    assert (installed.root / "etc/dandelion/appliance.env").exists()
    assert "dandelion-state" in installed.engine.docker("volume", "ls", "--quiet")
    assert installed.engine.docker("ps", "--all", "--quiet") == ""
