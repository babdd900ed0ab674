"""Makes the reference folders beside this file with the genuine MolmoAct2 modules: tiny models, their inputs and outputs.

Run in the environment that benchmarks/model_latency.py makes, never in forearm's own:

    PYTHONPATH=benchmarks PEER/bin/python tests/parity/make_references.py PEER/unpacked tests/parity/references
"""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import molmoact2_peer

WIDTH, LAYERS, STATES, CODES, ACTIONS = 32, 2, 32, 9, 64
CODEBOOK = 8
TEXT = {
    "hidden_size": WIDTH,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_hidden_layers": LAYERS,
    "intermediate_size": 48,
    "qkv_bias": False,
    "use_qk_norm": True,
    "qk_norm_type": "qwen3",
    "rope_theta": 5e6,
    "max_position_embeddings": 1024,
    "additional_vocab_size": 16,
}
VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "image_default_input_size": [42, 42],
    "image_num_pos": 9,
}
ADAPTER = {
    "vit_layers": [-2, -4],
    "pooling_attention_mask": True,
    "hidden_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "intermediate_size": 40,
    "text_hidden_size": WIDTH,
}
EXPERT = {
    "hidden_size": 32,
    "num_layers": LAYERS,
    "num_heads": 4,
    "mlp_ratio": 2.0,
    "ffn_multiple_of": 16,
    "timestep_embed_dim": 16,
}
VARIANTS = {
    "base": {},
    "base_continuous": {"action_mode": "continuous"},
    "think": {"enable_depth_reasoning": True},
    "think_gate_layer": {
        "enable_depth_reasoning": True,
        "action_expert_depth_gate": True,
        "action_expert_depth_gate_per_layer": True,
    },
    "think_gate_shared": {"enable_depth_reasoning": True, "action_expert_depth_gate": True},
    "think_free": {"enable_depth_reasoning": True},
    "postnorm_olmo": {
        "text": {"norm_after": True, "qk_norm_type": "olmo", "qkv_bias": True},
        "vision": {"image_num_pos": 16},
    },
    "noqknorm_causal": {
        "text": {"use_qk_norm": False},
        "mask_action_dim_padding": False,
        "expert": {"qk_norm": False, "rope": False, "context_layer_norm": False, "causal_attn": True},
    },
    "multicrop": {"adapter": {"pooling_attention_mask": False}},
    "uncommon": {  # what no released checkpoint chooses, together
        "text": {"num_key_value_heads": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-3, "rope_theta": 1e4},
        "vision": {
            "num_key_value_heads": 1,
            "image_default_input_size": [42, 56],
            "image_num_pos": 16,
            "hidden_act": "relu",
            "float32_attention": False,
        },
        "adapter": {"vit_layers": [0, -1, 0], "num_key_value_heads": 1, "hidden_act": "gelu"},
        "expert": {
            "mlp_ratio": 1.7,
            "ffn_multiple_of": 0,
            "timestep_embed_dim": 15,
            "context_layer_norm": False,
            "qk_norm_eps": 1e-3,
        },
        "action_expert_depth_gate": True,
        "n_obs_steps": 2,
        "flow_matching_num_steps": 3,
        "add_setup_tokens": False,
        "bos_token_id": None,
    },
}


def token_table() -> dict[str, int]:
    names = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<setup_start>",
        "<setup_end>",
        "<control_start>",
        "<control_end>",
    ]
    names += ["<state_start>", "<state_end>", *(f"<state_{i}>" for i in range(STATES))]
    names += ["<action_output>", "<action_start>", "<action_end>", *(f"<action_{i}>" for i in range(ACTIONS))]
    names += ["<depth_output>", "<depth_start>", "<depth_end>", *(f"<depth_{i}>" for i in range(CODEBOOK))]
    table = {name: 256 + i for i, name in enumerate(names)}
    images = [
        "<im_start>",
        "<im_end>",
        "<im_patch>",
        "<im_col>",
        "<low_res_im_start>",
        "<|image|>",
        "<im_low>",
        "<frame_start>",
        "<frame_end>",
    ]
    return table | {name: 400 + i for i, name in enumerate(images)}


