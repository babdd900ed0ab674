"""A tiny MolmoAct2-Think that sees the cell: the released model's code and training path, small, its depth codes true.

One camera, the top one, 120x120 px in 10x10 patches, each an image token and a cell of the map. A cell's code is
the depth of its nearest tenth in the small reasoner's steps of 14 mm. Trained once, below build/, with everything seeded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.cell.camera import Cameras
from forearm.cell.demonstrator import sample_demonstration
from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.solver import Performance, task_model
from forearm.model.config import ModelConfig
from forearm.model.depth_codes import DEPTH_CODES, DEPTH_RANGE_M, depth_codes
from forearm.model.images import CropConfig
from forearm.model.inputs import Prompter, Sample, batch
from forearm.model.losses import IGNORED, Lesson, learn
from forearm.model.published import parse_config
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import choose, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.model.tokens import ImageMarks
from forearm.model.weights import Checkpoint, load, save
from forearm.robot.embodiment import BIMANUAL_YAM

TASK = "put-in-box"
CELLS, PIXELS, CHANNELS, ROWS = 10, 12, 14, 4  # per axis of the map; per axis of a cell; of an action; of a chunk
NEAREST = 0.1  # share of a cell's pixels that lie nearer than its depth: a block fills about an eighth of a cell
STILL_SCENES, EPISODES, EVERY = 400, 12, 4  # of training; every so many ticks of an episode
UNSEEN = 9_000  # seeds from here on are for showing
BATCH, RATE, WARMUP = 8, 3e-3, 40
CORRUPTED = 0.1  # share of the codes read in training that are random; released recipe
DARKEST = 0.4  # of full light, in training

# The prompt's fixed words are tokens of their own, so that a prompt is 160 tokens long and not 500.
WORDS = (
    "user\nThe task is to ", "put the ", "red", "green", "blue", "yellow", " block in the box", ". The setup is ", "yam",
    ". The current state of the robot is ", ". The expected control mode is ", "joints", "assistant\n",
    ". Given these, first predict the depth map of the main image and then predict the action the robot should take to "
    "complete the task?",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One tick: what the top camera sees and measures, where the joints are, and where they should go (ROWS, J)."""

    pixels: NDArray[np.uint8]
    metres: NDArray[np.float32]
    positions: NDArray[np.float32]
    actions: NDArray[np.float32]
    instruction: str

    @property
    def codes(self) -> NDArray[np.int64]:
        """(100,) what the map should say."""
        blocks = self.metres.reshape(CELLS, PIXELS, CELLS, PIXELS).transpose(0, 2, 1, 3).reshape(CELLS**2, -1)
        far = np.nan_to_num(blocks, nan=DEPTH_RANGE_M[1])
        place = int(NEAREST * far.shape[1])
        return depth_codes(np.partition(far, place, axis=-1)[:, place])


def token_table() -> dict[str, int]:
    """Behind the 256 bytes."""
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<setup_start>", "<setup_end>", "<control_start>"]
    names += ["<control_end>", "<state_start>", "<state_end>", "<action_output>", "<action_start>", "<action_end>"]
    names += ["<depth_output>", "<depth_start>", "<depth_end>", *(f"<state_{i}>" for i in range(32))]
    names += [*(f"<depth_{i}>" for i in range(DEPTH_CODES)), *WORDS]
    names += ["<im_start>", "<low_res_im_start>", "<im_end>", "<im_patch>", "<im_col>"]
    return {name: 256 + i for i, name in enumerate(names)}


