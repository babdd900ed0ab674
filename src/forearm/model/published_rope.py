"""Reads what a released config.json says of rotary positions: `rope_scaling`, later called `rope_parameters`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from forearm.errors import FieldError, listing
from forearm.model.published_fields import Json
from forearm.model.rotary import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling

_COMMON = ("rope_type", "type", "rope_theta", "partial_rotary_factor")
# Which fields each type has. Beyond `max_position_embeddings` tokens nothing is read, and up to there "dynamic" does
# not stretch anything.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "dynamic": ("factor", "original_max_position_embeddings"),
    "linear": ("factor",),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
    "yarn": (
        "factor",
        "original_max_position_embeddings",
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "truncate",
    ),
}


def rope(text: Json) -> Json:
    """What `text_config` says of rotary frequencies and of the layers where they are stretched, under our names.

    Raises:
        FieldError: for what this code cannot obey.
    """
    named = {name: text[name] for name in ("rope_scaling", "rope_parameters") if text[name] is not None}
    read = {name: _scaling(f"text_config.{name}", given, text) for name, given in named.items()}
    if len(read) == 2 and read["rope_scaling"] != read["rope_parameters"]:
        raise FieldError("text_config.rope_parameters", named["rope_parameters"], "what rope_scaling says, or null")
    layers = text["rope_scaling_layers"]
    if layers is not None and not (isinstance(layers, list) and all(type(each) is int for each in cast(Any, layers))):
        raise FieldError("text_config.rope_scaling_layers", layers, "null or whole numbers")
    return {
        "rope_scaling": next(iter(read.values()), None),
        "scaled_layers": None if layers is None else tuple(cast(list[int], layers)),
    }


def _scaling(where: str, given: Any, text: Json) -> RopeScaling | None:
    if not isinstance(given, dict):
        raise FieldError(where, given, "null or an object")
    fields = cast(Json, given)
    kind = fields.get("rope_type", fields.get("type", "default"))
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise FieldError(f"{where}.rope_type", kind, listing(_FIELDS))
    for name, value in fields.items():
        if value is not None and name not in (*_COMMON, *_FIELDS[kind]):
            raise FieldError(f"{where}.{name}", value, f"a field of {kind!r}: {listing((*_COMMON, *_FIELDS[kind]))}")
    for name, only in (("rope_theta", text["rope_theta"]), ("partial_rotary_factor", 1.0)):
        if fields.get(name) not in (None, only):
            raise FieldError(f"{where}.{name}", fields[name], str(only))

    def number(name: str, otherwise: float | None = None) -> float:
        value = otherwise if fields.get(name) is None else fields[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise FieldError(f"{where}.{name}", value, "a number > 0")
        return value

    longest = int(number("original_max_position_embeddings", text["max_position_embeddings"]))
    match kind:
        case "linear":
            return LinearScaling(factor=number("factor"))
        case "llama3":
            slow, fast = number("low_freq_factor"), number("high_freq_factor")
            if fast <= slow:
                raise FieldError(f"{where}.high_freq_factor", fast, f"> low_freq_factor, {slow}")
            return Llama3Scaling(factor=number("factor"), original=longest, slow=slow, fast=fast)
        case "yarn":
            if text["rope_theta"] <= 1:
                raise FieldError("text_config.rope_theta", text["rope_theta"], "> 1 with yarn")
            factor = number("factor", text["max_position_embeddings"] / longest)
            whole = fields.get("truncate", True)
            if not isinstance(whole, bool):
                raise FieldError(f"{where}.truncate", whole, "true or false")
            over, under = fields.get("mscale"), fields.get("mscale_all_dim")
            magnified = _magnitude(factor)
            if over and under:
                magnified = _magnitude(factor, number("mscale")) / _magnitude(factor, number("mscale_all_dim"))
            return YarnScaling(
                factor=factor,
                original=longest,
                slow=number("beta_slow", 1.0),
                fast=number("beta_fast", 32.0),
                whole=whole,
                attention=number("attention_factor", magnified),
            )
        case _:
            return None


def _magnitude(factor: float, scale: float = 1.0) -> float:
    """How much longer sequences flatten attention is made up for (arXiv 2309.00071, section 3.4)."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0
