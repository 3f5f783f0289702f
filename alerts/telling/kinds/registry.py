"""All kinds of receivers, by the name that operators write.

Flows in: a name and settings. Flows out: a kind with its settings. Stops before the database (`receivers`).

A further kind is a module beside this one and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from alerts.telling.kinds.atom import AtomFeed
from alerts.telling.kinds.cap_files import CapFiles
from alerts.telling.kinds.chat import Chat
from alerts.telling.kinds.geojson_files import GeojsonFiles
from alerts.telling.kinds.kind import Kind, Telling
from alerts.telling.kinds.mail import Mail
from alerts.telling.kinds.stac import StacCollection
from alerts.telling.kinds.terminal import Terminal
from alerts.telling.kinds.webhook import Webhook
from schemas.errors import DeliveryFailed, UsageError

KINDS: Mapping[str, type[Kind]] = {
    kind.name: kind for kind in (Terminal, Webhook, Mail, Chat, CapFiles, GeojsonFiles, AtomFeed, StacCollection)
}
"""By name."""


class Unusable(Kind):
    """A stored receiver that this build cannot use; it fails each attempt, and so loses nothing meanwhile.

    Attributes:
        of_kind: What is stored.
        why: What is wrong, and what to do.
    """

    name: ClassVar[str] = "unusable"
    about: ClassVar[str] = "stored by another build"

    of_kind: str
    why: str

    def tell(self, telling: Telling) -> None:
        """Say why not."""
        raise DeliveryFailed(self.why)


def options(kind: type[Kind]) -> list[str]:
    """Names of a kind's settings as operators write them."""
    return [field.alias or name for name, field in kind.model_fields.items() if name not in kind.hidden]


def made(name: str, settings: Mapping[str, object]) -> Kind:
    """A kind with new settings, checked.

    Raises:
        UsageError: there is no such kind, or its settings cannot be used.
        SettingsError: a package that it needs is not installed.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"receiver kind {name!r}: it is one of {', '.join(KINDS)}")
    for option in settings:
        if option not in options(kind):
            known = ", ".join(options(kind)) or "none"
            raise UsageError(f"a receiver of kind {name} has no {option.replace('_', '-')}; its settings: {known}")
    try:
        plain = {option: str(value) if isinstance(value, Path) else value for option, value in settings.items()}
        return kind.model_validate(plain).checked()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
        raise UsageError(f"settings of a receiver of kind {name}: {'; '.join(faults)}") from error


def restored(name: str, settings: Mapping[str, object]) -> Kind:
    """A kind as it was stored; never an error, so that one bad row does not keep the others from being told."""
    kind = KINDS.get(name)
    if kind is None:
        why = f"this build knows no receivers of kind {name!r}: use the build that added it, or remove it"
        return Unusable(of_kind=name, why=why)
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Unusable(of_kind=name, why=f"its stored setting {where} cannot be used: {first['msg']}")
