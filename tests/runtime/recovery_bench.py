"""A robot whose grippers meet something or nothing, a policy that grasps, and a session that recovers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from runtime_stubs import HOME, LIMITS, Elapsed, J, ObedientRobot, ns

from forearm.clock import SimulatedClock
from forearm.events import Event, RecoveryBegan, RecoveryEnded
from forearm.messages import ActionChunk, Decision, Image, Observation, Request, SafeCommand
from forearm.policy.interface import Policy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.inference import SimulatedInference
from forearm.runtime.operator import Operator, TraceDesk
from forearm.runtime.recovery import Budget
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates, Vets

GRIPPERS = BIMANUAL_YAM.grippers


class GrippingRobot(ObedientRobot):
    """Its left gripper meets `thing(seconds)`, the opening at which fingers stop; its cameras stand still in `blind`."""

    def __init__(
        self,
        clock: SimulatedClock,
        thing: Callable[[float], float] = lambda seconds: 0.0,
        blind: tuple[float, float] = (np.inf, np.inf),
        stuck: tuple[float, float] = (np.inf, np.inf),
    ) -> None:
        super().__init__(clock)
        self._thing, self._blind, self._stuck, self._time = thing, blind, stuck, clock
        self._told, self._opening = HOME.copy(), 1.0

    def read(self) -> Observation:
        seen, seconds = super().read(), self._time.now_ns() / 1e9
        efforts, positions = np.zeros(J), self.positions.copy()
        met = self._thing(seconds) if self._thing(seconds) <= self._opening else 0.0
        self._opening = positions[6] = self._told[6] if self._told[6] > self._opening else max(self._told[6], met)
        if self._told[6] < positions[6] - 0.05:
            efforts[6] = -27.0
        image = seen.images["top"]
        if self._blind[0] <= seconds < self._blind[1]:
            image = Image(stamp_ns=ns(self._blind[0]), pixels=image.pixels)
        return Observation(
            stamp_ns=seen.stamp_ns, sequence=seen.sequence, epoch=seen.epoch, positions=positions,
            velocities=np.zeros(J), efforts=efforts, images=dict.fromkeys(("top", "left", "right"), image),
            depths={}, instruction="grasp",
        )  # fmt: skip

    def send(self, command: SafeCommand) -> None:
        self._told = command.positions.copy()
        stuck = self._stuck[0] <= self._time.now_ns() / 1e9 < self._stuck[1]
        self.positions = self.positions if stuck else command.positions.copy()


class Grasps:
    """Turns the left base joint to and fro, and closes the left gripper once it has been open for a second."""

    name = "grasps"
    model_digest = ""

    def __init__(self) -> None:
        self.open_since_ns: int | None = None

    def reset(self, *, seed: int) -> None:
        self.open_since_ns = None

    def decide(self, request: Request) -> Decision:
        seen = request.observation
        rows = np.tile(HOME, (16, 1))
        rows[:, 0] = 0.3 * np.sin(seen.stamp_ns / 1e9 + 0.1 * np.arange(1, 17))
        is_open = seen.positions[6] > 0.9
        self.open_since_ns = (self.open_since_ns or seen.stamp_ns) if is_open else None
        close = not is_open or seen.stamp_ns - (self.open_since_ns or 0) > 1e9
        rows[:, 6] = np.maximum(0.0, seen.positions[6] - 0.4 * np.arange(1, 17)) if close else 1.0
        return Decision(
            sequence=seen.sequence, epoch=seen.epoch, plan=None,
            chunk=ActionChunk(stamp_ns=seen.stamp_ns, period_s=0.1, positions=rows), latency_s=0.0, model_digest="",
        )  # fmt: skip


class RecoveryBench:
    """A session with the ladder, the real vetting and guard, and whoever acts."""

    def __init__(
        self,
        *,
        thing: Callable[[float], float] = lambda seconds: 0.39,
        blind: tuple[float, float] = (np.inf, np.inf),
        stuck: tuple[float, float] = (np.inf, np.inf),
        goal_s: float = 8.0,
        time_limit_s: float = 60.0,
        vetting: Vets | None = None,
        budget: Budget | None = None,
        operator: Operator | None = None,
        desk: TraceDesk | None = None,
        recovers: bool = True,
        question: Callable[[list[Event]], str] = lambda events: "",
        external_stop: Callable[[], str] = str,
        policy: Policy | None = None,
        latency_s: float = 0.05,
    ) -> None:
        clock, policy = SimulatedClock(), policy or Grasps()
        gates = Gates.of(LIMITS)
        if vetting is not None:
            gates = replace(gates, helm_vetting=vetting)
        self.robot = GrippingRobot(clock, thing, blind, stuck)
        self.events: list[Event] = []
        emit = self.events.append
        self.session = Session(
            charge=Charge(instruction="grasp", seed=0, time_limit_s=time_limit_s),
            robot=self.robot,
            policy=policy,
            gates=gates,
            steering=Steering.of(
                SimulatedInference(policy, gates.vetting, latency_s=latency_s),
                gates,
                emit,
                budget=(budget or Budget()) if recovers else None,
                operator=operator,
                desk=desk,
                question=lambda: question(self.events),
            ),
            goal=Elapsed(clock, goal_s),
            clock=clock,
            emit=emit,
            external_stop=external_stop,
        )

    def modes(self) -> list[str]:
        return [event.after for event in self.events if event.kind == "mode_changed"]

    def began(self) -> list[RecoveryBegan]:
        return [event for event in self.events if isinstance(event, RecoveryBegan)]

    def ended(self) -> list[RecoveryEnded]:
        return [event for event in self.events if isinstance(event, RecoveryEnded)]
