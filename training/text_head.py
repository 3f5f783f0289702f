"""In: sentences, what they ask for, MiniLM's vectors of them. Out: a head into the shared space that knows synonyms.

Stops before images: `train_nano` goes on from here; how well it generalises is measured by `text_report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UsageError
from training.captions import Caption, asked_labels
from training.phrases import LABELS

WIDTH = 384
"""Numbers of a sentence vector and of an embedding."""

VERSION = 2
"""Format of `text_head.npz`: 1 was the affine map alone, without a version; 2 adds hidden layer and prototypes."""

PULL = 4.0
"""How strongly a sentence that is surely about a label is drawn to the label's own name."""

SURE_FROM = 0.45
"""Cosine with a label's name from which the pull begins: field words outside the labels mostly lie below it."""

SHARPNESS = 10.0
"""Of the choice between labels that a sentence is about: 0.1 more cosine is e times the pull, so that neighbours
("flooded vegetation", "flooded area") are not drawn together, while a sentence about two labels goes to both."""

KIN: dict[tuple[str, str], float] = {
    ("Water", "Flooded Area"): 0.12,
    ("Water", "Flooded Vegetation"): 0.06,
    ("Grass", "Shrub and Scrub"): 0.08,
    ("Grass", "Crops"): 0.08,
    ("Bare", "Shrub and Scrub"): 0.06,
    ("Trees", "Shrub and Scrub"): 0.06,
    ("Built", "Earthquake Damage"): 0.08,
}
"""How much two labels ask for the same, 0-1: enough to order the neighbours, too little to confuse them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a head is trained on text alone.

    Attributes:
        hidden: width of the hidden layer; 0 is the affine map alone.
        noise: standard deviation on each of the 384 numbers of a unit sentence vector: what means the same lies near.
        steps: gradient steps.
        batch: sentences a step.
        learning_rate: peak of the one-cycle schedule.
        strangers: share of a batch that no chip answers.
        kin: whether related labels count as a little alike (`KIN`).
        apart: weight of the term that keeps strangers as far from each other as MiniLM has them.
        pull: see `PULL`; 0 leaves it out.
    """

    hidden: int = 256
    noise: float = 0.045
    steps: int = 600
    batch: int = 384
    learning_rate: float = 6e-3
    strangers: float = 0.3
    kin: bool = False
    apart: float = 0.5
    pull: float = PULL


class TextHead(nn.Module):
    """From MiniLM's sentence vectors into the shared space, shared by both sensors.

    An affine map that starts as the identity around the mean of the training sentences (what all of them have in
    common says nothing); a hidden layer that starts at zero and lets "burnt" and "charred" meet without dragging along
    all that lies between; and a pull towards the names of the labels that a sentence is surely about.

    Args:
        mean: float32, (384,), mean of the training sentences.
        names: float32, (12, 384), MiniLM's vectors of the labels' names.
        hidden: width of the hidden layer; 0 leaves it out.
        pull: see `PULL`.
    """

    names: Tensor

    def __init__(self, mean: Tensor, names: Tensor, hidden: int = 256, pull: float = PULL) -> None:
        super().__init__()
        self.pull = pull
        self.register_buffer("names", names.clone())
        self.map = nn.Linear(WIDTH, WIDTH)
        self.inner = nn.Linear(WIDTH, max(hidden, 1))
        self.outer = nn.Linear(max(hidden, 1), WIDTH, bias=False)
        with torch.no_grad():
            self.map.weight.copy_(torch.eye(WIDTH))
            self.map.bias.copy_(-mean)
            self.inner.weight.mul_(4)  # inputs are unit vectors: without it the layer starts almost linear
            self.outer.weight.zero_()
        self.outer.requires_grad_(hidden > 0)

    def bare(self, sentences: Tensor) -> Tensor:
        """MiniLM's vectors (n, 384) to unit vectors (n, 384), without the pull."""
        bent = self.outer(functional.relu(self.inner(sentences)))
        return functional.normalize(self.map(sentences) + bent, dim=-1)

    def prototypes(self) -> Tensor:
        """The labels' names in the shared space: unit vectors, (12, 384)."""
        return self.bare(self.names)

    def forward(self, sentences: Tensor) -> Tensor:
        """MiniLM's vectors (n, 384) to unit vectors (n, 384)."""
        heard, names = self.bare(sentences), self.prototypes()
        cosines = heard @ names.T
        sure = functional.relu(cosines - SURE_FROM) * (cosines * SHARPNESS).softmax(dim=-1)
        return functional.normalize(heard + self.pull * sure @ names, dim=-1)


def save_head(head: TextHead, path: Path) -> None:
    """Write `text_head.npz` for `encoders.nano_text.TextHead`: matrices in eight bits with a scale for each row."""
    names = ("map.weight", "map.bias", "inner.weight", "inner.bias", "outer.weight")
    state = head.state_dict()
    arrays = {name.replace("map.", "").replace(".", "_"): state[name].cpu().numpy() for name in names}
    stored: dict[str, NDArray[np.generic]] = {"prototypes": head.prototypes().detach().cpu().numpy().astype(np.float16)}
    for name, values in arrays.items():
        if values.ndim < 2:
            stored[name] = values.astype(np.float16)
            continue
        scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
        stored[name] = np.round(values / scale).astype(np.int8)
        stored[f"{name}_scale"] = scale.astype(np.float32)
    pull = np.array([head.pull, SURE_FROM, SHARPNESS], np.float32)
    np.savez_compressed(path, version=np.array(VERSION), pull=pull, **stored)  # type: ignore[arg-type]


