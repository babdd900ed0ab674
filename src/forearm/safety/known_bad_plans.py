"""Decisions that say what cannot be compared, or what is not so.

Invariant: the chunk beside it is good, so that nothing but what is said can be objected to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from forearm.messages import Floats, Plan
from forearm.safety.known_good import FAR_M, Asked, Entry


def _saying(change: Callable[[Plan], dict[str, Any]]) -> Callable[[Asked], Asked]:
    """The plan, with those attributes."""

    def spoil(asked: Asked) -> Asked:
        assert asked.decision is not None
        assert asked.decision.plan is not None
        plan = replace(asked.decision.plan, **change(asked.decision.plan))
        return replace(asked, decision=replace(asked.decision, plan=plan))

    return spoil


def _times(*times_s: float) -> Callable[[Asked], Asked]:
    return _saying(lambda plan: {"trace_times_s": np.array(times_s)})


def _seeing(depth_map: Floats) -> Callable[[Asked], Asked]:
    return _saying(lambda plan: {"depth_map": depth_map})


def _unmeasured(asked: Asked) -> Asked:
    return replace(asked, observation=replace(asked.observation, depths={}))


def _silent(asked: Asked) -> Asked:
    assert asked.decision is not None
    return replace(asked, earlier=asked.decision, decision=replace(asked.decision, plan=None))


_HALF = np.where(np.arange(100).reshape(10, 10) < 50, np.nan, FAR_M)  # m

OF_PLANS: tuple[Entry, ...] = (
    Entry(check="depth", shown="a plan that sees what is not there", spoil=_seeing(np.full((10, 10), FAR_M / 2.0))),
    Entry(check="depth", shown="a plan that says nothing of half of what is there", spoil=_seeing(_HALF)),
    Entry(check="depth", shown="a plan that says nothing of what is there", spoil=_seeing(np.full((10, 10), np.nan))),
    Entry(check="depth", shown="a plan without a single cell", spoil=_seeing(np.zeros((0, 0)))),
    Entry(check="depth", shown="a plan about a world that no camera measures", spoil=_unmeasured),
    Entry(
        check="trace",
        shown="a plan that leads 0.5 m elsewhere",
        spoil=_saying(lambda plan: {"trace": plan.trace + 0.5}),
    ),
    Entry(check="finite", shown="a plan at times that are not numbers", spoil=_times(np.nan, np.nan)),
    Entry(check="shape", shown="a plan of one arm alone", spoil=_saying(lambda plan: {"trace": plan.trace[:1].copy()})),
    Entry(check="plan", shown="a plan that goes back in time", spoil=_times(0.4, 0.2)),
    Entry(check="plan", shown="a plan that begins after its chunk", spoil=_times(100.0, 200.0)),
    Entry(
        check="plan",
        shown="a plan to open grippers by -7",
        spoil=_saying(lambda plan: {"trace_grippers": np.full_like(plan.trace_grippers, -7.0)}),
    ),
    Entry(check="plan", shown="no plan after one", spoil=_silent),
)
