"""All tables of the relational store, a module for each part of the way.

Flows in: rows that the services write. Flows out: the truth that outlives broker and processes. Stops before
queries: each service keeps its own.

A change here needs a migration in `schemas/migrations/versions`; a test compares the two.
"""

from schemas.tables.coverage import CoveragePartRow, CoverageRow, CoverageWeekRow
from schemas.tables.incidents import (
    AlertRow,
    IncidentRow,
    LookRow,
    MatchedBatchRow,
    MatchedSceneRow,
    MatchRow,
    NoticeRow,
    RecentBatchRow,
)
from schemas.tables.ledger import AcquisitionRow, CursorRow, DeadLetterRow, OutboxRow, SourceRow
from schemas.tables.queries import HeadRow, QueryRow, ThresholdRow
from schemas.tables.telling import (
    AcknowledgementRow,
    DeliveryRow,
    ReceiverRow,
    RecipientRow,
    ReminderRow,
    RouteRow,
    SilenceRow,
    VerdictRow,
)

__all__ = [
    "AcknowledgementRow",
    "AcquisitionRow",
    "AlertRow",
    "CoveragePartRow",
    "CoverageRow",
    "CoverageWeekRow",
    "CursorRow",
    "DeadLetterRow",
    "DeliveryRow",
    "HeadRow",
    "IncidentRow",
    "LookRow",
    "MatchRow",
    "MatchedBatchRow",
    "MatchedSceneRow",
    "NoticeRow",
    "OutboxRow",
    "QueryRow",
    "ReceiverRow",
    "RecentBatchRow",
    "RecipientRow",
    "ReminderRow",
    "RouteRow",
    "SilenceRow",
    "SourceRow",
    "ThresholdRow",
    "VerdictRow",
]
