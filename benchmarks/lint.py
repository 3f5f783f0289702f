"""How often the prompt lint is right: good sentences left alone, strange ones caught.

In: held-out phrases of the twelve labels that chose no limit, and sentences of other kinds written for this alone.
Out: shares, one a line. Stops before any picture.

    python -m benchmarks.lint --json

Only `far`, `flat` and `alphabet` count as "outside what the release understands"; negations, numbers, dates and names
are counted apart, on sentences of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from alerts.lint import lint
from benchmarks.report import emit
from encoders.nano import Nano
from schemas.logs import configure
from training.known import measuring

OUTSIDE = frozenset({"far", "flat", "alphabet"})

STRANGE: dict[str, tuple[str, ...]] = {
    "daily_life": (
        "a recipe for lentil soup",
        "quarterly earnings of a bank",
        "my neighbour plays the violin",
        "the second half of the match was boring",
        "an app for learning Spanish",
        "terms and conditions apply",
        "she forgot her umbrella at the cinema",
        "download the latest driver",
        "how to tie a bow tie",
        "a birthday present for my aunt",
        "the prime minister resigned",
        "cheap flights and hotels",
        "symptoms of a cold",
        "the plot of the novel is thin",
        "a green sofa with two cushions",
        "password must contain eight characters",
        "the orchestra tunes its instruments",
        "a poem about longing",
        "minutes of the board meeting",
        "your parcel is on its way",
        "the theory of relativity",
        "a black cat asleep on a keyboard",
        "vegan lasagne",
        "interest rate on savings",
        "portrait of an old sailor",
    ),
    "other_senses": (
        "a flood of spam mail",
        "burnout at work",
        "the bride burst into tears",
        "fire three employees",
        "a shower of praise",
        "the crop of new graduates",
        "crash of the stock exchange",
        "she cropped her hair",
        "a sea of troubles in Hamlet",
        "an ice cold beer",
        "heated debate",
        "a stream of visitors",
        "the bank approved the loan",
        "plant manager",
        "a burning question",
        "earthshaking news from Hollywood",
        "the foundation course",
        "rivers of ink have been spilled",
        "branch office",
        "root password",
    ),
    "other_phenomena": (
        "ship wakes at sea",
        "whales near the surface",
        "aurora borealis",
        "a traffic jam on the motorway",
        "a crowd at a demonstration",
        "aeroplane contrails",
        "methane leak from a pipeline",
        "missile launch site",
        "an oil tanker being unloaded",
        "illegal fishing boats",
        "plastic waste floating in the ocean",
        "solar eclipse",
        "tank columns",
        "swarm of locusts",
        "refugees crossing a border",
        "a train derailment",
        "air quality",
        "noise pollution",
        "the price of wheat",
        "lightning",
        "volcanic lava flow",
        "a dust storm",
        "coral bleaching",
        "red tide algae",
        "a rocket on its pad",
    ),
    "noise": (
        "asdf qwer zxcv",
        "lorem ipsum dolor sit amet",
        "foo bar baz",
        "x",
        "0xDEADBEEF",
        "SELECT * FROM users",
        "the the the the",
        "hmm",
        "aaaaaaaaaaaaaaa",
        "tbd",
    ),
    "alphabets": (
        "пожар в лесу",
        "洪水",
        "حريق الغابات",
        "산불",
        "πλημμύρα",
        "🔥🔥🔥",
        "!!!",
        "火事の跡",
        "बाढ़",
        "שריפה",
    ),
}
"""Nothing of it chose a limit, and none of it is in training's own lists. Every second one, from the first, helped to
choose what is measured (that words count besides vectors); the figures are of the others."""

UNSEEN: dict[str, tuple[str, ...]] = {
    "negation": (
        "no flooding",
        "forest without fire damage",
        "fields that are not flooded",
        "burned area but not crops",
        "houses that have never collapsed",
        "smoke-free burn scar",
        "flooded fields except rice paddies",
        "water other than lakes",
        "buildings that weren't destroyed",
        "wetland with no open water",
    ),
    "number": (
        "more than 50 hectares burned",
        "three collapsed buildings",
        "a lake of 4 km2",
        "flood deeper than 2 m",
        "at least 100 destroyed houses",
        "ten burned fields",
        "40% of the village flooded",
        "hundreds of flooded homes",
    ),
    "date": (
        "floods in October 2024",
        "wildfire burn scar since last week",
        "burned area of 2023-08-14",
        "flooded fields yesterday",
        "snow cover in early March",
        "collapsed buildings on Monday",
    ),
    "place": (
        "wildfires in Portugal",
        "flooded fields along the Ebro",
        "collapsed buildings in Kathmandu",
        "burn scars of New South Wales",
        "snow on Mount Etna",
        "floods near Porto Alegre",
    ),
}
"""Sentences whose words a picture cannot answer."""


def main() -> None:
    """Measure the release that is committed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lint", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    encoder = Nano()
    good = measuring()
    emit("lint_good_flagged_share", _share(encoder, good), "1")
    for kind in ("far", "flat"):
        emit(f"lint_good_{kind}_share", _kind_share(encoder, good, kind), "1")
    measured = {name: sentences[1::2] for name, sentences in STRANGE.items()}
    for name, sentences in measured.items():
        emit(f"lint_{name}_caught_share", _share(encoder, sentences), "1")
    strange = [sentence for sentences in measured.values() for sentence in sentences]
    emit("lint_strange_caught_share", _share(encoder, strange), "1", floor=0.8)
    for name, sentences in UNSEEN.items():
        emit(f"lint_{name}_caught_share", _kind_share(encoder, sentences, name), "1", floor=0.8)
    words = [sum(_kind_share(encoder, [one], kind) for kind in UNSEEN) > 0 for one in good]
    emit("lint_good_words_share", sum(words) / len(words), "1")
    emit("lint_good_sentences", len(good), "sentences")
    emit("lint_strange_sentences", len(strange), "sentences")


def _share(encoder: Nano, sentences: Sequence[str]) -> float:
    """Share of which lint says that it is outside."""
    flagged = [any(doubt.kind in OUTSIDE for doubt in lint(one, encoder).doubts) for one in sentences]
    return sum(flagged) / len(flagged)


def _kind_share(encoder: Nano, sentences: Sequence[str], kind: str) -> float:
    """Share that has a doubt of a kind."""
    return sum(any(doubt.kind == kind for doubt in lint(one, encoder).doubts) for one in sentences) / len(sentences)


if __name__ == "__main__":
    main()
