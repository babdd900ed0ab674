"""Reads a released checkpoint's config.json: every field is obeyed or, where it cannot be, refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from forearm.errors import CheckpointError, ConfigError
from forearm.model.config import (
    AdapterConfig,
    DepthConfig,
    ExpertConfig,
    FlowConfig,
    ModelConfig,
    TextConfig,
    VisionConfig,
)
from forearm.model.published_fields import ADAPTER, BOILERPLATE, EXPERT, TEXT, TOP, UNUSED_IN_SECTIONS, VISION, Json
from forearm.model.tokens import TokenIds


def read_config(folder: Path) -> ModelConfig:
    """The configuration in `folder`: config.json, and generation_config.json for the end-of-text ids it may lack.

    Raises:
        CheckpointError: when the file is missing or is not JSON.
        ConfigError: for an unknown field, or a value that this code cannot obey.
    """
    raw = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    if generation.is_file():
        more = read_json(generation)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if raw.get(name) is None and more.get(name) is not None:
                raw[name] = more[name]
    return parse_config(raw)


def read_json(path: Path) -> Json:
    """A JSON object from a file.

    Raises:
        CheckpointError: when the file is missing or holds anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.name}: not found in {path.parent}; give a checkpoint folder") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: {error}; the file is damaged, download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: got {type(value).__name__}, allowed is a JSON object; download it again")
    return cast(Json, value)


def parse_config(raw: Mapping[str, Any]) -> ModelConfig:
    """The configuration that a released config.json describes.

    Raises:
        ConfigError: for an unknown field, or a value that this code cannot obey.
    """
    top = _section("", raw, TOP)
    _only(top, "", state_format="discrete")
    text = _text(_section("text_config", top["text_config"], TEXT))
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
            flow=_flow(top),
            depth=_depth(top),
            action_mode=top["action_mode"],
            observations=top["n_obs_steps"],
            mask_padding=top["mask_action_dim_padding"],
            setup_tokens=top["add_setup_tokens"],
            control_tokens=top["add_control_tokens"],
            norm_stats_file=top["norm_stats_filename"],
        )
    )


def _refusal(name: str, got: object, allowed: str) -> ConfigError:
    return ConfigError(
        f"config.json {name}: got {got!r}, allowed is {allowed}; use another checkpoint or newer software"
    )


def _built(make: Any) -> Any:
    try:
        return make()
    except ConfigError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ConfigError(f"config.json: a field has a value of another type ({error}); the file is damaged") from error


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
                f"config.json {where}{field}: got a field this software does not know, allowed are those of "
                "MolmoAct2's published configuration; the checkpoint is newer than this software or of another model"
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
    if name.endswith("num_key_value_heads") and value is None:
        return
    if not fits:
        raise _refusal(name, value, "whole numbers" if isinstance(default, list) else f"a {type(default).__name__}")


def _only(section: Json, where: str, **allowed: Any) -> None:
    for field, value in allowed.items():
        if field in section and section[field] != value:
            raise _refusal(f"{where}.{field}" if where else field, section[field], repr(value))


def _text(raw: Json) -> TextConfig:
    _only(raw, "text_config", tie_word_embeddings=False, rope_scaling_layers=None)
    for field in ("rope_scaling", "rope_parameters"):
        rope: Any = raw[field]
        if rope is None:
            continue
        if not isinstance(rope, dict):
            raise _refusal(f"text_config.{field}", rope, "null or an object")
        if rope.get("rope_type", rope.get("type", "default")) != "default":
            raise _refusal(f"text_config.{field}", rope, "null or the default type: rotary scaling is not built")
        if rope.get("rope_theta", raw["rope_theta"]) != raw["rope_theta"]:
            raise _refusal(f"text_config.{field}.rope_theta", rope["rope_theta"], f"rope_theta, {raw['rope_theta']}")
    if raw["additional_vocab_size"] is None:
        raise _refusal("text_config.additional_vocab_size", None, "a number of rows")
    if raw["use_qk_norm"] and raw["qk_norm_type"] not in ("qwen3", "olmo"):
        raise _refusal("text_config.qk_norm_type", raw["qk_norm_type"], "'qwen3' or 'olmo'")
    return _built(
        lambda: TextConfig(
            width=raw["hidden_size"],
            layers=raw["num_hidden_layers"],
            heads=raw["num_attention_heads"],
            kv_heads=raw["num_key_value_heads"] or raw["num_attention_heads"],
            head_dim=raw["head_dim"],
            hidden=raw["intermediate_size"],
            vocabulary=raw["vocab_size"],
            extra_vocabulary=raw["additional_vocab_size"],
            qk_norm=raw["qk_norm_type"] if raw["use_qk_norm"] else None,
            norm_after=raw["norm_after"],
            qkv_bias=raw["qkv_bias"],
            rope_theta=raw["rope_theta"],
            activation=raw["hidden_act"],
            eps=raw["layer_norm_eps"],
            max_positions=raw["max_position_embeddings"],
            embedding_dropout=raw["embedding_dropout"],
            attention_dropout=raw["attention_dropout"],
            residual_dropout=raw["residual_dropout"],
            initializer_range=raw["initializer_range"],
        )
    )


