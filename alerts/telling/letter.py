"""A letter about an alert or a notice: plain text, HTML, pictures, and its place in a thread.

Flows in: what is told. Flows out: a MIME message. Stops before the mail server (`smtp`).

Source: RFC 5322, sections 3.6.4 (threads); RFC 2392 (pictures by Content-ID); RFC 3834, section 5 (`Auto-Submitted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from alerts.telling.kinds.kind import Picture, Telling
from alerts.telling.words import facts, headline, paragraphs, title
from schemas.messages import stable_id

MOST_PICTURES = 8
MOST_PICTURE_BYTES = 4_000_000
"""Of all pictures of a letter: most servers take 10 MB, and a letter grows by a third on its way."""
LEFT_OUT = "Its pictures were left out: the mail server does not take so large a letter."
_STYLE = "font-family:sans-serif;color:#222"
_NOT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]")


def letter(
    telling: Telling, drawn: Sequence[Picture], sender: str, recipients: Sequence[str], most_bytes: int
) -> EmailMessage:
    """The letter, without its pictures where it would be too large with them.

    Args:
        telling: What is told.
        drawn: Its pictures, the most telling first.
        sender: Address.
        recipients: Addresses, all of them, also those who have it already.
        most_bytes: What the server takes.
    """
    pictures = _fitting(drawn)
    message = _letter(telling, sender, recipients, pictures, ())
    if pictures and len(message.as_bytes()) > most_bytes:
        return _letter(telling, sender, recipients, (), (LEFT_OUT,))
    return message


def message_id(key: object, sender: str) -> str:
    """The letter's name: the same in every attempt, so that mail programs drop a second copy."""
    return f"<{key}.tocsin@{sender.rpartition('@')[2]}>"


def _letter(
    telling: Telling, sender: str, recipients: Sequence[str], pictures: Sequence[Picture], remarks: Sequence[str]
) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = f"Tocsin <{sender}>"
    message["To"] = ", ".join(recipients)
    in_thread = telling.earlier and len(telling.parts) == 1
    message["Subject"] = ("Re: " if in_thread else "") + title(telling)
    message["Date"] = format_datetime(telling.message.sent_at)
    message["Message-ID"] = message_id(telling.key, sender)
    message["Auto-Submitted"] = "auto-generated"
    _thread(message, telling, sender)
    message.set_content("\n".join(_text(telling, pictures, remarks)) + "\n")
    names = [f"{number}.{telling.key}@{sender.rpartition('@')[2]}" for number in range(len(pictures))]
    message.add_alternative("\n".join(_html(telling, pictures, names, remarks)) + "\n", subtype="html")
    *_, html = message.iter_parts()
    for picture, name in zip(pictures, names, strict=True):
        file = _NOT_FOR_NAMES.sub("_", picture.name)
        html.add_related(picture.png, "image", "png", cid=f"<{name}>", filename=file, disposition="inline")
    return message


def _thread(message: EmailMessage, telling: Telling, sender: str) -> None:
    """Letters of one incident name the same root, which was never sent, so that they meet whichever of them came."""
    if telling.is_test or len(telling.parts) > 1:
        return
    root = message_id(stable_id("thread", telling.subject_id, telling.receiver), sender)
    keys = [stable_id("delivery", telling.subject_id, each.sequence, telling.receiver) for each in telling.earlier]
    before = [message_id(key, sender) for key in keys[-20:]]
    message["References"] = " ".join([root, *before])
    if before:
        message["In-Reply-To"] = before[-1]


def _text(telling: Telling, pictures: Sequence[Picture], remarks: Sequence[str]) -> Iterator[str]:
    for part in telling.parts:
        yield headline(part)
        for paragraph in paragraphs(part):
            yield ""
            yield paragraph
        yield ""
        known = facts(part)
        width = max(len(name) for name, _ in known) + 2
        for name, value in known:
            yield f"{name:{width}}{value}"
        yield ""
    yield from remarks
    for picture in pictures:
        yield f"Picture: {picture.caption}"


def _html(telling: Telling, pictures: Sequence[Picture], names: Sequence[str], remarks: Sequence[str]) -> Iterator[str]:
    yield f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body style="{_STYLE}">'
    for part in telling.parts:
        yield f"<h2>{escape(headline(part))}</h2>"
        for paragraph in paragraphs(part):
            yield f"<p>{escape(paragraph)}</p>"
        yield "<table>"
        for name, value in facts(part):
            yield f'<tr><td style="color:#666;padding-right:1em">{escape(name)}</td><td>{escape(value)}</td></tr>'
        yield "</table>"
    for remark in remarks:
        yield f"<p>{escape(remark)}</p>"
    for picture, name in zip(pictures, names, strict=True):
        caption = escape(picture.caption)
        yield f'<figure style="margin:1em 0"><img src="cid:{name}" alt="{caption}" style="max-width:100%">'
        yield f"<figcaption>{caption}</figcaption></figure>"
    yield "</body></html>"


def _fitting(pictures: Sequence[Picture]) -> list[Picture]:
    """The first of them, as far as a letter may carry."""
    fitting: list[Picture] = []
    for picture in pictures[:MOST_PICTURES]:
        if sum(len(each.png) for each in fitting) + len(picture.png) <= MOST_PICTURE_BYTES:
            fitting.append(picture)
    return fitting
