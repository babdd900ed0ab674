"""A released MolmoAct2, or what was fine-tuned from one, as a policy: it reads, writes a depth map, acts by its flow.

It has no plan to check: what its depth codes mean in metres is known to a network that is not among the released files,
and it names no place and no path. Vetting and the guard judge its chunks like anybody's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from forearm.errors import ConfigError, InputError, listing
from forearm.messages import Decision, Request
from forearm.model import depth_decoding, generate, weights
from forearm.model.checkpoint import RECIPE
from forearm.model.config import ModelConfig
from forearm.model.depth import changed_cells
from forearm.model.description import CONFIG
from forearm.model.inpainting import Known
from forearm.model.inputs import Prompter, Sample, batch, read_crops
from forearm.model.layers import bf16_is_emulated
from forearm.model.packing import pack
from forearm.model.published import read_config, read_json
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import Tag, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.policy.acting import chunk_of, timed
from forearm.policy.continuation import Continuation, continuation
from forearm.policy.noise import noise_for
from forearm.policy.seeing import VIEWS, pictures
from forearm.robot.embodiment import BIMANUAL_YAM

RATE_HZ = 30.0  # rows a second of a released chunk: thirty of them are the one second that the YAM models were taught
CONTROL = "absolute joint pose"  # as the released files say it
# What decides, beside weights, what a checkpoint does with an observation.
_DECIDING = (CONFIG, "preprocessor_config.json", "processor_config.json", "tokenizer.json", "token_table.json")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Released:
    """A checkpoint made ready for the station.

    Attributes:
        model: in the type that this machine is quickest with.
        prompter: for the tag of a robot like the station's.
        views: the station's cameras, as that robot's are called and in their order.
        period_s: s, between rows of its chunks.
        digest: of the weights and all that decides what they do.
        recipe: of its fine-tuning; empty for a checkpoint as released.
    """

    model: MolmoAct2
    prompter: Prompter
    views: tuple[str, ...]
    period_s: float
    digest: str
    recipe: Mapping[str, Any]


def read(folder: Path) -> Released:
    """The checkpoint in a folder, on the GPU if there is one. Reads all of it: about a minute for 22 GB.

    Raises:
        CheckpointError: when a file is missing or damaged.
        ConfigError: when config.json says something that this code cannot obey, or the checkpoint has no flow.
        InputError: when it does not know a robot like the station's, or knows several.
    """
    config = read_config(folder)
    if config.expert is None or config.action_mode == "discrete":
        raise ConfigError(
            f"action mode: got {config.action_mode!r} and {'no' if config.expert is None else 'an'} action expert, "
            "allowed are continuous or both, with one; a checkpoint that only writes its actions does not run here"
        )
    tag = tag_of_station(read_tags(folder / config.norm_stats_file))
    crops, marks = read_crops(folder, config)
    tokenizer = read_tokenizer(folder, config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    stored = device == "cpu" and bf16_is_emulated()
    model = weights.load(folder, dtype=None if stored else torch.bfloat16, device=device).model
    pack(model)
    return Released(
        model=model,
        prompter=Prompter(config=config, tokenizer=tokenizer, tag=tag, crops=crops, marks=marks),
        views=_views(tag) or VIEWS,
        period_s=1.0 / (tag.fps or RATE_HZ),
        digest=_digest(folder, config),
        recipe=read_json(folder / RECIPE) if (folder / RECIPE).is_file() else {},
    )


def tag_of_station(tags: Mapping[str, Tag]) -> Tag:
    """The only one of a robot with the station's joints and cameras, moved by absolute joint poses.

    Raises:
        InputError: when there is none, or there are several.
    """
    joints = len(BIMANUAL_YAM.joints)
    fit = [
        tag
        for tag in tags.values()
        if tag.control == CONTROL
        and tag.action is not None
        and {tag.action.size, joints if tag.state is None else tag.state.size} == {joints}
        and set(_views(tag)) <= set(VIEWS)
    ]
    if len(fit) != 1:
        raise InputError(
            f"embodiment tag: got {listing(sorted(tags))}, of which {len(fit)} are of a robot like the station's "
            f"({joints} joints, {CONTROL!r}, cameras of {', '.join(VIEWS)}), allowed is one; fine-tune the checkpoint "
            "on data of the station, or leave one tag in its statistics"
        )
    return fit[0]


def _views(tag: Tag) -> tuple[str, ...]:
    return tuple(name.rpartition(".")[2] for name in tag.cameras)


def _digest(folder: Path, config: ModelConfig) -> str:
    files = [folder / name for name in (*_DECIDING, config.norm_stats_file)]
    each = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
    return hashlib.sha256(json.dumps([weights.digest(folder), each], sort_keys=True).encode()).hexdigest()


class ReleasedPolicy:
    """A released checkpoint that acts. Not for several threads at once."""

    def __init__(self, released: Released) -> None:
        self._released = released
        self._config = released.model.config
        self._writes_depth = self._config.depth is not None and self._config.depth.reasoning
        self._pace = depth_decoding.Pace()
        self._seed = 0
        self._last: tuple[Int[Tensor, "1 N"], NDArray[np.uint8]] | None = None  # map and the picture it is of

    @property
    def name(self) -> str:
        return f"MolmoAct2 ({self._released.prompter.tag.name})"

    @property
    def model_digest(self) -> str:
        return self._released.digest

    def reset(self, *, seed: int) -> None:
        self._seed, self._last = seed, None

    @torch.inference_mode()
    def decide(self, request: Request) -> Decision:
        observation, released = request.observation, self._released
        started, timings = time.perf_counter(), dict[str, float]()
        with timed(timings, "inputs"):
            sample = released.prompter.sample(
                pictures(observation, released.views),
                observation.instruction,
                observation.positions.astype(np.float32),
                depth=self._writes_depth,
            )
            prompt = batch([sample], self._config.tokens.pad, released.model.device)
        with timed(timings, "read"):
            stream = self._read(sample, prompt)
        with timed(timings, "flow"):
            rows, before = self._flow(stream, request)
        return Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=None,
            chunk=before.after_standing(chunk_of(rows, observation, released.period_s)),
            latency_s=time.perf_counter() - started,
            model_digest=self.model_digest,
            timings_s=timings,
        )

    def _read(self, sample: Sample, prompt: Prompt) -> generate.Stream:
        """What the expert looks at: the prompt, and the depth map that greedy decoding writes behind it, if any.

        The map before is a draft, of which what still holds costs no passes.
        """
        model, picture = self._released.model, sample.main_image
        if not self._writes_depth:
            return generate.read(model, prompt, room=0)
        assert picture is not None
        if self._last is None:
            depth = depth_decoding.write(model, prompt)
        else:
            codes, before = self._last
            changed = changed_cells(picture, before, codes.shape[1])
            depth = depth_decoding.verify(model, prompt, codes, changed, self._pace)
        self._last = depth.codes, picture
        return depth.stream

    def _flow(self, stream: generate.Stream, request: Request) -> tuple[NDArray[np.float32], Continuation]:
        """The rows (H, J) that are to be executed, and what they continue."""
        expert, tag, device = self._released.model.expert, self._released.prompter.tag, self._released.model.device
        noise = noise_for(request, self._seed, expert.config, calm=1.0).to(device)
        rows = generate.executed_rows(tag, self._config, noise.shape[1])
        before = continuation(request, period_s=self._released.period_s, rows=rows.stop - rows.start)
        assert tag.action is not None
        known = before.known_rows(tag.action.normalise(before.rows[None].astype(np.float32)))
        known = None if known is None else _among_all_rows(known, rows, noise)
        chunk = generate.act(stream, noise, tag.action.size, known=known)
        return generate.executed(chunk, tag, self._config)[0], before


def _among_all_rows(known: Known, executed: slice, noise: Float[Tensor, "1 H D"]) -> Known:
    """Known rows of what is executed as rows of the model's whole chunk, and all its channels."""
    rows, strength = torch.zeros_like(noise), torch.zeros_like(noise[..., 0])
    rows[:, executed, : known.rows.shape[-1]] = known.rows.to(noise)
    strength[:, executed] = known.weights.to(noise)
    return Known(rows, strength)
