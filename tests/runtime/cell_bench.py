"""Sessions in the real cell without a picture: for policies that look at nothing, a hundred times cheaper."""

from collections.abc import Callable, Sequence

import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.shutter import Views
from forearm.cell.simulator import CellRobot
from forearm.cell.stage import Fault
from forearm.clock import SimulatedClock
from forearm.events import Event, SessionEnded
from forearm.messages import Image
from forearm.policy.baselines import Demonstrator
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.helm import Helm
from forearm.runtime.inference import SimulatedInference
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits


class CoveredLens:
    """A shutter that sees nothing but its sensor's noise when it is pressed."""

    def open(self, physics: Physics, names: Sequence[str], stamp_ns: int) -> None:
        self._names = names
        self.press(physics, stamp_ns)

    def press(self, physics: Physics, stamp_ns: int) -> None:
        noise = np.full((2, 2, 3), stamp_ns // 10_000_000 % 251, dtype=np.uint8)
        images = {name: Image(stamp_ns=stamp_ns, pixels=noise) for name in self._names}
        self._views = Views(images=images, depths={})

    def newest(self) -> Views:
        return self._views

    def close(self) -> None: ...


def blind_cell(setup: Setup, clock: SimulatedClock, faults: Sequence[Fault] = ()) -> CellRobot:
    return CellRobot(setup=setup, clock=clock, shutter=CoveredLens(), faults=faults)


class BlindRun:
    """A session of the rehearsed demonstrator in the cell; nothing recovers."""

    def __init__(self, setup: Setup, faults: Sequence[Fault] = (), time_limit_s: float = 9.0) -> None:
        self.clock = SimulatedClock()
        self.robot = blind_cell(setup, self.clock, faults)
        self._setup, self._time_limit_s = setup, time_limit_s

    def play(self, see: Callable[[Event], None]) -> SessionEnded:
        """Runs it; `see` is called with every event as it happens."""
        policy, gates = Demonstrator.rehearse(self._setup), Gates.of(Limits.of())
        thinking = SimulatedInference(policy, gates.vetting)
        session = Session(
            charge=Charge(instruction=self._setup.instruction, seed=0, time_limit_s=self._time_limit_s),
            robot=self.robot,
            policy=policy,
            gates=gates,
            steering=Steering(helm=Helm(thinking, gates.helm_vetting), chunks=ChunkBuffer(gates.limits)),
            goal=self.robot,
            clock=self.clock,
            emit=see,
        )
        return session.run()