def likeness(asked: Tensor, kin: bool = True) -> tuple[Tensor, Tensor]:
    """How much each two sentences ask for the same, and whether the pair says anything.

    Args:
        asked: float32, (m, 12), 1 for the labels that a sentence asks for; all 0 for strangers.
        kin: whether related labels count as a little alike.

    Returns:
        Shared labels over all labels of the two, at least the kinship of their labels, (m, m), 0-1; and 0 for pairs
        of strangers, else 1, (m, m).
    """
    shared, sizes = asked @ asked.T, asked.sum(dim=1)
    union = (sizes[:, None] + sizes[None] - shared).clamp(min=1)
    alike = shared / union
    if kin:
        table = torch.zeros(len(LABELS), len(LABELS), dtype=asked.dtype, device=asked.device)
        for (one, other), value in KIN.items():
            i, j = LABELS.index(one), LABELS.index(other)
            table[i, j] = table[j, i] = value
        pairs = (sizes[:, None] * sizes[None]).clamp(min=1)
        alike = torch.maximum(alike, asked @ table @ asked.T / pairs)
    strange = (sizes == 0).to(asked.dtype)
    return alike, 1 - strange[:, None] * strange[None]


class TextLoss(nn.Module):
    """How far sentences lie from where they should, by what they ask for; scale and prior are learnt.

    Args:
        mean: float32, (384,), mean of the training sentences.
        recipe: which of its terms count.
    """

    mean: Tensor

    def __init__(self, mean: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-4.0))
        self.register_buffer("mean", mean.clone())

    def forward(self, heard: Tensor, sentences: Tensor, asked: Tensor) -> Tensor:
        """Sigmoid loss of every pair, each judged by itself, so that equal captions are never negatives.

        Args:
            heard: unit vectors from the head, (m, 384).
            sentences: MiniLM's vectors without noise, (m, 384).
            asked: float32, (m, 12).

        Source: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", with graded targets.
        """
        alike, counts = likeness(asked, self.recipe.kin)
        cosines = heard @ heard.T
        logits = cosines * self.log_scale.exp() + self.bias
        losses = functional.binary_cross_entropy_with_logits(logits, alike, reduction="none")
        entropy = functional.binary_cross_entropy(alike, alike, reduction="none")
        loss = ((losses - entropy) * counts).sum() / counts.sum()
        before = functional.normalize(sentences - self.mean, dim=-1)
        drift = ((cosines - before @ before.T) ** 2 * (1 - counts)).sum() / (1 - counts).sum().clamp(min=1)
        return loss + self.recipe.apart * drift


def names_among(captions: Sequence[Caption], vectors: Tensor) -> Tensor:
    """The vectors of the labels' own names: float32, (12, 384).

    Raises:
        UsageError: the captions lack the name of a label.
    """
    rows = {caption.text: row for row, caption in enumerate(captions)}
    missing = [name for name in LABELS if name.lower() not in rows]
    if missing:
        raise UsageError(f"the captions lack the names of {', '.join(missing)}: train on `training_bank`")
    return vectors[[rows[name.lower()] for name in LABELS]]


def pretrained(
    captions: Sequence[Caption], vectors: Tensor, seed: int, recipe: Recipe | None = None, device: str = "cpu"
) -> TextHead:
    """A head that has learnt from text alone which sentences ask for the same.

    Args:
        captions: of the training bank.
        vectors: float32, (m, 384), MiniLM's vectors of them.
        seed: of every draw; the draws are the same on every device.
        recipe: how; the one that shipped unless told otherwise.
        device: of the gradient steps.

    Returns:
        The head, on that device.

    Raises:
        UsageError: the captions lack the name of a label.
    """
    recipe = recipe or Recipe()
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    asked = torch.from_numpy(asked_labels(captions))
    strange = asked.sum(dim=1) == 0
    odds = torch.where(
        strange, recipe.strangers / strange.sum().clamp(min=1), (1 - recipe.strangers) / (~strange).sum()
    )
    mean = vectors.mean(dim=0)
    head = TextHead(mean, names_among(captions, vectors), recipe.hidden, recipe.pull).to(device).train()
    loss_of = TextLoss(mean, recipe).to(device)
    optimiser = torch.optim.AdamW([*head.parameters(), *loss_of.parameters()], recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    for _ in range(recipe.steps):
        rows = torch.multinomial(odds, recipe.batch, generator=random)
        clean = vectors[rows].to(device)
        noise = torch.randn(clean.shape, generator=random).to(device) * recipe.noise
        loss = loss_of(head.bare(clean + noise), clean, asked[rows].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()
