"""config.json: what it may say, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from released import REFERENCES

from forearm.errors import CheckpointError, ConfigError
from forearm.model.config import ModelConfig
from forearm.model.published import parse_config, read_config
from forearm.model.weights import parts, shapes


def base() -> dict[str, Any]:
    return json.loads((REFERENCES / "base" / "config.json").read_text())


# What a refusal calls a field when it is our own configuration that refuses.
OURS = {
    "vit_config.image_patch_size": "image_size",
    "image_patch_id": "image_patch",
    "action_token_start_id": "action_first",
    "state_start_token_id": "state_start",
    "n_obs_steps": "observations",
}


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
        ("text_config.rope_scaling", {"rope_type": "yarn", "factor": 4}),
        ("text_config.rope_scaling_layers", [1]),
        ("text_config.rope_parameters", "default"),
        ("adapter_config.vit_layers", ["last"]),
        ("text_config.qk_norm_type", "other"),
        ("text_config.tie_word_embeddings", True),
        ("text_config.hidden_size", "wide"),
        ("text_config.num_hidden_layers", 2.5),
        ("vit_config.attention_dropout", 0.1),
        ("adapter_config.text_hidden_size", 64),
        ("image_high_res_id", 7),
        ("action_mode", "telepathic"),
        ("flow_matching_cutoff", float("nan")),
        ("text_config.num_hidden_layers", 2.0),
        ("text_config.residual_dropout", 1.5),
        ("vit_config.image_default_input_size", [42, 42, 3]),
        ("vit_config.image_patch_size", 13),
        ("norm_stats_filename", "../elsewhere.json"),
        ("image_patch_id", None),
        ("image_patch_id", 9999),
        ("action_token_start_id", 399),
        ("state_start_token_id", "<state_start>"),
        ("n_obs_steps", 0),
    ],
)
def test_what_this_code_cannot_obey_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(changed(field, value))
    assert OURS.get(field, field.rpartition(".")[2]) in str(error.value)


@pytest.mark.parametrize("field", ["text_config.hidden_act", "vit_config.hidden_act"])
def test_an_unknown_activation_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match="activation: got 'mish', allowed is silu"):
        parse_config(changed(field, "mish"))


def test_an_expert_of_another_depth_than_the_decoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="expert layers: got 3"):
        parse_config(changed("action_expert_config.num_layers", 3))


def test_fields_that_the_file_leaves_out_mean_what_the_released_classes_say() -> None:
    raw = base()
    assert not {"flow_matching_num_steps", "mask_action_dim_padding"} & set(raw)
    config = parse_config(raw)
    assert (config.flow.steps, config.text.eps, config.mask_padding) == (10, 1e-6, True)


def test_an_empty_expert_section_is_not_a_missing_one() -> None:
    assert parse_config(changed("action_expert_config", None)).expert is not None
    with pytest.raises(ConfigError, match="expert layers: got 32"):
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
    assert read_config(tmp_path).tokens.eos == ids["eos_token_id"]


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
