"""In: one measured figure at a time. Out: one JSON object a line on stdout, or a readable row.

Stops at printing: what is measured, and how often, is each benchmark's own matter.
"""

import json
import sys

from encoders.machine import processor
from encoders.runtime import available_cores


def machine() -> str:
    """Processor model and the number of cores this process may use, for example ``"AMD EPYC, 2 cores"``."""
    return f"{processor()}, {available_cores()} cores"


def emit(
    name: str,
    value: float,
    unit: str,
    *,
    peer: str | None = None,
    ratio: float | None = None,
    floor: float | None = None,
    ceiling: float | None = None,
    as_json: bool | None = None,
) -> None:
    """Print one figure.

    Args:
        name: what was measured, snake case with its unit where it has one (``nano_s2_chips_per_s``).
        value: the figure.
        unit: its unit; ``"1"`` for a share or a ratio.
        peer: what it is compared with, measured in the same run.
        ratio: value divided by the peer's.
        floor: the least value that counts as reached.
        ceiling: the largest value that does.
        as_json: one JSON object a line; by default where ``--json`` is among the command's arguments.
    """
    row: dict[str, str | float] = {"name": name, "value": value, "unit": unit}
    optional = {"peer": peer, "ratio": ratio, "floor": floor, "ceiling": ceiling}
    row |= {key: each for key, each in optional.items() if each is not None}
    row["machine"] = machine()
    if "--json" in sys.argv if as_json is None else as_json:
        print(json.dumps(row), flush=True)
        return
    notes = [
        f"{key} {each:.3g}" if isinstance(each, float) else f"{key} {each}"
        for key, each in row.items()
        if key in optional
    ]
    print(f"{name:<38} {value:>12.4g} {unit:<12} {'  '.join(notes)}".rstrip(), flush=True)
