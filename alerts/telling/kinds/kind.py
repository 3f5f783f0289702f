"""What every way of telling has: settings that are checked once, a face without secrets, and one attempt.

Flows in: settings as an operator gave them, and what is told now. Flows out: settings as they are stored, and an alert
told, or the error that says why not. Stops before choosing the way (`kinds`) and before trying again (`deliveries`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from alerts.settings import NotifierSettings
from alerts.telling.cap import Earlier, cap
from alerts.telling.lines import reminder
from alerts.telling.told import Told, id_of, simulated
from schemas.errors import UsageError
from schemas.messages import Alert

MASK = "…"
"""Stands where a secret is not shown."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of an alert, for people.

    Attributes:
        name: Of its file, ASCII, without folder, ending in `.png`.
        caption: What it shows, one line.
        png: The file.
    """

    name: str
    caption: str
    png: bytes


Pictures = Callable[[Alert], Sequence[Picture]]
"""The pictures of an alert, the most telling first; none where there are none. Bounded in time by whoever gives it
(`workshop`)."""
Bundle = Callable[[Alert], bytes | None]
"""The evidence of an alert as a zip file, or none."""


class Recipients(Protocol):
    """What became of this delivery at each recipient, over all its attempts."""

    def settled(self) -> Mapping[str, str | None]:
        """Recipients that need no further attempt, with the reason for those that refused for good."""

    def settle(self, recipient: str, refusal: str | None = None) -> None:
        """The recipient has it, or will never take it."""


@dataclass(slots=True)
class OneAttempt:
    """Recipients of a delivery that is attempted only once: nothing is kept."""

    known: dict[str, str | None] = field(default_factory=dict)

    def settled(self) -> Mapping[str, str | None]:
        """What this attempt has brought."""
        return self.known

    def settle(self, recipient: str, refusal: str | None = None) -> None:
        """Note it."""
        self.known[recipient] = refusal


def no_pictures(alert: Alert) -> Sequence[Picture]:
    """What is shown where nobody draws."""
    return ()


def no_bundle(alert: Alert) -> bytes | None:
    """What is packed where nobody packs."""
    return None


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told to one receiver now.

    Attributes:
        receiver: Its name.
        key: Idempotency key, the same in every attempt of this delivery.
        messages: Alerts and notices, one or more, in the order in which they were sent. More than one only for kinds
            that gather.
        settings: Timeouts and who answers for what is told.
        occasion: Empty: it is news; "repeat 2": told again; "step 1": told because nobody acknowledged.
        earlier: Messages of this alert or notice before this one, in order, whoever got them.
        recipients: What became of this delivery at each recipient, for receivers that have several.
        is_test: Nothing has happened: a person tries whether the receiver can be reached.
        pictures: Draws the alert.
        bundle: Packs its evidence.
    """

    receiver: str
    key: str
    messages: tuple[Told, ...]
    settings: NotifierSettings
    occasion: str = ""
    earlier: Sequence[Earlier] = ()
    recipients: Recipients = field(default_factory=OneAttempt)
    is_test: bool = False
    pictures: Pictures = no_pictures
    bundle: Bundle = no_bundle

    @property
    def message(self) -> Told:
        """The only one, or the last."""
        return self.messages[-1]

    @property
    def parts(self) -> tuple[Self, ...]:
        """One for each alert or notice, as it stands after the last of its messages, the first to begin first."""
        last = {id_of(message): message for message in self.messages}
        return tuple(replace(self, messages=(message,)) for message in last.values())

    @property
    def subject_id(self) -> UUID:
        """Of the alert or the notice: one for all its messages."""
        return id_of(self.message)

    @property
    def stem(self) -> str:
        """Name of a file with this message: sorts by time, and the same message always overwrites itself."""
        return f"{self.message.sent_at:%Y%m%dT%H%M%SZ}-{self.subject_id}-{self.message.sequence}"

    def cap(self, alert: Alert) -> bytes:
        """Its alert as CAP."""
        return cap(alert, self.earlier, self.settings.cap_sender, is_test=self.is_test)

    @property
    def mark(self) -> str:
        """What must stand before everything that a person reads of it, with a blank; empty for news of real events."""
        return (
            ("TEST " if self.is_test else "")
            + reminder(self.occasion)
            + ("SIMULATED " if all(simulated(message) for message in self.messages) else "")
        )


class Kind(BaseModel, ABC):
    """One way of telling; its fields are the settings of one receiver, as they are stored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    name: ClassVar[str]
    """As operators write it."""
    about: ClassVar[str]
    """What it does, one line."""
    tells_notices: ClassVar[bool] = True
    """Whether it has a form for notices."""
    gathers: ClassVar[bool] = False
    """Whether it can tell several messages at once."""
    illustrates: ClassVar[bool] = False
    """Whether it waits for pictures or evidence, which may take long."""
    hidden: ClassVar[frozenset[str]] = frozenset()
    """Settings that no operator gives."""
    target: ClassVar[str] = ""
    """The setting that stands first on the command line, without an option: an address, a folder; empty: there is
    none."""

    def checked(self) -> Self:
        """These settings as they are to be stored, completed and found usable.

        Raises:
            UsageError: they cannot be used.
        """
        return self

    def shown(self) -> dict[str, object]:
        """The settings for people: no secret among them."""
        return self.model_dump(mode="json")

    def stored(self) -> dict[str, object]:
        """The settings for the database."""
        return self.model_dump(mode="json")

    @abstractmethod
    def tell(self, telling: Telling) -> None:
        """Attempt it once.

        Raises:
            DeliveryFailed: it was not taken; a later attempt may succeed.
            DeliveryRefused: it will never be taken.
        """


def checked_folder(folder: str) -> str:
    """The absolute path of a receiver's folder, made where it is missing.

    Raises:
        UsageError: there is none, or it cannot be made.
    """
    if not folder:
        raise UsageError("a receiver of files needs a folder")
    path = Path(folder).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"folder {path} cannot be made: {error.strerror}") from error
    return str(path)
