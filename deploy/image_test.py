"""Start an appliance image under the limits that it promises to work in, and ask it for a photo.

    python deploy/image_test.py IMAGE [--photo FILE --label LABEL]

No network, read-only root, 256 MB, one CPU, no capability; a second start, on two cores, is timed. Without a photo the
probe draws a dandelion. Then it gets the largest photos that it accepts of each kind, 16 at once, and must not die.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "appliance"))
import largest_photos  # a script, as this one

LIMITS = (
    "--network=none",
    "--read-only",
    "--memory=256m",
    "--memory-swap=256m",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=128",
)
SCRIPTS = Path(__file__).parent / "appliance"
PROBE = SCRIPTS / "probe.py"
LARGEST_PHOTOS = SCRIPTS / "largest_photos.py"


def main() -> None:
    """Test and say what was seen."""
    parser = argparse.ArgumentParser(description="Try an appliance image under its limits.")
    parser.add_argument("image")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--label", default="dandelion")
    options = parser.parse_args()
    photo = base64.b64encode(options.photo.read_bytes()).decode() if options.photo else ""
    found = try_image(options.image, photo)
    faults = judge(found, options.label) + judge_largest(found["largest"])
    answer = found["answer"]
    on_two_s = try_image(options.image, photo, cpus=2)["ready_s"]
    print(
        f"{options.image}: ready after {found['ready_s']:.1f} s, on two cores after {on_two_s:.1f} s; "
        f"{answer.get('label')} with {answer.get('confidence')}; "
        f"the page answers {found['page']}; peak memory {(found['peak_bytes'] or 0) / 1e6:.0f} MB of 256; "
        f"{found['unroutable_packets']} packets for elsewhere"
    )
    print(
        f"largest photos, megapixels: {found['largest']['limits']['megapixels']}; 16 at once of each: {_counts(found)}"
    )
    if faults:
        sys.exit("; ".join(faults))


def try_image(image: str, photo: str = "", cpus: int = 1) -> dict[str, Any]:
    """What the probe saw in a fresh container, with `ready_s` since it started and its own verdict `health`."""
    name = f"dandelion-test-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--name", name, f"--cpus={cpus}", *LIMITS, image)
    try:
        probe = docker(
            "exec", "--interactive", "--env", f"PROBE_PHOTO={photo}", name, "python", "-", stdin=PROBE.read_text()
        )
        found: dict[str, Any] = json.loads(probe)
        started = docker("inspect", "--format", "{{.State.StartedAt}}", name).strip()
        found["ready_s"] = found["ready_at"] - datetime.datetime.fromisoformat(started[:26] + "+00:00").timestamp()
        docker("exec", name, "python", "-ISB", "/opt/dandelion/health.py")
        if cpus == 1:
            found["largest"] = send_largest_photos(image, name)
        found["command"] = json.loads(docker("image", "inspect", "--format", "{{json .Config.Cmd}}", image))
    except subprocess.CalledProcessError as error:
        logs = subprocess.run(["docker", "logs", "--tail", "20", name], capture_output=True, text=True, check=False)
        sys.exit(f"{image} does not work under its limits: {error.stderr.strip()}\n{logs.stderr}")
    finally:
        docker("rm", "--force", "--volumes", name)
    return found


def send_largest_photos(image: str, name: str) -> dict[str, Any]:
    """What came of the largest photos; they are drawn and sent from a container beside, which shares the network alone.

    `killed` says that the kernel ended the appliance, or it ended by itself.
    """
    beside = ("--rm", "--interactive", f"--network=container:{name}", "--read-only", "--entrypoint=python")
    sent: dict[str, Any] = json.loads(docker("run", *beside, image, "-", stdin=LARGEST_PHOTOS.read_text()))
    state = json.loads(docker("inspect", "--format", "{{json .State}}", name))
    return sent | {"killed": bool(state.get("OOMKilled")) or not state["Running"]}


def judge_largest(found: dict[str, Any]) -> list[str]:
    """What is wrong with what came of the largest photos."""
    return ["the largest photos killed it"] * found["killed"] + largest_photos.faults(found)


def _counts(found: dict[str, Any]) -> str:
    photos = found["largest"]["photos"].items()
    return ", ".join(f"{name} {photo['statuses'].get('200', 0)} answered" for name, photo in photos)


def judge(found: dict[str, Any], label: str) -> list[str]:
    """What is wrong, if anything."""
    faults = []
    if found["status"] != 200 or found["answer"].get("label") != label:
        faults.append(f"expected {label}, got {found['status']} {found['answer']}")
    if found["command"] == ["ui"] and found["page"] != 200:
        faults.append(f"the page answers {found['page']}")
    if found["unroutable_packets"]:
        faults.append(f"{found['unroutable_packets']} packets wanted to leave the container")
    return faults


def docker(*arguments: str, stdin: str | None = None) -> str:
    """Run one docker command and return what it prints."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, input=stdin)
    return done.stdout


if __name__ == "__main__":
    main()
