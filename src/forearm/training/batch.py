"""Minibatches of demonstrations: mirrored, jittered, and with traces shifted so that the arms learn to follow them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forearm.cell.tasks import find_task
from forearm.cell.variation import COLOURS
from forearm.data.dataset import Dataset
from forearm.data.episode import NO_SEED
from forearm.data.labels import clear_of_table, free_space, gripper_events, names, points, traces, waiting
from forearm.model.depth_codes import depth_codes
from forearm.model.reasoner import Sight
from forearm.model.sight import Scales, tools_at
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
    depth: Tensor  # (B, cells) m, what they stand for, NaN unknown
    points: Tensor  # (B, A, 2) fractions of the main image, NaN none: where the demonstrated motion leads
    asked: (
        Tensor  # (B, A, 2) likewise: what the words ask for, which differs where they are not the demonstration's own
    )
    traces: Tensor  # (B, A, W, 4) m and opening: what was demonstrated
    followed: Tensor  # (B, A, W, 4) the same with shifts: what the actions below follow
    subtask: Tensor  # (B,), -1 where the words are not the demonstration's own
    names: Tensor  # (B, A) ids of words: by which of them what each gripper holds, or takes next, goes; -1 unknown
    actions: Tensor  # (B, H, J) network units


class Undeveloped(NamedTuple):
    """A batch whose images are still bytes, a quarter of what they become: quick to make and to carry to a device."""

    top: Tensor  # (B, H, W, 3) uint8
    wrists: Tensor  # (B, A, h, w, 3) uint8
    top_light: Tensor  # (B, 3) factor on each colour
    wrist_lights: Tensor  # (B, A, 3)
    state: Tensor  # as in Sight
    words: Tensor
    others: tuple[Tensor, ...]  # Batch's, in its order, from `tools` on

    def develop(self, device: torch.device) -> Batch:
        """The batch on a device; it need not have arrived when this returns."""
        moved = [each.to(device, non_blocking=True) for each in cast(tuple[Tensor, ...], self[:-1])]
        top, wrists, top_light, wrist_lights, state, words = moved
        sight = Sight(top=_lit(top, top_light), wrists=_lit(wrists, wrist_lights), state=state, words=words)
        return Batch(sight, *(each.to(device, non_blocking=True) for each in self.others))


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
    names: Index  # (N, A)
    codes: Index  # (N, side, side)
    points: Array  # (N, A, 2)
    traces: Array  # (N, A, W, 4)
    free: NDArray[np.bool_]  # (N, A) away from grips and the table
    clear: NDArray[np.bool_]  # (N, A) away from the table
    weight: NDArray[np.float64]  # (N,) chance of being drawn

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        horizon: int,
        asking: Asking = AS_DEMONSTRATED,
        known: Words | None = None,
        *,
        turns: tuple[str, ...] = (),
    ) -> Lessons:
        """Labels every tick, in the words that `asking` needs; `known` ones keep their ids. Ten seconds for 100,000.

        In the tasks of `turns` an arm that waits points nowhere.
        """
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
            names=np.concatenate([_names(dataset.actions[a:b], dataset.subtasks[a:b], words) for a, b in spans]),
            codes=depth_codes(dataset.depth_cells),
            points=np.concatenate(
                [
                    (_points_by_turns if kind in turns else points)(dataset.actions[a:b])
                    for (a, b), kind in zip(spans, kinds, strict=True)
                ]
            ).astype(np.float32),
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
        return self.undeveloped(index, rng, asking, shifted=shifted).develop(torch.device("cpu"))

    def undeveloped(
        self,
        index: Index,
        rng: np.random.Generator,
        asking: Asking = AS_DEMONSTRATED,
        *,
        mirrored: float = 0.5,
        shifted: bool = True,
    ) -> Undeveloped:
        """`batch`, of which nothing has been computed yet that a device computes faster."""
        data = self.dataset
        flip = rng.random(len(index)) < mirrored
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
        top, top_light = self._images("top", "top", index, flip, rng)
        left, left_light = self._images("left", "right", index, flip, rng)
        right, right_light = self._images("right", "left", index, flip, rng)
        codes, depth = (_mirror_some_maps(each[index], flip) for each in (self.codes, data.depth_cells))
        asked_points = np.where(asked.own[:, None, None], self.points[index], asked.points)
        others = (
            tools,
            codes,
            depth,
            _mirror_some_points(self.points[index], flip),
            _mirror_some_points(asked_points, flip),
            _mirror_some_traces(self.traces[index], flip),
            _mirror_some_traces(followed, flip),
            np.where(asked.own, subtask, -1),
            np.where(asked.own[:, None], np.where(flip[:, None], self.names[index][:, ::-1], self.names[index]), -1),
            self.scales.encode(chunks, noisy).astype(np.float32),
        )
        return Undeveloped(
            top=torch.from_numpy(top),
            wrists=torch.from_numpy(np.stack([left, right], 1)),
            top_light=torch.from_numpy(top_light),
            wrist_lights=torch.from_numpy(np.stack([left_light, right_light], 1)),
            state=torch.from_numpy(self.scales.state(noisy, tools)),
            words=torch.from_numpy(asked.words),
            others=tuple(torch.from_numpy(each) for each in others),
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
    ) -> tuple[NDArray[np.uint8], Array]:
        """(B, H, W, 3) of a camera, shifted, mirrored ones taken from its counterpart; and the light (B, 3) on them."""
        height, width = self.dataset.images[camera].shape[1:3]
        reach = SHIFT_PX[camera]
        result = np.empty((len(index), height, width, 3), dtype=np.uint8)
        for place, (tick, mirrored) in enumerate(zip(index, flip, strict=True)):
            source = self.dataset.images[mirror_camera if mirrored else camera][tick]
            down, right = rng.integers(-reach, reach + 1, 2)
            rows = np.clip(np.arange(height) + down, 0, height - 1)
            columns = np.clip(np.arange(width) + right, 0, width - 1)
            result[place] = source.take(rows, axis=0).take(columns[::-1] if mirrored else columns, axis=1)
        light = 1 + rng.uniform(-GAIN, GAIN, (len(index), 1)) + rng.uniform(-TINT, TINT, (len(index), 3))
        return result, light.astype(np.float32)


def _lit(images: Tensor, light: Tensor) -> Tensor:
    """Images (..., H, W, 3) uint8 as (..., 3, H, W) in -1..1, brighter and tinted by `light` (..., 3)."""
    plain = images.movedim(-1, -3).float() / 127.5 - 1.0
    return ((plain + 1.0) * light[..., None, None] - 1.0).clamp(max=1.0)


def _kind(instruction: str, seed: int) -> str:
    """The kind of task: its name, or where it is none of ours, its verb."""
    return words_of(instruction)[0] if seed == NO_SEED else find_task(instruction).name


def _names(actions: Array, subtasks: NDArray[np.str_], words: Words) -> Index:
    """(T, A) `names` that are colours, as ids of words; those that no sentence has go unsaid."""
    known = [word for word in words.vocabulary if word in COLOURS]
    ids = np.array([0, *(words.vocabulary.index(word) + 1 for word in known), -1])
    return ids[names(actions, subtasks.tolist(), known)]


def _points_by_turns(actions: Array) -> NDArray[np.float64]:
    """(T, A, 2) `points`, but none for an arm that waits."""
    return np.where(waiting(actions)[..., None], np.nan, points(actions))


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


def _mirror_some_maps(maps: NDArray[Any], flip: NDArray[np.bool_]) -> NDArray[Any]:
    """(B, cells) of maps (B, h, w)."""
    return np.where(flip[:, None, None], maps[:, :, ::-1], maps).reshape(len(maps), -1)


def _mirror_some_points(values: Array, flip: NDArray[np.bool_]) -> Array:
    mirrored = values[:, ::-1] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return np.where(flip[:, None, None], mirrored, values)


def _mirror_some_traces(values: Array, flip: NDArray[np.bool_]) -> Array:
    mirrored = values[:, ::-1].copy()
    mirrored[..., :3] = mirror_points(mirrored[..., :3].astype(np.float64))
    return np.where(flip[:, None, None, None], mirrored, values)
