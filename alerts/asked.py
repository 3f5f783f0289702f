"""What a person asks for, checked: a standing query that nothing watches yet.

In: a sentence with area, sensors, mode, budget, examples, as people write them. Out: a `StandingQuery`, or an error
that says which of them cannot be and what to write instead. Stops before keeping it (`queries`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import Engine, select

from schemas.cells import cell_of
from schemas.database import reading
from schemas.errors import NotFound, UsageError
from schemas.geometry import GeoJSON, read_area, to_geojson
from schemas.messages import Budget, ChipName, Mode, Sensor, StandingQuery
from schemas.tables import AcquisitionRow

SENSORS: tuple[Sensor, ...] = get_args(Sensor)
SELDOM_DAYS = 36_525.0
"""A budget of less than one alarm in so many days is refused."""
_DAYS = {"d": 1.0, "day": 1.0, "w": 7.0, "week": 7.0, "m": 30.0, "month": 30.0, "y": 365.0, "year": 365.0}
_BUDGET = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(?:/|per|a)\s*([0-9]*\.?[0-9]+)?\s*([a-z]+?)s?\s*", re.IGNORECASE)


def asked(
    sentence: str,
    *,
    area: str | GeoJSON | None = None,
    sensors: Sequence[str] = SENSORS,
    mode: str = Mode.APPEARANCE,
    budget: str | Budget = "2/week",
    threshold: float | None = None,
    wordings: Sequence[str] = (),
    like: Sequence[ChipName] = (),
    unlike: Sequence[ChipName] = (),
) -> StandingQuery:
    """A standing query with an id of its own, at version 1.

    Args:
        sentence: What to watch for, in plain words, at most 500 characters.
        area: GeoJSON, text or object, lon/lat; none: everywhere.
        sensors: Of "s1" and "s2".
        mode: "appearance" or "presence".
        budget: Alarms that can be borne over the area, such as "2/week" (`parse_budget`).
        threshold: A person's own threshold on the mode's score, instead of the budget's.
        wordings: The same in other words, at most 8; the one that fits a chip best counts.
        like: Chips that show what is meant (`named_chips`).
        unlike: Chips that look similar and are not meant.

    Raises:
        UsageError: one of them cannot be used; the text says which and what to write instead.
    """
    return checked(
        query_id=uuid4(),
        version=1,
        sentence=" ".join(sentence.split()),
        area=None if area is None else to_geojson(read_area(area)),
        sensors=parse_sensors(sensors),
        mode=parse_mode(mode),
        budget=budget if isinstance(budget, Budget) else parse_budget(budget),
        threshold=threshold,
        wordings=tidy(wordings),
        like=tuple(like),
        unlike=tuple(unlike),
        created_at=datetime.now(UTC),
    )


def tidy(wordings: Sequence[str]) -> tuple[str, ...]:
    """Wordings without surplus blanks, each once."""
    return tuple(dict.fromkeys(" ".join(wording.split()) for wording in wordings))


def parse_budget(text: str) -> Budget:
    """Read "2/week", "1/day", "3/month", "0.5/30d", "2 per week".

    Raises:
        UsageError: not of that form, zero, beyond 1000 alarms or 366 days, or less than one alarm in a century.
    """
    match = _BUDGET.fullmatch(text)
    unit = _DAYS.get(match[3].lower()) if match else None
    if not match or unit is None:
        raise UsageError(f"budget {text!r}: write alarms per time, such as 2/week, 1/day, 3/month or 0.5/30d")
    try:
        budget = Budget(alarms=float(match[1]), per_days=float(match[2] or 1) * unit)
    except ValidationError as error:
        raise UsageError(
            f"budget {text!r}: more than 0 and at most 1000 alarms, in a time of more than 0 and at most 366 days"
        ) from error
    if budget.per_days / budget.alarms > SELDOM_DAYS:
        raise UsageError(
            f"budget {text!r}: no history tells what happens once in a century; allow more, such as 1/year"
        )
    return budget


def named_chips(engine: Engine, names: Sequence[str]) -> tuple[ChipName, ...]:
    """Example chips, each "CELL@ITEM" as a search prints them, as scenes that the ledger knows.

    Raises:
        UsageError: not of that form.
        NotFound: the item has never been acquired.
    """
    found = []
    for name in names:
        cell, _, item_id = name.partition("@")
        if not cell or not item_id:
            raise UsageError(f"example {name!r}: write CELL@ITEM, such as 33TWN4512@S2C_33TWN_20260701_0_L2A")
        known = select(AcquisitionRow.sensor, AcquisitionRow.physical_key).where(AcquisitionRow.item_id == item_id)
        with reading(engine) as session:
            row = session.execute(known.limit(1)).first()
        if row is None:
            raise NotFound(f"example {name!r}: no item {item_id} has been acquired; `tocsin search` shows what has")
        sensor: Sensor = "s1" if row.sensor == "s1" else "s2"
        found.append(ChipName(cell=cell_of(cell).id, sensor=sensor, physical_key=row.physical_key))
    return tuple(found)


def parse_sensors(names: Sequence[str]) -> tuple[Sensor, ...]:
    """Names of sensors, in whatever order and case.

    Raises:
        UsageError: an unknown one, or none.
    """
    wanted = {name.strip().lower() for name in names}
    unknown = wanted - set(SENSORS)
    if unknown or not wanted:
        raise UsageError(f"sensors {', '.join(sorted(unknown)) or 'none'}: give s1, s2 or both")
    return tuple(sensor for sensor in SENSORS if sensor in wanted)


def parse_mode(name: str) -> Mode:
    """A mode's name.

    Raises:
        UsageError: there is no such mode.
    """
    try:
        return Mode(name.strip().lower())
    except ValueError as error:
        raise UsageError(f"mode {name!r}: it is appearance (new here) or presence (here at all)") from error


def checked(**fields: object) -> StandingQuery:
    """A standing query of fields that have been read.

    Raises:
        UsageError: a value out of its range, named.
    """
    if not fields["sentence"]:
        raise UsageError("the sentence is empty: say what to watch for, such as 'wildfire burn scar'")
    try:
        return StandingQuery.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
