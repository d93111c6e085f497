"""S3 servers differ: in regions, conditions, tags and what they say of a wrong clock or certificate."""

from __future__ import annotations

import datetime as dates
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from click.testing import CliRunner

import runtime.store.s3_errors
from runtime.__main__ import main
from runtime.registry.catalogue import POINTER, Catalogue
from runtime.registry.publish import publish
from runtime.store import Conflict, Missing, S3Settings, Store, StoreError, TooLarge, open_store
from runtime.store.conditions import Conditions, probe_conditions
from runtime.store.probe import YES, probe
from runtime.store.s3 import S3Store
from tests.support.hostile.misbehaving import fake_s3
from tests.support.models.bundles import write_bundle
from tests.support.stores.contents import MANY_BYTES, content
from tests.support.stores.s3 import S3Server
from tests.support.stores.s3_answers import losing_the_answer, refusing_with
from tests.support.suite.repeats import thorough_but
from tests.support.web.certificates import Authority

STRANGE = "a #1?x=%20&b+c 'ü"  # a prefix that a URL would have to quote


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Settings]:
    from moto.server import ThreadedMotoServer  # here, since it takes a while: each worker imports this module

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Settings(f"http://{host}:{port}", "tester", "a-secret-of-the-tests")
    server.stop()


def environment(settings: S3Settings, **more: str) -> dict[str, str]:
    assert settings.endpoint
    assert settings.access_key
    assert settings.secret_key
    return {
        "MINIO_ENDPOINT": settings.endpoint,
        "MINIO_ACCESS_KEY": settings.access_key,
        "MINIO_SECRET_KEY": settings.secret_key,
        "AWS_REGION": "",
    } | more


def made(settings: S3Settings, uri: str) -> S3Store:
    store = open_store(uri, settings)
    store.create()
    assert isinstance(store, S3Store)
    return store


@pytest.fixture(params=thorough_but(["seaweedfs"], ["moto", "seaweedfs"]))
def settings(request: pytest.FixtureRequest, moto: S3Settings) -> S3Settings:
    if request.param == "moto":
        return moto
    server: S3Server = request.getfixturevalue("s3")
    return server.settings


