"""Minibatches of demonstrations: mirrored, jittered, and with traces shifted so that the arms learn to follow them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forearm.cell.tasks import find_task
from forearm.data.dataset import Dataset
from forearm.data.episode import NO_SEED
from forearm.data.labels import clear_of_table, free_space, gripper_events, points, traces
from forearm.model.depth_codes import depth_codes
from forearm.model.reasoner import Sight
from forearm.model.sight import Scales, pixels, tools_at
from forearm.model.words import Words
from forearm.robot.mirror import mirror_points, mirror_positions
from forearm.sentence import words_of
from forearm.training import shifts
from forearm.training.questions import AS_DEMONSTRATED, Asking, Questions, swap_sides

Array = NDArray[np.float32]
Index = NDArray[np.int64]

SHIFT_PX = {"top": 1, "left": 2, "right": 2}  # px, largest image shift: camera mounts are not exact
GAIN = 0.15  # largest change of brightness, share
TINT = 0.06  # largest change of one colour channel, share of full scale
JOINT_NOISE_RAD = 0.01  # rad, of measured positions: calibration is not exact
FIRST_TICKS = 10  # 1 s
BEFORE_GRIP_TICKS = 8


class Batch(NamedTuple):
    """What one optimiser step learns from; B samples, A arms."""

    sight: Sight
    tools: Tensor  # (B, A, 3) m
    codes: Tensor  # (B, cells) depth codes, -1 unknown
    points: Tensor  # (B, A, 2) fractions of the main image, NaN none: where the demonstrated motion leads
    asked: (
        Tensor  # (B, A, 2) likewise: what the words ask for, which differs where they are not the demonstration's own
    )
    traces: Tensor  # (B, A, W, 4) m and opening: what was demonstrated
    followed: Tensor  # (B, A, W, 4) the same with shifts: what the actions below follow
    subtask: Tensor  # (B,), -1 where the words are not the demonstration's own
    actions: Tensor  # (B, H, J) network units

    def to(self, device: torch.device) -> Batch:
        """The same on a device; it need not have arrived when this returns."""
        others = cast(tuple[Tensor, ...], self[1:])
        sight = Sight(*(each.to(device, non_blocking=True) for each in self.sight))
        return Batch(sight, *(each.to(device, non_blocking=True) for each in others))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """A dataset with everything its own actions teach, made once; N ticks."""

    dataset: Dataset
    words: Words
    scales: Scales
    horizon: int
    last: Index  # (N,) the last tick of each tick's episode
    episode: Index  # (N,)
    early: NDArray[np.bool_]  # (N,) before the first grip: another sentence could still have been asked
    questions: Questions
    subtask: Index  # (N,)
    mirrored_subtask: Index
    codes: Index  # (N, side, side)
    points: Array  # (N, A, 2)
    traces: Array  # (N, A, W, 4)
    free: NDArray[np.bool_]  # (N, A) away from grips and the table
    clear: NDArray[np.bool_]  # (N, A) away from the table
    weight: NDArray[np.float64]  # (N,) chance of being drawn

    @classmethod
    def of(
        cls, dataset: Dataset, horizon: int, asking: Asking = AS_DEMONSTRATED, known: Words | None = None
    ) -> Lessons:
        """Labels every tick, in the words that `asking` needs; `known` ones keep their ids. Ten seconds for 100,000."""
        spans = list(zip(dataset.starts[:-1], dataset.starts[1:], strict=True))
        phrases = tuple(np.unique(dataset.subtasks).tolist())
        phrases += tuple(swap_sides(each) for each in phrases)
        questions, words = Questions.about(dataset, phrases, asking, known)
        by_phrase = {phrase: index for index, phrase in enumerate(words.subtasks)}
        lengths = np.diff(dataset.starts)
        last = np.repeat(dataset.starts[1:] - 1, lengths)
        rows = np.minimum(np.arange(len(dataset))[:, None] + np.arange(horizon), last[:, None])
        chunks = dataset.actions[rows]
        both = np.concatenate([dataset.positions, _mirror(dataset.positions)])
        kinds = np.array([_kind(*each) for each in zip(dataset.instructions, dataset.seeds, strict=True)])
        episodes_of_kind = {kind: int(lengths[kinds == kind].sum()) for kind in np.unique(kinds)}
        weight = np.repeat([episodes_of_kind[kind] ** -0.5 for kind in kinds], lengths)
        weight *= np.concatenate([_interest(dataset.actions[a:b]) for a, b in spans])
        return cls(
            dataset=dataset,
            words=words,
            scales=Scales.of(both, np.concatenate([chunks, _mirror(chunks)])),
            horizon=horizon,
            last=last,
            episode=np.repeat(np.arange(len(lengths)), lengths),
            early=np.concatenate([np.arange(b - a) < _first_event(dataset.actions[a:b]) for a, b in spans]),
            questions=questions,
            subtask=np.array([by_phrase[phrase] for phrase in dataset.subtasks.tolist()]),
            mirrored_subtask=np.array([by_phrase[swap_sides(phrase)] for phrase in dataset.subtasks.tolist()]),
            codes=depth_codes(dataset.depth_cells),
            points=np.concatenate([points(dataset.actions[a:b]) for a, b in spans]).astype(np.float32),
            traces=np.concatenate([traces(dataset.actions[a:b]) for a, b in spans]).astype(np.float32),
            free=np.concatenate([free_space(dataset.actions[a:b], horizon=horizon) for a, b in spans]),
            clear=np.concatenate([clear_of_table(dataset.actions[a:b], horizon=horizon) for a, b in spans]),
            weight=weight / weight.sum(),
        )

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` ticks, half of them mirrored."""
        return self.batch(rng.choice(len(self.weight), size, p=self.weight), rng)

    def batch(
        self, index: Index, rng: np.random.Generator, asking: Asking = AS_DEMONSTRATED, *, shifted: bool = True
    ) -> Batch:
        """These ticks, jittered and half of them mirrored, asked as `asking` says.

        Unless `shifted`, every chunk is the demonstrated one.
        """
        data = self.dataset
        flip = rng.random(len(index)) < 0.5
        rows = np.minimum(index[:, None] + np.arange(self.horizon), self.last[index][:, None])
        chunks, followed = data.actions[rows], self.traces[index]
        if shifted:
            chunks, followed = self._shift_traces(index, rows, rng)
        positions = data.positions[index]
        positions = np.where(flip[:, None], _mirror(positions), positions)
        chunks = np.where(flip[:, None, None], _mirror(chunks), chunks)
        tools = tools_at(positions)
        asked = self.questions.draw(self.episode[index], self.early[index], flip, rng, asking)
        subtask = np.where(flip, self.mirrored_subtask[index], self.subtask[index])
        noisy = positions + rng.normal(0, JOINT_NOISE_RAD, positions.shape).astype(np.float32)
        sight = Sight(
            top=torch.from_numpy(self._images("top", "top", index, flip, rng)),
            wrists=torch.from_numpy(
                np.stack(
                    [self._images("left", "right", index, flip, rng), self._images("right", "left", index, flip, rng)],
                    1,
                )
            ),
            state=torch.from_numpy(self.scales.state(noisy, tools)),
            words=torch.from_numpy(asked.words),
        )
        codes = np.where(flip[:, None, None], self.codes[index][:, :, ::-1], self.codes[index])
        return Batch(
            sight=sight,
            tools=torch.from_numpy(tools),
            codes=torch.from_numpy(np.ascontiguousarray(codes).reshape(len(index), -1)),
            points=torch.from_numpy(_mirror_some_points(self.points[index], flip)),
            asked=torch.from_numpy(
                _mirror_some_points(np.where(asked.own[:, None, None], self.points[index], asked.points), flip)
            ),
            traces=torch.from_numpy(_mirror_some_traces(self.traces[index], flip)),
            followed=torch.from_numpy(_mirror_some_traces(followed, flip)),
            subtask=torch.from_numpy(np.where(asked.own, subtask, -1)),
            actions=torch.from_numpy(self.scales.encode(chunks, noisy).astype(np.float32)),
        )

    def _shift_traces(self, index: Index, rows: Index, rng: np.random.Generator) -> tuple[Array, Array]:
        """Chunks and the traces they follow; some moved together by up to a few centimetres."""
        shift = shifts.draw(self.free[index], self.clear[index], rng)
        chunks, possible = shifts.follow(self.dataset.actions[rows], shift)
        traced = self.traces[index].copy()
        traced[..., :3] += np.where(possible[..., None], shift, 0.0)[:, :, None]
        return chunks, traced

    def _images(
        self, camera: str, mirror_camera: str, index: Index, flip: NDArray[np.bool_], rng: np.random.Generator
    ) -> Array:
        """(B, 3, H, W) of a camera, mirrored ones taken from its counterpart, shifted, brightened and tinted."""
        height, width = self.dataset.images[camera].shape[1:3]
        reach = SHIFT_PX[camera]
        result = np.empty((len(index), height, width, 3), dtype=np.uint8)
        for place, (tick, mirrored) in enumerate(zip(index, flip, strict=True)):
            source = self.dataset.images[mirror_camera if mirrored else camera][tick]
            down, right = rng.integers(-reach, reach + 1, 2)
            rows = np.clip(np.arange(height) + down, 0, height - 1)
            columns = np.clip(np.arange(width) + right, 0, width - 1)
            result[place] = source[rows][:, columns[::-1] if mirrored else columns]
        light = (1 + rng.uniform(-GAIN, GAIN, (len(index), 1)) + rng.uniform(-TINT, TINT, (len(index), 3))).astype(
            np.float32
        )
        images = (pixels(result) + 1.0) * light[:, :, None, None] - 1.0
        return np.minimum(images, 1.0)


