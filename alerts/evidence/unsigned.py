"""Addresses of files as they may be shown: without what opens a door.

Flows in: hrefs of a catalogue, texts that name them. Flows out: the same without users, passwords, signatures and
keys. Stops before anything else in them: the rest of a query may be what names the file.

A catalogue of one's own may sign its hrefs in its items, and evidence is made to be handed on.

Source: parameters of signed URLs of Amazon S3 (versions 2 and 4), Google Cloud Storage, Azure Blob Storage (service,
account and user delegation SAS), Alibaba OSS and CloudFront.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

_PREFIXES = ("x-amz-", "x-goog-", "x-oss-")
_BUCKETS = ("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "signature", "expires", "policy", "key-pair-id")
_SHARED_ACCESS = (
    *("sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "sig", "si", "sdd"),
    *("saoid", "suoid", "scid", "ses", "skoid", "sktid", "skt", "ske", "sks", "skv"),
)
_KEYS = (
    *("token", "access_token", "security-token", "auth", "authorization", "secret", "password"),
    *("apikey", "api_key", "api-key", "key"),
)
_NAMES = frozenset((*_BUCKETS, *_SHARED_ACCESS, *_KEYS))
_PARAMETER = re.compile(r"[^&;]+")


def unsigned(href: str) -> str:
    """An href without user, password, and parameters that sign it or hold a key."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return href.partition("?")[0]
    kept = [each for each in _PARAMETER.findall(parts.query) if not _opens(each.partition("=")[0].lower())]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="&".join(kept)))


def without_signatures(text: str, hrefs: Iterable[str]) -> str:
    """A text in which some hrefs stand, with each as `unsigned` has it."""
    for href in sorted(hrefs, key=len, reverse=True):
        text = text.replace(href, unsigned(href))
    return text


def _opens(name: str) -> bool:
    return name.startswith(_PREFIXES) or name in _NAMES