def _vision(raw: Json, taps: tuple[int, ...]) -> VisionConfig:
    _only(raw, "vit_config", attention_dropout=0.0, residual_dropout=0.0)
    if len(raw["image_default_input_size"]) != 2:
        raise _refusal("vit_config.image_default_input_size", raw["image_default_input_size"], "height and width")
    height, width = raw["image_default_input_size"]
    return VisionConfig(
        width=raw["hidden_size"],
        layers=raw["num_hidden_layers"],
        taps=taps,
        heads=raw["num_attention_heads"],
        kv_heads=raw["num_key_value_heads"] or raw["num_attention_heads"],
        head_dim=raw["head_dim"],
        hidden=raw["intermediate_size"],
        image_size=(height, width),
        patch=raw["image_patch_size"],
        positions=raw["image_num_pos"],
        activation=raw["hidden_act"],
        eps=raw["layer_norm_eps"],
        fp32_attention=raw["float32_attention"],
        initializer_range=raw["initializer_range"],
    )


def _adapter(raw: Json) -> AdapterConfig:
    _only(raw, "adapter_config", attention_dropout=0.0, residual_dropout=0.0, image_feature_dropout=0.0)
    return AdapterConfig(
        width=raw["hidden_size"],
        heads=raw["num_attention_heads"],
        kv_heads=raw["num_key_value_heads"] or raw["num_attention_heads"],
        head_dim=raw["head_dim"],
        hidden=raw["intermediate_size"],
        masked=raw["pooling_attention_mask"],
        activation=raw["hidden_act"],
        fp32_attention=raw["float32_attention"],
    )


def _expert(top: Json, text: TextConfig) -> ExpertConfig:
    given = top["action_expert_config"]
    # Without a section of its own, the released class builds the expert as deep as the decoder.
    deep = EXPERT if given is not None else {**EXPERT, "num_layers": text.layers}
    raw = _section("action_expert_config", given, deep)
    for field in ("max_action_dim", "max_action_horizon"):
        if raw[field] not in (None, top[field]):
            raise _refusal(f"action_expert_config.{field}", raw[field], f"the top level's {top[field]}")
    hidden, multiple = int(raw["hidden_size"] * raw["mlp_ratio"]), raw["ffn_multiple_of"]
    return ExpertConfig(
        width=raw["hidden_size"],
        layers=raw["num_layers"],
        heads=raw["num_heads"],
        hidden=math.ceil(hidden / multiple) * multiple if multiple > 0 else hidden,
        context_width=text.kv_width,
        action_dim=top["max_action_dim"],
        horizon=top["max_action_horizon"],
        time_channels=raw["timestep_embed_dim"],
        context_norm=raw["context_layer_norm"],
        qk_norm=raw["qk_norm"],
        qk_norm_eps=raw["qk_norm_eps"],
        rope=raw["rope"],
        causal=raw["causal_attn"],
        dropout=raw["dropout"],
        attention_dropout=raw["attn_dropout"],
    )


def _flow(top: Json) -> FlowConfig:
    return FlowConfig(
        steps=top["flow_matching_num_steps"],
        cutoff=top["flow_matching_cutoff"],
        offset=top["flow_matching_time_offset"],
        scale=top["flow_matching_time_scale"],
        alpha=top["flow_matching_beta_alpha"],
        beta=top["flow_matching_beta_beta"],
    )


def _depth(top: Json) -> DepthConfig | None:
    gated = top["action_expert_depth_gate"] and top["add_action_expert"]
    if not top["enable_depth_reasoning"] and not gated:
        return None
    if top["num_depth_tokens"] < 1 or top["depth_token_start_id"] is None:
        raise _refusal(
            "num_depth_tokens", top["num_depth_tokens"], "> 0 with its token ids where depth reasoning is on"
        )
    return DepthConfig(
        reasoning=top["enable_depth_reasoning"],
        codes=top["num_depth_codes"],
        codebook=top["num_depth_tokens"],
        gate=("layer" if top["action_expert_depth_gate_per_layer"] else "shared") if gated else None,
        gate_bias=top["action_expert_depth_gate_init_bias"],
    )


def _tokens(top: Json) -> TokenIds:
    def one(name: str) -> int:
        value = top[name]
        many = cast(list[Any], value) if isinstance(value, list) else [value]
        first: Any = many[0] if many else None
        if not isinstance(first, int):
            raise _refusal(name, value, "a token id, here or in generation_config.json")
        return first

    return TokenIds(
        bos=one("bos_token_id" if top["bos_token_id"] is not None else "eos_token_id"),
        eos=one("eos_token_id"),
        pad=one("pad_token_id" if top["pad_token_id"] is not None else "eos_token_id"),
        image_start=top["image_start_token_id"],
        image_end=top["image_end_token_id"],
        image_patch=top["image_patch_id"],
        image_column=top["image_col_id"],
        low_image_start=top["low_res_image_start_token_id"],
        low_image=top["image_low_res_id"],
        frame_start=top["frame_start_token_id"],
        frame_end=top["frame_end_token_id"],
        state_start=top["state_start_token_id"],
        state_end=top["state_end_token_id"],
        state_first=top["state_token_start_id"],
        state_count=top["num_state_tokens"],
        action_output=top["action_output_token_id"],
        action_start=top["action_start_token_id"],
        action_end=top["action_end_token_id"],
        action_first=top["action_token_start_id"],
        action_count=top["num_action_tokens"],
        depth_output=top["depth_output_token_id"],
        depth_start=top["depth_start_token_id"],
        depth_end=top["depth_end_token_id"],
        depth_first=top["depth_token_start_id"],
    )
