"""A LeRobot v3 dataset as what released models learn from: prompts and normalised chunks, at the dataset's own rate.

Numbers are held in memory, pictures are decoded when a tick is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forearm.data.dataset_writer import statistics_of
from forearm.data.lerobot import Place, Source
from forearm.data.mapping import FeatureMapping, Robot, Vector
from forearm.errors import ConfigError, DatasetError, InputError, listing, unknown
from forearm.model.action_tokenizer import ActionTokenizer
from forearm.model.config import DepthConfig
from forearm.model.inputs import Prompter, Sample, read_crops
from forearm.model.published import read_config, read_json
from forearm.model.statistics import Tag, choose, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.training.written import Writer, Written, writes_depth

Array = NDArray[np.float32]
DEPTH_SHARE = 0.5  # of examples with codes that are asked for depth before the action; see `Examples`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One tick: what is seen and told, and the normalised chunk (H, D) that followed.

    `sample` holds the prompt with what was `written` behind it. `rows` (H,) are those inside the episode, `channels`
    (D,) those that the robot has.
    """

    sample: Sample
    written: Written
    actions: Array
    rows: NDArray[np.bool_]
    channels: NDArray[np.bool_]


class Examples:
    """Every tick of a dataset.

    Where the dataset brings depth codes, half of the examples are asked for depth before the action. The released
    post-training had a third of those, of action alone and of depth alone; the words that ask for depth alone are not
    published, nor are the shares of fine-tuning. Codes are learned as they stand: those of a checkpoint that rewrites
    changed cells alone must be the ones kept, not those of each frame.

    Args:
        source: the dataset.
        mapping: what of it is what; its cameras in the order in which the model is shown them.
        prompter: of the model and the robot.
        actions: the model's action tokenizer; None writes no action tokens.

    Raises:
        ConfigError: when the model has no action expert.
        DatasetError: when the dataset lacks what the mapping names, or is not of the prompter's robot.
        InputError: when the action tokenizer is not the model's.
    """

    def __init__(
        self, source: Source, mapping: FeatureMapping, prompter: Prompter, actions: ActionTokenizer | None = None
    ) -> None:
        expert = prompter.config.expert
        if expert is None:
            raise ConfigError(
                "action expert: got a checkpoint without one, allowed is one with; use another checkpoint"
            )
        self._source, self._mapping, self._prompter, self._expert = source, mapping, prompter, expert
        self._before = prompter.config.observations - 1
        self._writer = Writer(prompter.config, actions)
        self._codes = None
        if mapping.depth_codes is not None and prompter.config.depth is not None and writes_depth(prompter.config):
            self._codes = _codes(source, mapping.depth_codes, prompter.config.depth)
        tables = [source.rows(place) for place in source.places]
        self._states = _columns(source, mapping.state)
        self._actions = _columns(source, mapping.action)
        self._sentences = [source.sentence(table) for table in tables]
        self._starts = np.cumsum([0, *(place.length for place in source.places)])
        for name, vector, scaling in (
            ("state", self._states, prompter.tag.state),
            ("action", self._actions, prompter.tag.action),
        ):
            if scaling is not None and vector.shape[1] != scaling.size:
                raise DatasetError(
                    f"{name}: got {vector.shape[1]} channels, allowed are the {scaling.size} of {prompter.tag.name}; "
                    "list those in the mapping, or name a new robot there"
                )
        if self._actions.shape[1] > expert.action_dim:
            raise DatasetError(
                f"action: got {self._actions.shape[1]} channels, allowed are ≤ {expert.action_dim}, the model's; "
                "list fewer in the mapping"
            )

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def with_depth(self) -> bool:
        """Whether some of them ask for depth."""
        return self._codes is not None

    @property
    def with_tokens(self) -> bool:
        """Whether some of them have anything written behind the prompt."""
        return self.with_depth or self._writer.actions is not None

    def draw(self, tick: int, rng: np.random.Generator) -> Example:
        """What is learned from a tick; `rng` decides whether depth is asked for, and which codes are read wrongly."""
        episode = int(np.searchsorted(self._starts, tick, side="right")) - 1
        first, end = int(self._starts[episode]), int(self._starts[episode + 1])
        place = self._source.places[episode]
        codes = self._codes[tick] if self._codes is not None and rng.random() < DEPTH_SHARE else None
        sample = self._prompter.sample(
            [self._picture(place, view.feature, tick - first) for view in self._mapping.cameras.values()],
            self._sentences[episode],
            self._states[tick],
            depth=codes is not None,
        )
        horizon, width = self._expert.horizon, self._actions.shape[1]
        ahead = tick - self._before + np.arange(horizon)
        chunk = self._actions[np.clip(ahead, first, end - 1)]
        scaling = self._prompter.tag.action
        actions = np.zeros((horizon, self._expert.action_dim), np.float32)
        actions[:, :width] = chunk if scaling is None else scaling.normalise(chunk)
        within = self._before + (self._prompter.tag.horizon or horizon - self._before)
        rows = (ahead >= first) & (ahead < end) & (np.arange(horizon) < within)
        written = self._writer.write(actions[:within, :width], codes, rng)
        return Example(
            sample=replace(sample, ids=np.concatenate([sample.ids, written.ids])),
            written=written,
            actions=actions,
            rows=rows,
            channels=np.arange(self._expert.action_dim) < width,
        )

    def _picture(self, place: Place, feature: str, row: int) -> NDArray[np.uint8]:
        return next(self._source.pictures(place, feature, np.array([row])))


