"""In: recipes and seeds. Out: one line of figures for each run, and its weights; later, the table of the model card.

Stops at figures: which recipe ships is decided by people, on simulated chips, and written in the model card.

    python -m training.compare --release encoders/weights/nano --out build/compare --seeds 3 --steps 3000
    python -m training.compare --table build/compare
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch.nn import functional

from encoders.bands import BANDS_S2
from encoders.nano_text import TextTower
from schemas.logs import configure
from simulation.biomes import HELD_OUT_BIOMES
from simulation.chips import Sensor
from training.augment import RGB
from training.bank import Bank, bank_of
from training.captions import training_bank
from training.fit import Fitted, Loaded, embedded, fit, loaded
from training.label_sets import LabelSets, label_sets
from training.located import harmonics_of
from training.phrases import LABELS
from training.pool import Pool, simulate_pool
from training.recipes import FINDINGS, RECIPES, Recipe, shortened
from training.text_head import TextHead, pretrained
from training.validate import precisions, validated

SENSORS: tuple[Sensor, ...] = ("s2", "s1")

UNSEEN_SEED = 900
"""Seed of the chips that are only looked at, as an offset to the seed of the chips that are trained on."""

_log = structlog.get_logger("training")


@dataclass(frozen=True, slots=True)
class Data:
    """Everything that all runs share, on one device.

    Attributes:
        pools: to train on.
        unseen: to measure on: `seen biomes` (other seeds) and `held-out biomes`, by sensor.
        moved: S2 coordinates of `seen biomes` with fires where none was before, (n, 100) harmonics.
        bank: sentences.
        names: MiniLM's vectors of the labels' names, float32, (12, 384).
        head: the text head as text alone has taught it.
        sets: captions of sets of labels.
        device: where it all lies.
    """

    pools: dict[Sensor, Loaded]
    unseen: dict[tuple[str, Sensor], Loaded]
    moved: torch.Tensor
    bank: Bank
    names: NDArray[np.float32]
    head: TextHead
    sets: LabelSets
    device: torch.device


def pools_of(
    cache: Path, chips: int, unseen: int, workers: int
) -> tuple[dict[Sensor, Pool], dict[tuple[str, Sensor], Pool]]:
    """Simulated chips to train on, and those that are only looked at; from the cache where they are there already."""
    training = {s: simulate_pool(cache, s, chips, 1, workers=workers) for s in SENSORS}
    looked_at: dict[tuple[str, Sensor], Pool] = {}
    for sensor in SENSORS:
        seed = 1 + UNSEEN_SEED
        looked_at["seen biomes", sensor] = simulate_pool(cache, sensor, unseen, seed, workers=workers)
        looked_at["held-out biomes", sensor] = simulate_pool(
            cache, sensor, unseen, seed + 1, biomes=HELD_OUT_BIOMES, workers=workers
        )
    return training, looked_at


def data_of(release: Path, cache: Path, chips: int, unseen: int, *, workers: int, device: torch.device) -> Data:
    """Chips, sentences and the text head, on a device.

    Args:
        release: folder with the text tower.
        cache: folder of simulated chips.
        chips: to train on, a sensor.
        unseen: to measure on, a sensor and set.
        workers: processes that simulate at once.
        device: where it shall lie.
    """
    training, looked_at = pools_of(cache, chips, unseen, workers)
    tower = TextTower(release, workers)
    captions = training_bank(0)
    vectors = tower.vectors([c.text for c in captions])
    moved = harmonics_of(torch.from_numpy(np.array(looked_at["seen biomes", "s2"].moved))).to(device)
    return Data(
        {s: loaded(pool, device) for s, pool in training.items()},
        {key: loaded(pool, device) for key, pool in looked_at.items()},
        moved,
        bank_of(captions, vectors, device),
        tower.vectors([name.lower() for name in LABELS]),
        pretrained(captions, torch.from_numpy(vectors), 0, device=str(device)),
        label_sets(tower.vectors, device),
        device,
    )


@torch.no_grad()
def _located_figures(fitted: Fitted, data: Data) -> dict[str, dict[str, float]]:
    """What the place adds, where fires are known and where none was before."""
    if fitted.located is None:
        return {}
    pool = data.unseen["seen biomes", "s2"]
    queries = fitted.model.text(torch.from_numpy(data.names).to(data.device))
    images, found = embedded(fitted.model, pool, "s2"), {}
    for name, harmonics in (("fires where known", pool.harmonics), ("fires elsewhere", data.moved)):
        both = functional.normalize(images + fitted.located(harmonics), dim=-1)
        found[f"with place, {name} s2"] = precisions((both @ queries.T).cpu().numpy(), pool)
    return found


def run(recipe: Recipe, seed: int, data: Data) -> tuple[Fitted, dict[str, dict[str, float]]]:
    """Train one model and measure it on simulated chips."""
    fitted = fit(recipe, data.pools, data.bank, data.head, seed=seed, device=data.device, sets=data.sets)
    unseen = {key: pool for key, pool in data.unseen.items() if key[1] in recipe.sensors}
    only = tuple(float(name in RGB) for name in BANDS_S2) if recipe.bands else None
    found = validated(fitted.model, unseen, data.names, {"s2": only})
    return fitted, found | _located_figures(fitted, data)


def save_weights(fitted: Fitted, path: Path) -> None:
    """The model's weights, half precision."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in fitted.model.state_dict().items()}
    torch.save({k: v.cpu() for k, v in state.items()}, path)


