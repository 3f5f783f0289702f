"""Every message and record that services exchange, versioned and frozen.

Flows in: what one service knows. Flows out: JSON that another service, or a later build, reads.
Stops before transport (`bus`) and storage (`tables`).

A version changes only with a breaking change, and then the topic's name changes with it; fields are added freely,
and a reader ignores fields that it does not know.
"""

from schemas.messages.acquisitions import (
    MAX_CELLS_PER_BATCH,
    Acquisition,
    Asset,
    Cause,
    CellState,
    Chip,
    Coverage,
    Embedding,
    EmbeddingBatch,
)
from schemas.messages.deliveries import DeadLetter, Delivery, DeliveryState
from schemas.messages.incidents import Alert, Incident, IncidentState, Match, OtherSensor
from schemas.messages.message import NAMESPACE, Fraction, Message, Sensor, stable_id, utc
from schemas.messages.queries import Budget, ChipName, Mode, QueryStatus, StandingQuery

ALL: tuple[type[Message], ...] = (
    Asset,
    Acquisition,
    Chip,
    Coverage,
    Embedding,
    EmbeddingBatch,
    Budget,
    ChipName,
    StandingQuery,
    Match,
    OtherSensor,
    Incident,
    Alert,
    Delivery,
    DeadLetter,
)
"""What is exported to `docs/schemas/`."""

__all__ = [
    "ALL",
    "MAX_CELLS_PER_BATCH",
    "NAMESPACE",
    "Acquisition",
    "Alert",
    "Asset",
    "Budget",
    "Cause",
    "CellState",
    "Chip",
    "ChipName",
    "Coverage",
    "DeadLetter",
    "Delivery",
    "DeliveryState",
    "Embedding",
    "EmbeddingBatch",
    "Fraction",
    "Incident",
    "IncidentState",
    "Match",
    "Message",
    "Mode",
    "OtherSensor",
    "QueryStatus",
    "Sensor",
    "StandingQuery",
    "stable_id",
    "utc",
]
