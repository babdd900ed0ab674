"""Typed values as plain JSON values, back again bit for bit, and described by JSON schema.

The dataclass annotations are the only description: a field added to a message is logged without a change here. Floats
keep all their bits (Python writes the shortest text that reads back the same), but a NaN is just NaN; it and the
infinities, which JSON does not have, are the strings that protobuf's JSON mapping uses for them.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast

import numpy as np
from numpy.typing import NDArray

from forearm.errors import LogError, listing, unknown

Json = dict[str, Any]

_NON_FINITE = ("NaN", "Infinity", "-Infinity")  # https://protobuf.dev/programming-guides/json
_NUMBER: Json = {"anyOf": [{"type": "number"}, {"enum": list(_NON_FINITE)}]}


@cache
def _annotations(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _plain_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain_array(value: NDArray[Any]) -> Any:
    flat: list[Any] = value.ravel().tolist()
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        flat = [_plain_float(item) for item in flat]
    return flat if value.ndim == 1 else {"shape": list(value.shape), "values": flat}


def plain(value: Any) -> Any:
    """`value` as what `json.dumps` takes: dataclasses as objects, enums by name, arrays as numbers.

    A vector is a list; any other array is `{"shape": […], "values": […]}` in C order, so that empty ones keep their
    shape.

    Raises:
        LogError: for a value of a type that no message holds.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return _plain_float(value)
    if isinstance(value, np.ndarray):
        return _plain_array(cast(NDArray[Any], value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in cast(tuple[Any, ...], value)]
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    raise LogError(f"log value: got a {type(value).__name__}, allowed are a message's types; log a message instead")


def _array(annotation: Any, value: Any) -> NDArray[Any]:
    dtype = typing.get_args(typing.get_args(annotation)[1])[0]
    if isinstance(value, dict):
        shaped = cast(Json, value)
        return np.array(shaped["values"], dtype=dtype).reshape(shaped["shape"])
    return np.array(value, dtype=dtype)


def _message(kind: type, value: Json) -> Any:
    """The dataclass `kind` from its fields; a field that an older writer did not know takes its default."""
    given = {name: typed(hint, value[name]) for name, hint in _annotations(kind).items() if name in value}
    for each in fields(kind):
        if each.name not in given and each.default is MISSING and each.default_factory is MISSING:
            raise LogError(
                f"{kind.__name__}: got {listing(value)}, {each.name} must be among them; record the run again"
            )
    return kind(**given)


def typed(annotation: Any, value: Any) -> Any:
    """The value of type `annotation` that `plain` turned into `value`.

    Raises:
        LogError: when `value` is not one of that type.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    try:
        if origin in (Union, UnionType):
            kept = [each for each in arguments if each is not NoneType]
            return None if value is None else typed(kept[0], value)
        if origin is Literal:
            if value not in arguments:
                raise LogError(unknown("log field", value, arguments))
            return value
        if origin is np.ndarray:
            return _array(annotation, value)
        if origin is tuple:
            return tuple(typed(arguments[0], item) for item in value)
        if origin is Mapping:
            return {key: typed(arguments[1], item) for key, item in value.items()}
        if issubclass(annotation, IntEnum):
            return annotation[value]
        if is_dataclass(annotation):
            return _message(cast(type, annotation), value)
        return annotation(value)  # str, int, float: float("NaN") too
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, LogError):
            raise
        raise LogError(f"log field: got {value!r}, allowed is a {annotation}; record the run again") from error


def schema(annotation: Any) -> Json:
    """The JSON schema of what `plain` writes for a value of type `annotation`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, UnionType):
        return {"anyOf": [schema(each) for each in arguments]}
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is np.ndarray:
        integers: Json = {"type": "array", "items": {"type": "integer"}}
        values: Json = {"type": "array", "items": _NUMBER}
        shaped: Json = {"type": "object", "properties": {"shape": integers, "values": values}}
        return {"anyOf": [values, shaped]}
    if origin is tuple:
        return {"type": "array", "items": schema(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if annotation is NoneType:
        return {"type": "null"}
    if issubclass(annotation, IntEnum):
        return {"type": "string", "enum": [each.name for each in annotation]}
    if is_dataclass(annotation):
        hints = _annotations(cast(type, annotation))
        return {"type": "object", "properties": {name: schema(hint) for name, hint in hints.items()}}
    return {str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer"}, float: _NUMBER}[annotation]
