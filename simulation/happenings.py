"""Random events for chips: a fire, a flood or an earthquake that has just been, or was a while ago.

In: the kind, a place and noise. Out: a `Disturbance` and words for captions.
Stops at chips: fires and floods that spread over a landscape at known times are in `simulation.events`.
"""

import numpy as np

from simulation.disturbance import NOTHING, Disturbance, floodable, fuel
from simulation.fields import BROAD, GRAIN, PATCH, FieldPool, FloatArray, quantile
from simulation.fire import FAR, Wind, run
from simulation.inundation import fill
from simulation.labels import Cover
from simulation.layout import Place
from simulation.spectra import Conditions

Words = dict[str, str | float]


def draw_event(
    kind: str, place: Place, now: Conditions, pool: FieldPool, rng: np.random.Generator
) -> tuple[Disturbance, Words]:
    """A random event of the kind.

    Args:
        kind: `none`, `burn`, `flood` or `quake`.
        place: Where.
        now: When; nothing burns under snow.
        pool: Fields that shape it.
        rng: Source of randomness.

    Returns:
        The layers, and words for captions (`event`, and `severity`, `age_days` or `turbidity`).
    """
    if kind == "burn" and now.snow < 0.3:
        return draw_burn(place, pool, rng)
    if kind == "flood" and now.snow < 0.5:
        return draw_flood(place, pool, rng)
    if kind == "quake":
        return draw_quake(place, pool, rng)
    return NOTHING, {"event": "none"}


def draw_burn(place: Place, pool: FieldPool, rng: np.random.Generator) -> tuple[Disturbance, Words]:
    """A burn that covers all, most or a corner of the place, from scorched to consumed, mostly fresh.

    Its outline is that of a front that ran over the place's fuel and relief (`simulation.fire`); islands are few and
    smooth, and severity follows fuel, slope and wind.
    """
    share = float(rng.choice([rng.uniform(0.06, 0.4), rng.uniform(0.4, 0.95), 1.0], p=[0.2, 0.5, 0.3]))
    strength = float(rng.choice([rng.uniform(0.25, 0.55), rng.uniform(0.55, 0.8), rng.uniform(0.8, 1.0)]))
    age = float(rng.choice([rng.uniform(0, 20), rng.uniform(20, 90), rng.uniform(90, 365)], p=[0.5, 0.38, 0.12]))
    burnable = fuel(place)
    wind = Wind(float(rng.uniform(0, 360)), float(rng.uniform(1.0, 4.0)))
    ran = run(burnable, place.elevation_m, wind, pool, rng)
    inside = ran.arrival < quantile(ran.arrival, share) if share < 1 else ran.arrival < FAR
    kept = pool.draw(rng, BROAD, place.shape) + np.float32(0.15) * pool.draw(rng, PATCH, place.shape)
    islands = kept < (9.0 if rng.random() < 0.5 else rng.uniform(1.4, 2.6))
    severity = np.clip(np.float32(strength) * ran.intensity, 0, 1) * inside * islands * np.minimum(burnable * 1.4, 1)
    event = Disturbance(
        severity=severity.astype(np.float32),
        burn_age_days=age,
        char_darkness=float(rng.uniform(0.1, 1.0)),
        ash=float(rng.beta(1.2, 2.5)),
    )
    words = "low" if strength < 0.5 else "moderate" if strength < 0.75 else "high"
    return event, {"event": "burn", "severity": words, "age_days": round(age)}


def draw_flood(place: Place, pool: FieldPool, rng: np.random.Generator) -> tuple[Disturbance, Words]:
    """Water over the lowest ground, from a strip along the river to the whole place; banks keep some parcels dry."""
    share = float(
        rng.choice([rng.uniform(0.08, 0.35), rng.uniform(0.35, 0.8), rng.uniform(0.8, 1.0)], p=[0.2, 0.4, 0.4])
    )
    banks = np.float32(rng.choice([0.0, 0.3, 1.0])) * (place.traits[:, 7] - np.float32(0.5))
    height = place.lowness + banks.astype(np.float32)[place.regions]
    depth = fill(height, share, rng.uniform(3, 15))
    emergent = np.clip(1 - np.float32(rng.uniform(0, 0.3)) * np.clip(place.patches, 0, 2), 0, 1)
    turbidity, wind = float(rng.uniform(0.1, 1.0)), float(rng.beta(1.1, 3.0))
    water = (depth * emergent * floodable(place)).astype(np.float32)
    return Disturbance(water=water, turbidity=turbidity, wind=wind), {
        "event": "flood",
        "turbidity": round(turbidity, 2),
    }


def draw_quake(place: Place, pool: FieldPool, rng: np.random.Generator) -> tuple[Disturbance, Words]:
    """Collapsed blocks: damage grades vary over tens of metres, worst where the ground shook most."""
    strength = float(rng.uniform(0.4, 1.0))
    shaking = pool.draw(rng, PATCH, place.shape) * np.float32(0.25) + np.float32(0.2) * pool.draw(
        rng, GRAIN, place.shape
    )
    town: FloatArray = place.is_cover(Cover.BUILT, Cover.TREES, Cover.GRASS).astype(np.float32)
    labelled = (place.label == Cover.BUILT)[place.regions]
    damage = np.clip(np.float32(strength) + shaking, 0, 1) * town * labelled
    return Disturbance(damage=damage.astype(np.float32)), {"event": "quake", "severity": round(strength, 2)}
