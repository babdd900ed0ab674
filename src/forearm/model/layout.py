"""Which tokens the small reasoner reads and writes, in what order, and which may see which. No torch.

The order is MolmoAct2's: images, words, then reasoning, then actions. The table below is what makes reasoning *cause*
the action: words reach a point and nothing else, the point reaches the trace, the trace reaches the action, and there
is no other way round. An edited point or trace is therefore followed, and a plan that is checked is the plan that is
executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from forearm.errors import ConfigError, unknown

TOP = "top"  # the main camera's image tokens
WRIST = "wrist"  # both wrist cameras' image tokens
STATE = "state"  # one per arm: its joints, opening and tool
WORDS = "words"  # the instruction
POINT_QUERY = "point query"  # one per arm: where will this gripper next open or close?
DEPTH = "depth"  # the depth map decided on, two rows of it to a token
POINT = "point"  # the points decided on, or edited
TRACE_QUERY = "trace query"  # one per arm: which way will its tool go?
TRACE = "trace"  # the waypoints decided on, or edited

SEES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TOP: (TOP,),
        WRIST: (WRIST,),
        STATE: (WRIST, STATE),
        WORDS: (WORDS,),
        POINT_QUERY: (TOP, WRIST, STATE, WORDS, POINT_QUERY),
        DEPTH: (TOP, DEPTH),
        POINT: (TOP, STATE, POINT),
        TRACE_QUERY: (TOP, WRIST, STATE, DEPTH, POINT, TRACE_QUERY),
        TRACE: (WRIST, STATE, TRACE),
    }
)
CAUSAL = (WORDS,)  # a token of these sees only earlier ones of its own group
ACTOR = "actor"  # the action expert
ACTOR_SEES = (WRIST, STATE, TRACE)
# What changes where one part of the reasoning is said, but nothing that follows looks at it: to learn what it is worth.
WITHOUT: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": {},
        DEPTH: {TRACE_QUERY: (TOP, WRIST, STATE, POINT, TRACE_QUERY)},
        POINT: {TRACE_QUERY: (TOP, WRIST, STATE, WORDS, DEPTH, TRACE_QUERY)},
        TRACE: {ACTOR: (TOP, WRIST, STATE, DEPTH, POINT)},
    }
)

STAGES = (
    (TOP, WRIST, STATE, WORDS, POINT_QUERY),  # read: decides depth and points
    (DEPTH, POINT, TRACE_QUERY),  # plan: decides the trace
    (TRACE,),  # commit: what the action expert is conditioned on
)


class Layout:
    """Where each group lies in the sequence, given how many tokens it has, and which see which.

    Args:
        lengths: of the groups.
        without: one of `WITHOUT`.

    Raises:
        ConfigError: for any other.
    """

    def __init__(self, lengths: Mapping[str, int], without: str = "") -> None:
        if without not in WITHOUT:
            raise ConfigError(unknown("part to do without", without, WITHOUT))
        self._sees = {**SEES, ACTOR: ACTOR_SEES, **WITHOUT[without]}
        order = [group for stage in STAGES for group in stage]
        ends = np.cumsum([lengths[group] for group in order])
        self._spans = {
            group: slice(int(end) - lengths[group], int(end)) for group, end in zip(order, ends, strict=True)
        }

    def span(self, group: str) -> slice:
        """Positions of a group in the whole sequence."""
        return self._spans[group]

    def within(self, stage: int, group: str) -> slice:
        """Positions of a group inside its stage."""
        start = self.stage(stage).start
        span = self._spans[group]
        return slice(span.start - start, span.stop - start)

    def stage(self, stage: int) -> slice:
        """Positions of a stage."""
        return slice(self._spans[STAGES[stage][0]].start, self._spans[STAGES[stage][-1]].stop)

    def mask(self, stage: int) -> NDArray[np.bool_]:
        """(S, T) True where a position of the stage may see one of this stage or an earlier one."""
        rows = self.stage(stage)
        mask = np.zeros((rows.stop, rows.stop), dtype=bool)
        for group in STAGES[stage]:
            for seen in self._sees[group]:
                mask[self._spans[group], self._spans[seen]] = True
        for group in CAUSAL:
            span = self._spans[group]
            if span.stop <= rows.stop:
                mask[span, span] = np.tril(mask[span, span])
        return mask[rows]

    def actor_sees(self) -> NDArray[np.int64]:
        """Every position that the action expert sees, group by group."""
        spans = [self._spans[group] for group in self._sees[ACTOR]]
        return np.concatenate([np.arange(span.start, span.stop) for span in spans])