def config_json(extra: dict) -> dict:
    table = token_table()
    parts = {name: extra.pop(name, {}) for name in ("text", "vision", "adapter", "expert")}
    ids = {
        "image_start_token_id": "<im_start>", "low_res_image_start_token_id": "<low_res_im_start>", "image_end_token_id": "<im_end>",
        "image_low_res_id": "<im_low>", "image_patch_id": "<im_patch>", "image_col_id": "<im_col>",
        "frame_start_token_id": "<frame_start>", "frame_end_token_id": "<frame_end>", "bos_token_id": "<|im_end|>",
        "eos_token_id": "<|im_end|>", "pad_token_id": "<|endoftext|>", "action_output_token_id": "<action_output>",
        "action_start_token_id": "<action_start>", "action_end_token_id": "<action_end>", "action_token_start_id": "<action_0>",
        "depth_output_token_id": "<depth_output>", "depth_start_token_id": "<depth_start>", "depth_end_token_id": "<depth_end>",
        "depth_token_start_id": "<depth_0>", "state_start_token_id": "<state_start>", "state_end_token_id": "<state_end>",
        "state_token_start_id": "<state_0>",
    }  # fmt: skip
    return {
        "text_config": {**TEXT, "vocab_size": 400, **parts["text"]},
        "vit_config": {**VISION, **parts["vision"]},
        "adapter_config": {**ADAPTER, **parts["adapter"]},
        "action_expert_config": {**EXPERT, **parts["expert"]},
        "max_action_dim": 8, "max_action_horizon": 6, "n_obs_steps": 1, "num_depth_codes": CODES, "num_depth_tokens": CODEBOOK,
        "num_action_tokens": ACTIONS, "num_state_tokens": STATES, **{name: table[token] for name, token in ids.items()}, **extra,
    }  # fmt: skip


def norm_stats(rng: np.random.Generator) -> dict:
    def stats() -> dict:
        low, span = rng.uniform(-2, -1, 6), rng.uniform(1, 3, 6)
        span[4] = 0.0
        mask = [True, True, False, True, True, True]
        return {
            "mean": list(low + span / 2),
            "std": list(span / 3),
            "min": list(low - 0.2 * (span > 0)),
            "max": list(low + span + 0.2 * (span > 0)),
            "q01": list(low),
            "q99": list(low + span),
            "mask": mask,
        }

    tag = {
        "setup_type": "two tiny arms",
        "control_mode": "absolute joint pose",
        "action_horizon": 6,
        "n_action_steps": 5,
        "action_stats": stats(),
        "state_stats": stats(),
    }
    return {"format": "molmoact2_norm_stats.v1", "norm_mode": "q01_q99", "metadata_by_tag": {"tiny_dual": tag}}


