"""Corrective rounds: the demonstrator goes on from states that a model visits, which its own never lead to.

Ross et al. 2011 (arXiv 1011.0686): whoever learns only from an expert's states errs more and more in its own.
"""

from __future__ import annotations

import numpy as np

from forearm.cell.setup import Setup
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.policy.choice import MakePolicy
from forearm.runtime.simulation import Simulation

SHARE = (0.05, 0.35)  # of a task's time after which a model is interrupted: many are done by the end of it


def visited(setup: Setup, make_policy: MakePolicy) -> Setup | None:
    """The scene as a model has left it, at a moment that the setup's seed decides; None where it was done by then.

    It is interrupted at the first moment from then on at which another scene could start: with empty hands, and with
    nothing lying askew.
    """
    rng = np.random.default_rng((setup.seed, 5))
    clock = SimulatedClock()
    until_ns = clock.now_ns() + round(rng.uniform(*SHARE) * setup.time_limit_s * NANOSECONDS)
    simulation = Simulation(setup, make_policy, clock=clock)

    def enough() -> str:
        return "it has got far enough" if clock.now_ns() >= until_ns and simulation.left() is not None else ""

    simulation.run(seed=setup.seed, emit=lambda event: None, interrupted=enough)
    return simulation.left()
