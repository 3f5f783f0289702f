"""In: a folder, a seed and a budget of minutes. Out: a release of Tocsin-nano, trained on simulated chips alone.

Stops at the release: `evaluate` measures it, `encoders.nano` runs it.

    python -m training.train_nano --out encoders/weights/nano --seed 0 --minutes 40
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from encoders.nano_text import TextTower
from simulation.chips import Sensor
from training.augment import augmented
from training.captions import Caption, asked_labels, single_captions, targets, training_bank
from training.export import export_release
from training.losses import kinship, label_weights, presence, sigmoid_loss
from training.metrics import average_precision
from training.nano_model import NanoModel, Reduced
from training.phrases import LABELS, VOCABULARY
from training.pool import Pool, simulate_pool
from training.text_tower import build_text_tower

SENSORS: tuple[Sensor, ...] = ("s2", "s1")
"""Trained in turns, so that both meet in one text space."""

BATCH = 64
"""Chips a step."""

SENTENCES = 384
"""Sentences a step, drawn from the bank."""

LEARNING_RATE = 3e-3
"""Peak of the one-cycle schedule."""

TEXT_NOISE = 0.03
"""Standard deviation of the noise on each of a sentence vector's 384 numbers: words that mean the same lie near."""

TEXT_STEPS = 300
"""Steps of the text head alone, before any image: sentences that ask for the same are drawn together."""

TEXT_WEIGHT = 0.2
"""Share of that loss afterwards, so that images do not undo it."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Attributes:
        out: folder of the release.
        cache: folder of simulated chips.
        seed: of every draw.
        minutes: of gradient steps, both sensors together.
        steps: instead of minutes, if not 0: the same result whatever the machine's speed.
        chips: simulated chips a sensor.
        threads: of torch.
        keep_text: take `text.onnx` and `tokenizer.json` as they lie in `out`.
    """

    out: Path
    cache: Path
    seed: int
    minutes: float
    steps: int
    chips: int
    threads: int
    keep_text: bool


@dataclass(frozen=True, slots=True)
class Bank:
    """Training sentences with MiniLM's vectors, float32 (m, 384)."""

    captions: list[Caption]
    vectors: Tensor

    def sample(self, count: int, random: np.random.Generator) -> "Bank":
        """Some of the sentences."""
        chosen = random.choice(len(self.captions), min(count, len(self.captions)), replace=False)
        return Bank([self.captions[i] for i in chosen], self.vectors[torch.from_numpy(chosen)])


