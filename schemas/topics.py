"""All Kafka topics on one page.

Flows in: nothing. Flows out: names, keys, partitions, retention. Stops before any connection (`bus`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schemas.messages import Acquisition, Alert, EmbeddingBatch, Message
from schemas.notices import Notice


@dataclass(frozen=True, slots=True)
class Topic:
    """One stream of one kind of message, with its retry and dead-letter topics.

    Attributes:
        name: Ends in the version of its schema.
        message: What its values are, as JSON.
        retention: How long the broker keeps it (Apache Kafka; the embedded broker keeps all until it stops).
    """

    name: str
    message: type[Message]
    retention: timedelta

    @property
    def retry(self) -> str:
        """Messages that wait for another try, with headers `tocsin-attempt` and `tocsin-not-before`."""
        return f"{self.name.removesuffix('.v1')}.retry.v1"

    @property
    def dead_letters(self) -> str:
        """Messages that will not be tried again by themselves; values are `DeadLetter`."""
        return f"{self.name.removesuffix('.v1')}.dlq.v1"

    @property
    def all_names(self) -> tuple[str, str, str]:
        """The three topics that must exist."""
        return (self.name, self.retry, self.dead_letters)


ACQUISITIONS = Topic("acquisitions.v1", Acquisition, timedelta(days=14))
"""poller → encoder. Key: tile or place (S1: and orbit)."""
BACKFILL = Topic("acquisitions-backfill.v1", Acquisition, timedelta(days=14))
"""poller → encoder: the past, so that it never delays the present."""
EMBEDDINGS = Topic("embeddings.v1", EmbeddingBatch, timedelta(days=7))
"""encoder → matcher. Key: as the acquisition's."""
ALERTS = Topic("alerts.v1", Alert, timedelta(days=30))
"""matcher → notifier. Key: the incident's id."""
NOTICES = Topic("notices.v1", Notice, timedelta(days=30))
"""matcher → notifier. Key: the notice's id."""

TOPICS = (ACQUISITIONS, BACKFILL, EMBEDDINGS, ALERTS, NOTICES)
EMBEDDED_PARTITIONS, PRODUCTION_PARTITIONS = 4, 12
"""Partitions of each topic: how many workers can share one service's work."""
