"""What light does to a place on its way to the sensor, and what a fire does to the ground under it."""

from dataclasses import replace

import numpy as np

from simulation.biomes import BIOMES
from simulation.disturbance import VISIBLE_DNBR, Disturbance, disturb
from simulation.endmembers import Material
from simulation.fields import pool_for
from simulation.labels import S2_BANDS, Cover
from simulation.layout import Place
from simulation.optics import Sky, see, surface
from simulation.spectra import TRAITS, conditions
from simulation.varieties import variants

BLUE, RED, NIR, SWIR1, SWIR2 = (S2_BANDS.index(b) for b in ("B02", "B04", "B08", "B11", "B12"))
MEDITERRANEAN = next(b for b in BIOMES if b.name == "mediterranean")
POOL = pool_for(4)
LATE_SUMMER = conditions(MEDITERRANEAN, 230, wetness=0.05, snow=0.0, green_shift=-0.2)


def _place(cover: Cover, seed: int = 0, slope: float = 0.0) -> Place:
    rng = np.random.default_rng(seed)
    shape = (60, 60)
    traits = rng.random((2, TRAITS)).astype(np.float32)
    traits[1] = traits[0]
    regions = np.zeros(shape, np.int32)
    regions[:, 30:] = 1
    covers = np.array([cover, cover], np.uint8)
    east = np.tile(np.arange(60, dtype=np.float32) * 10 * np.float32(slope), (60, 1))
    flat = np.zeros(shape, np.float32)
    return Place(MEDITERRANEAN, "test", regions, covers, covers, traits, east, flat, flat, flat)


def _look(place: Place, event: Disturbance | None = None, **sky: float) -> np.ndarray:
    clean = replace(Sky(blur=0.0), **sky)
    rng = np.random.default_rng(1)
    return see(place, LATE_SUMMER, event or Disturbance(), clean, pool=POOL, rng=rng).pixels


def _median(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(pixels, axis=(1, 2)))


def test_a_shaded_hill_is_dark_and_bluer_than_a_lit_one() -> None:
    lit, shaded = (_median(_look(_place(Cover.GRASS, slope=s), sun_azimuth_deg=90.0)) for s in (-0.5, 0.5))
    assert shaded[NIR] < 0.6 * lit[NIR]
    assert shaded[BLUE] / shaded[SWIR2] > 1.15 * lit[BLUE] / lit[SWIR2]


def test_glint_brightens_water_in_every_band_and_leaves_land() -> None:
    water, glinting = (_median(_look(_place(Cover.WATER), glint=g)) for g in (0.0, 0.03))
    assert np.allclose((glinting - water)[[RED, NIR, SWIR1]], 0.03, atol=0.004)
    land, same = (_median(_look(_place(Cover.BARE), glint=g)) for g in (0.0, 0.03))
    assert np.allclose(land, same)


def test_gain_brightens_the_ground_and_the_surroundings_veil_a_dark_pond_most_in_the_blue() -> None:
    ground, brighter = (_median(_look(_place(Cover.BARE), gain=g)) for g in (1.0, 1.2))
    assert np.allclose(brighter[[RED, NIR]] / ground[[RED, NIR]], 1.2, atol=0.03)
    pond = _place(Cover.BARE)
    pond = replace(pond, cover=np.array([Cover.BARE, Cover.WATER], np.uint8))
    clear, veiled = (_look(pond, adjacency=a) for a in (0.0, 0.1))
    dark = _median(clear[:, :, 45:])
    share = (_median(veiled[:, :, 45:]) - dark) / (clear.mean(axis=(1, 2)) - dark)
    assert 0.08 < share[BLUE] < 0.12 and share[BLUE] > share[RED] > share[NIR] > 0.03


def test_a_coarse_product_has_pairs_of_like_pixels() -> None:
    place = replace(_place(Cover.BARE), grain=np.random.default_rng(2).standard_normal((60, 60)).astype(np.float32))
    fine, coarse = (_look(place, coarse=c, smooth=False)[RED] for c in (False, True))
    assert np.array_equal(coarse[::2], coarse[1::2]) and not np.array_equal(fine[::2], fine[1::2])


def _burnt(cover: Cover, severity: float, darkness: float, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    place = _place(cover, seed)
    event = Disturbance(severity=np.full(place.shape, severity, np.float32), char_darkness=darkness, ash=0.1)
    before = surface(place, LATE_SUMMER)
    after, visible = disturb(before.copy(), place, event, LATE_SUMMER.summer)
    return _median(before), _median(after), float(visible.mean())


def test_a_light_burn_of_dry_grass_lowers_the_infrared_but_hardly_the_shortwave() -> None:
    light = [_burnt(Cover.GRASS, 0.4, 0.3, seed) for seed in range(30)]
    falls = np.array([1 - after / before for before, after, _ in light])
    assert np.median(falls[:, NIR]) > np.median(falls[:, SWIR2]) + 0.05
    strong = [_burnt(Cover.GRASS, 0.95, 1.0, seed) for seed in range(30)]
    assert np.median([after[NIR] for _, after, _ in strong]) < 0.11
    assert np.median([after[SWIR2] / after[NIR] for _, after, _ in strong]) > 1.5


def test_forest_burns_blacker_than_grass() -> None:
    grass, trees = (
        np.mean([_burnt(c, 0.6, 0.5, seed)[1] for seed in range(20)], axis=0) for c in (Cover.GRASS, Cover.TREES)
    )
    assert trees[RED] < grass[RED] and trees[NIR] < grass[NIR]


def test_a_burn_is_labelled_only_where_nbr_falls_visibly() -> None:
    for seed in range(20):
        before, after, visible = _burnt(Cover.GRASS, 0.35, 0.2, seed)
        ratio = [(s[S2_BANDS.index("B8A")] - s[SWIR2]) / (s[S2_BANDS.index("B8A")] + s[SWIR2]) for s in (before, after)]
        assert (visible > 0.5) == (ratio[0] - ratio[1] > VISIBLE_DNBR)


def test_unburnt_country_can_be_as_low_in_nbr_as_an_old_burn() -> None:
    rows = [Material.PAVEMENT, Material.SOIL_BASALT, Material.LAVA, Material.SHALE, Material.SOIL_BROWN]
    traits = np.random.default_rng(5).random((40, 1, TRAITS)).astype(np.float32)
    tables = np.stack([variants(t, MEDITERRANEAN) for t in traits])[:, rows]
    nbr = (tables[..., NIR] - tables[..., SWIR2]) / (tables[..., NIR] + tables[..., SWIR2])
    assert np.percentile(nbr, 25) < -0.15 and np.percentile(nbr, 5) > -0.5
