"""Names and paths of releases, the encoder around its engines, and what it does when one is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from encoders import backends, closp_release, load
from encoders.backends import choose
from encoders.cache import cache_folder, engines_folder
from encoders.closp_release import BATCH_CHIPS, ClospEncoder, load_closp, recognise
from encoders.engines import Request, Runtime
from encoders.heads import Head
from encoders.interface import Encoder
from encoders.listing import installed_releases
from encoders.pull import Note, _remember
from encoders.release import REPOSITORIES, find
from encoders.runtime import EngineRefused, Inputs
from encoders.tuned import Conditions
from schemas.errors import Rejected, ReleaseMismatch, ReleaseNotFound, SettingsError


class Means:
    """An engine: band means in the first entries, 1 in the last, so that every chip has its own vector."""

    name = "means"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        first = next(iter(inputs.values()))
        self.batches.append(len(first))
        vectors = np.zeros((len(first), 384), dtype=np.float32)
        means = first.reshape(len(first), first.shape[1], -1).mean(axis=2, dtype=np.float64)
        vectors[:, : means.shape[1]] = np.where(means > 1e30, np.inf, means)
        vectors[:, -1] = 1.0
        return vectors


AS_IT_IS = Head(np.eye(384, dtype=np.float32), np.zeros(384, dtype=np.float32))


class Lengths:
    """A tokenizer: one id, the length of the sentence."""

    def ids(self, sentences: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids = np.array([[len(sentence)] for sentence in sentences], dtype=np.int64)
        return ids, np.ones_like(ids)


def encoder() -> tuple[ClospEncoder, Means]:
    engine = Means()
    engines = dict.fromkeys(("s1", "s2", "text"), engine)
    heads = dict.fromkeys(("s1", "s2"), AS_IT_IS)
    made = ClospEncoder(
        release="closp-rn-0",
        engines=engines,
        heads=heads,
        words=Lengths(),  # type: ignore[arg-type]
        backend="means",
        conditions=Conditions.here("closp-rn-0"),
    )
    return made, engine


def test_it_is_an_encoder() -> None:
    assert isinstance(encoder()[0], Encoder)


def test_images_are_unit_vectors_in_the_order_of_the_chips() -> None:
    pixels = np.linspace(0.1, 0.6, 5, dtype=np.float32)[:, None, None, None] * np.ones((1, 13, 32, 32), np.float32)
    vectors = encoder()[0].images(pixels, "s2")
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, -1], np.linspace(0.1, 0.6, 5), rtol=1e-5)
    np.testing.assert_array_equal(vectors[:, 10], 0.0)


def test_large_batches_are_split_without_a_seam() -> None:
    port, engine = encoder()
    pixels = np.random.default_rng(0).random((2 * BATCH_CHIPS + 1, 2, 32, 32), dtype=np.float32)
    vectors = port.images(pixels, "s1")
    assert engine.batches == [BATCH_CHIPS, BATCH_CHIPS, 1]
    np.testing.assert_allclose(vectors[-1:], port.images(pixels[-1:], "s1"), rtol=1e-5)


def test_absent_bands_are_ignored() -> None:
    port, _ = encoder()
    one = np.full((1, 13, 32, 32), 0.2, dtype=np.float32)
    other = one.copy()
    other[:, 4:] = np.nan
    other[:, 0] = 1.0
    bands = ["B02", "B03", "B04"]
    np.testing.assert_array_equal(port.images(one, "s2", bands), port.images(other, "s2", bands))


def test_empty_batches() -> None:
    port, engine = encoder()
    assert port.images(np.empty((0, 13, 120, 120), np.float32), "s2").shape == (0, 384)
    assert port.texts([]).shape == (0, 384)
    assert engine.batches == []


def test_bad_input_is_refused_at_the_door() -> None:
    port, engine = encoder()
    with pytest.raises(Rejected, match="no valid pixel"):
        port.images(np.full((1, 2, 32, 32), np.nan, np.float32), "s1")
    with pytest.raises(Rejected, match="blank"):
        port.texts(["flood", ""])
    assert engine.batches == []


def test_a_vector_that_overflows_is_refused() -> None:
    pixels = np.full((3, 13, 32, 32), 0.1, np.float32)
    pixels[2, 3, 5, 5] = 3e38
    with pytest.raises(Rejected, match="input 2 has no vector"):
        encoder()[0].images(pixels, "s2")


def test_sentences_are_computed_once_and_come_back_in_order() -> None:
    port, engine = encoder()
    sentences = ["a long sentence about water", "fire", "a long sentence about water", "smoke"]
    vectors = port.texts(sentences)
    assert engine.batches == [3]
    np.testing.assert_array_equal(vectors[0], vectors[2])
    lengths = vectors[:, 0] / vectors[:, -1]
    np.testing.assert_allclose(lengths, [len(each) for each in sentences], rtol=1e-6)
    np.testing.assert_array_equal(port.texts(["smoke", "fire"]), vectors[[3, 1]])
    assert engine.batches == [3]


def test_texts_are_unit_vectors() -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder()[0].texts(["flood", "burn"]), axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "variant"),
    [
        ({"s1_encoder.conv1.weight": (64, 2, 7, 7)}, "closp-rn"),
        ({"s1_encoder.conv1.weight": (64, 2, 7, 7), "location_projection.weight": (384, 256)}, "geoclosp-rn"),
        ({"s1_encoder.cls_token": (1, 1, 384)}, "closp-vs"),
        ({"s1_encoder.cls_token": (1, 1, 1024)}, "closp-vl"),
    ],
)
def test_variants_are_told_apart_by_their_layout(layout: dict[str, tuple[int, ...]], variant: str) -> None:
    assert recognise(layout, Path("x")) == variant


def test_a_checkpoint_of_something_else() -> None:
    with pytest.raises(ReleaseMismatch, match="no CLOSP checkpoint"):
        recognise({"visual.conv1.weight": (768, 3, 32, 32)}, Path("clip.safetensors"))


class Refusing:
    """A builder whose S2 engine is wrong and whose torch reference is `Means`."""

    def reference(self, _tower: str) -> Means:
        return Means()


def refuse_s2(_runtime: Runtime, request: Request, *_rest: object) -> Means:
    if request.tower == "s2":
        raise EngineRefused("it differs from the torch reference by 0.01")
    return Means()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A release whose S2 engine is refused, without weights or torch."""
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"content")
    monkeypatch.setattr(closp_release, "read_layout", lambda _path: {"s1_encoder.conv1.weight": (64, 2, 7, 7)})
    monkeypatch.setattr(closp_release, "Words", lambda _path: Lengths())
    monkeypatch.setattr(backends, "checked_engine", refuse_s2)
    monkeypatch.setattr(closp_release, "_builder", lambda *_args: Refusing())
    monkeypatch.setattr(closp_release, "_head", lambda *_args: AS_IT_IS)
    monkeypatch.setattr(closp_release, "digest", lambda *_args: "0" * 64)
    return tmp_path


