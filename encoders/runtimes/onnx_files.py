"""In: an ONNX file. Out: the model it says it is, read from and written to its metadata.

Stops at the name: whether the file computes that model, the comparison with the reference tells.
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from encoders.runtime import EngineRefused

MODEL_KEY = "tocsin.model"
"""Key in `metadata_props`. Its value is the release and the tower, for example ``"closp-rn-0123456789ab-s2"``."""


def read_onnx(path: Path) -> onnx.ModelProto:
    """The parsed file.

    Raises:
        EngineRefused: there is none, or it is truncated or not ONNX.
    """
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise EngineRefused(f"{path} cannot be read as ONNX ({error}): export it again") from error
    if not model.graph.node:
        raise EngineRefused(f"{path} holds no graph: export it again")
    return model


def stamp_model(path: Path, model: str) -> None:
    """Write into a file which model it is; an earlier stamp is replaced."""
    content = read_onnx(path)
    others = {each.key: each.value for each in content.metadata_props if each.key != MODEL_KEY}
    onnx.helper.set_model_props(content, others | {MODEL_KEY: model})
    onnx.save(content, str(path))


def model_of(content: onnx.ModelProto) -> str | None:
    """The model that a file says it is; ``None`` where it bears no stamp."""
    return next((each.value for each in content.metadata_props if each.key == MODEL_KEY), None)


def read_model(path: Path, model: str) -> onnx.ModelProto:
    """The parsed file of one certain model.

    Raises:
        EngineRefused: it cannot be read, or it says that it is another.
    """
    content = read_onnx(path)
    found = model_of(content)
    if found != model:
        raise EngineRefused(f"{path} is {found or 'of no stated model'}, not {model}: export {model} again")
    return content
