"""Tocsin-nano as it is committed: its door, its behaviour on gaps and missing bands, and that its eyes work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from encoders import load
from encoders.bands import BANDS_S2
from encoders.interface import Encoder
from encoders.nano import BACKGROUND, CAPTIONS, FILES, FOLDER, Nano, load_nano
from encoders.nano_background import read_background, write_background
from encoders.nano_planes import specification
from schemas.errors import NotUnderstood, Rejected, ReleaseMismatch, ReleaseNotFound
from simulation.chips import make_chips

FIVE = ("B02", "B03", "B04", "B08", "B12")


@pytest.fixture(scope="module")
def nano() -> Nano:
    return load_nano(1)


def field(count: int = 2, side: int = 120, bands: int = 13) -> np.ndarray:
    return np.random.default_rng(3).uniform(0.02, 0.4, (count, bands, side, side)).astype(np.float32)


def test_a_release_runs_with_the_preparation_it_was_trained_with_only(tmp_path: Path) -> None:
    folder = tmp_path / "nano"
    shutil.copytree(FOLDER, folder)
    facts = json.loads((folder / "release.json").read_text("utf-8"))
    assert facts["preparation"] == specification()

    (folder / "release.json").write_text(json.dumps({**facts, "preparation": None}), "utf-8")
    assert load_nano(1, folder).release == facts["release"]
    facts["preparation"]["pixel_m"] = 10
    (folder / "release.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(ReleaseMismatch, match="prepared otherwise than this build does"):
        load_nano(1, folder)


@pytest.mark.parametrize(("count", "expected"), [(37, [7, 6, 6, 6, 6, 6]), (16, [8, 8]), (3, [2, 1]), (1, [1])])
def test_threads_share_chips_evenly(monkeypatch: pytest.MonkeyPatch, count: int, expected: list[int]) -> None:
    nano, runs = Nano(threads=2), []
    monkeypatch.setattr(nano, "_run", lambda part, *_: (runs.append(len(part)), np.zeros((len(part), 384)))[1])
    assert nano.images(np.full((count, 2, 32, 32), 0.1, np.float32), "s1").shape == (count, 384)
    assert sorted(runs, reverse=True) == expected


def test_fulfils_the_port_and_names_its_content(nano: Nano) -> None:
    assert isinstance(nano, Encoder)
    assert nano.release == json.loads((FOLDER / "release.json").read_text())["release"]
    assert nano.sensors == ("s2", "s1")


def test_load_opens_it_by_name(nano: Nano) -> None:
    assert load("nano", threads=1).release == nano.release


def test_release_fits_the_repository() -> None:
    assert sum((FOLDER / name).stat().st_size for name in (*FILES, BACKGROUND, CAPTIONS, "release.json")) < 12_000_000


@pytest.mark.parametrize(("sensor", "bands"), [("s2", 13), ("s1", 2)])
def test_images_are_unit_float32(nano: Nano, sensor: str, bands: int) -> None:
    vectors = nano.images(field(3, bands=bands), sensor)
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_batches_do_not_mix_chips(nano: Nano) -> None:
    pixels = field(11)
    together = nano.images(pixels, "s2")
    alone = np.concatenate([nano.images(chip[None], "s2") for chip in pixels])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_many_threads_keep_the_order(nano: Nano) -> None:
    pixels = field(21)
    np.testing.assert_array_equal(load_nano(3).images(pixels, "s2"), nano.images(pixels, "s2"))


def test_absent_planes_are_ignored(nano: Nano) -> None:
    pixels = field()
    garbage = pixels.copy()
    garbage[:, [i for i, name in enumerate(BANDS_S2) if name not in FIVE]] = np.nan
    np.testing.assert_array_equal(nano.images(pixels, "s2", FIVE), nano.images(garbage, "s2", FIVE))


def test_vh_may_be_missing(nano: Nano) -> None:
    pixels = field(bands=2)
    without = pixels.copy()
    without[:, 1] = np.nan
    np.testing.assert_array_equal(nano.images(pixels, "s1", ["VV"]), nano.images(without, "s1", ["VV"]))


def test_a_window_at_the_edge_of_a_scene_keeps_its_meaning(nano: Nano) -> None:
    chips = make_chips(12, seed=77, sensor="s2").pixels
    cut = chips.copy()
    cut[:, :, :, :36] = np.nan
    alike = (nano.images(chips, "s2") * nano.images(cut, "s2")).sum(axis=1)
    assert np.median(alike) > 0.9


@pytest.mark.parametrize("side", [32, 33, 64, 121, 240])
def test_any_size_and_odd_rows(nano: Nano, side: int) -> None:
    assert np.isfinite(nano.images(field(1, side), "s2")).all()


def test_infinite_values_are_gaps(nano: Nano) -> None:
    pixels = field(1)
    gaps = pixels.copy()
    pixels[0, 3, 5:9], gaps[0, 3, 5:9] = np.inf, np.nan
    np.testing.assert_array_equal(nano.images(pixels, "s2"), nano.images(gaps, "s2"))


def test_chip_of_zeros_is_a_black_chip(nano: Nano) -> None:
    vectors = nano.images(np.zeros((1, 13, 120, 120), np.float32), "s2")
    assert np.isfinite(vectors).all()


def test_chip_without_a_value_is_rejected(nano: Nano) -> None:
    pixels = field(2)
    pixels[1] = np.nan
    with pytest.raises(Rejected, match="chip 1 has no valid pixel"):
        nano.images(pixels, "s2")


@pytest.mark.parametrize(
    ("shape", "sensor", "bands"),
    [((1, 12, 120, 120), "s2", None), ((13, 120, 120), "s2", None), ((1, 2, 120, 120), "s3", None)],
)
def test_wrong_shapes_are_rejected(nano: Nano, shape: tuple[int, ...], sensor: str, bands: None) -> None:
    with pytest.raises(Rejected):
        nano.images(np.zeros(shape, np.float32), sensor, bands)


def test_unknown_band_is_rejected(nano: Nano) -> None:
    with pytest.raises(Rejected, match="B13"):
        nano.images(field(1), "s2", ["B02", "B13"])


def test_no_chips_no_vectors(nano: Nano) -> None:
    assert nano.images(np.zeros((0, 13, 120, 120), np.float32), "s2").shape == (0, 384)


def test_texts_are_unit_float32_in_the_order_given(nano: Nano) -> None:
    sentences = ["snow", "a very long sentence about flooded fields beside the river in spring", "fire"]
    vectors = nano.texts(sentences)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[2], nano.texts(["fire"])[0], atol=1e-5)


def test_no_sentences_no_vectors(nano: Nano) -> None:
    assert nano.texts([]).shape == (0, 384)


@pytest.mark.parametrize("sentence", ["", "   ", "\n"])
def test_blank_sentence_is_rejected(nano: Nano, sentence: str) -> None:
    with pytest.raises(Rejected, match="blank"):
        nano.texts(["fire", sentence])


def test_past_64_pieces_nothing_is_read(nano: Nano) -> None:
    long = "fire " * 62
    np.testing.assert_allclose(nano.texts([long])[0], nano.texts([long + "flooded village"])[0], atol=1e-6)


@pytest.mark.parametrize("sentence", ["火災", "пожар", "🔥", "<>"])
def test_another_alphabet_is_named_not_guessed_at(nano: Nano, sentence: str) -> None:
    with pytest.raises(NotUnderstood, match="sentence 0"):
        nano.texts([sentence])


@pytest.mark.parametrize(
    ("sentence", "label"),
    [
        ("charred forest", "burned area"),
        ("inundated fields", "flooded area"),
        ("buildings reduced to rubble", "earthquake damage"),
        ("snowy landscape", "snow and ice"),
        ("wooded area", "trees"),
        ("farm fields", "crops"),
    ],
)
def test_words_never_trained_on_land_near_their_label(nano: Nano, sentence: str, label: str) -> None:
    names = ["water", "trees", "grass", "crops", "built", "bare", "snow and ice", "flooded area"]
    names += ["earthquake damage", "burned area"]
    assert names[int(np.argmax(nano.texts(names) @ nano.texts([sentence])[0]))] == label


def test_burnt_chips_come_first(nano: Nano) -> None:
    chips = make_chips(80, seed=4242, sensor="s2")
    burnt = np.array(["Burned Area" in names for names in chips.labels])
    clear = np.array(["Burned Area" not in names for names in chips.ambiguous])
    present = [name for name in BANDS_S2 if name != "B10"]
    scores = nano.images(chips.pixels, "s2", present) @ nano.texts(["wildfire burn scar"])[0]
    better = scores[burnt & clear][:, None] > scores[~burnt & clear][None]
    assert better.mean() > 0.9


def test_flooded_radar_chips_come_before_dry_ones(nano: Nano) -> None:
    chips = make_chips(120, seed=4343, sensor="s1")
    flooded = np.array(["Flooded Area" in names for names in chips.labels])
    dry = chips.fractions[:, 0] + chips.fractions[:, 9] < 0.01
    scores = nano.images(chips.pixels, "s1") @ nano.texts(["flood water over fields"])[0]
    assert (scores[flooded][:, None] > scores[dry][None]).mean() > 0.85


def test_background_belongs_to_the_release_and_is_ordinary(nano: Nano) -> None:
    for sensor in nano.sensors:
        found = nano.background(sensor)
        assert found is not None, "run python -m training.background --release encoders/weights/nano"
        vectors, changes = found
        assert vectors.shape == changes.shape
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        fire = nano.texts(["wildfire burn scar"])[0]
        assert np.median(vectors @ fire) < 0.2
        assert abs(np.median(changes @ fire)) < 0.05


def test_background_of_another_release_is_none(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    basis, places = random.normal(size=(20, 384)), random.normal(size=(2, 50, 20))
    vectors = (places[0] @ basis).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    changes = (places[1] @ basis * 0.01).astype(np.float32)
    write_background(tmp_path / "b.npz", "nano-a", {"s2": (vectors, changes)})
    assert read_background(tmp_path / "b.npz", "nano-b", "s2") is None
    assert read_background(tmp_path / "b.npz", "nano-a", "s1") is None
    assert read_background(tmp_path / "c.npz", "nano-a", "s2") is None
    found = read_background(tmp_path / "b.npz", "nano-a", "s2")
    assert found is not None
    np.testing.assert_allclose(found[0], vectors, atol=0.01)
    np.testing.assert_allclose(found[1], changes, atol=0.03)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match=r"release\.json"):
        Nano(tmp_path)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "nano"
    shutil.copytree(FOLDER, copy)
    changed = bytearray((copy / "text_head.npz").read_bytes())
    changed[-1] ^= 1
    (copy / "text_head.npz").write_bytes(changed)
    with pytest.raises(ReleaseMismatch, match="not those of nano"):
        Nano(copy)


def test_needs_no_torch() -> None:
    code = "import sys, encoders; encoders.load('nano', threads=1).texts(['fire']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_release_in_another_folder_is_loaded_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(FOLDER, folder)
    assert load(folder).release == load("nano").release


def test_cosines_mean_what_the_calibration_says(nano: Nano) -> None:
    burnt, strange = nano.texts(["burned area", "a theorem about prime numbers"])
    even, sure = (nano.score_at("s2", burnt, chance) for chance in (0.5, 0.9))
    assert even is not None and sure is not None and 0 < even < sure < 1
    assert nano.score_at("s2", strange, 0.5) is None
    assert nano.score_at("s9", burnt, 0.5) is None


def test_sentences_are_asked_in_the_frames_that_the_release_names(nano: Nano) -> None:
    facts = json.loads((FOLDER / "release.json").read_text())
    assert len(facts["prompts"]["frames"]) > 1
    one, two = nano.texts(["flooded area", "inundated fields"])
    assert one @ two > 0.9
