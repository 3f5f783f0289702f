"""Tokens of storage that asks for them, and presigned URLs of buckets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import numpy as np
import pytest
from pydantic import SecretStr

from encoders.assets import Fetcher
from encoders.buckets import Keys, presign
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.messages import Acquisition

if TYPE_CHECKING:
    from tests.conftest import FileServer, SceneMaker

SETTINGS = EncoderSettings(threads=2, timeout_s=5)


@pytest.fixture
def scene(scenes: SceneMaker) -> Acquisition:
    values = np.full((200, 200), 900, np.uint16)
    assets = {name: scenes.band(f"container/{name}.tif", values) for name in ("B02", "B03", "B04")}
    return scenes.acquisition(assets, signing_url=scenes.files.url("sign"))


def endpoint(life: timedelta) -> Callable[[str], bytes]:
    """Signs with tokens that count up."""
    given = iter(range(1, 100))

    def reply(query: str) -> bytes:
        href = parse_qs(query)["href"][0]
        expiry = (datetime.now(UTC) + life).isoformat().replace("+00:00", "Z")
        return json.dumps({"msft:expiry": expiry, "href": f"{href}?sig=token{next(given)}&se=1"}).encode()

    return reply


def read(acquisition: Acquisition, fetcher: Fetcher) -> int:
    return sum(len(block.cells) for block in read_scene(acquisition, SETTINGS, fetcher))


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    fetcher = Fetcher(SETTINGS)
    yield fetcher
    fetcher.close()


def test_one_token_serves_a_container_until_it_expires(
    scene: Acquisition, file_server: FileServer, fetcher: Fetcher
) -> None:
    file_server.replies["sign"] = endpoint(timedelta(hours=1))
    assert read(scene, fetcher) == read(scene, fetcher) == 4
    asked = [r for r in file_server.requests if r.startswith("GET /sign?")]
    got = [r for r in file_server.requests if r.startswith("GET /container/")]
    assert len(asked) == 1 and len(got) == 6 and all(r.endswith("?sig=token1&se=1") for r in got)


def test_token_near_its_end_is_renewed(scene: Acquisition, file_server: FileServer, fetcher: Fetcher) -> None:
    file_server.replies["sign"] = endpoint(timedelta(minutes=2))
    read(scene, fetcher)
    assert len([r for r in file_server.requests if r.startswith("GET /sign?")]) == 3


def test_token_that_storage_refuses_is_renewed_once(
    scene: Acquisition, file_server: FileServer, fetcher: Fetcher
) -> None:
    file_server.replies["sign"] = endpoint(timedelta(hours=1))
    file_server.status["container/B02.tif"] = [403]
    assert read(scene, fetcher) == 4
    file_server.status["container/B02.tif"] = 403
    with pytest.raises(UnreadableAsset, match=r"B02.tif\): HTTP 403"):
        read(scene, fetcher)


def test_token_never_shows_in_errors(scene: Acquisition, file_server: FileServer, fetcher: Fetcher) -> None:
    file_server.replies["sign"] = endpoint(timedelta(hours=1))
    file_server.status["container/B02.tif"] = 404
    with pytest.raises(UnreadableAsset) as caught:
        read(scene, fetcher)
    assert "token1" not in str(caught.value)


@pytest.mark.parametrize("status, error", [(429, AssetUnavailable), (503, AssetUnavailable), (404, UnreadableAsset)])
def test_endpoint_that_does_not_sign(
    scene: Acquisition, file_server: FileServer, fetcher: Fetcher, status: int, error: type[Exception]
) -> None:
    file_server.status["sign"] = status
    with pytest.raises(error, match="signing endpoint"):
        read(scene, fetcher)


@pytest.mark.parametrize("body", [b"<html>", b'{"href": "x"}', b'{"href": "x", "msft:expiry": "soon"}'])
def test_endpoint_that_answers_something_else(
    scene: Acquisition, file_server: FileServer, fetcher: Fetcher, body: bytes
) -> None:
    file_server.replies["sign"] = body
    with pytest.raises(UnreadableAsset, match="expected href and msft:expiry"):
        read(scene, fetcher)


def test_presigned_url_is_that_of_the_specification() -> None:
    """The worked example of the Amazon S3 API Reference, Authenticating Requests: Using Query Parameters."""
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    url = presign("https://examplebucket.s3.amazonaws.com/test.txt", keys, datetime(2013, 5, 24, tzinfo=UTC), 86400)
    assert url.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


@pytest.mark.parametrize("key_id", ["", "KEY"])
def test_bucket_is_read_from_the_operators_endpoint(scene: Acquisition, file_server: FileServer, key_id: str) -> None:
    assets = {
        name: asset.model_copy(update={"href": f"s3://container/{name}.tif"}) for name, asset in scene.assets.items()
    }
    inside = scene.model_copy(update={"assets": assets, "signing_url": None, "allowed_hosts": ("s3://container",)})
    settings = SETTINGS.model_copy(
        update={"s3_endpoint": f"http://{file_server.host}", "s3_key_id": key_id, "s3_secret": SecretStr("hush")}
    )
    assert sum(len(block.cells) for block in read_scene(inside, settings)) == 4
    paths = {r.partition("?")[0] for r in file_server.requests}
    assert paths == {f"GET /container/{name}.tif" for name in assets}
    signed = {"X-Amz-Signature=" in r for r in file_server.requests}
    assert signed == {bool(key_id)} and not any("hush" in r for r in file_server.requests)