def chosen(names: Sequence[str]) -> list[Recipe]:
    """Recipes by name; all of them if none is named.

    Raises:
        ValueError: an unknown name.
    """
    known = {recipe.name: recipe for recipe in RECIPES + FINDINGS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown recipe {', '.join(unknown)}: use {', '.join(known)}")
    return [known[name] for name in names or known]


def table(folder: Path) -> str:
    """Markdown of what the runs in a folder found: mean over seeds of each set's mAP, and the half range of the seeds.

    Raises:
        FileNotFoundError: no run has written its figures there.
    """
    files = sorted(folder.glob("figures*.jsonl"))
    if not files:
        raise FileNotFoundError(f"{folder} has no figures*.jsonl: run this command without --table first")
    runs = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    sets = list(dict.fromkeys(key for run in runs for key, value in run.items() if isinstance(value, dict)))
    lines = [f"| recipe | seeds | {' | '.join(sets)} |", "|---" * (len(sets) + 2) + "|"]
    for name in dict.fromkeys(run["recipe"] for run in runs):
        mine = [run for run in runs if run["recipe"] == name]
        cells = []
        for each in sets:
            means = [run[each]["mean"] for run in mine if each in run]
            cells.append(f"{np.mean(means):.3f} ± {(max(means) - min(means)) / 2:.3f}" if means else "")
        lines.append(f"| {name} | {len(mine)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train every recipe with every seed."""
    if sys.argv[1:2] == ["--table"]:
        sys.stdout.write(table(Path(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, required=True, help="folder with the text tower")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and figures")
    parser.add_argument("--cache", type=Path, default=Path("build/chips"), help="folder of simulated chips")
    parser.add_argument("--recipe", action="append", default=[], help="name of a recipe; repeat; all if left out")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds each")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3000, help="gradient steps of each run: the equal budget")
    parser.add_argument("--batch", type=int, default=128, help="chips of each sensor a step")
    parser.add_argument("--chips", type=int, default=16_000, help="simulated chips a sensor")
    parser.add_argument("--unseen", type=int, default=2000, help="chips to measure on, a sensor and set")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate at once")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    configure("info", "training")
    options.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device)
    data = data_of(
        options.release, options.cache, options.chips, options.unseen, workers=options.workers, device=device
    )
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for recipe in chosen(options.recipe):
            fitted, found = run(shortened(recipe, options.steps, options.batch), seed, data)
            slug = recipe.name.replace(" ", "-").replace("'", "")
            save_weights(fitted, options.out / f"{slug}-{seed}.pt")
            line = {"recipe": recipe.name, "seed": seed, "steps": options.steps, **found, "curve": fitted.curve}
            with (options.out / f"figures-{options.first_seed}.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            means = {key: figures["mean"] for key, figures in found.items()}
            sys.stdout.write(json.dumps({"recipe": recipe.name, "seed": seed, **means}) + "\n")


if __name__ == "__main__":
    main()
