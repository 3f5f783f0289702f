"""In: an encoder and sources of labelled chips. Out: every figure, curve and picture that says how good it is.

Stops at the evaluation: `report` and `commands.evaluate` show it. Nothing here is ever trained on or tuned to. This is
the table of contents; what each figure means is in docs/evaluation.md.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from encoders.interface import Encoder
from schemas.errors import NotFound, UsageError
from simulation.chips import Sensor
from training.acceptance import Figures, evaluate_feed, measures_of
from training.appearance import appearance
from training.calibration import Curve, calibration
from training.contact_sheets import Shown
from training.crises import lookalike_ranks, pairs_of_feed, simulated_pairs
from training.examples import items_of, open_tested, samples_of, windows_of
from training.feed import read_feed
from training.figures import Document, Figure, finite, nested, of_source
from training.holdout import SEED_OF_SETS, held_out
from training.phrases import LABELS
from training.retrieval import paraphrases, retrieval
from training.scored import Scored, score, together
from training.staged import staged

__all__ = ["Evaluation", "document", "evaluate", "evaluate_feed"]

SENSORS: tuple[Sensor, ...] = ("s2", "s1")

EVENTS_SHARE = 0.1
"""Places of each event, look-alikes and series of each kind, as a share of the chips of a simulated set."""

LEAST_EVENTS = 20
"""But at least so many: below, average precision jumps by steps."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The chips that a label's own words rank first.

    Attributes:
        source: `feed`, `corpus` or `simulated`.
        rule: which chips took part.
        sensor: ``"s2"`` or ``"s1"``.
        label: whose words.
        shown: best first.
    """

    source: str
    rule: str
    sensor: str
    label: str
    shown: list[Shown]


@dataclass
class Evaluation:
    """Everything about one encoder.

    Attributes:
        release: which.
        figures: of all sources.
        measures: of the feed, by the names that releases are accepted by; empty without a feed.
        curves: reliability curves by source.
        sheets: contact sheets.
        left_out: chips that could not be used and why, by source.
        sources: where the chips came from, in words, by source.
    """

    release: str
    figures: list[Figure] = field(default_factory=list)
    measures: dict[str, Figures] = field(default_factory=dict)
    curves: dict[str, list[Curve]] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, source: str, figures: list[Figure]) -> None:
        """Figures of a source."""
        self.figures += of_source(figures, source)

    def add_scored(self, source: str, scored: Scored, rule: str, encoder: Encoder) -> None:
        """Retrieval, paraphrases and calibration of a set of chips."""
        self.add(source, retrieval(scored, rule))
        self.add(source, paraphrases(scored, encoder, rule))
        figures, curves = calibration(scored, rule)
        self.add(source, figures)
        self.curves.setdefault(source, []).extend(curves)

    def add_together(self, source: str, sensors: list[Scored], rule: str) -> None:
        """Retrieval from the chips of both sensors at once, where there are two."""
        if len(sensors) > 1:
            self.add(source, retrieval(together(sensors), rule))

    def add_sheets(self, source: str, scored: Scored, rule: str) -> None:
        """Contact sheets of a set of chips."""
        for number, label in enumerate(LABELS):
            shown = scored.pictures.sheet(number)
            if any(each.verdict == "right" for each in shown) or (scored.gains[:, number] > 0).any():
                self.sheets.append(Sheet(source, rule, scored.sensor, label, shown))


def evaluate(
    encoder: Encoder,
    *,
    feed: Path | None = None,
    corpus: Path | None = None,
    simulated: int | None = None,
    tell: Tell = lambda _: None,
) -> Evaluation:
    """Everything about one encoder on one or several sources.

    Args:
        encoder: under test.
        feed: folder with `labels.parquet`, items and COGs.
        corpus: folder in CrisisLandMark's layout; only its split `test` is looked at.
        simulated: chips for each sensor and set.
        tell: is told what is being done.

    Raises:
        UsageError: no source, or no simulated chips; `NotFound`: a source is not there or is empty.
        UnreadableAsset: a source is damaged.
        SettingsError: a package that a source needs is not installed.
    """
    if feed is None and corpus is None and simulated is None:
        raise UsageError("nothing to evaluate on: give --feed DIR, --corpus DIR or --simulated N")
    if simulated is not None and simulated <= 0:
        raise UsageError(f"--simulated {simulated}: give the number of chips for each sensor, for example 1000")
    done = Evaluation(encoder.release)
    if feed is not None:
        _on_feed(encoder, feed, done, tell)
    if corpus is not None:
        _on_corpus(encoder, corpus, done, tell)
    if simulated is not None:
        _on_simulated(encoder, simulated, done, tell)
    return done


def _on_feed(encoder: Encoder, folder: Path, done: Evaluation, tell: Tell) -> None:
    tell(f"reading {folder}")
    chips = list(read_feed(folder))
    left_out = done.left_out.setdefault("feed", [])
    done.sources["feed"] = f"real acquisitions in {folder.name}: {len({c.item for c in chips})} items"
    tell("measuring what releases are accepted by")
    done.measures = measures_of(encoder, chips)
    tell("ranking items")
    items = list(score(encoder, items_of(chips), left_out).values())
    for scored in items:
        done.add_scored("feed", scored, "known", encoder)
        done.add("feed", retrieval(scored.all_known(), "unknown as negative"))
        done.add_sheets("feed", scored, "known")
    done.add_together("feed", items, "known")
    for scored in score(encoder, windows_of(chips), left_out).values():
        done.add_scored("feed", scored, "windows", encoder)
    done.add("feed", pairs_of_feed(encoder, chips))
    left_out[:] = sorted(set(left_out))


def _on_corpus(encoder: Encoder, folder: Path, done: Evaluation, tell: Tell) -> None:
    tell(f"reading {folder}")
    opened = open_tested(folder)
    left_out = done.left_out.setdefault("corpus", [])
    by_sensor = score(encoder, samples_of(opened), left_out)
    left_out += opened.problems
    if not by_sensor:
        raise NotFound(f"{folder}: not one chip of split test can be used; the first reason: {left_out[0]}")
    done.sources["corpus"] = f"split test of {folder.name}: {sum(map(len, by_sensor.values()))} chips"
    for scored in by_sensor.values():
        done.add_scored("corpus", scored, "as labelled", encoder)
        done.add_sheets("corpus", scored, "as labelled")
    done.add_together("corpus", list(by_sensor.values()), "as labelled")


def _on_simulated(encoder: Encoder, count: int, done: Evaluation, tell: Tell) -> None:
    left_out = done.left_out.setdefault("simulated", [])
    done.sources["simulated"] = f"{count} chips for each sensor and set, of seeds that are never trained on"
    sensors = [sensor for sensor in SENSORS if sensor in encoder.sensors]
    for name in SEED_OF_SETS:
        both: list[Scored] = []
        for sensor in sensors:
            tell(f"simulating {count} chips of {sensor}, {name}")
            both += score(encoder, held_out(name, sensor, count), left_out).values()
        for scored in both:
            done.add_scored("simulated", scored, f"{name}, clear", encoder)
            done.add("simulated", retrieval(scored.all_known(), f"{name}, strict"))
            done.add_sheets("simulated", scored, f"{name}, clear")
        done.add_together("simulated", both, f"{name}, clear")
    few = max(LEAST_EVENTS, round(count * EVENTS_SHARE))
    for sensor in sensors:
        tell(f"simulating events, look-alikes and series of {sensor}")
        _on_events(encoder, few, sensor, done)


def _on_events(encoder: Encoder, count: int, sensor: Sensor, done: Evaluation) -> None:
    figures, events = simulated_pairs(encoder, count, sensor)
    done.add("simulated", figures)
    stage = staged()
    if stage is None:
        done.left_out["simulated"].append(f"look-alikes and series of {sensor}: this build's simulator makes none")
        return
    ranks = lookalike_ranks(encoder, events, count, sensor, stage.kinds_for, stage.make_lookalikes)
    done.add("simulated", ranks)
    done.add("simulated", appearance(encoder, count, sensor, stage.distractors, stage.make_series))


def document(done: Evaluation) -> dict[str, object]:
    """An evaluation as JSON has it; pictures stay in the report."""
    sources: dict[str, object] = {}
    for source, words in done.sources.items():
        found: dict[str, object] = {"what": words, "left_out": done.left_out.get(source, [])}
        if source == "feed":
            found["measures"] = _measures(done.measures)
        found |= nested(figure for figure in done.figures if figure.source == source)
        found["curves"] = [asdict(curve) for curve in done.curves.get(source, [])]
        sources[source] = found
    return {"release": done.release, "sources": sources}


def _measures(measures: dict[str, Figures]) -> Document:
    return {measure: {name: finite(value) for name, value in figures.items()} for measure, figures in measures.items()}
