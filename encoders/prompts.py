"""In: sentences, and the frames that a release names. Out: one vector a sentence, the mean over its frames.

Stops at vectors. The frames lie in `release.json`, so the same release always gives the same vector; a release that
names none takes sentences as they are asked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ReleaseMismatch

VERSION: Final = 1
"""Of the `prompts` entry of `release.json`."""

PLAIN: Final = ("{}",)
"""No ensemble: the sentence as it is asked."""

FRAMES: Final = ("{}", "a satellite image of {}", "{} seen from space", "there is {} here")
"""Frames that a new release names; what they bring is measured by `training.text_report`."""

Vectors = NDArray[np.float32]


def prompts_entry(frames: Sequence[str] = FRAMES) -> dict[str, object]:
    """What `release.json` says of the frames, under `prompts`."""
    return {"version": VERSION, "frames": list(frames)}


def frames_of(facts: Mapping[str, object]) -> tuple[str, ...]:
    """The frames that a release names.

    Args:
        facts: `release.json`, parsed.

    Returns:
        The frames, each with one ``{}``; `PLAIN` if the release names none.

    Raises:
        ReleaseMismatch: an entry of another version, or a frame without a place for the sentence.
    """
    entry = facts.get("prompts")
    if entry is None:
        return PLAIN
    stored = cast(Mapping[str, object], entry if isinstance(entry, Mapping) else {})
    frames = stored.get("frames")
    if stored.get("version") != VERSION or not isinstance(frames, list) or not frames:
        raise ReleaseMismatch(f"release.json names prompts that this build cannot read ({entry}): update tocsin")
    if any(not isinstance(frame, str) or frame.count("{}") != 1 for frame in frames):
        raise ReleaseMismatch(f"release.json names frames without one place for the sentence: {frames}")
    return tuple(frames)


def ensemble(sentences: Sequence[str], frames: Sequence[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
    """One unit vector a sentence: the mean over its frames, made unit length again.

    Args:
        sentences: n sentences. A full stop at the end is taken off inside a frame.
        frames: each with one ``{}``, which is all that is replaced: other braces stay as they are.
        embed: sentences to unit vectors, float32 (m, 384).

    Returns:
        float32, (n, 384), unit rows.
    """
    if not sentences:
        return embed([])
    framed = [in_frame(frame, sentence) for frame in frames for sentence in sentences]
    parts = embed(framed).reshape(len(frames), len(sentences), -1)
    mean = parts.mean(axis=0)
    vectors: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def in_frame(frame: str, sentence: str) -> str:
    """The sentence in a frame; the frame that is nothing but the sentence changes nothing."""
    return sentence if frame == "{}" else frame.replace("{}", sentence.strip().rstrip("."))
