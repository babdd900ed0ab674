"""config.json: what it may say, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from released import REFERENCES

from forearm.errors import CheckpointError, ConfigError
from forearm.model.config import DepthConfig, ModelConfig
from forearm.model.published import parse_config, read_config
from forearm.model.weights import parts, shapes


def base() -> dict[str, Any]:
    return json.loads((REFERENCES / "base" / "config.json").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    raw = base()
    *sections, field = path.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    inner[field] = value
    return raw


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thought_length", 3),
        ("text_config.sliding_window", 512),
        ("vit_config.registers", 4),
        ("action_expert_config.experts", 8),
        ("model_type", "molmoact3"),
        ("text_config.model_type", "molmoact3_text"),
        ("state_format", "continuous"),
        ("text_config.rope_parameters", "default"),
        ("text_config.rope_scaling_layers", [2]),
        ("text_config.rope_scaling_layers", "all"),
        ("text_config.rope_theta", 0.0),
        ("adapter_config.vit_layers", ["last"]),
        ("text_config.qk_norm_type", "other"),
        ("text_config.num_key_value_heads", 3),
        ("text_config.head_dim", 7),
        ("text_config.additional_vocab_size", -1),
        ("text_config.hidden_act", "prelu"),
        ("text_config.hidden_size", "wide"),
        ("text_config.num_hidden_layers", 2.5),
        ("vit_config.attention_dropout", 1.0),
        ("vit_config.hidden_act", "prelu"),
        ("vit_config.image_num_pos", 8),
        ("vit_config.head_dim", 5),
        ("vit_config.num_key_value_heads", None),
        ("adapter_config.vit_layers", [4]),
        ("adapter_config.vit_layers", [-5]),
        ("adapter_config.vit_layers", []),
        ("adapter_config.attn_implementation", "ring"),
        ("adapter_config.image_feature_dropout", -0.1),
        ("action_expert_config.num_layers", 3),
        ("action_expert_config.num_heads", 5),
        ("action_expert_config.mlp_ratio", -1.0),
        ("action_expert_config.max_action_dim", 7),
        ("max_action_horizon", 0),
        ("flow_matching_num_steps", 0),
        ("flow_matching_cutoff", 0.0),
        ("flow_matching_time_scale", 0.0),
        ("adapter_config.text_hidden_size", 64),
        ("image_high_res_id", 7),
        ("action_mode", "telepathic"),
        ("flow_matching_cutoff", float("nan")),
        ("text_config.num_hidden_layers", 2.0),
        ("text_config.residual_dropout", 1.5),
        ("vit_config.image_default_input_size", [42, 42, 3]),
        ("vit_config.image_default_input_size", [42, 41]),
        ("norm_stats_filename", "../elsewhere.json"),
        ("image_patch_id", None),
        ("image_patch_id", 9999),
        ("action_token_start_id", 399),
        ("state_start_token_id", "<state_start>"),
        ("n_obs_steps", 0),
        ("num_state_tokens", -1),
        ("vit_config.num_hidden_layers", 10**12),
        ("vit_config.image_default_input_size", [14 * 10**9, 42]),
        ("action_expert_config.hidden_size", 10**12),
        ("text_config.intermediate_size", 10**12),
        ("flow_matching_num_steps", 10**12),
    ],
)
def test_what_this_code_cannot_obey_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(changed(field, value))
    assert str(error.value).startswith(f"config.json {field}: got {value!r}")


@pytest.mark.parametrize(
    ("field", "value", "more"),
    [
        ("rope_scaling.rope_type", "longrope", {"factor": 4.0}),
        ("rope_scaling.factor", None, {"rope_type": "linear"}),
        ("rope_scaling.factor", 0, {"rope_type": "linear"}),
        ("rope_scaling.low_freq_factor", 1.0, {"rope_type": "linear", "factor": 2.0}),
        ("rope_scaling.high_freq_factor", 1.0, {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0}),
        ("rope_scaling.truncate", "yes", {"rope_type": "yarn", "factor": 2.0}),
        ("rope_parameters.rope_theta", 7.0, {"rope_type": "default"}),
        ("rope_parameters.partial_rotary_factor", 0.5, {"type": "linear", "factor": 2.0}),
    ],
)
def test_a_stretch_of_positions_that_is_not_built_is_refused_by_name(
    field: str, value: Any, more: dict[str, Any]
) -> None:
    section, inner = field.split(".")
    with pytest.raises(ConfigError) as error:
        parse_config(changed(f"text_config.{section}", more | {inner: value}))
    assert str(error.value).startswith(f"config.json text_config.{field}: got {value!r}")


def test_two_fields_that_stretch_positions_differently_are_refused() -> None:
    raw = changed("text_config.rope_scaling", {"rope_type": "linear", "factor": 2.0})
    raw["text_config"]["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e6}
    with pytest.raises(ConfigError, match=r"config\.json text_config\.rope_parameters: got .* what rope_scaling says"):
        parse_config(raw)


def test_a_grid_of_depth_codes_needs_its_tokens_where_depth_is_reasoned_about() -> None:
    raw = changed("enable_depth_reasoning", True)
    with pytest.raises(ConfigError, match=r"config\.json num_depth_tokens: got 0, allowed is > 0"):
        parse_config(raw | {"num_depth_tokens": 0})
    for name in ("depth_token_start_id", "depth_start_token_id", "depth_end_token_id"):
        with pytest.raises(ConfigError, match=rf"config\.json {name}: got None"):
            parse_config(raw | {name: None})


def test_a_map_longer_than_anything_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"config\.json num_depth_codes: got 1024, allowed is below .* 1024"):
        parse_config(changed("enable_depth_reasoning", True) | {"num_depth_codes": 1024})


def test_a_gate_needs_no_depth_codes() -> None:
    raw = changed("action_expert_depth_gate", True) | {"num_depth_tokens": 0, "depth_token_start_id": None}
    assert parse_config(raw).depth == DepthConfig(reasoning=False, codes=9, codebook=0, gate="shared")


def test_tied_embeddings_change_nothing_because_the_released_class_ties_none() -> None:
    assert parse_config(changed("text_config.tie_word_embeddings", True)) == parse_config(base())


def test_names_of_one_activation_are_one_activation() -> None:
    assert parse_config(changed("text_config.hidden_act", "swish")) == parse_config(base())


def test_the_eager_kernel_of_the_adapter_sees_missing_patches() -> None:
    assert not parse_config(changed("adapter_config.attn_implementation", "eager")).adapter.hides_missing
    assert parse_config(changed("adapter_config.attn_implementation", None)).adapter.hides_missing


def test_one_plain_table_of_embeddings_has_its_own_published_name() -> None:
    raw = changed("text_config.additional_vocab_size", None)
    raw["text_config"]["vocab_size"] = 416
    named = shapes(parse_config(raw))
    assert named["model.transformer.wte.weight"] == (416, 32)
    assert not any("embedding" in name for name in named if "wte" in name)


def test_fields_that_the_file_leaves_out_mean_what_the_released_classes_say() -> None:
    raw = base()
    assert not {"flow_matching_num_steps", "mask_action_dim_padding"} & set(raw)
    config = parse_config(raw)
    assert (config.flow.steps, config.text.eps, config.mask_padding) == (10, 1e-6, True)


def test_an_empty_expert_section_is_not_a_missing_one() -> None:
    assert parse_config(changed("action_expert_config", None)).expert is not None
    with pytest.raises(ConfigError, match=r"action_expert_config\.num_layers: got 32"):
        parse_config(changed("action_expert_config", {}))


def test_inert_fields_of_transformers_are_no_error() -> None:
    raw = changed("transformers_version", "9.9.9") | {"auto_map": {}, "id2label": {}, "torch_dtype": "float32"}
    raw["tie_word_embeddings"] = True  # the class's default: the section's own says whether anything is tied
    for section in ("vit_config", "adapter_config", "action_expert_config"):
        raw[section] |= {"bos_token_id": None, "tie_word_embeddings": True}
    parse_config(raw)


def test_a_checkpoint_without_an_expert_is_one_that_writes_actions() -> None:
    assert parse_config(changed("add_action_expert", False) | {"action_mode": "discrete"}).expert is None


def test_end_of_text_ids_may_stand_in_the_generation_config(tmp_path: Path) -> None:
    raw = base()
    ids = {name: raw.pop(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="eos_token_id: got None"):
        read_config(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps(ids | {"eos_token_id": [ids["eos_token_id"], 1]}))
    config = read_config(tmp_path)
    assert config.tokens.eos == ids["eos_token_id"]
    assert not config.hides_eos  # only config.json's own is hidden from the expert


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_a_damaged_config_is_a_checkpoint_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        read_config(tmp_path)


def test_the_released_configuration_has_the_published_parameters() -> None:
    config = ModelConfig.of("molmoact2")
    counts = parts(config)
    assert counts == {
        "transformer": 4_029_677_056,
        "vision_backbone": 439_117_264,
        "action_expert": 577_564_448,
        "lm_head": 395_837_440,
    }
    assert sum(counts.values()) == 5_442_196_208


def test_the_released_configuration_has_the_published_names_and_shapes() -> None:
    named = shapes(ModelConfig.of("molmoact2"))
    expected = {
        "lm_head.weight": (154_624, 2560),
        "model.transformer.wte.embedding": (154_624, 2560),
        "model.transformer.wte.new_embedding": (128, 2560),
        "model.transformer.blocks.35.self_attn.att_proj.weight": (6144, 2560),
        "model.transformer.blocks.35.self_attn.q_norm.weight": (128,),
        "model.transformer.blocks.35.self_attn.attn_out.weight": (2560, 4096),
        "model.transformer.blocks.35.mlp.ff_proj.weight": (19_456, 2560),
        "model.transformer.blocks.35.mlp.ff_out.weight": (2560, 9728),
        "model.transformer.ln_f.weight": (2560,),
        "model.vision_backbone.image_vit.patch_embedding.weight": (1152, 588),
        "model.vision_backbone.image_vit.positional_embedding": (729, 1152),
        "model.vision_backbone.image_vit.transformer.resblocks.24.attention.wq.bias": (1152,),
        "model.vision_backbone.image_vit.transformer.resblocks.24.feed_forward.w1.weight": (4304, 1152),
        "model.vision_backbone.image_vit.transformer.resblocks.24.ffn_norm.bias": (1152,),
        "model.vision_backbone.image_pooling_2d.wk.weight": (1152, 2304),
        "model.vision_backbone.image_projector.w3.weight": (9728, 1152),
        "model.action_expert.time_embed.1.weight": (768, 256),
        "model.action_expert.context_k_proj.weight": (768, 1024),
        "model.action_expert.blocks.35.self_attn.qkv.weight": (2304, 768),
        "model.action_expert.blocks.35.cross_attn.q_proj.bias": (768,),
        "model.action_expert.blocks.35.mlp.gate_proj.weight": (3072, 768),
        "model.action_expert.blocks.35.modulation.linear.weight": (6912, 768),
        "model.action_expert.final_layer.modulation.linear.weight": (1536, 768),
        "model.action_expert.final_layer.linear.weight": (32, 768),
    }
    assert {name: named[name] for name in expected} == expected
    assert not any("resblocks.25" in name or "blocks.36" in name for name in named)
    assert len(named) == 1 + 3 + 36 * 8 + 3 + 25 * 16 + 8 + 3 + 8 + 36 * 16 + 4
