"""Whether a threshold's history is long enough for its budget, in words.

Flows in: a stored threshold. Flows out: what is missing, and what holds meanwhile. Stops before showing it.
"""

from __future__ import annotations

from schemas.tables import ThresholdRow

_MEANWHILE = {
    "archive": "until then what stands out from the noise alarms, and nothing is promised",
    "manual": "your own threshold holds",
    "release": "until then the encoder's own background decides",
    "none": "until then nothing fires: give a threshold by hand (--threshold), or fetch some history",
}


def missing_history(row: ThresholdRow) -> str | None:
    """What to tell a person of a threshold whose history is too short for its budget; none where it suffices."""
    if row.needed is None or row.background >= row.needed:
        return None
    meanwhile = _MEANWHILE.get(row.basis, "")
    between = promised_between(row)
    if row.basis == "archive" and between is not None:
        meanwhile = f"until then up to {between[1]:.2g} alarms a week may come"
    return f"not enough history: {row.background} of {row.needed} scores needed; {meanwhile}"


def promised_between(row: ThresholdRow) -> tuple[float, float] | None:
    """The 90 % interval of the alarms to expect in a week; none where nothing is promised."""
    match row.tail:
        case {"expected_between": [float() | int() as low, float() | int() as high]}:
            return float(low), float(high)
    return None
