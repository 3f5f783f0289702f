"""Chat and the rest through Apprise: one message to each of its addresses.

Flows in: what is told. Flows out: a message at each service that has not had it. Stops before Apprise (`chat`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import ClassVar, Self

from pydantic import Field

from alerts.telling import chat
from alerts.telling.chat_process import scheme
from alerts.telling.kinds.kind import MASK, Kind, Telling
from alerts.telling.lines import group_text
from alerts.telling.told import is_over
from alerts.telling.words import facts, headline, paragraphs, title
from schemas.errors import DeliveryFailed, SettingsError, UsageError
from schemas.messages import Alert, IncidentState

MOST_URLS = 20
"""More take longer than one attempt may last: make a second receiver."""


class Chat(Kind):
    """Apprise.

    Attributes:
        urls: Apprise's addresses; most have a secret in them.
        allow_private: Whether they may lead to private and loopback addresses.
    """

    name: ClassVar[str] = "apprise"
    about: ClassVar[str] = "chat, push and SMS services through Apprise"
    gathers: ClassVar[bool] = True
    target: ClassVar[str] = "urls"

    urls: tuple[str, ...] = Field(default=(), repr=False)
    allow_private: bool = False

    def checked(self) -> Self:
        """With addresses that Apprise understands."""
        urls = tuple(dict.fromkeys(self.urls))
        if not 1 <= len(urls) <= MOST_URLS:
            raise UsageError(f"an Apprise receiver has 1 to {MOST_URLS} addresses, not {len(urls)}")
        try:
            heard = chat.check(urls, allow_private=self.allow_private)
        except chat.ChatMissing as error:
            raise SettingsError(str(error)) from error
        except DeliveryFailed as error:
            raise UsageError(str(error)) from error
        for url, each in zip(urls, heard, strict=True):
            if each.error:
                raise UsageError(f"Apprise address {masked(url)}: {each.error}")
        return self.model_copy(update={"urls": urls})

    def shown(self) -> dict[str, object]:
        """Of each address its scheme: almost everything behind it may be a secret."""
        return {"urls": [masked(url) for url in self.urls], "allow_private": self.allow_private}

    def tell(self, telling: Telling) -> None:
        """Tell every address that has not been told."""
        settled = telling.recipients.settled()
        waiting = [url for url in self.urls if recipient(url) not in settled]
        if not waiting:
            return
        heard = chat.tell(
            waiting,
            title=title(telling) if len(telling.parts) > 1 else headline(telling),
            body=text(telling),
            mood=mood(telling),
            allow_private=self.allow_private,
            timeout_s=telling.settings.timeout_s,
        )
        failures = []
        for url, each in zip(waiting, heard, strict=True):
            if each.error:
                failures.append(f"{masked(url)} {each.error}")
            else:
                telling.recipients.settle(recipient(url))
        if failures:
            raise DeliveryFailed("; ".join(failures))


def masked(url: str) -> str:
    """What may be shown of an address."""
    return f"{scheme(url)}://{MASK}"


def recipient(url: str) -> str:
    """What stands for an address in the record of deliveries."""
    return f"{scheme(url)[:40]}:{sha256(url.encode()).hexdigest()[:16]}"


def text(telling: Telling) -> str:
    """The message below its title, the most important first: some services cut it."""
    if len(telling.parts) > 1:
        return group_text(telling.messages, telling.occasion)[1]
    known = "\n".join(f"{name}: {value}" for name, value in facts(telling))
    return "\n\n".join([*paragraphs(telling), known])


def mood(telling: Telling) -> str:
    """How services colour it."""
    if telling.is_test:
        return "info"
    moods = set()
    for part in telling.parts:
        message = part.message
        if isinstance(message, Alert):
            over = "success" if message.kind is IncidentState.RESOLVED else "info"
            moods.add(over if is_over(message) else "warning")
        else:
            moods.add("success" if message.cleared else "warning")
    return next(each for each in ("warning", "info", "success") if each in moods)