def test_another_server_is_one_setting(moto: S3Settings, s3: S3Server, tmp_path: Path):
    bundle = write_bundle(tmp_path / "v1")
    uris = {"DANDELION_MODELS": "s3://moved-models/a #1", "DANDELION_DATA": "s3://moved-data"}
    common = environment(S3Settings("nobody:1", s3.settings.access_key, s3.settings.secret_key), **uris)
    for endpoint in (s3.endpoint, moto.endpoint):
        for command in (["store", "init"], ["models", "publish", str(bundle)], ["models", "list"]):
            ran = CliRunner().invoke(main, command, env=common | {"MINIO_ENDPOINT": str(endpoint)})
            assert (ran.exit_code, ran.stderr) == (0, "")
    assert "latest" in ran.stdout


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("told", ["by variable", "by profile"])
def test_a_bucket_is_made_in_the_region_that_is_set(
    moto: S3Settings, region: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "config").write_text(f"[default]\nregion = {region}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config") if told == "by profile" else "/dev/null")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    name = f"region-{region}-{told[3:]}"
    uris = {"DANDELION_MODELS": f"s3://{name}/models", "DANDELION_DATA": f"s3://{name}/data"}
    told_by = {"AWS_REGION": region} if told == "by variable" else {}
    ran = CliRunner().invoke(main, ["store", "init"], env=environment(moto, **uris, **told_by))
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines() == [f"made s3://{name}/models", f"found s3://{name}/data"]
    monkeypatch.setenv("AWS_REGION", region)
    found = made(moto, f"s3://{name}").client.get_bucket_location(Bucket=name)["LocationConstraint"]
    assert found == (None if region == "us-east-1" else region)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, "<Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region>", "set AWS_REGION=eu-north-1"),
        (400, "<Code>AuthorizationHeaderMalformed</Code>", "set AWS_REGION to the region of the bucket"),
        (400, "<Code>InvalidLocationConstraint</Code>", "set AWS_REGION to a region that the server has"),
        (400, "<Code>IllegalLocationConstraintException</Code>", "set AWS_REGION to the region of this endpoint"),
        (409, "<Code>BucketAlreadyExists</Code>", "another account has a bucket of this one"),
        (403, "<Code>RequestTimeTooSkewed</Code>", "set this host's clock"),
        (501, "<Code>NotImplemented</Code>", "store probe"),
    ],
)
def test_what_a_server_objects_to_is_named(tmp_path: Path, status: int, error: str, message: str):
    with fake_s3(tmp_path) as fake:
        fake.misbehave = lambda answer: answer.say(status, f"<Error>{error}</Error>".encode(), Date="")
        with pytest.raises(StoreError, match=message):
            fake.open().read("key", max_bytes=9)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bad name/a", "'bad name' is no name of a bucket"),
        ("s3://bucket?x/a", "'bucket\\?x' is no name of a bucket"),
        ("s3://bucket#x", "'bucket#x' is no name of a bucket"),
        ("s3://bucket/a/../b", "is no prefix"),
        ("s3://bucket/a//b", "is no prefix"),
        ("s3://bucket/a\nb", "is no prefix"),
        ("s3://bucket/\udcff", "is not UTF-8"),
        ("file:///a#b", "write %23"),
        ("file:///a?b", "%3F"),
        ("file://elsewhere/a", "names another host"),
        ("file:///a%ff", "is no path in UTF-8"),
    ],
)
def test_a_uri_that_would_be_read_in_two_ways_is_refused(uri: str, message: str):
    with pytest.raises(StoreError, match=message) as refused:
        open_store(uri, S3Settings("http://127.0.0.1:9", "a", "b"))
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_uri_is_decoded_and_a_path_is_not(tmp_path: Path):
    (tmp_path / "a #1?").mkdir()
    (tmp_path / "a #1?" / "key").touch()
    (tmp_path / "b%20").mkdir()
    for uri in (f"file://{tmp_path}/a%20%231%3F", f"file://localhost{tmp_path}/a%20%231%3F", f"{tmp_path}/a #1?"):
        assert [entry.key for entry in open_store(uri).list()] == ["key"]
    assert open_store(f"{tmp_path}/b%20").uri == f"{tmp_path}/b%20"


def test_a_prefix_may_hold_what_a_url_would_quote(settings: S3Settings):
    store = made(settings, f"s3://strange-prefixes/{STRANGE}")
    outside = open_store("s3://strange-prefixes", settings)
    tag = store.write("one #2?", b"one")
    assert store.read("one #2?", max_bytes=9) == (b"one", tag)
    assert [entry.key for entry in store.list()] == ["one #2?"]
    assert [entry.key for entry in outside.list("a ")] == [f"{STRANGE}/one #2?"]
    store.delete("one #2?")
    assert list(outside.list()) == []


KEYS = ["a b", "a#b", "a-1", "a.txt", "a/1", "a/b/c", "a/b.txt", "a0", "b", "é", "\uff5e", "\U0001f33c"]


def test_keys_are_listed_in_the_order_of_their_bytes(settings: S3Settings, tmp_path: Path):
    for store in (made(settings, "s3://ordered/below"), open_store(str(tmp_path / "store"))):
        for key in reversed(KEYS):
            store.write(key, b"x")
        assert [entry.key for entry in store.list()] == sorted(KEYS, key=str.encode)
        assert [entry.key for entry in store.list("a/b")] == ["a/b.txt", "a/b/c"]
        assert len(list(store.list(at_most=len(KEYS)))) == len(KEYS)
        with pytest.raises(TooLarge, match="holds more than the 3 objects"):
            list(store.list("a", at_most=3))


def test_a_tagged_write_on_a_key_that_is_gone_is_a_conflict(settings: S3Settings, tmp_path: Path):
    for store in (made(settings, "s3://gone-keys"), open_store(str(tmp_path / "store"))):
        tag = store.write("pointer", b"one")
        store.delete("pointer")
        with pytest.raises(Conflict, match="another writer"):
            store.write("pointer", b"two", replaces=tag)
        with pytest.raises(Missing):
            store.read("pointer", max_bytes=9)


