"""In: a recipe, pools of simulated chips, a bank of sentences. Out: a trained model and its learning curve.

Stops at weights: `validate` measures them, `export` writes them, `compare` sets recipes against each other.
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from simulation.chips import Sensor
from training.augment import Batch, Draws, augmented
from training.bank import Bank, wanted
from training.label_sets import LabelSets
from training.located import Located, harmonics_of
from training.losses import closp_loss, label_weights, presence, sigmoid_loss, soft_target_loss
from training.nano_model import NanoModel, Reduced
from training.pool import Pool
from training.recipes import Recipe
from training.text_head import Recipe as TextRecipe
from training.text_head import TextHead, TextLoss

TEXT_NOISE = 0.045
"""Standard deviation of the noise on each of a sentence vector's 384 numbers: words that mean the same lie near."""

TEXT_WEIGHT = 0.2
"""Share of the text's own loss, so that images do not undo what it has learnt."""

LOCATION_WEIGHT = 0.25
"""Share of the loss that draws an image and its place together."""

SCHEDULE = 10_000
"""Steps of the learning rate's schedule, however many gradient steps the budget holds."""

ROWS = 40
"""Rows of a learning curve."""

AVERAGED = 0.998
"""Decay of the running mean of the weights, which is what comes out."""

_log = structlog.get_logger("training")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pool on one device: float16 planes, float32 knowledge."""

    means: Tensor
    spread: Tensor
    valid: Tensor
    fractions: Tensor
    clearness: Tensor
    unsure: Tensor
    harmonics: Tensor
    odds: Tensor

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Rows of some chips: half of them as they come, half so that every label is there equally often."""
        return torch.multinomial(self.odds, count, replacement=True, generator=random)

    def batch(self, rows: Tensor) -> Batch:
        """Some chips as float32."""
        means, spread, valid = (each[rows].float() for each in (self.means, self.spread, self.valid))
        return Batch(means, spread, valid, self.fractions[rows], self.clearness[rows], self.unsure[rows])


def balanced(fractions: Tensor) -> Tensor:
    """How often each chip is drawn, (n,): rare labels oftener than they come, see `Loaded.draw`."""
    there = presence(fractions)
    rarity = (there / there.sum(dim=0).clamp(min=1)).amax(dim=1)
    return 0.5 / len(fractions) + 0.5 * rarity / rarity.sum()


def loaded(pool: Pool, device: torch.device) -> Loaded:
    """A pool's arrays on a device; on the host they stay mapped from disk."""

    def moved(array: NDArray[np.generic]) -> Tensor:
        tensor: Tensor = torch.from_numpy(np.array(array) if device.type == "cuda" else array)
        return tensor.to(device)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # arrays mapped from disk are read-only, and nobody writes them
        return Loaded(
            moved(pool.means),
            moved(pool.spread),
            moved(pool.valid),
            moved(pool.fractions),
            moved(pool.clearness),
            moved(pool.unsure.astype(np.float32)),
            harmonics_of(moved(pool.lon_lat).cpu()).to(device),
            balanced(moved(pool.fractions)),
        )


