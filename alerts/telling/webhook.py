"""Signed webhooks: one POST per attempt, with nothing left to the receiver's mercy.

Flows in: an address, secrets and a body. Flows out: a request that the receiver can verify, or why it failed. Stops
before what is told (`kinds.webhook`) and before trying again (`deliveries`).

What receivers must know is in docs/webhooks.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache

import httpx

from alerts.telling.addresses import refuse_private
from schemas.errors import DeliveryFailed

SIGNATURE, TIMESTAMP, KEY = "Tocsin-Signature", "Tocsin-Timestamp", "Idempotency-Key"
"""Names of our headers."""
MAX_READ_BYTES = 4096
"""How much of a refusal is read; of a success nothing."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""A receiver that asks for more is asked again after this."""


class ReceiverBusy(DeliveryFailed):
    """A receiver did not take an alert and said when to come again."""

    def __init__(self, text: str, retry_after: timedelta) -> None:
        """Keep the time to wait beside the text."""
        super().__init__(text)
        self.retry_after = retry_after


def sign(secret: str, timestamp: int, content: bytes) -> str:
    """`v1=` and the hexadecimal HMAC-SHA256 of "TIMESTAMP.BODY" under the receiver's secret."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + content, hashlib.sha256).hexdigest()


def post(
    address_of: str, secrets: Sequence[str], content: bytes, key: str, timeout_s: float, *, allow_private: bool
) -> None:
    """Deliver a body once.

    Args:
        address_of: The receiver's URL.
        secrets: Each signs the request; two while one takes the other's place.
        content: What is told, GeoJSON.
        key: Idempotency key, the same in every attempt of this delivery.
        timeout_s: For all of it, seconds.
        allow_private: Whether it may lead to a private or loopback address.

    Raises:
        ReceiverBusy: the receiver said when to try again.
        DeliveryFailed: it could not be reached, was too slow, or answered anything but 2xx.
    """
    timestamp = int(datetime.now(UTC).timestamp())
    headers = {
        "Content-Type": "application/geo+json",
        "User-Agent": "tocsin",
        KEY: key,
        TIMESTAMP: str(timestamp),
        SIGNATURE: ",".join(sign(secret, timestamp, content) for secret in secrets),
    }
    try:
        url = httpx.URL(address_of)
    except httpx.InvalidURL as error:
        raise DeliveryFailed(f"its address cannot be used: {error}") from error
    port = url.port or (443 if url.scheme == "https" else 80)
    address = refuse_private(url.host, port, allow_private=allow_private)
    try:
        asyncio.run(_send(url, address, content, headers, timeout_s))
    except TimeoutError as error:
        raise DeliveryFailed(f"{url.host} took more than {timeout_s:g} s") from error
    except httpx.HTTPError as error:
        raise DeliveryFailed(f"{url.host}: {type(error).__name__}: {error}") from error


async def _send(url: httpx.URL, address: str, content: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """One request to the checked address, within one deadline; redirects, proxies and cookies are not followed.

    The host's name stays in the Host header and in the certificate's check.
    """
    to = url.copy_with(host=address)
    named = {**headers, "Host": url.netloc.decode("ascii")}
    async with (
        asyncio.timeout(timeout_s),
        httpx.AsyncClient(verify=_tls(), timeout=timeout_s, trust_env=False, follow_redirects=False) as client,
        client.stream("POST", to, content=content, headers=named, extensions={"sni_hostname": url.host}) as response,
    ):
        if response.is_success:
            return
        _refuse(url.host, response, await _beginning(response))


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than a request: once."""
    return httpx.create_ssl_context(trust_env=False)


async def _beginning(response: httpx.Response) -> str:
    """What a receiver says of its refusal, one line; the rest is never read."""
    read = b""
    async for part in response.aiter_raw(MAX_READ_BYTES):
        read += part
        if len(read) >= MAX_READ_BYTES:
            break
    text = read[:MAX_READ_BYTES].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _refuse(host: str, response: httpx.Response, said: str) -> None:
    status = f"{host} answered {response.status_code}"
    if response.is_redirect:
        raise DeliveryFailed(f"{status}: redirects are not followed, give the final address")
    wait = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
    if wait is not None:
        raise ReceiverBusy(f"{status}: {said}", wait)
    raise DeliveryFailed(f"{status}: {said}")


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110, section 10.2.3), at most a day; none when it is neither."""
    text = value.strip()
    if text.isdecimal():
        return LONGEST_RETRY_AFTER if len(text) > 6 else min(timedelta(seconds=int(text)), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), LONGEST_RETRY_AFTER)
