"""One tree of errors for the whole product.

Flows in: what went wrong. Flows out: what a caller may do about it. Stops before handling: `bus` and the
command line decide.

    TocsinError
    ├── Retryable            the outside world failed: wait and try again
    │   ├── AssetUnavailable     an asset's host is down, slow or answers 5xx/429
    │   ├── CatalogueUnavailable a STAC API is down, slow or answers 5xx/429
    │   ├── StoreUnavailable     database, archive or broker does not answer
    │   └── DeliveryFailed       a receiver did not take an alert
    ├── Rejected             this message can never work: to the dead-letter topic with its reason
    │   ├── MalformedMessage     not our schema, or a schema version from the future
    │   ├── MalformedItem        a catalogue's item lacks or contradicts what we need
    │   ├── UnreadableAsset      404, truncated, wrong type, or a host that the source may not use
    │   ├── UnsupportedPlace     no cell grid there (polar), or no usable footprint
    │   ├── DeliveryRefused      a receiver will never take this alert
    │   └── NotUnderstood        a sentence whose words the encoder does not know: another alphabet, signs, noise
    ├── UsageError           a person asked for something impossible: say what to do instead
    │   ├── InvalidArea          a GeoJSON area that cannot be used
    │   ├── InvalidCell          not the id of a cell
    │   └── NotFound             no such query, source, release, dead letter
    ├── SettingsError        configuration is wrong or something needed is not installed
    ├── ReleaseNotFound      no such encoder release here: pull it or correct the name
    └── ReleaseMismatch      weights, engine or vectors do not belong together

Anything else that escapes is a bug and ends the process.
"""


class TocsinError(Exception):
    """Every error we raise on purpose. Its text says what happened, with which id, and what to do next."""


class Retryable(TocsinError):
    """The outside world failed: wait and try again."""


class AssetUnavailable(Retryable):
    """An asset's host is down, slow, or answers 429 or 5xx."""


class CatalogueUnavailable(Retryable):
    """A STAC API is down, slow, or answers 429 or 5xx."""


class StoreUnavailable(Retryable):
    """Database, archive or broker does not answer."""


class DeliveryFailed(Retryable):
    """A receiver did not take an alert."""


class Rejected(TocsinError):
    """This message can never work: it goes to the dead-letter topic with its reason."""


class MalformedMessage(Rejected):
    """Bytes that are not our schema, or of a schema version that this build does not know."""


class MalformedItem(Rejected):
    """A catalogue's item lacks, or contradicts, what is needed to use it."""


class UnreadableAsset(Rejected):
    """An asset is missing (404), truncated, of the wrong type, or on a host that its source may not use."""


class UnsupportedPlace(Rejected):
    """The cell grid does not reach there (beyond 84° N or 80° S), or there is no usable footprint."""


class DeliveryRefused(Rejected):
    """A receiver will never take this alert: the delivery is given up, and can be sent again by hand."""


class NotUnderstood(Rejected):
    """A sentence of which the encoder knows too little for its vector to mean anything: another alphabet, emoji."""


class UsageError(TocsinError):
    """A person asked for something impossible."""


class InvalidArea(UsageError):
    """A GeoJSON area that cannot be used: empty, self-crossing, outside WGS84, or absurdly large."""


class InvalidCell(UsageError):
    """Not the id of a 1 km MGRS cell."""


class NotFound(UsageError):
    """No standing query, source, alert or dead letter of that name."""


class SettingsError(TocsinError):
    """Configuration is wrong, or an optional package that it needs is not installed."""


class ReleaseNotFound(TocsinError):
    """No such encoder release on this machine."""


class ReleaseMismatch(TocsinError):
    """Weights, engine or vectors do not belong together."""


def exit_status(error: TocsinError) -> int:
    """Of a process that such an error ended: 2 where a person has to write something else, otherwise 1."""
    return 2 if isinstance(error, UsageError | SettingsError) else 1