def reduced_rows(pool: Pool, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Some chips of a pool as float32: means, spread, valid."""
    means, spread, valid = (torch.from_numpy(a[rows]).float() for a in (pool.means, pool.spread, pool.valid))
    return means, spread, valid


def _heard(model: NanoModel, sample: Bank, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sentences in the shared space, blurred a little, and the loss of how they lie to each other."""
    noise = torch.randn(sample.vectors.shape, generator=random) * TEXT_NOISE
    sentences = model.text(sample.vectors + noise)
    kin, weights = kinship(torch.from_numpy(asked_labels(sample.captions)))
    return sentences, sigmoid_loss(sentences @ sentences.T, kin, weights, model.text_log_scale, model.text_bias)


def _step(
    model: NanoModel, pool: Pool, bank: Bank, random: np.random.Generator, torch_random: torch.Generator
) -> Tensor:
    """The loss of one batch of one sensor."""
    rows = np.sort(random.choice(len(pool), BATCH, replace=False))
    chips = augmented(*reduced_rows(pool, rows), pool.sensor, torch_random)
    sample = bank.sample(SENTENCES, random)
    sentences, text_loss = _heard(model, sample, torch_random)
    cosines = model.images[pool.sensor](chips) @ sentences.T
    fractions = torch.from_numpy(pool.fractions[rows])
    there = presence(fractions).numpy() * pool.clearness[rows]
    wanted = torch.from_numpy(targets(sample.captions, there))
    weights = torch.from_numpy(targets(sample.captions, label_weights(fractions).numpy()))
    weights = torch.where(torch.tensor([not c.labels for c in sample.captions]), 0.5, weights)
    return sigmoid_loss(cosines, wanted, weights, model.log_scale, model.bias) + TEXT_WEIGHT * text_loss


def _train_text(model: NanoModel, bank: Bank, random: np.random.Generator, torch_random: torch.Generator) -> None:
    """Let the text head learn what asks for the same."""
    parameters = [*model.text.parameters(), model.text_log_scale, model.text_bias]
    optimiser = AdamW(parameters, 1e-3, weight_decay=0.0)
    for _ in range(TEXT_STEPS):
        _, loss = _heard(model, bank.sample(SENTENCES, random), torch_random)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    _log.info("text head trained", loss=round(loss.item(), 4))


def _progress(options: Options, start: float) -> Iterator[float]:
    """Share of the budget that is used, until it is spent: of steps if they are counted, else of time."""
    step = 0
    while (used := step / options.steps if options.steps else (time.monotonic() - start) / (60 * options.minutes)) < 1:
        yield used
        step += 1


def train(options: Options, bank: Bank, pools: Mapping[Sensor, Pool]) -> NanoModel:
    """Gradient steps until the budget is spent; the schedule follows the clock."""
    torch.manual_seed(options.seed)
    random, torch_random = np.random.default_rng(options.seed), torch.Generator().manual_seed(options.seed)
    model = NanoModel(bank.vectors.mean(dim=0)).train()
    _train_text(model, bank, random, torch_random)
    text = list(model.text.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith("text.")]
    optimiser = AdamW([{"params": others, "weight_decay": 0.02}, {"params": text, "weight_decay": 0.0}], LEARNING_RATE)
    schedule = OneCycleLR(optimiser, [LEARNING_RATE, LEARNING_RATE / 10], total_steps=10_001, pct_start=0.1)
    losses: dict[str, float] = dict.fromkeys(pools, 0.0)
    for step, used in enumerate(_progress(options, time.monotonic()), 1):
        for pool in pools.values():
            loss = _step(model, pool, bank, random, torch_random)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses[pool.sensor] += 0.02 * (loss.item() - losses[pool.sensor])
        while schedule.last_epoch < int(used * 10_000):
            schedule.step()
        if step % 50 == 0:
            _log.info("training", step=step, used=round(used, 3), **{k: round(v, 4) for k, v in losses.items()})
    return model.eval()


@torch.no_grad()
def embedded(model: NanoModel, pool: Pool) -> Tensor:
    """Vectors of a whole pool as simulated, L2A bands where it is optical: (n, 384)."""
    parts = []
    for start in range(0, len(pool), BATCH):
        means, spread, valid = reduced_rows(pool, np.arange(start, min(start + BATCH, len(pool))))
        wide = valid.expand(-1, means.shape[1], -1, -1).clone()
        if pool.sensor == "s2":
            wide[:, 10], means[:, 10] = 0, 0
        parts.append(model.images[pool.sensor](Reduced(means, spread, wide)))
    return torch.cat(parts)


def validate(model: NanoModel, tower: TextTower, pool: Pool) -> dict[str, dict[str, float]]:
    """Average precision per label on simulated chips, with trained and with held-out words."""
    images = embedded(model, pool).numpy()
    found: dict[str, dict[str, float]] = {}
    for words, held_out in (("trained", False), ("held_out", True)):
        captions = single_captions(held_out)
        with torch.no_grad():
            sentences = model.text(torch.from_numpy(tower.vectors([c.text for c in captions]))).numpy()
        scores = images @ sentences.T
        found[words] = {}
        for index, label in enumerate(LABELS):
            mine = [i for i, c in enumerate(captions) if c.labels == (index,)]
            sure = ~pool.unsure[:, index]
            positive = pool.fractions[sure, index] >= 0.1
            values = [average_precision(scores[sure, i], positive) for i in mine]
            found[words][label] = round(float(np.mean(values)), 3)
        found[words]["mean"] = round(float(np.nanmean(list(found[words].values()))), 3)
    return found


def background(model: NanoModel, tower: TextTower, pool: Pool) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the cosine of each label's own name with chips that lack it."""
    with torch.no_grad():
        names = model.text(torch.from_numpy(tower.vectors([name.lower() for name in LABELS]))).numpy()
    scores = embedded(model, pool).numpy() @ names.T
    rows = {}
    for index, label in enumerate(LABELS):
        without = scores[pool.fractions[:, index] < 0.01, index]
        rows[label] = (round(float(without.mean()), 4), round(float(without.std()), 4))
    return rows


def _command(options: Options) -> str:
    """What to type for the same again."""
    budget = f"--steps {options.steps}" if options.steps else f"--minutes {options.minutes:g}"
    return f"python -m training.train_nano --seed {options.seed} {budget} --chips {options.chips}"


def arguments() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train_nano", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the release")
    parser.add_argument("--cache", type=Path, default=Path("build/chips"), help="folder of simulated chips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=40.0, help="of gradient steps, both sensors together")
    parser.add_argument("--steps", type=int, default=0, help="instead of minutes: repeatable on any machine")
    parser.add_argument("--chips", type=int, default=16_000, help="simulated chips a sensor")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep-text", action="store_true", help="the text tower already lies in OUT")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Text tower, chips, training, export."""
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    captions = training_bank(options.seed)
    if not options.keep_text:
        topics = [c.text for c in single_captions()]
        needed = [c.text for c in captions + single_captions(held_out=True)] + list(VOCABULARY)
        fidelity = build_text_tower(options.out, needed, topics, options.seed)
        _log.info("text tower written", **fidelity)
    tower = TextTower(options.out, options.threads)
    bank = Bank(captions, torch.from_numpy(tower.vectors([c.text for c in captions])))
    pools = {s: simulate_pool(options.cache, s, options.chips, options.seed + 1) for s in SENSORS}
    unseen = {s: simulate_pool(options.cache, s, 1000, options.seed + 900) for s in SENSORS}
    model = train(options, bank, pools)
    torch.save(model.state_dict(), options.cache / "nano.pt")
    facts: dict[str, object] = {
        "command": _command(options),
        "validation": {s: validate(model, tower, pool) for s, pool in unseen.items()},
        "background": {s: background(model, tower, pool) for s, pool in unseen.items()},
    }
    release = export_release(model, options.out, facts)
    _log.info("release written", release=release, **{s: json.dumps(v) for s, v in facts["validation"].items()})  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