def config_json() -> dict:
    """In the published form."""
    table = token_table()
    ids = {
        "image_start": "<im_start>", "low_res_image_start": "<low_res_im_start>", "image_end": "<im_end>", "eos": "<|im_end|>",
        "bos": "<|im_end|>", "pad": "<|endoftext|>", "frame_start": "<im_start>", "frame_end": "<im_end>",
        "action_output": "<action_output>", "action_start": "<action_start>", "action_end": "<action_end>",
        "depth_output": "<depth_output>", "depth_start": "<depth_start>", "depth_end": "<depth_end>",
        "state_start": "<state_start>", "state_end": "<state_end>",
    }  # fmt: skip
    others = {
        "image_low_res_id": "<im_patch>", "image_patch_id": "<im_patch>", "image_col_id": "<im_col>",
        "depth_token_start_id": "<depth_0>", "state_token_start_id": "<state_0>",
    }  # fmt: skip
    heads = {"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 16}
    return {
        "text_config": {
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
            "intermediate_size": 192, "vocab_size": 512, "additional_vocab_size": 0, "qkv_bias": False, "use_qk_norm": True,
            "qk_norm_type": "qwen3", "rope_theta": 1e3, "max_position_embeddings": 512,
        },
        "vit_config": {
            "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "image_num_pos": 100,
            "image_default_input_size": [CELLS * PIXELS] * 2, "image_patch_size": PIXELS, **heads,
        },
        "adapter_config": {
            "vit_layers": [-1, -2], "pooling_attention_mask": True, "hidden_size": 48, "intermediate_size": 96,
            "text_hidden_size": 64, **heads,
        },
        "action_expert_config": {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "ffn_multiple_of": 32},
        "max_action_dim": CHANNELS, "max_action_horizon": ROWS, "n_obs_steps": 1, "enable_depth_reasoning": True,
        "num_depth_codes": CELLS**2, "num_depth_tokens": DEPTH_CODES, "num_action_tokens": 0, "num_state_tokens": 32,
        "action_token_start_id": None,
        **{f"{name}_token_id": table[token] for name, token in ids.items()},
        **{name: table[token] for name, token in others.items()},
    }  # fmt: skip


def norm_stats() -> dict:
    """The cell's joint ranges."""
    each = {"q01": BIMANUAL_YAM.lower.tolist(), "q99": BIMANUAL_YAM.upper.tolist(), "mask": [True] * CHANNELS}
    tag = {"setup_type": "yam", "control_mode": "joints", "action_horizon": ROWS, "n_action_steps": ROWS}
    tag |= {"action_stats": each, "state_stats": each}
    return {"format": "molmoact2_norm_stats.v1", "norm_mode": "q01_q99", "metadata_by_tag": {"yam": tag}}


def still(seed: int, cameras: Cameras) -> Frame:
    """A scene before anything moves."""
    setup = sample_demonstration(TASK, seed)
    return look(Physics(task_model(TASK), setup), setup, cameras)


def look(physics: Physics, setup: Setup, cameras: Cameras) -> Frame:
    """What there is to see now, with the joints to stay where they are."""
    capture = cameras.capture(physics.model, physics.data, "top")
    positions = physics.positions.astype(np.float32)
    actions = np.tile(positions, (ROWS, 1))
    return Frame(
        pixels=capture.pixels,
        metres=capture.metres,
        positions=positions,
        actions=actions,
        instruction=setup.instruction,
    )


def episode(seed: int, cameras: Cameras, every: int = 1) -> Iterator[Frame]:
    """The demonstrator at work, every so many ticks; the target of the tick stands for the whole chunk."""
    setup = sample_demonstration(TASK, seed)
    performance = Performance(setup, seed=seed)
    for number, tick in enumerate(performance.ticks()):
        if number % every == 0:
            seen = look(performance.physics, setup, cameras)
            actions = np.tile(tick.target.astype(np.float32), (ROWS, 1))
            yield Frame(
                pixels=seen.pixels,
                metres=seen.metres,
                positions=seen.positions,
                actions=actions,
                instruction=setup.instruction,
            )


def prompter(folder: Path, config: ModelConfig) -> Prompter:
    """Of the checkpoint in `folder`."""
    return Prompter(
        config=config,
        tokenizer=read_tokenizer(folder, config),
        tag=choose(read_tags(folder / "norm_stats.json"), None),
        crops=CropConfig(size=config.vision.image_size, patch=config.vision.patch, pooling=(1, 1)),
        marks=ImageMarks(),
    )


def sample(prompts: Prompter, frame: Frame, light: float = 1.0) -> Sample:
    """A frame's prompt, in less light than it was rendered in."""
    return prompts.sample([dimmed(frame.pixels, light)], frame.instruction, frame.positions, depth=True)


def dimmed(pixels: NDArray[np.uint8], light: float) -> NDArray[np.uint8]:
    """`pixels` in `light`, 1 for all of it."""
    return np.rint(pixels * light).astype(np.uint8)


def trained(folder: Path, steps: int) -> MolmoAct2:
    """The model: from `folder` where it was trained for as many steps before, else trained now, a few minutes."""
    done = folder / "steps"
    if not done.is_file() or done.read_text() != str(steps):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("config", config_json()), ("norm_stats", norm_stats()), ("token_table", token_table())):
            (folder / f"{name}.json").write_text(json.dumps(content))
        with Cameras(task_model(TASK)) as cameras:
            frames = [still(seed, cameras) for seed in range(STILL_SCENES)]
            for seed in range(EPISODES):
                frames.extend(episode(seed, cameras, EVERY))
        model = fresh()
        train(model, prompter(folder, model.config), frames, steps)
        save(Checkpoint(model, {}, {}), folder)
        done.write_text(str(steps))
    return load(folder).model