def _columns(source: Source, vector: Vector) -> Array:
    return np.concatenate([vector.read(source, source.rows(place)) for place in source.places])


def _codes(source: Source, feature: str, depth: DepthConfig) -> NDArray[np.int64]:
    """(ticks, N) codes of every tick's depth map."""
    columns = np.concatenate([source.vectors(source.rows(place), feature) for place in source.places])
    whole = (columns == np.rint(columns)).all()
    if columns.shape[1] != depth.codes or not whole or columns.min() < 0 or columns.max() >= depth.codebook:
        raise DatasetError(
            f"{feature}: got {columns.shape[1]} numbers from {columns.min():g} to {columns.max():g}, allowed are "
            f"{depth.codes} whole ones from 0 to {depth.codebook - 1}; use those of the checkpoint's depth tokenizer"
        )
    return columns.astype(np.int64)


def prompter_for(folder: Path, statistics: Path, mapping: FeatureMapping) -> Prompter:
    """What makes the prompts of a released checkpoint for the mapping's robot.

    Args:
        folder: the checkpoint.
        statistics: a norm_stats.json that knows the robot.
        mapping: whose cameras are shown.

    Raises:
        CheckpointError: when a file is missing or damaged.
        InputError: when the robot is unknown, or was shown other cameras.
    """
    config = read_config(folder)
    tag = choose(read_tags(statistics), None if mapping.robot is None else mapping.robot.tag)
    _check_cameras(tag, tuple(mapping.cameras))
    crops, marks = read_crops(folder, config)
    tokenizer = read_tokenizer(folder, config)
    return Prompter(config=config, tokenizer=tokenizer, tag=tag, crops=crops, marks=marks)


def _check_cameras(tag: Tag, shown: tuple[str, ...]) -> None:
    wanted = [tuple(name.rpartition(".")[2] for name in names) for names in (tag.cameras, *tag.alternatives) if names]
    if wanted and shown not in wanted:
        raise InputError(
            f"cameras: got {', '.join(shown)}, allowed for {tag.name} are "
            f"{listing(', '.join(names) for names in wanted)}; map them by these names, in this order"
        )


def statistics_with(folder: Path, source: Source, mapping: FeatureMapping) -> Mapping[str, Any]:
    """A checkpoint's norm_stats.json that knows the mapping's robot, by its own quantiles or those of the dataset.

    Openings are not scaled, as the released models do not either. How many rows of a chunk a second has is the
    dataset's rate from now on, and said so.

    Raises:
        CheckpointError: when the file is missing or damaged.
        InputError: when the robot is new and its mapping says no setup.
    """
    path = folder / read_config(folder).norm_stats_file
    stored, robot = read_json(path), mapping.robot
    tags = read_tags(path)
    name = choose(tags, None).name if robot is None else robot.tag
    if robot is not None and name not in tags and not robot.setup:
        raise InputError(f"{unknown('robot tag', name, sorted(tags))}; for a new robot say its setup in words")
    known = stored["metadata_by_tag"]
    made = known[name] if robot is None or name in tags else _new_tag(robot, source, mapping)
    return {**stored, "metadata_by_tag": {**known, name: {**made, "fps": source.fps}}}


def _new_tag(robot: Robot, source: Source, mapping: FeatureMapping) -> dict[str, Any]:
    stats = dict[str, Any]()
    for name, vector in (("state", mapping.state), ("action", mapping.action)):
        columns, grippers = vector.columns(source.feature(vector.feature))
        named = source.feature(vector.feature).names
        stats[f"{name}_stats"] = {
            **statistics_of(_columns(source, vector)),
            "mask": (~grippers).tolist(),
            "names": [named[index] if named else str(index) for index in columns],
        }
    return {
        "action_key": mapping.action.feature,
        "state_key": mapping.state.feature,
        "camera_keys": [f"observation.images.{name}" for name in mapping.cameras],
        "normalize_gripper": False,
        "action_dim": len(stats["action_stats"]["mask"]),
        "setup_type": robot.setup,
        "control_mode": robot.control,
        **stats,
    }


def stacked(examples: Sequence[Example]) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Chunks (B, H, D), rows (B, H) and channels (B, D) side by side."""
    return (
        np.stack([each.actions for each in examples]),
        np.stack([each.rows for each in examples]),
        np.stack([each.channels for each in examples]),
    )
