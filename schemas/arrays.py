"""Arrays inside messages: numpy in memory, base64 with dtype and shape in JSON.

Flows in: numpy arrays. Flows out: a JSON object that any language can read. Stops before compression: vectors
of floats hardly shrink.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import numpy as np
from pydantic import GetJsonSchemaHandler, PlainSerializer, PlainValidator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

DTYPES = {"float32": "<f4", "uint8": "|u1"}
"""What may travel, little-endian."""


def encode(array: np.ndarray[Any, np.dtype[Any]]) -> dict[str, object]:
    """`{"dtype", "shape", "base64"}` of a float32 or uint8 array of any shape."""
    name = array.dtype.name
    raw = np.ascontiguousarray(array.astype(DTYPES[name], copy=False)).tobytes()
    return {"dtype": name, "shape": list(array.shape), "base64": base64.b64encode(raw).decode()}


def decode(value: object) -> np.ndarray[Any, np.dtype[Any]]:
    """The array of what `encode` wrote, read-only.

    Raises:
        ValueError: unknown dtype, bytes that are not base64, a shape that does not fit, or NaN among floats.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, dict) and value.get("dtype") in DTYPES:
        try:
            raw = base64.b64decode(str(value.get("base64")), validate=True)
            array = np.frombuffer(raw, DTYPES[value["dtype"]]).reshape([int(n) for n in value["shape"]])
        except (binascii.Error, TypeError, KeyError) as error:
            raise ValueError(f"not an array: {error}") from error
    else:
        raise ValueError("expected an object with dtype (float32 or uint8), shape and base64")
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise ValueError("the array holds NaN or infinity")
    array.flags.writeable = False
    return array


class _ArraySchema:
    @classmethod
    def __get_pydantic_json_schema__(cls, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "properties": {
                "dtype": {"enum": sorted(DTYPES)},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "base64": {"type": "string", "contentEncoding": "base64"},
            },
            "required": ["dtype", "shape", "base64"],
        }


Array = Annotated[
    np.ndarray[Any, np.dtype[Any]],
    PlainValidator(decode),
    PlainSerializer(encode, return_type=dict[str, object]),
    _ArraySchema,
]
"""A numpy array as a message field."""