def _kind(instruction: str, seed: int) -> str:
    """The kind of task: its name, or where it is none of ours, its verb."""
    return words_of(instruction)[0] if seed == NO_SEED else find_task(instruction).name


def _interest(actions: Array) -> NDArray[np.float64]:
    """(T,) how often a tick is drawn: more in the first second, when words decide, and just before a grip changes."""
    interest = np.ones(len(actions))
    interest[:FIRST_TICKS] = 3.0
    for events in gripper_events(actions):
        for event in events:
            interest[max(0, event - BEFORE_GRIP_TICKS) : event + 2] = np.maximum(
                interest[max(0, event - BEFORE_GRIP_TICKS) : event + 2], 2.0
            )
    return interest


def _first_event(actions: Array) -> int:
    """The first tick at which a gripper is to close or open."""
    return min((events[0] for events in gripper_events(actions) if events), default=0)


def _mirror(positions: Array) -> Array:
    return mirror_positions(positions.astype(np.float64)).astype(np.float32)


def _mirror_some_points(values: Array, flip: NDArray[np.bool_]) -> Array:
    mirrored = values[:, ::-1] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return np.where(flip[:, None, None], mirrored, values)


def _mirror_some_traces(values: Array, flip: NDArray[np.bool_]) -> Array:
    mirrored = values[:, ::-1].copy()
    mirrored[..., :3] = mirror_points(mirrored[..., :3].astype(np.float64))
    return np.where(flip[:, None, None, None], mirrored, values)
