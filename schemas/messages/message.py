"""What every message shares: versioned, frozen, tolerant of fields from a later build.

Flows in: what one service knows. Flows out: JSON that another service, or a later build, reads.
Stops before transport (`bus`) and storage (`tables`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID, uuid5

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import MalformedMessage

NAMESPACE = UUID("6f0c7a52-0d4e-5f3b-9d6e-7a0c51a0c51a")
"""Root of all our name-based ids (RFC 9562, version 5): the same thing has the same id in every replay."""


Sensor = Literal["s1", "s2"]


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]

log = structlog.get_logger(__name__)


def stable_id(*parts: object) -> UUID:
    """The id of what is named by `parts`, the same at every call, on every machine."""
    return uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


class Message(BaseModel):
    """What all messages share: frozen, tolerant of fields from a later build."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", arbitrary_types_allowed=True)

    schema_version: Literal[1] = 1
    """1 for all messages of the `.v1` topics."""

    def to_bytes(self) -> bytes:
        """UTF-8 JSON, as it travels."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote, here or in another build.

        Raises:
            MalformedMessage: not JSON, not this message, or of another schema version.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole message"
            raise MalformedMessage(f"not a {cls.__name__} of schema version 1: {where}: {first['msg']}") from error

    @classmethod
    def readable(cls, stored: Iterable[str]) -> list[Self]:
        """Those of some stored messages that this build can read; the others are logged, and stay where they are."""
        found = []
        for text in stored:
            try:
                found.append(cls.from_bytes(text.encode()))
            except MalformedMessage as error:
                log.error("stored message cannot be read", kind=cls.__name__, reason=str(error))
        return found


def utc(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, for people and files."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