def test_falling_back_is_said(refused: Path) -> None:
    with capture_logs() as logs:
        port = load_closp(refused / "model.safetensors", refused / "tokenizer.json", engines=refused)
    warnings = [each for each in logs if each["log_level"] == "warning"]
    assert {(each["tower"], "0.01" in each["reason"]) for each in warnings} == {("s2", True)}
    assert "s2 not on onnxruntime, because it differs from the torch reference by 0.01" in port.backend
    assert port.images(np.full((1, 13, 32, 32), 0.1, np.float32), "s2").shape == (1, 384)


def test_a_backend_that_was_asked_for_is_not_replaced(refused: Path) -> None:
    with pytest.raises(EngineRefused, match=r"by 0\.01"):
        load_closp(refused / "model.safetensors", refused / "tokenizer.json", engines=refused, backend="onnxruntime")


def test_release_name_follows_the_content(refused: Path) -> None:
    def name() -> str:
        return load_closp(refused / "model.safetensors", refused / "tokenizer.json", engines=refused).release

    first = name()
    assert first.startswith("closp-rn-")
    assert len(first) == len("closp-rn-") + 12
    assert name() == first
    (refused / "tokenizer.json").write_bytes(b"other words")
    assert name() != first


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path))
    return tmp_path


def test_cache_folder_follows_the_setting(cache: Path) -> None:
    assert cache_folder() == cache
    assert engines_folder() == cache / "engines"


