"""Many stored photos into one table."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import runtime.batch.classify
import runtime.batch.plan
from runtime.__main__ import main
from runtime.batch.classify import classify, in_order
from runtime.batch.merge import merge
from runtime.batch.plan import MAX_PARTS, BatchError, plan_batch
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import BundleError
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import StoreError, open_store
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.photos import half_with_end, photo, violet, write_photos
from tests.support.stores.contents import MANY_BYTES
from tests.support.stores.s3 import S3Server


@pytest.fixture
def models(tmp_path: Path) -> str:
    uri = str(tmp_path / "models")
    publish(write_bundle(tmp_path / "v1"), open_store(uri))
    return uri


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 6)


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, arguments)], env=environment)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def batch(source: object, work: Path, models: str | None, out: Path, per_part: int = 5, **options: object) -> bytes:
    made = plan_batch(str(source), str(work), models=models, photos_per_part=per_part)
    for number in range(made.parts):
        classify(str(work), number, cache=work.parent / "cache", **options)  # type: ignore[arg-type]
    merge(str(work), str(out))
    return out.read_bytes()


def test_each_photo_gets_the_answer_that_predict_gives(photos: Path, tmp_path: Path):
    out = tmp_path / "out.csv"
    ran = run(photos, "--out", out, "--cache", tmp_path / "cache")
    assert ran.exit_code == 0, ran.output
    rows = table(out)
    assert [row["photo"] for row in rows] == sorted(
        file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg")
    )
    with appliance(tmp_path) as server:
        for row in rows:
            answer = httpx.post(server.url + "/predict", content=(photos / row["photo"]).read_bytes(),
                                headers={"Content-Type": "image/jpeg"}).json()  # fmt: skip
            assert (row["label"], float(row["confidence"])) == (answer["label"], answer["confidence"])
            assert {name: float(row[f"p_{name}"]) for name in answer["probabilities"]} == answer["probabilities"]
            assert row["uncertain"] == str(answer["uncertain"])
            assert row["model_version"] == answer["model"]["version"]
            assert row["error"] == ""


def test_a_damaged_photo_is_a_row_that_says_so(photos: Path, tmp_path: Path, models: str):
    (photos / "grass/half.jpg").write_bytes(half_with_end(photo(size=(300, 200))))
    out = tmp_path / "out.csv"
    batch(photos, tmp_path / "work", models, out)
    assert {row["photo"]: row["damaged"] for row in table(out)}["grass/half.jpg"] == "True"
    assert sum(row["damaged"] == "True" for row in table(out)) == 1


def test_what_is_no_photo_is_a_row_that_says_so(photos: Path, tmp_path: Path, models: str):
    (photos / "grass/broken.jpg").write_bytes(photo()[:300])
    (photos / "grass/page.png").write_text("<html>not found</html>")
    (photos / "grass/empty.webp").write_bytes(b"")
    (photos / "grass/huge.jpg").write_bytes(photo() + bytes(21 * 2**20))
    (photos / "grass/notes.txt").write_text("passed over")
    (photos / "grass/.hidden.jpg").write_bytes(photo())
    (photos / "grass/UPPER.JPG").write_bytes(photo())
    out = tmp_path / "out.csv"
    ran = run(photos, "--out", out, "--models", models, "--cache", tmp_path / "cache")
    assert ran.exit_code == 0, ran.output
    assert "4 without an answer" in ran.stdout
    assert "passed over 1 files" in ran.stdout
    errors = {row["photo"]: row["error"] for row in table(out) if row["error"]}
    assert errors.keys() == {f"grass/{name}" for name in ("broken.jpg", "page.png", "empty.webp", "huge.jpg")}
    assert "is 21 MiB, the limit is 20 MiB" in errors["grass/huge.jpg"]
    assert "broken" in errors["grass/broken.jpg"]
    assert all(row["label"] == "" for row in table(out) if row["error"])


def test_a_name_that_no_key_can_be_is_a_row_with_the_reason(photos: Path, tmp_path: Path, models: str):
    (photos / os.fsdecode(b"grass/b\xff.jpg")).write_bytes(photo())
    (photos / os.fsdecode(b"caf\xe9")).mkdir()
    (photos / os.fsdecode(b"caf\xe9/one.jpg")).write_bytes(photo())
    (photos / "grass/two\nlines.jpg").write_bytes(photo())
    (photos / "grass/b\\xff.jpg").write_bytes(photo())  # a name of its own, not the first one written otherwise
    (photos / os.fsdecode(b"grass/notes\xff.txt")).touch()
    (photos / "grass/round.jpg").symlink_to("round.jpg")
    for out in ("out.csv", "out.parquet"):
        ran = run(photos, "--out", tmp_path / out, "--models", models, "--cache", tmp_path / "cache")
        assert ran.exit_code == 0, ran.output
        assert "3 without an answer" in ran.stdout
        assert "passed over 1 files" in ran.stdout
    rows = table(tmp_path / "out.csv")
    assert len(rows) == 12 + 4
    assert {(row["photo"], row["error"].split(";")[0]) for row in rows if row["error"]} == {
        ("grass/b\\xff.jpg", "its name is not UTF-8"),
        ("caf\\xe9/one.jpg", "its name is not UTF-8"),
        ("grass/two\nlines.jpg", "its name has a control character, `.` or `..` in it"),
    }
    assert [row["photo"] for row in rows if row["label"]].count("grass/b\\xff.jpg") == 1
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 16


def test_the_bundle_that_is_named_answers_and_is_printed(photos: Path, tmp_path: Path, models: str):
    own = write_bundle(tmp_path / "own", labels=("clover", "moss"))
    common = ("--out", tmp_path / "out.csv", "--cache", tmp_path / "cache")
    chosen: list[tuple[tuple[object, ...], dict[str, str], str, str]] = [
        ((), {}, default_bundle().name, f"{default_bundle().name}, the bundle in this package"),
        (("--models", models), {}, "v1", f"v1 in {models}"),
        (("--bundle", own), {}, "own", f"own in {own}"),
        ((), {"DANDELION_BUNDLE": str(own)}, "own", f"own in {own}"),
        ((), {"DANDELION_BUNDLE": str(own), "DANDELION_MODELS": models}, "own", f"own in {own}; labels clover, moss"),
        (("--bundle", own, "--version", "own"), {}, "own", f"own in {own}"),
    ]
    for arguments, environment, version, printed in chosen:
        ran = run(photos, *common, *arguments, **environment)
        assert ran.exit_code == 0, ran.output
        assert {row["model_version"] for row in table(tmp_path / "out.csv")} == {version}
        assert f"12 photos, answered by {printed}" in ran.stdout
        assert "; labels " in ran.stdout


def test_a_bundle_that_is_replaced_meanwhile_does_not_answer(photos: Path, tmp_path: Path):
    own, work = write_bundle(tmp_path / "own"), str(tmp_path / "work")
    plan_batch(str(photos), work, bundle=own)
    shutil.rmtree(own)
    write_bundle(tmp_path / "other").rename(own)
    with pytest.raises(BundleError, match=r"holds version other, not own"):
        classify(work, 0, cache=tmp_path / "cache")


def test_unknown_photos_are_rows_without_a_label(photos: Path, tmp_path: Path):
    own = write_bundle(tmp_path / "own", unknown=UNKNOWN_FROM_HALF)
    for name in ("grass/violet.jpg", "dandelion/violet.jpg"):
        (photos / name).write_bytes(violet())
    (photos / "grass/broken.jpg").write_bytes(photo()[:300])
    for name in ("out.csv", "out.parquet"):
        ran = run(photos, "--out", tmp_path / name, "--bundle", own, "--cache", tmp_path / "cache")
        assert ran.exit_code == 0, ran.output
        assert "labels dandelion, grass, (unknown)" in ran.output
        assert "6 dandelion, 6 grass, 2 (unknown), 1 without an answer" in ran.output
    rows = {row["photo"]: row for row in table(tmp_path / "out.csv")}
    assert list(rows["grass/violet.jpg"]) == [
        "photo", "label", "confidence", "uncertain", "unknown", "damaged", "p_dandelion", "p_grass", "p_(unknown)",
        "error", "model_version",
    ]  # fmt: skip
    found = rows["grass/violet.jpg"]
    assert (found["label"], found["unknown"], found["uncertain"], found["error"]) == ("", "True", "False", "")
    assert float(found["confidence"]) == float(found["p_(unknown)"]) > 0.9
    assert (rows["grass/broken.jpg"]["unknown"], rows["grass/broken.jpg"]["p_(unknown)"]) == ("", "")
    assert {row["unknown"] for row in rows.values() if row["label"]} == {"False"}
    columnar = {row["photo"]: row for row in pq.read_table(tmp_path / "out.parquet").to_pylist()}
    assert (columnar["grass/violet.jpg"]["label"], columnar["grass/violet.jpg"]["unknown"]) == (None, True)
    assert columnar["grass/violet.jpg"]["p_(unknown)"] == float(found["p_(unknown)"])


def test_a_model_without_the_unknown_class_has_no_column_of_its_probability(photos: Path, tmp_path: Path, models: str):
    ran = run(photos, "--out", tmp_path / "out.csv", "--models", models, "--cache", tmp_path / "cache")
    assert "(unknown)" not in ran.output
    [header, *rows] = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "photo,label,confidence,uncertain,unknown,damaged,p_dandelion,p_grass,error,model_version"
    assert {row["unknown"] for row in table(tmp_path / "out.csv")} == {"False"}
    assert len(rows) == 12


def test_a_batch_that_an_earlier_release_planned_is_done(photos: Path, tmp_path: Path, models: str):
    work = plan_in(photos, tmp_path, models)
    plan = json.loads((work / "plan.json").read_text())
    del plan["unknown"]
    (work / "plan.json").write_text(json.dumps(plan))
    classify(str(work), 0, cache=tmp_path / "cache")
    assert merge(str(work), str(tmp_path / "out.csv")).labels == {"dandelion": 6, "grass": 6}


def test_a_photo_that_vanishes_meanwhile_is_a_row(photos: Path, tmp_path: Path, models: str):
    work = str(tmp_path / "work")
    plan_batch(str(photos), work, models=models)
    (photos / "grass/0003.jpg").unlink()
    counts = classify(work, 0, cache=tmp_path / "cache")
    assert counts == (12, 1)


def test_however_it_is_cut_and_whatever_runs_it_the_table_is_the_same(photos: Path, tmp_path: Path, models: str):
    one = batch(photos, tmp_path / "a/work", models, tmp_path / "one.parquet", per_part=100, threads=1)
    many = batch(photos, tmp_path / "b/work", models, tmp_path / "many.csv", per_part=5, threads=3)
    again = batch(photos, tmp_path / "b/work", models, tmp_path / "again.csv", per_part=5)
    assert many == again
    assert one == batch(photos, tmp_path / "c/work", models, tmp_path / "two.parquet", per_part=100)
    read = pq.read_table(tmp_path / "one.parquet").to_pylist()
    as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in read]
    assert as_text == table(tmp_path / "many.csv")


def test_the_model_is_settled_once(photos: Path, tmp_path: Path, models: str):
    work = str(tmp_path / "work")
    assert plan_batch(str(photos), work, models=models).version == "v1"
    store = open_store(models)
    publish(write_bundle(tmp_path / "v2"), store, tag=Catalogue(store).tag())
    assert plan_batch(str(photos), work, models=models).version == "v1", "planned already"
    assert plan_batch(str(photos), str(tmp_path / "other"), models=models).version == "v2"
    assert plan_batch(str(photos), str(tmp_path / "third"), models=models, version="v1").version == "v1"
    assert plan_batch(str(photos), str(tmp_path / "fourth"), models=str(tmp_path / "nothing")).version is None


def test_parts_are_never_more_than_a_scheduler_maps(tmp_path: Path, models: str):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MAX_PARTS + 1):
        (folder / f"{number}.jpg").touch()
    assert (
        plan_batch(str(folder), str(tmp_path / "work"), models=models, photos_per_part=1).parts == (MAX_PARTS + 2) // 2
    )


def test_an_interrupted_command_goes_on(photos: Path, tmp_path: Path, models: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime.batch.plan, "plan_batch", partial(plan_batch, photos_per_part=5))
    arguments = (photos, "--out", tmp_path / "out.csv", "--models", models, "--cache", tmp_path / "cache")
    read = runtime.batch.classify._read

    def dies_late(store, entry):  # type: ignore[no-untyped-def]
        if entry.key == "grass/0005.jpg":
            raise StoreError("the store is away; try again later")
        return read(store, entry)

    monkeypatch.setattr(runtime.batch.classify, "_read", dies_late)
    ran = run(*arguments)
    assert (ran.exit_code, ran.stderr.splitlines()[-1]) == (1, "Error: the store is away; try again later")
    asked: list[str] = []
    monkeypatch.setattr(runtime.batch.classify, "_read", lambda *of: asked.append(of[1].key) or read(*of))
    ran = run(*arguments)
    assert ran.exit_code == 0, ran.output
    assert "resuming the batch that was started at" in ran.stderr
    assert sorted(asked) == ["grass/0004.jpg", "grass/0005.jpg"], "the parts before are kept"
    assert len(table(tmp_path / "out.csv")) == 12
    assert not list((tmp_path / "cache/batch").iterdir())


def test_from_s3_to_s3(photos: Path, tmp_path: Path, s3: S3Server):
    store = s3.new_bucket("batch-photos")
    for file in photos.rglob("*.jpg"):
        store.upload(f"site/{file.relative_to(photos).as_posix()}", file)
    store.write("elsewhere/a.jpg", b"not asked for")
    publish(write_bundle(tmp_path / "v1"), s3.new_bucket("batch-models"))
    s3.new_bucket("batch-results")
    ran = run("s3://batch-photos/site", "--out", "s3://batch-results/may/out.parquet", "--models", "s3://batch-models",
              "--cache", tmp_path / "cache", **s3.environment)  # fmt: skip
    assert ran.exit_code == 0, ran.output
    s3.open("s3://batch-results/may").download("out.parquet", tmp_path / "out.parquet", max_bytes=MANY_BYTES)
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["photo"] for row in rows[:2]] == ["dandelion/0000.jpg", "dandelion/0001.jpg"]
    assert [row["label"] for row in rows] == ["dandelion"] * 6 + ["grass"] * 6
    assert {row["model_version"] for row in rows} == {"v1"}
    wrong = run("s3://batch-photos/site", **(s3.environment | {"MINIO_SECRET_KEY": "wrong"}))
    assert wrong.exit_code == 1
    assert "check MINIO_" in wrong.stderr


def test_refusals_are_one_line_and_come_before_the_work(photos: Path, tmp_path: Path, models: str, s3: S3Server):
    def refused(*arguments: object, **environment: str) -> str:
        ran = run(*arguments, "--cache", tmp_path / "cache", **environment)
        assert ran.exit_code == 1, ran.output
        assert len(ran.stderr.splitlines()) == 1, ran.stderr
        return ran.stderr

    assert "holds no photos" in refused(tmp_path / "nowhere")
    assert "write a .csv or a .parquet" in refused(photos, "--out", "table.xlsx")
    assert "names no file" in refused(photos, "--out", "s3://bucket")
    assert "v9/manifest.json: is not there" in refused(photos, "--models", models, "--version", "v9")
    assert "name the store that has it" in refused(photos, "--version", "v1")
    assert "create it" in refused("s3://no-such-bucket-here", **s3.environment)
    own = write_bundle(tmp_path / "own")
    assert "holds version own, not v1" in refused(photos, "--bundle", own, "--version", "v1")
    assert "manifest.json" in refused(photos, DANDELION_BUNDLE=str(photos))
    assert "caf\\xe9: is not UTF-8" in refused(os.fsdecode(b"caf\xe9"))
    assert "is no name for a table" in refused(photos, "--out", os.fsdecode(b"\xff.csv"))
    assert "is not UTF-8" in refused(photos, "--bundle", own.rename(tmp_path / os.fsdecode(b"caf\xe9")))
    with pytest.raises(BatchError, match="classify that part first"):
        merge(str(plan_in(photos, tmp_path, models)), str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()


def plan_in(photos: Path, tmp_path: Path, models: str) -> Path:
    plan_batch(str(photos), str(tmp_path / "work"), models=models)
    return tmp_path / "work"


def test_results_come_in_order_and_no_more_than_asked_for_are_begun():
    begun: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        results = in_order(pool, lambda n: begun.append(n) or n, range(100), ahead=5)
        assert next(results) == 0
        assert max(begun) < 5
        assert list(results) == list(range(1, 100))


def test_an_edge_host_needs_no_pyarrow_for_csv(photos: Path, tmp_path: Path, models: str):
    program = (
        "import sys; sys.modules['pyarrow'] = None\nfrom runtime.__main__ import main\nmain(['batch', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", program, photos, "--models", models, "--cache", tmp_path / "cache", "--out"]
    done = subprocess.run([*command, tmp_path / "a.csv"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*command, tmp_path / "a.parquet"], capture_output=True, text=True)
    assert (done.returncode, "pip install pyarrow" in done.stderr) == (1, True)