def record(model, outputs: dict, call):
    """Runs `call` and keeps what the parts answer in its first pass, and all of the flow."""
    core, expert, handles = model.model, model.model.action_expert, []

    def keep(name):
        def hook(_module, _inputs, out) -> None:
            outputs.setdefault(name, (out[0] if isinstance(out, tuple) else out).detach())

        return hook

    tower = core.vision_backbone
    parts = [
        (tower.image_vit.patch_embedding, "act_vit_patch_embed"),
        (tower.image_pooling_2d, "act_pooled"),
        (tower.image_projector, "act_image_features"),
        (tower.image_vit.transformer.resblocks[0], "act_vit_block0_out"),
    ]
    handles = [module.register_forward_hook(keep(name)) for module, name in parts]
    prepare, forward, generate = expert.prepare_context, expert.forward_with_context, core.generate_actions_from_inputs

    def prepared(**given):
        pairs, mask = given["encoder_kv_states"], given["encoder_attention_mask"]
        outputs["kv_k_flat"], outputs["kv_v_flat"] = (torch.stack([each[i] for each in pairs]) for i in (0, 1))
        outputs["cross_mask"] = torch.ones(pairs[0][0].shape[1], dtype=torch.bool) if mask is None else mask[0].bool()
        return prepare(**given)

    def stepped(x, t, **given):
        velocity = forward(x, t, **given)
        outputs.setdefault("flow", []).append((x, velocity))
        return velocity

    def generated(**given):
        outputs["chunk_normalised"] = generate(**given)
        return outputs["chunk_normalised"]

    expert.prepare_context, expert.forward_with_context, core.generate_actions_from_inputs = (
        prepared,
        stepped,
        generated,
    )
    try:
        answer = call()
    finally:
        expert.prepare_context, expert.forward_with_context, core.generate_actions_from_inputs = (
            prepare,
            forward,
            generate,
        )
        for handle in handles:
            handle.remove()
    flow = outputs.pop("flow")
    outputs["flow_x"], outputs["velocity_raw"] = (torch.stack([each[i] for each in flow]) for i in (0, 1))
    outputs["act_image_features"] = outputs["act_image_features"][0]
    outputs["actions"] = answer.actions
    if answer.depth_bins is not None:
        outputs |= {"depth_bins": answer.depth_bins, "depth_token_ids": answer.generated_token_ids}
    return answer


def training(model, given: dict, rng: np.random.Generator) -> dict:
    """Flow loss and gradients with K = 2, one padded row and two padded channels; `ki` detaches keys and values."""
    stored = {
        "action_target": rng.normal(size=(1, 6, 8)).astype(np.float32),
        "noise": rng.normal(size=(1, 2, 6, 8)).astype(np.float32),
        "t": np.array([[0.2, 0.7]], np.float32),
        "step_is_pad": np.array([[False] * 5 + [True]]),
    }
    valid, core = torch.arange(8) < 6, model.model
    for kind in ("flow", "joint", "ki"):
        model.zero_grad()
        out = model(**given, use_cache=True)
        pairs = [(k, v) for k, v in core._extract_kv_states(out.past_key_values)]
        if kind == "ki":
            pairs = [(k.detach(), v.detach()) for k, v in pairs]
        repeat = lambda x: x.repeat_interleave(2, 0)  # noqa: E731
        mask = core._get_encoder_attention_mask(given["input_ids"], None)
        target, noise = torch.tensor(stored["action_target"])[:, None] * valid, torch.tensor(stored["noise"]) * valid
        t, rows = torch.tensor(stored["t"]), ~torch.tensor(stored["step_is_pad"])
        x = (1 - t[..., None, None]) * noise + t[..., None, None] * target
        velocity = core.action_expert(
            x[0],
            t[0],
            encoder_kv_states=[(repeat(k), repeat(v)) for k, v in pairs],
            encoder_attention_mask=repeat(mask),
            action_attention_mask=repeat(rows),
        )[None]
        error = (velocity - (target - noise)).square() * rows[:, None, :, None]
        flow = ((error * valid).sum(-1) / 6).mean()
        ids = given["input_ids"][0]
        places = torch.nonzero(ids[1:] < 400)[:, 0][-20:]
        tail = torch.nn.functional.cross_entropy(out.logits[0, places], ids[places + 1])
        (flow if kind == "flow" else flow + tail).backward()
        stored |= {
            f"loss_flow_{kind}": flow.detach().numpy(),
            f"loss_ce_tail_{kind}": tail.detach().numpy(),
            f"velocity_{kind}": velocity.detach().numpy(),
        }
        stored["grad_names"] = np.array([name for name, _ in model.named_parameters()])
        norms = [-1.0 if each.grad is None else float(each.grad.norm()) for _, each in model.named_parameters()]
        stored[f"grad_norms_{kind}"] = np.array(norms)
        for name in (
            "model.action_expert.context_k_proj.weight",
            "model.transformer.blocks.0.self_attn.att_proj.weight",
            "model.vision_backbone.image_projector.w2.weight",
        ):
            grad = model.get_parameter(name).grad
            stored[f"grad_{kind}/{name}"] = grad.numpy().copy()
    return stored


