"""The small action reasoning model: wiring only. It reads, plans, commits, and then acts, in that order and no other.

    images ─┬─────────────► depth ──┐
    words ──┴─► point (per arm) ──► trace (per arm) ──► keys and values ──► flow ──► action chunk

Decoder, caches, action expert and flow are those of the released MolmoAct2; `layout` says which token sees which, and
with that why the plan causes the action. Every decided value (codes, points, waypoints) passes through numbers that can
be read, checked and edited before the next stage sees them; no gradient passes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from forearm.model.action_expert import ActionExpert, Context
from forearm.model.attention import Cache, GrowingCache
from forearm.model.config import ExpertConfig, FlowConfig, TextConfig
from forearm.model.depth_codes import DEPTH_CODES, code_metres
from forearm.model.fourier import FourierEmbedding
from forearm.model.language import Decoder
from forearm.model.layout import (
    DEPTH,
    POINT,
    POINT_QUERY,
    STATE,
    TOP,
    TRACE,
    TRACE_QUERY,
    WORDS,
    WRIST,
    Layout,
)
from forearm.model.pointing import CloserLook, Naming, PointHead
from forearm.model.stem import CELLS, ConvStem
from forearm.robot.embodiment import BIMANUAL_YAM

ARMS = 2
STATE_CHANNELS = 10  # per arm: 6 joints and the opening, normalised; x, y, z of the tool in `LENGTH_M`
WAYPOINT_CHANNELS = 4  # x, y, z in `LENGTH_M`, opening
DEPTH_ROWS = 2  # rows of the depth map to a token
LENGTH_M = 0.25  # m, the unit of positions inside the network: about the reach of one motion


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerConfig:
    """What a small reasoner is; `sizes.Sizes` makes those of ours.

    Attributes:
        decoder, expert, flow: as in the released model, smaller.
        top_side, wrist_side: of the square camera images, px.
        cell_channels: of a 12 px cell.
        vocabulary: words known, without the empty place.
        places: words of the longest sentence.
        subtasks: phrases it may say of itself.
        depth_codes: codes of the depth map.
        waypoints: of a trace.
        names: whether it says of what each gripper holds, or is to take next, by which word it goes.
        closer: whether it looks closer at the cells that it points to, and tells things apart that lie in one.
        without: a part of its reasoning that nothing follows from, one of `layout.WITHOUT`; the shipped ones' is none.
    """

    decoder: TextConfig
    expert: ExpertConfig
    flow: FlowConfig = field(default_factory=lambda: FlowConfig(steps=8))
    top_side: int = 120
    wrist_side: int = 72
    cell_channels: int
    vocabulary: int
    places: int
    subtasks: int
    depth_codes: int = DEPTH_CODES
    waypoints: int = 5
    names: bool = False
    closer: bool = False
    without: str = ""


class Sight(NamedTuple):
    """What the model is given, normalised.

    Attributes:
        top: (B, 3, H, W) in -1..1.
        wrists: (B, 2, 3, h, w) in -1..1, left then right.
        state: (B, 2, STATE_CHANNELS).
        words: (B, places) ids.
    """

    top: Float[Tensor, "B 3 H W"]
    wrists: Float[Tensor, "B arms 3 h w"]
    state: Float[Tensor, "B arms 10"]
    words: Int[Tensor, "B places"]


class Reading(NamedTuple):
    """What the first stage decided on: logits of depth codes, points and subtask, and what the offset is asked with.

    Beside them the names, where the model says any, and the keys of parts of cells, where it looks closer.
    """

    depth: Float[Tensor, "B cells codes"]
    names: Float[Tensor, "B arms vocabulary+1"] | None
    points: Float[Tensor, "B arms cells+1"]
    subtask: Float[Tensor, "B subtasks"]
    questions: Float[Tensor, "B arms key"]
    keys: Float[Tensor, "B cells key"]
    part_keys: Float[Tensor, "B parts key"] | None


class Reasoner(nn.Module):
    """Reads, plans, commits, acts. Each of the four takes the cache that the one before it left."""

    _metres: Tensor
    _cell_from_camera: Tensor
    _actor_sees: Tensor

    def __init__(self, config: ReasonerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder.width
        self.top_stem = ConvStem(config.top_side, config.cell_channels, width)
        self.wrist_stem = ConvStem(config.wrist_side, config.cell_channels, width)
        self.decoder = Decoder(config.decoder)
        self.expert = ActionExpert(config.expert)
        self.word = nn.Embedding(config.vocabulary + 1, width)
        self.word_place = nn.Parameter(torch.zeros(config.places, width))
        self.state = FourierEmbedding(STATE_CHANNELS, 4, width)
        self.arm = nn.Embedding(ARMS, width)
        self.point_query = nn.Parameter(torch.zeros(width))
        self.trace_query = nn.Parameter(torch.zeros(width))
        self.point_head = PointHead(width, config.cell_channels, self.top_stem.cells_side, config.vocabulary)
        self.naming = Naming(width, config.vocabulary) if config.names else None
        self.closer = CloserLook(width, self.top_stem.cells_side) if config.closer else None
        self.depth_head = nn.Linear(width + config.cell_channels, config.depth_codes)
        self.subtask_head = nn.Linear(ARMS * width, config.subtasks)
        self.depth = nn.Linear(DEPTH_ROWS * self.top_stem.cells_side, width)
        self.depth_place = nn.Parameter(torch.zeros(self.top_stem.cells_side // DEPTH_ROWS, width))
        self.point = FourierEmbedding(2, 6, width)
        self.no_point = nn.Parameter(torch.zeros(width))
        self.target = nn.Linear(6, width)
        nn.init.zeros_(self.target.weight)
        self.trace_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.waypoints * WAYPOINT_CHANNELS)
        )
        self.waypoint = FourierEmbedding(WAYPOINT_CHANNELS + 3, 5, width)
        self.waypoint_place = nn.Embedding(config.waypoints, width)
        self.layout = Layout(
            {
                TOP: self.top_stem.tokens,
                WRIST: ARMS * self.wrist_stem.tokens,
                STATE: ARMS,
                WORDS: config.places,
                POINT_QUERY: ARMS,
                DEPTH: self.top_stem.cells_side // DEPTH_ROWS,
                POINT: ARMS,
                TRACE_QUERY: ARMS,
                TRACE: ARMS * config.waypoints,
            },
            config.without,
        )
        camera = BIMANUAL_YAM.cameras[0]
        assert camera.cell_from_camera is not None  # the main camera does not move
        mount = torch.from_numpy(
            np.column_stack([camera.cell_from_camera.rotation, camera.cell_from_camera.translation])
        )
        self._extent = 2.0 * math.tan(camera.fovy / 2.0)  # of the square image at 1 m
        self.register_buffer("_cell_from_camera", mount.float(), persistent=False)
        self.register_buffer("_metres", torch.from_numpy(code_metres()).float(), persistent=False)
        for stage in range(3):
            self.register_buffer(f"_mask_{stage}", torch.from_numpy(self.layout.mask(stage)), persistent=False)
        self.register_buffer("_actor_sees", torch.from_numpy(self.layout.actor_sees()), persistent=False)

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights of the parts that do not make their own."""
        self.decoder.initialise(generator)
        self.expert.initialise(generator)
        for parameter in (self.point_query, self.trace_query, self.word_place, self.depth_place, self.no_point):
            nn.init.normal_(parameter, std=0.5, generator=generator)
        for embedding in (self.word, self.arm, self.waypoint_place):
            nn.init.normal_(embedding.weight, std=0.5, generator=generator)

    def new_cache(self) -> GrowingCache:
        """An empty cache for one decision."""
        return GrowingCache(self.config.decoder.layers)

    def _extend(self, stage: int, tokens: list[Tensor], cache: Cache) -> Float[Tensor, "B S d"]:
        return self.decoder(torch.cat(tokens, dim=1), mask=getattr(self, f"_mask_{stage}"), cache=cache)

    def read(self, sight: Sight, cache: Cache, names: Int[Tensor, "B arms"] | None = None) -> Reading:
        """Looks, reads the words, and says what it sees and where each gripper will act.

        Where it says names, it points by the likeliest; in training by those given that are not -1.
        """
        batch = sight.top.shape[0]
        top, cells, parts = self.top_stem(sight.top)
        wrists = self.wrist_stem(sight.wrists.flatten(0, 1)).tokens
        wrists = wrists.unflatten(0, (batch, ARMS)) + self.arm.weight[:, None]
        state = self.state(sight.state) + self.arm.weight
        query = (self.point_query + self.arm.weight).expand(batch, -1, -1)
        words = self.word(sight.words) + self.word_place
        hidden = self._extend(0, [top, wrists.flatten(1, 2), state, words, query], cache)
        tokens = hidden[:, self.layout.within(0, TOP)]
        queries = hidden[:, self.layout.within(0, POINT_QUERY)]
        questions, said = self.point_head.ask(queries, sight.words), None
        if self.naming is not None:
            said = self.naming.say(queries)
            decided = said.argmax(-1)
            heeded = decided if names is None else torch.where(names >= 0, names, decided)
            questions = questions + self.point_head.named(self.naming, queries, heeded)
        keys = self.point_head.keys(tokens, cells)
        by_cell = torch.cat([tokens[:, :, None].expand(-1, -1, CELLS * CELLS, -1), cells.to(tokens.dtype)], dim=-1)
        return Reading(
            depth=self.depth_head(by_cell).flatten(1, 2)[:, self.point_head._row_major],
            names=said,
            points=self.point_head.scores(queries, questions, keys),
            subtask=self.subtask_head(queries.flatten(1)),
            questions=questions,
            keys=keys,
            part_keys=None if self.closer is None else self.closer.keys(tokens, parts),
        )

    def points(self, reading: Reading, cells: Int[Tensor, "B arms"]) -> Float[Tensor, "B arms 2"]:
        """Points as fractions of the main image for chosen cells; NaN where "none" was chosen."""
        places = self.point_head.place(reading.questions, reading.keys, cells)
        if self.closer is not None and reading.part_keys is not None:
            scores = self.closer.scores(reading.questions, reading.part_keys, cells)
            closer = self.point_head.place(reading.questions, reading.part_keys, scores.argmax(-1))
            places = torch.where(self.closer.overrules(scores, closer, places)[..., None], closer, places)
        return places.masked_fill((cells == reading.keys.shape[1])[..., None], torch.nan)

    def plan(
        self,
        codes: Int[Tensor, "B cells"],
        points: Float[Tensor, "B arms 2"],
        tools: Float[Tensor, "B arms 3"],
        cache: Cache,
    ) -> Float[Tensor, "B arms W 4"]:
        """The trace that leads to the points: x, y, z in m and opening at each waypoint. Never sees the words."""
        batch = codes.shape[0]
        nearness = 1 - 2 * codes.float() / (self.config.depth_codes - 1)  # 1 nearest, -1 farthest
        depth = self.depth(nearness.unflatten(1, (self.depth_place.shape[0], -1))) + self.depth_place
        none = points.isnan().any(-1, keepdim=True)
        there = self.point(points.nan_to_num() * 2 - 1)
        if self.config.without != DEPTH:
            target = self.targets(points.nan_to_num(), codes)
            there = there + self.target(torch.cat([target, target - tools], dim=-1) / LENGTH_M)
        point = torch.where(none, self.no_point, there) + self.arm.weight
        query = (self.trace_query + self.arm.weight).expand(batch, -1, -1)
        hidden = self._extend(1, [depth, point, query], cache)
        raw = self.trace_head(hidden[:, self.layout.within(1, TRACE_QUERY)]).float()
        raw = raw.unflatten(-1, (self.config.waypoints, WAYPOINT_CHANNELS))
        return torch.cat([tools[:, :, None] + raw[..., :3] * LENGTH_M, raw[..., 3:]], dim=-1)

    def targets(self, points: Float[Tensor, "B arms 2"], codes: Int[Tensor, "B cells"]) -> Float[Tensor, "B arms 3"]:
        """Where in the cell, m, the points lie on the surface that the depth map says is there."""
        side = self.point_head.cells_side
        column, row = (points.clamp(0, 1 - 1e-6) * side).long().unbind(-1)
        depth = self._metres[torch.gather(codes, 1, row * side + column)]
        rays = torch.cat([(points - 0.5) * self._extent, torch.ones_like(points[..., :1])], dim=-1)
        return (rays * depth[..., None]) @ self._cell_from_camera[:, :3].T + self._cell_from_camera[:, 3]

    def commit(
        self,
        traces: Float[Tensor, "B arms W 4"],
        tools: Float[Tensor, "B arms 3"],
        cache: Cache,
        *,
        erased: bool = False,
    ) -> None:
        """Takes the trace, decided on or edited, as what will be done; `erased` commits to nothing, as a test."""
        tokens = self.trace_tokens(traces, tools)
        self._extend(2, [torch.zeros_like(tokens) if erased else tokens], cache)

    def trace_tokens(
        self, traces: Float[Tensor, "B arms W 4"], tools: Float[Tensor, "B arms 3"]
    ) -> Float[Tensor, "B waypoints d"]:
        """Waypoints as tokens: where, how open, and how far from where the tool is now."""
        places, openings = traces[..., :3] / LENGTH_M, traces[..., 3:] * 2 - 1
        away = (traces[..., :3] - tools[:, :, None]) / LENGTH_M
        tokens = self.waypoint(torch.cat([places, openings, away], dim=-1))
        return (tokens + self.arm.weight[:, None] + self.waypoint_place.weight).flatten(1, 2)

    def context(self, cache: Cache) -> Context:
        """What the action expert sees: wrists, state and the committed trace, at every layer."""
        seen = self._actor_sees
        return self.expert.context([(k[:, seen], v[:, seen]) for k, v in cache.pairs()])
