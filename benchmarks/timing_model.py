"""The 228 M-parameter model that latencies are compared on, with seeded random weights, and the scene it looks at.

Written with the standard library, numpy, torch and safetensors alone: both sides of a comparison read it.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

CODES, CODEBOOK, CAMERAS, CHANNELS, HORIZON = 100, 128, 3, 14, 30
CHANGED = 16  # cells of the depth map that differ in the "changed16" cases
STRIDE = 37  # from one code to the next of the chain that is written: odd, so that it meets all 128
LOUD = 4.0  # rms of the chain's embeddings: more than the layers add to them
INSTRUCTION = "put the red block that is next to the tray into the box"


def token_table() -> dict[str, int]:
    """Special tokens behind the 256 bytes; image tokens behind the vocabulary of 3072."""
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<setup_start>", "<setup_end>", "<control_start>"]
    names += ["<control_end>", "<state_start>", "<state_end>", *(f"<state_{i}>" for i in range(256))]
    names += ["<action_output>", "<action_start>", "<action_end>", *(f"<action_{i}>" for i in range(2048))]
    names += ["<depth_output>", "<depth_start>", "<depth_end>", *(f"<depth_{i}>" for i in range(CODEBOOK))]
    images = ["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<|image|>", "<im_low>"]
    images += ["<frame_start>", "<frame_end>"]
    behind = {name: 3072 + i for i, name in enumerate(images)}
    return {name: 256 + i for i, name in enumerate(names)} | behind


def config_json() -> dict:
    """The configuration, in the published form."""
    ids = {
        "image_start": "<im_start>", "low_res_image_start": "<low_res_im_start>", "image_end": "<im_end>", "eos": "<|im_end|>",
        "bos": "<|im_end|>", "pad": "<|endoftext|>", "frame_start": "<frame_start>", "frame_end": "<frame_end>",
        "action_output": "<action_output>", "action_start": "<action_start>", "action_end": "<action_end>",
        "depth_output": "<depth_output>", "depth_start": "<depth_start>", "depth_end": "<depth_end>",
        "state_start": "<state_start>", "state_end": "<state_end>",
    }  # fmt: skip
    table = token_table()
    others = {
        "image_low_res_id": "<im_low>", "image_patch_id": "<im_patch>", "image_col_id": "<im_col>",
        "action_token_start_id": "<action_0>", "depth_token_start_id": "<depth_0>", "state_token_start_id": "<state_0>",
    }  # fmt: skip
    heads = {"num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 64}
    return {
        "text_config": {
            "hidden_size": 768, "num_hidden_layers": 18, "num_attention_heads": 12, "num_key_value_heads": 4, "head_dim": 64,
            "intermediate_size": 2304, "vocab_size": 3072, "additional_vocab_size": 16, "qkv_bias": False, "use_qk_norm": True,
            "qk_norm_type": "qwen3", "rope_theta": 5e6, "max_position_embeddings": 2048,
        },
        "vit_config": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 14, "image_num_pos": 729, **heads},
        "adapter_config": {
            "vit_layers": [-3, -9], "pooling_attention_mask": True, "hidden_size": 384, "intermediate_size": 2304,
            "text_hidden_size": 768, **heads,
        },
        "action_expert_config": {"hidden_size": 384, "num_layers": 18, "num_heads": 4, "mlp_ratio": 4.0},
        "max_action_dim": 32, "max_action_horizon": HORIZON, "n_obs_steps": 1, "enable_depth_reasoning": True,
        "num_depth_codes": CODES, "num_depth_tokens": CODEBOOK, "num_action_tokens": 2048, "num_state_tokens": 256,
        **{f"{name}_token_id": table[token] for name, token in ids.items()},
        **{name: table[token] for name, token in others.items()},
    }  # fmt: skip


def norm_stats() -> dict:
    """Channels from -1 to 1 of one bimanual robot."""
    each = {"q01": [-1.0] * CHANNELS, "q99": [1.0] * CHANNELS, "mask": [True] * CHANNELS}
    tag = {"setup_type": "bimanual yam robotic arms in molmoact2", "control_mode": "absolute joint pose"}
    tag |= {"action_horizon": HORIZON, "n_action_steps": HORIZON, "action_stats": each, "state_stats": each}
    return {"format": "molmoact2_norm_stats.v1", "norm_mode": "q01_q99", "metadata_by_tag": {"yam": tag}}


def write(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A checkpoint folder with random weights, but for one chain of depth codes that closes.

    Each code is clearly followed by the next one of the chain: what is written does not hang on rounding, in no type.
    """
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        norm = (len(shape) == 1 and name.endswith("norm.weight")) or name.endswith("ln_f.weight")
        tensors[name] = 1 + 0.1 * noise if norm else noise * (shape[-1] ** -0.5 if len(shape) > 1 else 0.02)
    table, head = token_table(), tensors["lm_head.weight"]
    embedding = next(each for name, each in tensors.items() if name.endswith("wte.embedding"))
    written = [
        table["<depth_start>"],
        *(table[f"<depth_{STRIDE * i % CODEBOOK}>"] for i in range(CODES)),
        table["<depth_end>"],
    ]
    for before, after in pairwise(written):
        embedding[before] *= LOUD / embedding[before].square().mean().sqrt()
        head[after] = embedding[before] * (head.shape[1] ** -0.5 / LOUD)
    head[table["<depth_end>"]] *= 3
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in (("config", config_json()), ("norm_stats", norm_stats()), ("token_table", token_table())):
        (folder / f"{name}.json").write_text(json.dumps(content))


def scene() -> list[np.ndarray]:
    """Three (480, 640, 3) RGB images of coloured tiles."""
    rng = np.random.default_rng(0)
    tiles = [rng.integers(0, 256, (10, 10, 3), dtype=np.uint8) for _ in range(CAMERAS)]
    return [np.kron(each, np.ones((48, 64, 1), np.uint8)) for each in tiles]


def changed_scene() -> list[np.ndarray]:
    """The same with other colours in 16 of the main camera's 100 tiles, those of every sixth cell."""
    images = [each.copy() for each in scene()]
    for cell in changed_cells():
        row, column = divmod(cell, 10)
        images[0][row * 48 : (row + 1) * 48, column * 64 : (column + 1) * 64] ^= 0xA5
    return images


def changed_cells() -> list[int]:
    """Which cells of the depth map changed."""
    return list(range(2, 2 + 6 * CHANGED, 6))


def state() -> np.ndarray:
    """(14,) joint values."""
    return np.linspace(-0.9, 0.9, CHANNELS, dtype=np.float32)
