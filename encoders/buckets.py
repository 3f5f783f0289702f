"""Hrefs into S3 buckets, as ordinary URLs that the operator's own keys have signed.

In: `s3://bucket/key` and the operator's endpoint and keys. Out: an https URL, presigned for an hour; plain where
there are no keys. Stops before fetching, and before asking whether the source may use that bucket.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from encoders.settings import EncoderSettings

LIFE_S = 3600
"""How long a signed URL is good for, seconds: longer than any one file takes."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Who asks.

    Attributes:
        key_id: Public half.
        secret: Secret half.
        region: As the endpoint calls itself.
    """

    key_id: str
    secret: str
    region: str


def bucket_url(href: str, settings: EncoderSettings) -> str:
    """Where an `s3://` href is fetched from.

    Args:
        href: `s3://bucket/key`.
        settings: Endpoint and keys.
    """
    parts = urlsplit(href)
    url = f"{settings.s3_endpoint.rstrip('/')}/{parts.netloc}{quote(parts.path)}"
    secret = settings.s3_secret.get_secret_value()
    if not (settings.s3_key_id and secret):
        return url
    return presign(url, Keys(settings.s3_key_id, secret, settings.s3_region), datetime.now(UTC), LIFE_S)


def presign(url: str, keys: Keys, now: datetime, life_s: int) -> str:
    """A URL with its signature in the query.

    Source: Amazon S3 API Reference, Authenticating Requests: Using Query Parameters (AWS Signature Version 4).

    Args:
        url: Without query, path percent-encoded.
        keys: Whose.
        now: Aware; the signature's time.
        life_s: Seconds that it is good for.
    """
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{keys.region}/s3/aws4_request"
    fields = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(life_s),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    request = f"GET\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()
    return f"{url}?{query}&X-Amz-Signature={signature}"