def test_a_write_into_a_bucket_that_is_gone_is_no_conflict(moto: S3Settings):
    with pytest.raises(StoreError, match="create it") as refused:
        open_store("s3://never-made", moto).write("pointer", b"one", replaces='"x"')
    assert not isinstance(refused.value, Conflict)


def test_a_server_without_etags_is_named(moto: S3Settings, tmp_path: Path):
    with fake_s3(tmp_path) as fake, fake.misbehaving("says no ETag"):
        (tmp_path / "key").write_bytes(b"content")
        for ask in (lambda: fake.open().read("key", max_bytes=9), lambda: fake.open().tag("key")):
            with pytest.raises(StoreError, match="no ETag"):
                ask()
    store = made(moto, "s3://tagless")
    store.client.meta.events.register("after-call.s3.PutObject", lambda parsed, **_: parsed.pop("ETag", None))
    with pytest.raises(StoreError, match=r"s3://tagless at http.*no ETag.*use another server"):
        store.write("key", b"content")


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_conditions_are_heeded_and_the_probe_leaves_nothing(settings: S3Settings, tmp_path: Path):
    for store in (made(settings, "s3://conditions/here"), open_store(str(tmp_path / "store"))):
        assert probe_conditions(store, "models") == Conditions(None, None, None)
        assert list(store.list()) == []


def ignoring(store: S3Store, *headers: str) -> S3Store:
    """As a server that does not know these headers."""

    def drop(params: dict[str, Any], **_: object) -> None:
        for name in headers:
            params["headers"].pop(name, None)

    store.client.meta.events.register("before-call.s3.PutObject", drop)
    return store


@pytest.mark.parametrize(
    ("headers", "trouble"),
    [
        (("If-Match",), "(If-Match is ignored, If-Match of a key that is gone is ignored)"),
        (("If-None-Match",), "(If-None-Match is ignored)"),
    ],
)
def test_a_server_that_ignores_conditions_is_told_of_at_the_first_publication(
    moto: S3Settings, headers: tuple[str, ...], trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = ignoring(made(moto, f"s3://deaf-{headers[0].lower()}"), *headers)
    publish(write_bundle(tmp_path / "v1"), store, tag=None)
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("runtime")]
    assert trouble in warning
    assert "docs/stores.md" in warning
    caplog.clear()
    publish(write_bundle(tmp_path / "v2"), store, tag=Catalogue(store).tag())
    assert "apart" not in caplog.text, "once is enough"
    assert not [entry for entry in store.list() if "probe" in entry.key]


def test_store_init_says_what_a_server_cannot_do(moto: S3Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "runtime.cli.models.open_store",
        lambda uri: ignoring(open_store(uri, moto), "If-Match", "If-None-Match"),  # type: ignore[arg-type]
    )
    ran = CliRunner().invoke(main, ["store", "init", "--models", "s3://deaf-init/m", "--data", "s3://deaf-init/d"])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == "made s3://deaf-init/m\nfound s3://deaf-init/d\n"
    assert ran.stderr.count("cannot keep two writers apart (If-None-Match is ignored, If-Match is ignored") == 2


@pytest.mark.parametrize("status", [412, 409])
def test_a_publisher_whose_answer_was_lost_has_won(settings: S3Settings, tmp_path: Path, status: int):
    store = made(settings, f"s3://lost-answers-{status}")
    refusals = refusing_with(status, store)
    for version in ("v1", "v2"):  # If-None-Match, then If-Match
        attempts = losing_the_answer(store, POINTER)
        pointer = publish(write_bundle(tmp_path / version), store, tag=Catalogue(store).tag())
        assert attempts == [1, 2]
        assert Catalogue(store).latest() == pointer
    assert set(refusals) == {status}


