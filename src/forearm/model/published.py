"""Reads a released checkpoint's config.json: every field is obeyed or, where it cannot be, refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from forearm.errors import CheckpointError, ConfigError, FieldError, listing
from forearm.model.config import (
    MOST,
    AdapterConfig,
    DepthConfig,
    ExpertConfig,
    FlowConfig,
    ModelConfig,
    TextConfig,
    VisionConfig,
)
from forearm.model.published_fields import (
    ADAPTER,
    ADAPTER_NAMES,
    BOILERPLATE,
    DEPTH_NAMES,
    EXPERT,
    EXPERT_NAMES,
    FLOW_NAMES,
    MODEL_NAMES,
    NULLABLE,
    PUBLISHED,
    SAME_ACTIVATION,
    TEXT,
    TEXT_NAMES,
    TOKEN_NAMES,
    TOP,
    UNUSED_IN_SECTIONS,
    VISION,
    VISION_NAMES,
    Json,
)
from forearm.model.published_rope import rope
from forearm.model.tokens import TokenIds

T = TypeVar("T")
_IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "whole numbers"}
_KERNELS = ("eager", "sdpa", "flash_attention_2")


def read_config(folder: Path) -> ModelConfig:
    """The configuration in `folder`: config.json, and generation_config.json for the end-of-text ids it may lack.

    Raises:
        CheckpointError: when the file is missing or is not JSON.
        ConfigError: for an unknown field, or a value that this code cannot obey.
    """
    raw = read_json(folder / "config.json")
    hides_eos = raw.get("eos_token_id") is not None
    generation = folder / "generation_config.json"
    if generation.is_file():
        more = read_json(generation)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if raw.get(name) is None and more.get(name) is not None:
                raw[name] = more[name]
    return parse_config(raw, hides_eos=hides_eos)


def read_json(path: Path) -> Json:
    """A JSON object from a file.

    Raises:
        CheckpointError: when the file is missing or holds anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.name}: not found in {path.parent}; give a checkpoint folder") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}; the file is damaged, download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: got {type(value).__name__}, allowed is a JSON object; download it again")
    return cast(Json, value)


def parse_config(raw: Mapping[str, Any], *, hides_eos: bool = True) -> ModelConfig:
    """The configuration that a released config.json describes.

    Args:
        raw: the file's content.
        hides_eos: whether it is the file itself that names the end-of-text token; only then is that token hidden from
            the action expert, as the released code does.

    Raises:
        ConfigError: for an unknown field, or a value that this code cannot obey.
    """
    top = _section("", raw, TOP)
    _only(top, "", state_format="discrete")
    text_raw = _section("text_config", top["text_config"], TEXT)
    text = _built(lambda: _text(text_raw))
    adapter = _section("adapter_config", top["adapter_config"], ADAPTER)
    if adapter["text_hidden_size"] != text.width:
        raise _refusal("adapter_config.text_hidden_size", adapter["text_hidden_size"], f"text_config's {text.width}")
    if Path(top["norm_stats_filename"]).name != top["norm_stats_filename"]:
        raise _refusal("norm_stats_filename", top["norm_stats_filename"], "the name of a file beside config.json")
    for name in ("image_start_token_id", "image_end_token_id", "image_patch_id"):
        if top[name] is None:
            raise _refusal(name, None, "a token id")
    if top["image_high_res_id"] not in (None, top["image_patch_id"]):
        raise _refusal("image_high_res_id", top["image_high_res_id"], f"image_patch_id, {top['image_patch_id']}")
    return _built(
        lambda: ModelConfig(
            text=text,
            vision=_vision(_section("vit_config", top["vit_config"], VISION), tuple(adapter["vit_layers"])),
            adapter=_adapter(adapter),
            expert=_expert(top, text) if top["add_action_expert"] else None,
            tokens=_tokens(top),
            flow=FlowConfig(**_named(top, FLOW_NAMES)),
            depth=_depth(top),
            hides_eos=hides_eos,
            **_named(top, MODEL_NAMES),
        )
    )


def _refusal(name: str, got: Any, allowed: str) -> ConfigError:
    got = list(got) if isinstance(got, tuple) else got  # as the file writes it
    return ConfigError(
        f"config.json {name}: got {got!r}, allowed is {allowed}; use another checkpoint or newer software"
    )


def _built(make: Callable[[], T]) -> T:
    """What `make` makes, its refusals in the file's words."""
    try:
        return make()
    except FieldError as error:
        raise _refusal(PUBLISHED.get(error.field, error.field), error.got, error.allowed) from error
    except ConfigError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ConfigError(f"config.json: a field has a value of another type ({error}); the file is damaged") from error


def _named(raw: Json, names: Mapping[str, str]) -> Json:
    """The fields of `raw` under our names."""
    return {ours: raw[theirs] for ours, theirs in names.items()}


def _section(name: str, given: Any, defaults: Json) -> Json:
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise _refusal(name, given, "an object")
    fields = cast(Mapping[str, Any], given)
    where = f"{name}." if name else ""
    for field in fields:
        if field not in defaults and field not in BOILERPLATE and not (name and field in UNUSED_IN_SECTIONS):
            raise ConfigError(
                f"config.json {where}{field}: got {fields[field]!r} in a field this software does not know, allowed "
                "are those of MolmoAct2's published configuration; the checkpoint is newer than this software or of "
                "another model"
            )
    section = {**defaults, **{field: value for field, value in fields.items() if field in defaults}}
    _only(section, name, model_type=defaults.get("model_type"))
    for field, default in defaults.items():
        _check_type(where + field, section[field], default)
    return section


