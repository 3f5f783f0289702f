"""What all settings classes have in common: a value that cannot be used is said in one line.

Flows in: `TOCSIN_…` environment variables. Flows out: a frozen object, or `SettingsError` with the variable, what it is
and what it may be; and the exit status of a process that ended so. Stops before any single setting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import structlog
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import SettingsError, TocsinError, exit_status

log = structlog.get_logger(__name__)

LONGEST_SHOWN = 80
"""Characters of a wrong value that are repeated: a whole file may have got into a variable."""


class Environment(BaseSettings):
    """Settings read from the environment; infinity and NaN are no numbers for them.

    Raises:
        SettingsError: a variable has a value that it cannot have.
    """

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = [_fault(type(self), str(each["loc"][0]), each["input"]) for each in error.errors()]
            raise SettingsError(f"the environment cannot be used: {'; '.join(dict.fromkeys(faults))}") from error


def variable(settings: type[BaseSettings], name: str) -> str:
    """The environment variable of a field."""
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def allowed(field: FieldInfo) -> str:
    """What a setting may be, in words: "a whole number from 1 to 1000"."""
    kinds = _kinds(field.annotation)
    for kind in kinds:
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(map(str, get_args(kind)))
    if bool in kinds:
        return "true or false"
    if int in kinds or float in kinds:
        return ("a whole number" if int in kinds else "a number") + _range(field)
    patterns = [each.pattern for each in field.metadata if getattr(each, "pattern", None)]
    return f"text that matches {patterns[0]}" if patterns else "text"


def ending(service: str, main: Callable[[], int | None]) -> int:
    """Exit status of a service's process; an error that we raise on purpose is one line on stderr, and no traceback.

    The line is like the others of the log once that is set up, and plain text before.
    """
    try:
        return main() or 0
    except TocsinError as error:
        if structlog.is_configured():
            log.error(f"{service} cannot work", reason=str(error))
        else:
            sys.stderr.write(f"{service}: {error}\n")
        return exit_status(error)


def _fault(settings: type[BaseSettings], name: str, value: object) -> str:
    field = settings.model_fields[name]
    shown = repr(value) if len(str(value)) <= LONGEST_SHOWN else f"{str(value)[:LONGEST_SHOWN]!r}…"
    said = f"is {shown}" if field.repr else "cannot be used"  # a secret is never repeated
    default = "" if field.default is None else f" (default {field.default})"
    return f"{variable(settings, name)} {said}; it may be {allowed(field)}{default}"


def _kinds(annotation: object) -> tuple[object, ...]:
    """The types of a union, or the one type."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _range(field: FieldInfo) -> str:
    """ " from 1 to 1000", " above 0 and up to 366", " from 0", or nothing."""
    has = {
        name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    if {"ge", "le"} <= has.keys():
        return f" from {has['ge']} to {has['le']}"
    words = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
    ends = [f"{word} {has[name]}" for name, word in words.items() if name in has]
    return f" {' and '.join(ends)}" if ends else ""
