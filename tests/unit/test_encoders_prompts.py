"""Frames around a query: which ones a release names, and that their mean is one unit vector."""

import numpy as np
import pytest

from encoders.prompts import FRAMES, PLAIN, ensemble, frames_of, in_frame, prompts_entry
from schemas.errors import ReleaseMismatch


def by_length(sentences: list[str]) -> np.ndarray:
    """Unit vectors of the plane that turn with the length of the sentence."""
    angles = np.array([len(s) * 0.01 for s in sentences], np.float32)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(len(sentences), 2)


def test_a_release_without_frames_takes_sentences_as_they_are() -> None:
    assert frames_of({"release": "nano"}) == PLAIN
    np.testing.assert_allclose(ensemble(["fire", "flood"], PLAIN, by_length), by_length(["fire", "flood"]), atol=1e-6)


def test_frames_are_read_as_they_were_written() -> None:
    assert frames_of({"prompts": prompts_entry()}) == FRAMES


@pytest.mark.parametrize(
    "entry", [{"version": 2, "frames": ["{}"]}, {"version": 1}, {"version": 1, "frames": []}, "{}", {}]
)
def test_an_entry_that_cannot_be_read_is_refused(entry: object) -> None:
    with pytest.raises(ReleaseMismatch, match="cannot read"):
        frames_of({"prompts": entry})


@pytest.mark.parametrize("frame", ["a satellite image", "{} and {}", 3])
def test_a_frame_needs_one_place(frame: object) -> None:
    with pytest.raises(ReleaseMismatch, match="one place"):
        frames_of({"prompts": {"version": 1, "frames": ["{}", frame]}})


def test_the_mean_is_of_unit_length_and_in_the_order_asked() -> None:
    frames = ("{}", "a view of {}")
    vectors = ensemble(["fire", "a long flood"], frames, by_length)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for row, sentence in enumerate(["fire", "a long flood"]):
        mean = by_length([in_frame(f, sentence) for f in frames]).mean(axis=0)
        np.testing.assert_allclose(vectors[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_no_sentences_no_vectors() -> None:
    assert ensemble([], FRAMES, by_length).shape == (0, 2)


def test_braces_in_a_sentence_stay() -> None:
    assert in_frame("a view of {}", "fire {x} 100 %.") == "a view of fire {x} 100 %"
    assert in_frame("{}", "Fire.") == "Fire."
