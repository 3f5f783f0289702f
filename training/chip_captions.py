"""In: what a simulated chip shows and what the simulator noted about it. Out: sentences that are true of that chip.

Stops at sentences: a caption asks for labels alone; season, biome and severity are words around them that a person
would add. Attributes that are absent or new are left out, so the simulator may grow.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from training.captions import JOINTS, Caption, phrases_of
from training.phrases import LABELS

BIOME_WORDS: Mapping[str, tuple[str, ...]] = {
    "temperate": ("in a temperate climate", "in central Europe", "in temperate lowlands"),
    "boreal": ("in the boreal zone", "in the far north", "in Scandinavia"),
    "mediterranean": ("in the Mediterranean", "in a Mediterranean climate", "in southern Europe"),
    "savanna": ("in the savanna", "in East Africa", "in savanna country"),
    "tropical": ("in the tropics", "in a tropical climate", "near the equator"),
    "desert": ("in a desert region", "in arid country", "in a very dry region"),
    "steppe": ("on the steppe", "in semi-arid country", "on the dry plains"),
    "alpine": ("in the high mountains", "in an alpine valley", "in the Alps"),
}
"""Place words per biome of the simulator; others say nothing."""

SEASON_WORDS: Mapping[str, tuple[str, ...]] = {
    name: (f"in {name}", f"in early {name}", f"in late {name}", f"this {name}")
    for name in ("winter", "spring", "summer", "autumn")
}
"""Words per season of the simulator."""

BURN_WORDS: Mapping[str, tuple[str, ...]] = {
    "low": ("lightly burnt {}", "low severity burn, {}", "{} with low burn severity"),
    "moderate": ("moderately burnt {}", "moderate severity burn, {}", "{} with moderate burn severity"),
    "high": ("severely burnt {}", "high burn severity, {}", "completely burnt {}"),
}
"""Frames around what burned, by severity."""

BURNT_COVERS: tuple[str, ...] = ("land", "vegetation", "hillside", "ground", "area")
"""What may have burned when nothing else is known of it."""

FRESH_DAYS = 20.0
"""Below it a burn is called fresh, beyond ten times of it old."""

QUAKE_STRONG = 0.7
"""Mean damage, 0-1, from which a town is called destroyed."""

TURBID = 0.6
"""Turbidity, 0-1, from which flood water is called muddy."""


def chip_captions(
    labels: Sequence[str], attributes: Mapping[str, str | float], count: int, random: np.random.Generator
) -> list[Caption]:
    """Sentences that are true of one chip.

    Args:
        labels: names of `LABELS` that are present.
        attributes: of `simulation.chips.Chips.attributes`.
        count: how many sentences; fewer if a chip shows no label.
        random: source of every draw.

    Returns:
        Captions that ask for one or two of the labels.
    """
    present = [label for label in LABELS if label in labels]
    if not present:
        return []
    captions = []
    for _ in range(count):
        size = min(len(present), 1 + int(random.random() < 0.4))
        chosen = [str(label) for label in random.choice(present, size, replace=False)]
        text = str(random.choice(JOINTS)).join(_phrase(label, attributes, random) for label in chosen)
        asked = tuple(sorted(LABELS.index(label) for label in chosen))
        captions.append(Caption(_placed(text, attributes, random), asked))
    return captions


def _phrase(label: str, attributes: Mapping[str, str | float], random: np.random.Generator) -> str:
    """A phrase of a label, now and then one that says how bad it is."""
    if random.random() < 0.5:
        severe = {"Burned Area": _burn, "Flooded Area": _flood, "Earthquake Damage": _quake}.get(label)
        found = severe(attributes, random) if severe else ()
        if found:
            return str(random.choice(found))
    return str(random.choice(phrases_of(label)))


def _burn(attributes: Mapping[str, str | float], random: np.random.Generator) -> tuple[str, ...]:
    cover = str(random.choice(BURNT_COVERS))
    frames = BURN_WORDS.get(str(attributes.get("severity")), ())
    age = attributes.get("age_days")
    aged: tuple[str, ...] = ()
    if isinstance(age, int | float):
        aged = ("fresh burn scar",) if age < FRESH_DAYS else ("old burn scar",) if age > 10 * FRESH_DAYS else ()
    return tuple(frame.format(cover) for frame in frames) + aged


def _flood(attributes: Mapping[str, str | float], _random: np.random.Generator) -> tuple[str, ...]:
    turbidity = attributes.get("turbidity")
    if not isinstance(turbidity, int | float):
        return ()
    return ("muddy flood water", "brown flood water over land") if turbidity >= TURBID else ("clear flood water",)


def _quake(attributes: Mapping[str, str | float], _random: np.random.Generator) -> tuple[str, ...]:
    severity = attributes.get("severity")
    if not isinstance(severity, int | float):
        return ()
    strong = ("town destroyed by an earthquake", "most buildings collapsed")
    return strong if severity >= QUAKE_STRONG else ("town damaged by an earthquake", "some buildings collapsed")


def _placed(text: str, attributes: Mapping[str, str | float], random: np.random.Generator) -> str:
    """The text with the biome, the season, both or neither."""
    for name, words in (("biome", BIOME_WORDS), ("season", SEASON_WORDS)):
        known = words.get(str(attributes.get(name)), ())
        if known and random.random() < 0.4:
            text = f"{text} {random.choice(known)}"
    return text
