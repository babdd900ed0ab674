"""What a demonstrated tick is asked: its own sentence, other words for it, or something else about the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forearm.cell.tasks import find_task, taught_phrasings
from forearm.data.dataset import Dataset
from forearm.data.episode import NO_SEED
from forearm.model.words import Words
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.alternatives import Alternatives, alternatives

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
NONE = -1  # in tables of sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How often a sample is asked in other words than its demonstration's.

    Attributes:
        other: share of the samples with a choice that are asked for something else in the scene.
        absent: share of the samples before the first grip that are asked for something that is not there.
        rephrased: share of the samples that are asked in another taught phrasing.
    """

    other: float = 0.0
    absent: float = 0.0
    rephrased: float = 0.0


AS_DEMONSTRATED = Asking()
WITH_OTHERS = Asking(other=0.5)


class Asked(NamedTuple):
    """What B ticks are asked."""

    words: Index  # (B, places) ids
    own: Mask  # (B,) whether that is what was demonstrated
    points: NDArray[np.float32]  # (B, A, 2) where other words lead, NaN nowhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """Every sentence that E episodes may be asked, S in all, in P phrasings each (the last ones repeat).

    Attributes:
        phrasings: (S, P, places) ids, the sentence itself first.
        mirrored: the same for the scene in the mirror.
        counts: (S,) phrasings that differ.
        own: (E,) the demonstration's sentence.
        others: (E, K) what else the scene could be asked for, `NONE` behind the last.
        points: (E, K, A, 2) where that would lead.
        absent: (E, M) sentences that name what the scene has not.
    """

    phrasings: Index
    mirrored: Index
    counts: Index
    own: Index
    others: Index
    points: NDArray[np.float32]
    absent: Index

    @classmethod
    def about(
        cls, dataset: Dataset, subtasks: tuple[str, ...], asking: Asking, known: Words | None = None
    ) -> tuple[Questions, Words]:
        """The questions for a dataset's episodes, and the vocabulary that these and `subtasks` need beside `known`.

        Episodes whose scenes were not drawn here are asked their own sentence alone.
        """
        episodes = list(zip(dataset.instructions, dataset.seeds.tolist(), strict=True))
        foreign = {sentence for sentence, seed in episodes if seed == NO_SEED}
        drawn = sorted({sentence for sentence, seed in episodes if seed != NO_SEED})
        tasks = {(task := find_task(each)).name: task for each in drawn}.values()
        found = [Alternatives() if each[1] < 0 else alternatives(*each, tasks) for each in episodes]
        absent = [each.absent if asking.absent else () for each in found]
        others = [each.others if asking.other else () for each in found]
        sentences = {*dataset.instructions, *(each for some in absent for each in some)}
        sentences |= {each.instruction for some in others for each in some}
        numbers = {sentence: number for number, sentence in enumerate(sorted(sentences))}
        phrasings = [
            taught_phrasings(each) if asking.rephrased and each not in foreign else (each,) for each in numbers
        ]
        said = tuple(each for some in phrasings for each in some)
        words = Words.taught_by(said + tuple(swap_sides(each) for each in said), subtasks)
        words = words if known is None else known.extended(words)
        most = max(len(some) for some in phrasings)
        points = np.full((len(others), max(1, *map(len, others)), len(BIMANUAL_YAM.arms), 2), np.nan, np.float32)
        for episode, some in enumerate(others):
            for place, each in enumerate(some):
                points[episode, place] = each.points
        padded = [some + some[-1:] * (most - len(some)) for some in phrasings]
        questions = cls(
            phrasings=np.array([[words.encode(each) for each in some] for some in padded]),
            mirrored=np.array([[words.encode(swap_sides(each)) for each in some] for some in padded]),
            counts=np.array([len(some) for some in phrasings]),
            own=np.array([numbers[each] for each in dataset.instructions]),
            others=_table([[numbers[each.instruction] for each in some] for some in others]),
            points=points,
            absent=_table([[numbers[each] for each in some] for some in absent]),
        )
        return questions, words

    def draw(self, episodes: Index, early: Mask, flip: Mask, rng: np.random.Generator, asking: Asking) -> Asked:
        """What ticks of these episodes (B,) are asked; only `early` ones can be asked for something else."""
        chance = rng.random(len(episodes))
        absent, _ = _pick(self.absent[episodes], rng)
        other, place = _pick(self.others[episodes], rng)
        ask_absent = early & (absent != NONE) & (chance >= 1 - asking.absent)
        ask_other = early & (other != NONE) & (chance < asking.other)
        sentence = np.where(ask_absent, absent, np.where(ask_other, other, self.own[episodes]))
        phrasing = rng.integers(self.counts[sentence]) * (rng.random(len(episodes)) < asking.rephrased)
        words = np.where(flip[:, None], self.mirrored[sentence, phrasing], self.phrasings[sentence, phrasing])
        points = np.where(ask_other[:, None, None], self.points[episodes, place], np.nan)
        return Asked(words, ~(ask_absent | ask_other), points.astype(np.float32))


def swap_sides(sentence: str) -> str:
    """The sentence for the scene in the mirror."""
    swapped = {"left": "right", "right": "left"}
    return " ".join(swapped.get(word, word) for word in sentence.split())


def _table(rows: list[list[int]]) -> Index:
    table = np.full((len(rows), max(1, *map(len, rows))), NONE)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


def _pick(table: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """One entry of each row (B, K) that is not `NONE`, or `NONE`, and its place."""
    place = rng.integers(np.maximum((table != NONE).sum(1), 1))
    return np.take_along_axis(table, place[:, None], axis=1)[:, 0], place