def close_depth(model, hidden: torch.Tensor, token: int) -> None:
    """Random weights never close a map: points that row of the head at the state where it should."""
    with torch.no_grad():
        model.lm_head.weight[token] = 4 * hidden.reshape(-1) / hidden.norm() * model.lm_head.weight.norm(dim=1).max()


def last_states(model, call) -> list[torch.Tensor]:
    """The hidden state at the end of every pass of `call`, whether it gets anywhere or not."""
    states: list[torch.Tensor] = []
    handle = model.model.transformer.ln_f.register_forward_hook(lambda _m, _i, out: states.append(out[:, -1].detach()))
    with contextlib.suppress(RuntimeError):  # the map does not close yet
        call()
    handle.remove()
    return states


def make(name: str, out: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    extra = json.loads(json.dumps(VARIANTS[name]))
    raw = config_json(extra)
    model = molmoact2_peer.build(modeling, raw)
    with torch.no_grad():
        for parameter in model.parameters():  # nothing stays at its zero start, so that every branch counts
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * scale
                + (1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0)
            )
    out.mkdir(parents=True, exist_ok=True)
    stats = norm_stats(rng)
    model._molmoact2_robot_stats = modeling._RobotStats(stats)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((30, 40, 3), (42, 42, 3))]
    if name != "multicrop":  # blocks, so that frames can change locally
        images[0] = np.kron(images[0][::10, ::10], np.ones((10, 10, 1), np.uint8))
    after = [images[0].copy(), rng.integers(0, 256, images[1].shape, dtype=np.uint8)]
    after[0][:10, :12] = 255 - after[0][:10, :12]
    height, width = raw["vit_config"]["image_default_input_size"]
    cutting = {
        "size": {"height": height, "width": width},
        "crop_mode": "resize",
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    if name == "multicrop":
        cutting |= {"crop_mode": "overlap-and-resize-c2", "max_crops": 4, "overlap_margins": [1, 1]}
    processor = molmoact2_peer.Processor(cutting, token_table())
    depth, free = raw.get("enable_depth_reasoning", False), name == "think_free"
    inputs: dict = {"task": np.array("Instruction: Fold the  Blue towel. Then STOP!")}
    outputs: dict = {}
    cache = None

    def predict(frame: list, state: np.ndarray, noise_seed: int):
        return model.predict_action(
            processor=processor, images=frame, task=str(inputs["task"]), state=state, norm_tag="tiny_dual", inference_action_mode="continuous",
            enable_depth_reasoning=depth, enable_adaptive_depth=not free, depth_cache=cache,
            generator=torch.Generator().manual_seed(noise_seed), enable_cuda_graph=False,
        )  # fmt: skip

    for suffix, frame, noise_seed in (
        (("", images, 7), ("_step2", after, 8)) if depth and not free else (("", images, 7),)
    ):
        state = rng.uniform(-2, 2, 6).astype(np.float32)
        if depth and not suffix:
            if free:  # write start, codes and end unconstrained: each head row is made to win where it should
                free_head(model, lambda frame=frame, state=state: predict(frame, state, 7))
            else:
                close_depth(
                    model,
                    last_states(model, lambda frame=frame, state=state: predict(frame, state, 7))[1 + CODES],
                    raw["depth_end_token_id"],
                )
        made: dict = {}
        answer = record(
            model, made, lambda frame=frame, state=state, noise_seed=noise_seed: predict(frame, state, noise_seed)
        )
        cache = answer.depth_cache
        inputs |= {f"image{i}_raw{suffix}": image for i, image in enumerate(frame)}
        inputs |= {
            f"state_raw{suffix}": state,
            f"noise{suffix}": torch.randn((1, 6, 8), generator=torch.Generator().manual_seed(noise_seed)).numpy(),
        }
        inputs |= {f"{key}{suffix}": value for key, value in processor.last.items()}
        outputs |= {
            f"{key}{suffix}": value.numpy()
            for key, value in made.items()
            if not (suffix and key.startswith(("act_", "kv_")))
        }
    if free:
        outputs = {key: value for key, value in outputs.items() if not key.startswith(("act_", "kv_"))} | {
            "decode_logit_targets": decoded(model, inputs, outputs)
        }
    if name == "base":
        given = {
            key: torch.as_tensor(inputs[key])
            for key in (
                "input_ids",
                "token_type_ids",
                "pixel_values",
                "image_token_pooling",
                "image_grids",
                "image_num_crops",
            )
        }
        np.savez_compressed(out / "train.npz", **training(model, given, rng))
    (out / "config.json").write_text(json.dumps(raw, indent=1))
    (out / "norm_stats.json").write_text(json.dumps(stats))
    (out / "token_table.json").write_text(json.dumps(token_table()))
    if name == "multicrop":
        flags = {"image_use_col_tokens": True, "use_single_crop_col_tokens": False, "use_single_crop_start_token": True}
        (out / "processor_config.json").write_text(json.dumps({**cutting, **flags}))
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()},
        out / "model.safetensors",
        metadata={"format": "pt"},
    )
    np.savez_compressed(out / "inputs.npz", **inputs)
    np.savez_compressed(out / "outputs.npz", **outputs)
    print(
        name,
        sum(each.stat().st_size for each in out.iterdir()) // 1000,
        "kB",
        outputs.get("depth_bins"),
        outputs.get("depth_bins_step2"),
    )