def test_cache_folder_of_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOCSIN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "tocsin"


@pytest.mark.parametrize("name", list(REPOSITORIES))
def test_published_release_that_is_not_here(cache: Path, name: str) -> None:
    with pytest.raises(ReleaseNotFound, match=f"tocsin encoder pull {REPOSITORIES[name]}"):
        load(name)


@pytest.mark.parametrize("how", [{"backend": "openvino"}, {"precision": "int8"}])
def test_nano_is_not_run_otherwise_than_asked(how: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="nano runs on onnxruntime in fp32, not on"):
        load("nano", **how)
    assert load("nano", threads=1, backend="onnxruntime", precision="fp32").release.startswith("nano-")


@pytest.mark.parametrize("name", ["closp", "no/such/folder", ""])
def test_unknown_release(cache: Path, name: str) -> None:
    with pytest.raises(ReleaseNotFound):
        load(name)


def test_names_do_not_leave_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "empty" / "empty").mkdir(parents=True)
    monkeypatch.chdir(cache / "empty" / "empty")
    (cache / "model.safetensors").write_bytes(b"outside")
    (cache / "releases").mkdir()
    with pytest.raises(ReleaseNotFound):
        find("..")


def test_pulled_release_is_found_by_name_and_by_path(cache: Path) -> None:
    folder = cache / "releases" / "closp-rn"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    expected = (folder / "model.safetensors", folder / "tokenizer.json")
    for key in ("closp-rn", folder, folder / "model.safetensors"):
        found = find(key)
        assert (found.weights, found.tokenizer) == expected


def test_folder_with_two_checkpoints(cache: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (cache / name).touch()
    with pytest.raises(ReleaseNotFound, match="2 safetensors files: name the one"):
        find(cache)


def test_weights_that_are_garbage(cache: Path) -> None:
    (cache / "model.safetensors").write_bytes(b"<html>" * 30)
    with pytest.raises(ReleaseMismatch, match="not safetensors"):
        load(cache)


def test_listing_names_every_release_and_what_is_missing(cache: Path) -> None:
    folder = cache / "releases" / "closp-rn"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345678")
    _remember(folder, Note("closp-rn", "DarthReca/CLOSP-RN", "0" * 40, "creativeml-openrail-m", "https://…", ""))
    rows = {row.name: row for row in installed_releases()}
    assert list(rows) == ["nano", *REPOSITORIES]
    pulled = rows["closp-rn"]
    assert (pulled.installed, pulled.path, pulled.licence) == (True, folder, "creativeml-openrail-m")
    assert pulled.size_bytes == 8 + (folder / "release.json").stat().st_size
    assert pulled.backend == choose().candidates[0].entry.name
    assert not rows["closp-vl"].installed
    assert rows["closp-vl"].reason == "tocsin encoder pull DarthReca/CLOSP-VL"
    assert all(row.sensors == ("s2", "s1") for row in rows.values())


def test_importing_and_listing_load_no_runtime() -> None:
    code = (
        "import sys, encoders, encoders.listing; encoders.listing.installed_releases();"
        "print([name for name in ('torch', 'onnxruntime', 'rasterio', 'tokenizers', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
