"""Pulling from a hub that hangs up, lies, redirects and refuses; the hub runs on the loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from encoders.pull import look_up, pull, read_note, release_name
from schemas.errors import AssetUnavailable, ReleaseMismatch, ReleaseNotFound, SettingsError, UsageError

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs the [torch] extra")

CLOSP = "DarthReca/CLOSP-RN"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "0123456789abcdef0123456789abcdef01234567"
TOKENIZER = b'{"model": {"type": "WordPiece"}}'
WEIGHTS = safetensors_numpy.save({"weight": np.arange(500_000, dtype=np.float32)})


@dataclass
class FakeHub:
    """Two repositories, and the faults to show.

    Attributes:
        files: repository -> file name -> bytes.
        licence: what CLOSP's card states.
        cuts: bytes after which each of the next downloads of the weights hangs up.
        status: path prefix -> status to answer instead.
        ranges: whether it honours Range.
        elsewhere: origin that downloads of the weights are redirected to.
        seen: (path, Range header, Authorization header) of every request.
    """

    files: dict[str, dict[str, bytes]]
    licence: str | None = "creativeml-openrail-m"
    cuts: list[int] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    elsewhere: str = ""
    announced: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def weight_requests(self) -> list[str | None]:
        return [span for path, span, _token in self.seen if path.endswith("model.safetensors")]

    def model(self, repository: str) -> dict[str, object]:
        return {
            "sha": REVISION,
            "cardData": {"license": self.licence} if self.licence else None,
            "siblings": [self.sibling(name, content) for name, content in self.files[repository].items()],
        }

    def sibling(self, name: str, content: bytes) -> dict[str, object]:
        if name.endswith(".safetensors"):
            digest = self.announced.get(name, hashlib.sha256(content).hexdigest())
            return {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": {"sha256": digest, "size": len(content), "pointerSize": 134},
            }
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"rfilename": name, "size": len(content), "blobId": self.announced.get(name, blob)}


def handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.seen.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
            fault = next((status for prefix, status in hub.status.items() if path.startswith(prefix)), None)
            if fault is not None:
                self.answer(fault, b"fault")
            elif path.startswith("/api/models/"):
                self.describe(path.removeprefix("/api/models/"))
            else:
                self.download(path)

        def describe(self, repository: str) -> None:
            if repository not in hub.files:
                self.answer(404, b'{"error": "Repository not found"}')
            else:
                self.answer(200, json.dumps(hub.model(repository)).encode())

        def download(self, path: str) -> None:
            repository, name = path.strip("/").split(f"/resolve/{REVISION}/")
            content = hub.files[repository][name]
            if hub.elsewhere and name.endswith(".safetensors"):
                self.send_response(302)
                self.send_header("Location", f"{hub.elsewhere}{path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            span = self.headers.get("Range")
            start = int(span.removeprefix("bytes=").removesuffix("-")) if span and hub.ranges else 0
            if start >= len(content):
                self.answer(416, b"")
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cut = hub.cuts.pop(0) if hub.cuts and name.endswith(".safetensors") else len(content)
            self.wfile.write(content[start : start + cut])

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def serve(hub: FakeHub) -> Iterator[FakeHub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def repositories() -> dict[str, dict[str, bytes]]:
    return {CLOSP: {"README.md": b"# CLOSP", "model.safetensors": WEIGHTS}, MINILM: {"tokenizer.json": TOKENIZER}}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    yield from serve(FakeHub(repositories()))


@pytest.fixture
def storage() -> Iterator[FakeHub]:
    yield from serve(FakeHub(repositories()))


def no_wait(_seconds: float) -> None:
    pass


def installed(folder: Path) -> bytes:
    return (folder / "closp-rn" / "model.safetensors").read_bytes()


def test_licence_is_known_before_anything_is_fetched(hub: FakeHub) -> None:
    offer = look_up(CLOSP, endpoint=hub.endpoint)
    assert offer.licence == "creativeml-openrail-m"
    assert offer.page == f"{hub.endpoint}/{CLOSP}"
    assert [path for path, *_ in hub.seen] == [f"/api/models/{CLOSP}"]


def test_card_without_licence(hub: FakeHub) -> None:
    hub.licence = None
    assert look_up(CLOSP, endpoint=hub.endpoint).licence == "not stated"


def test_pull_installs_weights_tokenizer_and_note(hub: FakeHub, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    note = pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, progress=lambda *args: told.append(args))
    assert installed(tmp_path) == WEIGHTS
    assert (tmp_path / "closp-rn" / "tokenizer.json").read_bytes() == TOKENIZER
    assert read_note(tmp_path / "closp-rn") == note
    assert (note.name, note.licence, note.revision) == ("closp-rn", "creativeml-openrail-m", REVISION)
    assert told[-1] == ("model.safetensors", len(WEIGHTS), len(WEIGHTS))
    assert sorted(each.name for each in (tmp_path / "closp-rn").iterdir()) == [
        "model.safetensors",
        "release.json",
        "tokenizer.json",
    ]


def test_own_tokenizer_is_preferred(hub: FakeHub, tmp_path: Path) -> None:
    hub.files[CLOSP]["tokenizer.json"] = b'{"own": true}'
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)
    assert (tmp_path / "closp-rn" / "tokenizer.json").read_bytes() == b'{"own": true}'


def test_second_pull_fetches_no_weights(hub: FakeHub, tmp_path: Path) -> None:
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)
    hub.seen.clear()
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)
    assert hub.weight_requests() == []


def test_broken_connection_is_resumed_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [700_000, 400_000]
    waits: list[float] = []
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=waits.append)
    assert installed(tmp_path) == WEIGHTS
    assert hub.weight_requests() == [None, "bytes=700000-", "bytes=1100000-"]
    assert waits == []


def test_dead_connection_leaves_a_part_that_the_next_call_goes_on_with(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [1_000_000, 0, 0, 0, 0, 0]
    waits: list[float] = []
    with pytest.raises(AssetUnavailable, match=r"1,000,000 of 2,000,\d+ bytes are here, run the command again"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=waits.append)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert read_note(tmp_path / "closp-rn") is None
    assert not (tmp_path / "closp-rn" / "model.safetensors").exists()
    hub.seen.clear()
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)
    assert installed(tmp_path) == WEIGHTS
    assert hub.weight_requests() == ["bytes=1000000-"]


def test_server_without_ranges_starts_over(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts, hub.ranges = [700_000], False
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)
    assert installed(tmp_path) == WEIGHTS


def test_part_of_another_revision_is_not_mixed_in(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [700_000, 0, 0, 0, 0, 0]
    with pytest.raises(AssetUnavailable):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)
    newer = safetensors_numpy.save({"weight": np.ones(500_000, dtype=np.float32)})
    hub.files[CLOSP]["model.safetensors"] = newer
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)
    assert installed(tmp_path) == newer


def test_wrong_hash_is_deleted_and_said(hub: FakeHub, tmp_path: Path) -> None:
    hub.announced["model.safetensors"] = "ab" * 32
    with pytest.raises(ReleaseMismatch, match=r"has hash [0-9a-f]{12}, announced was abababababab: deleted"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)
    assert [each.name for each in (tmp_path / "closp-rn").iterdir()] == ["tokenizer.json"]


def test_wrong_hash_of_a_small_file(hub: FakeHub, tmp_path: Path) -> None:
    hub.announced["tokenizer.json"] = "cd" * 20
    with pytest.raises(ReleaseMismatch, match=r"tokenizer\.json has hash"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)


def test_right_hash_of_something_that_is_not_safetensors(hub: FakeHub, tmp_path: Path) -> None:
    hub.files[CLOSP]["model.safetensors"] = b"version https://git-lfs.github.com/spec/v1\n" * 3
    with pytest.raises(ReleaseMismatch, match="not safetensors"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)
    assert read_note(tmp_path / "closp-rn") is None


def test_unknown_repository(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match="nobody/nothing: no such model"):
        pull("nobody/nothing", endpoint=hub.endpoint, folder=tmp_path)


@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository(hub: FakeHub, tmp_path: Path, status: int) -> None:
    hub.status[f"/api/models/{CLOSP}"] = status
    with pytest.raises(SettingsError, match="set HF_TOKEN"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)


def test_gated_file(hub: FakeHub, tmp_path: Path) -> None:
    hub.status[f"/{CLOSP}/resolve"] = 401
    with pytest.raises(SettingsError, match=f"Accept its terms at {hub.endpoint}/{CLOSP} and"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, wait=no_wait)


def test_busy_hub(hub: FakeHub, tmp_path: Path) -> None:
    hub.status[f"/api/models/{CLOSP}"] = 503
    with pytest.raises(AssetUnavailable, match="503; try again later"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)


def test_hub_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssetUnavailable, match="does not answer"):
        pull(CLOSP, endpoint="http://127.0.0.1:9", folder=tmp_path)


def test_answer_that_is_not_the_hubs(hub: FakeHub, tmp_path: Path) -> None:
    hub.status[f"/api/models/{CLOSP}"] = 200
    with pytest.raises(ReleaseMismatch, match="did not answer as the hub does"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)


@pytest.mark.parametrize("names", [[], ["model-1.safetensors", "model-2.safetensors"]])
def test_repository_without_one_weights_file(hub: FakeHub, tmp_path: Path, names: list[str]) -> None:
    hub.files[CLOSP] = dict.fromkeys(names, WEIGHTS)
    with pytest.raises(ReleaseNotFound, match=f"has {len(names)} safetensors files"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)


def test_full_disk_is_known_beforehand(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("encoders.download.shutil.disk_usage", lambda _path: usage)
    with pytest.raises(SettingsError, match=r"needs 2 MB more, .* has 1 MB: free some space"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)
    assert hub.weight_requests() == []


def test_folder_that_cannot_be_written(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "closp-rn").write_text("a file in the way")
    with pytest.raises(SettingsError, match="cannot write"):
        pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path)


def test_token_goes_to_the_hub_and_not_to_its_storage(hub: FakeHub, storage: FakeHub, tmp_path: Path) -> None:
    hub.elsewhere = storage.endpoint
    pull(CLOSP, endpoint=hub.endpoint, folder=tmp_path, token="hf_secret")
    assert installed(tmp_path) == WEIGHTS
    assert {token for *_, token in hub.seen} == {"Bearer hf_secret"}
    assert [token for *_, token in storage.seen] == [None]


def test_release_names() -> None:
    assert release_name("darthreca/geoclosp-rn") == "geoclosp-rn"
    assert release_name("someone/My-CLOSP") == "someone-my-closp"


@pytest.mark.parametrize("name", ["closp-rn", "owner/..", "../etc", "a/b/c", "owner/", "https://hub/owner/name"])
def test_not_a_repository(hub: FakeHub, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="give owner/name"):
        pull(name, endpoint=hub.endpoint, folder=tmp_path)
    with pytest.raises(UsageError, match="give owner/name"):
        look_up(name, endpoint=hub.endpoint)
    assert hub.seen == []


def test_damaged_note(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text('{"name": "closp-rn"}')
    with pytest.raises(ReleaseMismatch, match="pull the release again"):
        read_note(tmp_path)