def fresh() -> MolmoAct2:
    """Untrained."""
    model = MolmoAct2(parse_config(config_json()))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.vision_backbone.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, parameter.shape[-1] ** -0.5, generator=generator)
        model.lm_head.weight.normal_(0.0, 0.02, generator=generator)
    model.transformer.initialise(generator)
    model.expert.initialise(generator)
    return model


def train(model: MolmoAct2, prompts: Prompter, frames: list[Frame], steps: int) -> None:
    """Depth codes and actions together, as the released models are post-trained."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=min(0.3, WARMUP / steps))
    model.train()
    for step in range(steps):
        chosen = [frames[i] for i in rng.integers(0, len(frames), BATCH)]
        samples = [sample(prompts, each, rng.uniform(DARKEST, 1.0)) for each in chosen]
        prompt, labels = taught(batch(samples, model.config.tokens.pad), chosen, model.config, generator)
        assert prompts.tag.action is not None
        actions = torch.tensor(np.stack([prompts.tag.action.normalise(each.actions) for each in chosen]))
        noise = torch.randn((BATCH, 1, ROWS, CHANNELS), generator=generator)
        t = torch.rand((BATCH, 1), generator=generator)
        losses = learn(model, prompt, Lesson(actions=actions, noise=noise, t=t, labels=labels))
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == steps - 1:
            assert losses.tokens is not None
            print(f"step {step}: tokens {losses.tokens:.3f}, flow {losses.flow:.3f}", file=sys.stderr)
    model.eval()


def taught(
    prompt: Prompt, frames: list[Frame], config: ModelConfig, generator: torch.Generator
) -> tuple[Prompt, torch.Tensor]:
    """Prompts with their maps behind them, some codes of which are wrong to read, and what is to be learned of them."""
    ids = config.tokens
    assert ids.depth_first is not None
    assert ids.depth_start is not None
    assert ids.depth_end is not None
    codes = torch.tensor(np.stack([each.codes for each in frames]))
    wrong = torch.randint(0, DEPTH_CODES, codes.shape, generator=generator)
    read = torch.where(torch.rand(codes.shape, generator=generator) < CORRUPTED, wrong, codes)
    start, end = (torch.full((len(frames), 1), each) for each in (ids.depth_start, ids.depth_end))
    asked = torch.cat([prompt.ids, start], dim=1)
    labels = torch.cat([torch.full_like(asked, IGNORED), codes + ids.depth_first, end], dim=1)
    whole = torch.cat([asked, read + ids.depth_first, end], dim=1)
    return Prompt(ids=whole, valid=None, patches=prompt.patches, windows=prompt.windows), labels