def free_head(model, call) -> None:
    """Edits the head so that unconstrained greedy decoding writes a start, the codes and an end, one position after the other."""
    config = model.config
    wanted = [
        config.depth_start_token_id,
        *(config.depth_token_start_id + i % CODEBOOK for i in range(CODES)),
        config.depth_end_token_id,
    ]
    for at in range(len(wanted)):
        states = last_states(model, call)
        hidden = torch.cat(states[: at + 1]).double()
        # The least change of the head after which each state so far asks for its token by a wide margin.
        targets = torch.full((at + 1, model.lm_head.weight.shape[0]), 0.0, dtype=torch.float64)
        targets[torch.arange(at + 1), torch.tensor(wanted[: at + 1])] = 12.0
        change = torch.linalg.pinv(hidden) @ (targets - hidden @ model.lm_head.weight.double().T)
        with torch.no_grad():
            model.lm_head.weight += change.T.float()


def decoded(model, inputs: dict, outputs: dict) -> np.ndarray:
    """Full logits at every position where free decoding wrote a token, from one pass over prompt and written tokens."""
    given = {
        key: torch.as_tensor(inputs[key])
        for key in ("pixel_values", "image_token_pooling", "image_grids", "image_num_crops")
    }
    written = torch.as_tensor(outputs["depth_token_ids"])
    ids = torch.cat([torch.as_tensor(inputs["input_ids"]), written], 1)
    typed = torch.cat([torch.as_tensor(inputs["token_type_ids"]), torch.zeros_like(written)], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, token_type_ids=typed, **given, use_cache=True).logits[0]
    return logits[-written.shape[1] - 1 : -1].numpy()


if __name__ == "__main__":
    modeling = molmoact2_peer.load(Path(sys.argv[1]))
    torch.set_num_threads(1)
    for number, variant in enumerate(VARIANTS):
        if len(sys.argv) < 4 or variant in sys.argv[3:]:
            make(variant, Path(sys.argv[2]) / variant, 100 + number)
