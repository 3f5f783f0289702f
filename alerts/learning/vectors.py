"""A standing query's vectors: its sentence and other wordings, moved by what has been judged.

In: a query, the text encoder, the archive, the head in force. Out: float32 (k, 384), one row a wording. Stops before
thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.learning.examples import Judged, embedded, of_query
from alerts.learning.fit import head
from archive.interface import Archive
from schemas.messages import Sensor, StandingQuery

Floats = NDArray[np.float32]


class TextEncoder(Protocol):
    """What is needed of `encoders.Encoder`."""

    @property
    def release(self) -> str:
        """Which vectors it makes."""

    def texts(self, sentences: list[str]) -> Floats:
        """float32 (n, 384), unit rows; `Rejected` if one of them cannot be understood."""


def query_vectors(
    query: StandingQuery,
    sensor: Sensor,
    encoder: TextEncoder,
    archive: Archive,
    *,
    learnt: Sequence[Judged] = (),
    ordinary: Floats,
) -> Floats:
    """The unit vectors whose highest product with a chip is the query's score.

    Args:
        query: Sentence, other wordings, example chips.
        sensor: Whose chips they will be compared with; examples of the other sensor teach nothing.
        encoder: Of the release.
        archive: Where the judged chips' vectors are; not asked where there are none.
        learnt: Answers of the head in force.
        ordinary: float32 (m, 384), ordinary ground of this sensor and release.

    Returns:
        float32 (k, 384): the sentence first, then each wording.

    Raises:
        Rejected: a wording cannot be understood.
        StoreUnavailable: the archive did not answer.
    """
    texts = encoder.texts([query.sentence, *query.wordings])
    judged = [*of_query(query), *learnt]
    if not judged:
        return texts
    examples = embedded(archive, encoder.release, sensor, judged)
    return np.stack([head(text, examples, ordinary) for text in texts])