def _check_type(name: str, value: Any, default: Any) -> None:
    """Refuses a string where a number belongs, and the like; a field that defaults to None takes any type."""
    if default is None or isinstance(default, dict):
        return
    if isinstance(default, list):
        many = cast(list[Any], value) if isinstance(value, list) else [None]
        fits = all(isinstance(each, int) and not isinstance(each, bool) for each in many)
    elif isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, float):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    elif isinstance(default, int):
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, type(default))
    if value is None and name in NULLABLE:
        return
    if not fits:
        raise _refusal(name, value, _IN_WORDS[type(default)])


def _only(section: Json, where: str, **allowed: Any) -> None:
    for field, value in allowed.items():
        if field in section and section[field] != value:
            raise _refusal(f"{where}.{field}" if where else field, section[field], repr(value))


def _text(raw: Json) -> TextConfig:
    if raw["use_qk_norm"] and raw["qk_norm_type"] not in ("qwen3", "olmo"):
        raise _refusal("text_config.qk_norm_type", raw["qk_norm_type"], "'qwen3' or 'olmo'")
    return TextConfig(
        **_attended(_named(raw, TEXT_NAMES)),
        qk_norm=raw["qk_norm_type"] if raw["use_qk_norm"] else None,
        **rope(raw),
    )


def _attended(named: Json) -> Json:
    """With as many key heads as query heads where the file does not say, and one name of each activation."""
    act = named["activation"]
    return named | {
        "kv_heads": named["heads"] if named["kv_heads"] is None else named["kv_heads"],
        "activation": SAME_ACTIVATION.get(act, act),
    }


def _vision(raw: Json, taps: tuple[int, ...]) -> VisionConfig:
    if len(raw["image_default_input_size"]) != 2:
        raise _refusal("vit_config.image_default_input_size", raw["image_default_input_size"], "height and width")
    height, width = raw["image_default_input_size"]
    return VisionConfig(**_attended(_named(raw, VISION_NAMES)), taps=taps, image_size=(height, width))


def _adapter(raw: Json) -> AdapterConfig:
    kernel = raw["attn_implementation"]
    if kernel not in (None, *_KERNELS):
        raise _refusal("adapter_config.attn_implementation", kernel, listing(_KERNELS))
    # The released eager kernel takes no mask: missing patches stay keys, though they are no part of the mean.
    return AdapterConfig(**_attended(_named(raw, ADAPTER_NAMES)), hides_missing=kernel != "eager")


def _expert(top: Json, text: TextConfig) -> ExpertConfig:
    given = top["action_expert_config"]
    # Without a section of its own, the released class builds the expert as deep as the decoder.
    deep = EXPERT if given is not None else {**EXPERT, "num_layers": text.layers}
    raw = _section("action_expert_config", given, deep)
    for field in ("max_action_dim", "max_action_horizon"):
        if raw[field] not in (None, top[field]):
            raise _refusal(f"action_expert_config.{field}", raw[field], f"the top level's {top[field]}")
    if raw["mlp_ratio"] <= 0:
        raise _refusal("action_expert_config.mlp_ratio", raw["mlp_ratio"], "> 0")
    hidden, multiple = int(raw["hidden_size"] * raw["mlp_ratio"]), raw["ffn_multiple_of"]
    if multiple > MOST:
        raise _refusal("action_expert_config.ffn_multiple_of", multiple, f"≤ {MOST}")
    return ExpertConfig(
        **_named(raw, EXPERT_NAMES),
        hidden=math.ceil(hidden / multiple) * multiple if multiple > 0 else hidden,
        context_width=text.kv_width,
        action_dim=top["max_action_dim"],
        horizon=top["max_action_horizon"],
    )


def _depth(top: Json) -> DepthConfig | None:
    gated = top["action_expert_depth_gate"] and top["add_action_expert"]
    if not top["enable_depth_reasoning"] and not gated:
        return None
    for name in ("depth_token_start_id", "depth_start_token_id", "depth_end_token_id"):
        if top["enable_depth_reasoning"] and top[name] is None:
            raise _refusal(name, None, "a token id where depth reasoning is on")
    return DepthConfig(
        **_named(top, DEPTH_NAMES),
        gate=("layer" if top["action_expert_depth_gate_per_layer"] else "shared") if gated else None,
    )


def _tokens(top: Json) -> TokenIds:
    def one(name: str) -> int:
        value = top[name]
        many = cast(list[Any], value) if isinstance(value, list) else [value]
        first: Any = many[0] if many else None
        if type(first) is not int:
            raise _refusal(name, value, "a token id, here or in generation_config.json")
        return first

    return TokenIds(
        **_named(top, TOKEN_NAMES),
        bos=one("bos_token_id" if top["bos_token_id"] is not None else "eos_token_id"),
        eos=one("eos_token_id"),
        pad=one("pad_token_id" if top["pad_token_id"] is not None else "eos_token_id"),
    )
