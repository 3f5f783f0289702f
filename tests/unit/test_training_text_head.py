"""The text head: its loss, its training, its file, and the measure of words that nobody trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.nano import FOLDER
from encoders.nano_text import TextHead as RuntimeHead
from encoders.nano_text import TextTower
from schemas.errors import ReleaseMismatch, UsageError
from training.captions import Caption, single_captions, training_bank
from training.held_out import OTHER_FIELDS
from training.phrases import LABELS
from training.text_head import SURE_FROM, Recipe, TextHead, likeness, pretrained, save_head
from training.text_report import Asked, as_numpy, asked, far_from_names, near_names, stems, unseen_families

SMALL = Recipe(hidden=32, steps=60, batch=96, noise=0.02)


def toy(count: int = 40, seed: int = 0) -> tuple[list[Caption], torch.Tensor]:
    """Sentences around one direction a label, and strangers anywhere."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(9).normal(size=(len(LABELS), 384))
    captions = [Caption(f"{i}-{n}" if n else LABELS[i].lower(), (i,)) for i in range(len(LABELS)) for n in range(count)]
    vectors = np.concatenate([directions[i] + random.normal(size=(count, 384)) * 1.5 for i in range(len(LABELS))])
    captions += [Caption(f"stranger {n}", ()) for n in range(count)]
    vectors = np.concatenate([vectors, random.normal(size=(count, 384)) * 1.8]).astype(np.float32)
    return captions, torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_it_starts_as_the_identity_around_the_mean() -> None:
    _, vectors = toy(3)
    mean = vectors.mean(dim=0)
    expected = torch.nn.functional.normalize(vectors - mean, dim=-1)
    torch.testing.assert_close(TextHead(mean, vectors[:12], 16).bare(vectors), expected)


def test_the_pull_brings_what_is_surely_a_label_to_its_name_and_leaves_the_rest() -> None:
    captions, vectors = toy(10)
    head = pretrained(captions, vectors, 0, SMALL)
    names = head.prototypes()
    before, after = head.bare(vectors) @ names.T, head(vectors) @ names.T
    rows = torch.arange(120)
    labels = torch.tensor([c.labels[0] for c in captions[:120]])
    sure = before[rows, labels] > 0.5
    gain = after[rows, labels][sure] - before[rows, labels][sure]
    assert sure.any() and gain.min() > -1e-4 and gain.mean() > 0.02
    unsure = before.amax(dim=1) < SURE_FROM
    assert unsure.any()
    torch.testing.assert_close(after[unsure], before[unsure])


def test_a_bank_without_a_label_s_name_is_refused() -> None:
    captions, vectors = toy(10)
    with pytest.raises(UsageError, match="Water"):
        pretrained(captions[1:], vectors[1:], 0, SMALL)


def test_likeness_counts_shared_labels_orders_neighbours_and_ignores_pairs_of_strangers() -> None:
    asked = torch.zeros(4, 12)
    water, flood, trees = (LABELS.index(name) for name in ("Water", "Flooded Area", "Trees"))
    asked[0, water] = asked[1, flood] = asked[2, water] = asked[2, trees] = 1
    alike, counts = likeness(asked)
    assert alike[0, 0] == 1 and alike[0, 2] == 0.5
    assert 0 < alike[0, 1] < 0.3 and alike[0, 3] == 0
    assert likeness(asked, kin=False)[0][0, 1] == 0
    assert counts[3, 3] == 0 and counts[0, 3] == 1


def test_training_brings_unseen_sentences_of_a_label_together_and_leaves_strangers_apart() -> None:
    captions, vectors = toy()
    head = as_numpy(pretrained(captions, vectors, 0, SMALL))
    unseen, others = toy(seed=1)
    names = np.stack([vectors[i * 40 : i * 40 + 40].mean(dim=0).numpy() for i in range(12)])
    mine = np.array([bool(c.labels) for c in unseen])
    labels = np.array([c.labels[0] for c in unseen if c.labels])
    figures = near_names(head, names, Asked(others.numpy()[mine], labels))
    assert figures["right"] > 0.95 and figures["margin"] > 0.4
    strange = far_from_names(head, names, others.numpy()[~mine])
    assert strange["nearest"] < figures["own"] - 0.3


def test_same_seed_same_head() -> None:
    captions, vectors = toy(10)
    first, second = (pretrained(captions, vectors, 3, SMALL)(vectors) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, pretrained(captions, vectors, 4, SMALL)(vectors))


@pytest.mark.parametrize("hidden", [0, 24])
def test_the_stored_head_computes_what_torch_does(tmp_path: Path, hidden: int) -> None:
    captions, vectors = toy(10)
    head = pretrained(captions, vectors, 0, Recipe(hidden=hidden, steps=20, batch=64))
    save_head(head, tmp_path / "text_head.npz")
    with torch.no_grad():
        np.testing.assert_allclose(RuntimeHead(tmp_path)(vectors.numpy()), head(vectors).numpy(), atol=1e-2)


def test_an_affine_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    weight, bias = np.eye(384, dtype=np.float16) * 2, np.zeros(384, np.float16)
    np.savez(tmp_path / "text_head.npz", weight=weight, bias=bias)
    _, vectors = toy(2)
    np.testing.assert_allclose(RuntimeHead(tmp_path)(vectors.numpy()), vectors.numpy(), atol=1e-5)


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "text_head.npz", version=np.array(9), weight=np.eye(384), bias=np.zeros(384))
    with pytest.raises(ReleaseMismatch, match="format 9"):
        RuntimeHead(tmp_path)


def test_families_are_of_one_label_and_differ_by_seed() -> None:
    first, second = unseen_families(0), unseen_families(1)
    assert first and first != second
    assert stems("inundated fields") == {"inunda", "fields"}


def test_figures_of_a_head_that_confuses_everything() -> None:
    sentences = Asked(np.eye(384, dtype=np.float32)[:24], np.arange(24) % 12)
    figures = near_names(lambda v: np.ones((len(v), 1), np.float32), np.eye(384, dtype=np.float32)[:12], sentences)
    assert figures["right"] == 0 and figures["margin"] == 0


def test_words_that_nobody_trained_on_behave_like_their_label_s_name() -> None:
    tower = TextTower(FOLDER, 1)
    bank = training_bank(0, dressed=0, mixed=150, strangers=150, slips=0)
    vectors = torch.from_numpy(tower.vectors([c.text for c in bank]))
    head = as_numpy(pretrained(bank, vectors, 0, Recipe(steps=150)))
    names = tower.vectors([name.lower() for name in LABELS])
    figures = near_names(head, names, asked(tower, single_captions(held_out=True)))
    affine = near_names(lambda v: v, names, asked(tower, single_captions(held_out=True)))
    assert figures["right"] > 0.8 > affine["right"]
    assert figures["own"] > 0.75
    own = head(names)
    assert (own @ own.T - np.eye(12)).max() < 0.9, "names of two labels have become one"
    for phrase, label in (("charred forest", "Burned Area"), ("inundated fields", "Flooded Area")):
        meant = Asked(tower.vectors([phrase]), np.array([LABELS.index(label)]))
        assert near_names(head, names, meant)["own"] > 0.9
    assert far_from_names(head, names, tower.vectors(list(OTHER_FIELDS)))["nearest"] < 0.5