@dataclass
class Fitted:
    """What training leaves.

    Attributes:
        model: with averaged weights, in evaluation mode.
        located: the location encoder, where the recipe has one.
        curve: one row each so many steps: step, and the running loss of each sensor.
    """

    model: NanoModel
    located: Located | None
    curve: list[dict[str, float]] = field(default_factory=list)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 by itself; a CPU that would emulate it is slower than in float32."""
    if device.type == "cuda":
        return True
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class _Trained(nn.Module):
    """All that has gradients."""

    def __init__(self, model: NanoModel, located: Located | None) -> None:
        super().__init__()
        self.model = model
        self.located = located


class _Averaged:
    """The running mean of all weights, which follows fast at first and slowly later.

    Source: exponential moving average with the warm-up of Tarvainen and Valpola 2017, "Mean teachers".
    """

    def __init__(self, trained: _Trained) -> None:
        self.mean = deepcopy(trained).requires_grad_(False)
        self._weights: list[Tensor] = list(self.mean.parameters())
        self._buffers = list(self.mean.buffers())

    @torch.no_grad()
    def follow(self, trained: _Trained, step: int) -> None:
        """Take the weights of a step in."""
        decay = min(AVERAGED, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._weights, list(trained.parameters()), 1 - decay)
        for mine, theirs in zip(self._buffers, trained.buffers(), strict=True):
            mine.copy_(theirs)


@dataclass(frozen=True, slots=True)
class _Heard:
    """The sentences of one step."""

    picked: Tensor
    vectors: Tensor


class _Step:
    """What one step needs, and how its loss is made."""

    def __init__(
        self, recipe: Recipe, trained: _Trained, bank: Bank, sets: LabelSets | None, draws: Draws, *, compiled: bool
    ) -> None:
        if recipe.loss == "closp" and sets is None:
            raise ValueError(f"recipe {recipe.name!r} compares chips with their own captions: pass the label sets")
        self.recipe, self.trained, self.bank, self.sets, self.draws = recipe, trained, bank, sets, draws
        towers: dict[str, nn.Module] = {name: trained.model.images[name] for name in recipe.sensors}
        self.towers = {name: torch.compile(tower) if compiled else tower for name, tower in towers.items()}

    def loss(self, sensor: Sensor, chips: Loaded, heard: _Heard) -> Tensor:
        """The loss of one batch of one sensor."""
        device = chips.fractions.device
        rows = chips.draw(self.recipe.batch, self.draws.chips)
        reduced, batch = augmented(chips.batch(rows), sensor, self.draws, self.recipe.bands if sensor == "s2" else None)
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bf16(device)):
            images = self.towers[sensor](reduced)
        images = images.float()
        present = presence(batch.fractions) * batch.clearness
        weights = label_weights(batch.fractions, batch.unsure)
        if self.trained.located is None:
            return self._against_text(images, present, weights, heard)
        places = self.trained.located(chips.harmonics[rows])
        if self.recipe.location == "added":
            return self._against_text(functional.normalize(images + places, dim=-1), present, weights, heard)
        aligned = closp_loss(images @ places.T * self.trained.model.log_scale.exp())
        return (
            self._against_text(images, present, weights, heard)
            + self._against_text(places, present, weights, heard)
            + LOCATION_WEIGHT * aligned
        )

    def _against_text(self, vectors: Tensor, present: Tensor, weights: Tensor, heard: _Heard) -> Tensor:
        model = self.trained.model
        if self.sets is not None and self.recipe.loss == "closp":
            return closp_loss(vectors @ model.text(self.sets.vectors_of(present)).T)
        targets, counts = wanted(self.bank.asked[heard.picked], present, weights)
        cosines = vectors @ heard.vectors.T
        if self.recipe.loss == "soft":
            return soft_target_loss(cosines, targets, counts, model.log_scale)
        return sigmoid_loss(cosines, targets, counts, model.log_scale, model.bias)


def _progress(steps: int, seconds: float | None) -> Iterator[tuple[int, float]]:
    """Numbers of steps from 1, and the share of the budget that is used after each, until it is spent."""
    start, step, used = time.monotonic(), 0, 0.0
    while used < 1:
        step += 1
        used = min(step / steps if seconds is None else (time.monotonic() - start) / seconds, 1.0)
        yield step, used


def fit(
    recipe: Recipe,
    pools: Mapping[Sensor, Loaded],
    bank: Bank,
    head: TextHead,
    *,
    seed: int,
    device: torch.device,
    sets: LabelSets | None = None,
    seconds: float | None = None,
    compiled: bool = False,
) -> Fitted:
    """Train one model.

    Args:
        recipe: how.
        pools: of the recipe's sensors.
        bank: sentences.
        head: the text head as text alone has taught it; a copy is trained on.
        seed: of every draw; on one kind of device the same seed gives the same model to rounding.
        device: of the gradient steps.
        sets: captions of sets of labels, which the recipe `closp` needs.
        seconds: of wall time instead of the recipe's steps, for a machine that is lent by the minute; the curve says
            how many steps it was.
        compiled: build the image encoders for this machine first: half a minute with a C++ compiler, then steps in
            half the time.
    """
    torch.manual_seed(seed)
    draws = Draws(np.random.default_rng(seed), torch.Generator(device=device).manual_seed(seed))
    model = NanoModel(deepcopy(head)).to(device).train()
    trained = _Trained(model, None if recipe.location == "none" else Located().to(device)).train()
    text_loss = TextLoss(bank.vectors.mean(dim=0), TextRecipe()).to(device)
    text = [*model.text.parameters()]
    mine = {id(each) for each in text}
    others = [each for each in trained.parameters() if id(each) not in mine]
    rate = recipe.learning_rate
    groups = [
        {"params": others, "weight_decay": 0.02},
        {"params": text, "weight_decay": 0.0},
        {"params": list(text_loss.parameters()), "weight_decay": 0.0},
    ]
    optimiser = AdamW(groups, rate)
    schedule = OneCycleLR(optimiser, [rate, rate / 10, rate / 10], total_steps=SCHEDULE + 1, pct_start=0.1)
    averaged = _Averaged(trained)
    fitted = Fitted(model, trained.located)
    stepper = _Step(recipe, trained, bank, sets, draws, compiled=compiled)
    running: dict[str, Tensor] = {}
    for step, used in _progress(recipe.steps, seconds):
        picked = bank.draw(recipe.sentences, draws.chips)
        clean = bank.vectors[picked]
        blurred = clean + draws.normal(*clean.shape) * TEXT_NOISE
        heard = model.text(blurred)
        loss = TEXT_WEIGHT * text_loss(model.text.bare(blurred), clean, bank.asked[picked])
        for sensor in recipe.sensors:
            one = stepper.loss(sensor, pools[sensor], _Heard(picked, heard))
            loss = loss + one
            running[sensor] = 0.98 * running.get(sensor, one.detach()) + 0.02 * one.detach()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        while schedule.last_epoch < int(used * SCHEDULE):
            schedule.step()
        averaged.follow(trained, step)
        if used >= (len(fitted.curve) + 1) / ROWS:
            row = {"step": float(step)} | {name: round(float(value), 4) for name, value in running.items()}
            fitted.curve.append(row)
            _log.info("training", recipe=recipe.name, seed=seed, **row)
    best = averaged.mean.eval()
    fitted.model, fitted.located = best.model, best.located
    return fitted


@torch.no_grad()
def embedded(model: NanoModel, pool: Loaded, sensor: Sensor, bands: tuple[float, ...] | None = None) -> Tensor:
    """Vectors of a whole pool as simulated: (n, 384) on the pool's device.

    Args:
        model: in evaluation mode.
        pool: its chips.
        sensor: of the pool.
        bands: 1 for bands that are there, 0 for the others; `None`: those of L2A, or both polarisations.
    """
    device = pool.fractions.device
    width = pool.means.shape[1]
    default = [0.0 if sensor == "s2" and band == 10 else 1.0 for band in range(width)]
    there = torch.tensor(bands or default, device=device)[None, :, None, None]
    parts = []
    for start in range(0, len(pool.fractions), 256):
        rows = torch.arange(start, min(start + 256, len(pool.fractions)), device=device)
        batch = pool.batch(rows)
        valid = batch.valid * there
        parts.append(model.images[sensor](Reduced(batch.means * (valid > 0), batch.spread, valid)).float())
    return torch.cat(parts)
