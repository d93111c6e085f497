from __future__ import annotations

from pathlib import Path

from tests.benchmarks.measurements.robustness.measured import measured


def test_health_is_answered_beside_more_connections_than_files(tmp_path: Path) -> None:
    result = measured(
        tmp_path, "--figure", "connections", "--tried", "600", "--files", "256", "--held", "3",
        DANDELION_HEAD_TIMEOUT_S="1",
    )  # fmt: skip
    found = result["connections"]
    assert (found["tried"], found["deaths"]) == (600, 0)
    assert found["opened"] > 256
    assert len(found["looks"]) > 3
    assert {look["status"] for look in found["looks"]} == {200}