@pytest.mark.parametrize("status", [412, 409])
def test_a_publisher_whose_answer_was_lost_and_who_was_overtaken_has_not(moto: S3Settings, tmp_path: Path, status: int):
    store = made(moto, f"s3://overtaken-{status}")
    refusals = refusing_with(status, store)
    tag = publish(write_bundle(tmp_path / "v1"), store, tag=None) and Catalogue(store).tag()
    other = open_store(f"s3://overtaken-{status}", moto)
    store.client.meta.events.register_first(
        "before-call.s3.PutObject",
        lambda params, **_: _overtake(other, params),
    )
    with pytest.raises(Conflict, match="another writer"):
        publish(write_bundle(tmp_path / "v2"), store, tag=tag)
    assert content(other, POINTER) == b"another"
    assert set(refusals) == {status}


def _overtake(other: Store, params: dict[str, Any]) -> None:
    if params["url_path"].endswith(POINTER):
        other.write(POINTER, b"another")


# ── clocks and certificates ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hours", [-2, 30])
def test_a_wrong_clock_is_named(s3: S3Server, hours: int, monkeypatch: pytest.MonkeyPatch):
    late = dates.timedelta(hours=hours)

    class Wrong(dates.datetime):
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Wrong:
            moment = dates.datetime.now(tz) + late
            return cls.fromtimestamp(moment.timestamp(), tz)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: Wrong.now(dates.UTC))
    monkeypatch.setattr(runtime.store.s3_errors, "datetime", Wrong)
    store = s3.open("s3://ready")
    for ask in (lambda: store.read("ready", max_bytes=MANY_BYTES), lambda: store.tag("ready")):
        with pytest.raises(
            StoreError, match=r"clock is \d+ minutes (behind|ahead of) the server's: set this host's clock"
        ):
            ask()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def private(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that opens the store of a server with a certificate of a private authority, for `name`, valid for …"""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "key").write_bytes(b"content")
    with fake_s3(tmp_path / "store") as fake:
        plain = fake.served.socket

        def opened(name: str = "localhost", *, days: tuple[int, int] = (-1, 1)) -> Store:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.issue(tmp_path / "server.pem", name, days))
            fake.served.socket = context.wrap_socket(plain, server_side=True)
            return open_store(
                "s3://models", S3Settings(fake.endpoint.replace("http://127.0.0.1", "https://localhost"), "a", "b")
            )

        yield opened


def test_a_private_authority_is_believed_if_it_is_named(
    private: Any, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.write(tmp_path / "authority.pem")))
    assert private().read("key", max_bytes=9)[0] == b"content"


@pytest.mark.parametrize(
    ("bundle", "name", "days", "message"),
    [
        (None, "localhost", (-1, 1), "set AWS_CA_BUNDLE to a file with the certificate of the authority"),
        ("nowhere.pem", "localhost", (-1, 1), "AWS_CA_BUNDLE, if set, names a file of certificates"),
        ("authority.pem", "elsewhere", (-1, 1), "MINIO_ENDPOINT with a name that is in the server's certificate"),
        ("authority.pem", "localhost", (-2, -1), "renew the server's certificate, or set this host's clock"),
        ("authority.pem", "localhost", (1, 2), "renew the server's certificate, or set this host's clock"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_named(
    private: Any, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    bundle: str | None, name: str, days: tuple[int, int], message: str,
):  # fmt: skip
    authority.write(tmp_path / "authority.pem")
    if bundle:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / bundle))
    with pytest.raises(StoreError, match=message) as refused:
        private(name, days=days).read("key", max_bytes=9)
    assert len(str(refused.value).splitlines()) == 1


def test_the_probe_prints_a_row_of_the_table(s3: S3Server, moto: S3Settings, monkeypatch: pytest.MonkeyPatch):
    for settings, faults in (
        (moto, {"checksum": "no (ignored)"}),
        (s3.settings, {"listing": "no (not in the order of keys)"}),
    ):
        made(settings, "s3://probed/below")
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        found = probe("s3://probed/below")
        assert {name: answer for name, answer in found.items() if answer != YES} == faults
        assert list(open_store("s3://probed").list()) == []
    ran = CliRunner().invoke(main, ["store", "probe", "s3://probed"])
    assert "If-None-Match: yes" in ran.stdout.splitlines()
    assert "is a folder" in CliRunner().invoke(main, ["store", "probe", "var"]).stderr
