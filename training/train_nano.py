"""In: a folder, a seed and a budget of steps. Out: a release of Tocsin-nano, trained on simulated chips alone.

Stops at the release: `tocsin evaluate` measures it, `encoders.nano` runs it.

    python -m training.train_nano --out encoders/weights/nano --seed 0 --steps 12000
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import torch

from schemas.logs import configure
from training.captions import single_captions, training_bank
from training.compare import data_of
from training.export import export_release
from training.fit import fit
from training.nano_model import NanoModel
from training.phrases import VOCABULARY
from training.recipes import NANO
from training.text_tower import build_text_tower
from training.unreleased import model_of
from training.validate import calibrated, validated

_log = structlog.get_logger("training")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Attributes:
        out: folder of the release.
        cache: folder of simulated chips.
        seed: of every draw.
        steps: gradient steps; each sees one batch of each sensor.
        batch: chips of each sensor a step.
        chips: simulated chips a sensor.
        unseen: simulated chips a sensor and set that are only looked at.
        workers: processes that simulate at once, and threads of torch.
        device: of the gradient steps, `cpu` or `cuda`.
        keep_text: take `text.onnx` and `tokenizer.json` as they lie in `out`.
        seconds: of gradient steps instead of `steps`, for a machine that is lent by the minute.
        compiled: build the image encoders for this machine first, which needs a C++ compiler.
        weights: write these and their facts instead of a release (`export` makes it one, elsewhere).
    """

    out: Path
    cache: Path
    seed: int
    steps: int
    batch: int
    chips: int
    unseen: int
    workers: int
    device: str
    keep_text: bool
    seconds: float | None
    compiled: bool
    weights: Path | None


def write_tower(folder: Path, seed: int) -> None:
    """The text tower, whose vocabulary knows every training sentence; held-out words are not looked at."""
    needed = [c.text for c in training_bank(seed)] + list(VOCABULARY)
    fidelity = build_text_tower(folder, needed, [c.text for c in single_captions()], seed)
    _log.info("text tower written", **fidelity)


def command(options: Options, steps: int) -> str:
    """What to type for the same again."""
    return (
        f"python -m training.train_nano --out {options.out.name} --seed {options.seed} --steps {steps} "
        f"--batch {options.batch} --chips {options.chips} --device {options.device}{' --compiled' * options.compiled}"
    )


def train(options: Options) -> tuple[NanoModel, dict[str, object]]:
    """Text tower, chips, training.

    Returns:
        The model in evaluation mode, and what is known of it.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.keep_text:
        write_tower(options.out, options.seed)
    device = torch.device(options.device)
    data = data_of(options.out, options.cache, options.chips, options.unseen, workers=options.workers, device=device)
    recipe = replace(NANO, steps=options.steps, batch=options.batch)
    start = time.monotonic()
    fitted = fit(
        recipe,
        data.pools,
        data.bank,
        data.head,
        seed=options.seed,
        device=device,
        seconds=options.seconds,
        compiled=options.compiled,
    )
    took, steps = time.monotonic() - start, int(fitted.curve[-1]["step"])
    return fitted.model, {
        "command": command(options, steps),
        "trained": {"device": str(device), "seconds": round(took), "chips": options.chips, "steps": steps},
        "validation": validated(fitted.model, data.unseen, data.names),
        "calibration": calibrated(fitted.model, {s: data.unseen["seen biomes", s] for s in recipe.sensors}, data.names),
        "curve": fitted.curve,
    }


def save(model: NanoModel, facts: dict[str, object], path: Path) -> None:
    """Weights and facts in one file, for export on another machine."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    torch.save({"state": {name: value.cpu() for name, value in state.items()}, "facts": json.dumps(facts)}, path)


def export(path: Path, folder: Path) -> str:
    """A release of weights that `save` wrote; the text tower lies in the folder already.

    Returns:
        The release's name.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    return export_release(model_of(saved["state"]), folder, json.loads(saved["facts"]))


def arguments() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train_nano", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the release")
    parser.add_argument("--cache", type=Path, default=Path("build/chips"), help="folder of simulated chips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=5000, help="gradient steps")
    parser.add_argument("--batch", type=int, default=64, help="chips of each sensor a step")
    parser.add_argument("--chips", type=int, default=16_000, help="simulated chips a sensor")
    parser.add_argument("--unseen", type=int, default=2000, help="chips to measure on, a sensor and set")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate at once")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--keep-text", action="store_true", help="the text tower already lies in OUT")
    parser.add_argument("--seconds", type=float, help="of gradient steps, instead of --steps")
    parser.add_argument("--compiled", action="store_true", help="build the encoders first: half the time")
    parser.add_argument("--weights", type=Path, help="write weights there instead of a release")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Train a release, or export one: `python -m training.train_nano export WEIGHTS FOLDER`."""
    configure("info", "training")
    if sys.argv[1:2] == ["export"]:
        _log.info("release written", release=export(Path(sys.argv[2]), Path(sys.argv[3])))
        return
    options = arguments()
    torch.set_num_threads(options.workers)
    model, known = train(options)
    if options.weights:
        save(model, known, options.weights)
        return
    release = export_release(model.cpu(), options.out, known)
    facts = json.loads((options.out / "release.json").read_text("utf-8"))
    _log.info("release written", release=release, **{k: v["mean"] for k, v in facts["validation"].items()})


if __name__ == "__main__":
    main()
