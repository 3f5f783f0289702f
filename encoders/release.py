"""In: the name or path of a release. Out: its encoder, ready.

Stops at dispatch: each family opens its own files, and imports its runtime only then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from encoders.cache import engines_folder, releases_folder
from encoders.interface import Encoder, Pixels
from schemas.backends import Backend, Precision
from schemas.errors import ReleaseNotFound, SettingsError

WEIGHTS = "model.safetensors"
"""Name of the weights in a pulled release."""

TOKENIZER = "tokenizer.json"
"""Name of the tokenizer beside the weights."""

REPOSITORIES: dict[str, str] = {
    "closp-rn": "DarthReca/CLOSP-RN",
    "closp-vs": "DarthReca/CLOSP-VS",
    "closp-vl": "DarthReca/CLOSP-VL",
    "geoclosp-rn": "DarthReca/GeoCLOSP-RN",
}
"""Where the published releases can be pulled from, on the Hugging Face hub."""

NANO = "nano"
"""The release that ships with Tocsin."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a release's weights and tokenizer are."""

    weights: Path
    tokenizer: Path


def load(
    release: str | Path,
    *,
    threads: int | None = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    chips: Callable[[str], Pixels] | None = None,
) -> Encoder:
    """Open a release.

    Args:
        release: ``"nano"``, a name of `REPOSITORIES` or of another pulled release, or the path of a folder: one
            that `training.train_nano` wrote, or safetensors (the file itself will do) with a `tokenizer.json`.
        threads: threads for one batch; ``None``: all cores that this process may use.
        backend: what runs a CLOSP release, see `schemas.backends.Backend`; nano runs on ONNX Runtime only.
        precision: what a CLOSP release computes in, see `schemas.backends.Precision`; nano computes in fp32 only.
        chips: makes chips of a sensor, for int8 engines that are not built yet.

    Raises:
        ReleaseNotFound: nothing of that name here; the message says how to get it.
        ReleaseMismatch: its files are damaged or belong to another model.
        SettingsError: a package that it needs is not installed, or this machine has no such backend or precision.
    """
    folder = Path(release).expanduser()
    if str(release) == NANO or ((folder / "release.json").is_file() and (folder / "s2.onnx").is_file()):
        from encoders.nano import FOLDER, load_nano  # noqa: PLC0415 - each family brings its runtime

        _check_nano_runs_so(backend, precision)
        return load_nano(threads, FOLDER if str(release) == NANO else folder)
    files = find(release)
    if find_spec("safetensors") is None:
        raise SettingsError(f"{release} needs safetensors and torch: pip install 'tocsin[torch]'")
    from encoders.closp_release import load_closp  # noqa: PLC0415 - each family brings its runtime

    return load_closp(
        files.weights,
        files.tokenizer,
        engines=engines_folder(),
        threads=threads,
        backend=backend,
        precision=precision,
        chips=chips,
    )


def _check_nano_runs_so(backend: Backend, precision: Precision) -> None:
    if backend not in {"auto", "onnxruntime"} or precision not in {"auto", "fp32"}:
        raise SettingsError(
            f"nano runs on onnxruntime in fp32, not on {backend} in {precision}: leave TOCSIN_ENCODER_BACKEND and "
            "TOCSIN_ENCODER_PRECISION at auto, or choose a CLOSP release"
        )


def find(release: str | Path) -> Files:
    """The files of a release.

    Raises:
        ReleaseNotFound: no such name or path.
    """
    pulled = releases_folder() / str(release)
    if _is_name(str(release)) and (pulled / WEIGHTS).is_file():
        return Files(pulled / WEIGHTS, pulled / TOKENIZER)
    if str(release) in REPOSITORIES:
        repository = REPOSITORIES[str(release)]
        raise ReleaseNotFound(f"{release} is not on this machine: `tocsin encoder pull {repository}` fetches it")
    return _at(Path(release).expanduser())


def _is_name(release: str) -> bool:
    """Whether it could be the folder of a pulled release, and not a path that leads elsewhere."""
    return release not in {"", ".", ".."} and Path(release).name == release


def _at(path: Path) -> Files:
    if path.is_file():
        return Files(path, path.with_name(TOKENIZER))
    candidates = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if len(candidates) == 1:
        return Files(candidates[0], path / TOKENIZER)
    if path.is_dir():
        raise ReleaseNotFound(f"{path} has {len(candidates)} safetensors files: name the one to load")
    known = ", ".join((NANO, *REPOSITORIES))
    raise ReleaseNotFound(f"no encoder release {path}: use {known}, or the path of a folder with weights")
