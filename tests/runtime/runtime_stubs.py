"""A robot that does exactly what it is told, and policies that do one thing wrong each."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forearm.clock import NANOSECONDS, Clock, SimulatedClock
from forearm.errors import RobotError
from forearm.events import Emit, Event
from forearm.messages import ActionChunk, Decision, DepthImage, Floats, Image, Observation, Request, SafeCommand
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.inference import Inference, SimulatedInference
from forearm.runtime.operator import Operator
from forearm.runtime.patience import Patience
from forearm.runtime.recovery import Budget
from forearm.runtime.session import Charge, Goal, Session
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates, Guards, Vets
from forearm.safety.guard import Guard
from forearm.safety.limits import Limits
from forearm.safety.selftest import Proof
from forearm.safety.vetting import Vetting

J = len(BIMANUAL_YAM.joints)
HOME = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0] * 2)
LIMITS = Limits.of(BIMANUAL_YAM)
ONE_METRE = np.ones((20, 20), dtype=np.float32)


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


class ObedientRobot:
    embodiment = BIMANUAL_YAM

    def __init__(self, clock: Clock, *, blind_after_s: float = np.inf, silent_after_s: float = np.inf) -> None:
        self._clock, self._blind_ns, self._silent_ns = clock, blind_after_s * 1e9, silent_after_s * 1e9
        self.positions: Floats = HOME.copy()
        self.calls: list[str] = []

    def connect(self, epoch: int) -> None:
        self._epoch, self._sequence = epoch, 0
        self.calls.append("connect")

    def read(self) -> Observation:
        now_ns = self._clock.now_ns()
        if now_ns > self._silent_ns:
            raise RobotError("left arm: got no answer for 20 ms, an answer is needed; check the cable")
        self._sequence += 1
        seen_ns = int(min(now_ns - now_ns % ns(0.1), self._blind_ns))
        pixels = np.full((4, 4, 3), seen_ns // ns(0.1) % 251, dtype=np.uint8)  # never the picture before it
        image = Image(stamp_ns=seen_ns, pixels=pixels)
        return Observation(
            stamp_ns=now_ns, sequence=self._sequence, epoch=self._epoch, positions=self.positions.copy(),
            velocities=np.zeros(J), efforts=np.zeros(J), images=dict.fromkeys(("top", "left", "right"), image),
            depths={"top": DepthImage(stamp_ns=seen_ns, metres=ONE_METRE)}, instruction="wave",
        )  # fmt: skip

    def send(self, command: SafeCommand) -> None:
        self.positions = command.positions.copy()
        self.calls.append("send")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class Blocked(ObedientRobot):
    """Its left base joint meets a wall, and pushes with 400 N m/rad; its grippers press as told."""

    def __init__(self, clock: Clock, *, left_n: float = 0.0, right_n: float = 0.0, wall_rad: float = 0.2) -> None:
        super().__init__(clock)
        self._pressing_n, self._pushed_rad, self._wall_rad = (left_n, right_n), 0.0, wall_rad

    def send(self, command: SafeCommand) -> None:
        super().send(command)
        self._pushed_rad = max(0.0, float(self.positions[0]) - self._wall_rad)
        self.positions[0] -= self._pushed_rad

    def stop(self) -> None:
        super().stop()
        self._pushed_rad = 0.0

    def read(self) -> Observation:
        efforts = 400.0 * self._pushed_rad * (np.arange(J) == 0)
        efforts[BIMANUAL_YAM.grippers] = self._pressing_n
        return replace(super().read(), efforts=efforts)


class Wave:
    """Turns the left base joint; `spoil` may change or replace the decision, or raise."""

    name = "wave"
    model_digest = ""

    def __init__(self, spoil: Callable[[int, Decision], Decision] = lambda number, decision: decision) -> None:
        self._spoil = spoil
        self.asked = 0
        self.requests: list[Request] = []

    def reset(self, *, seed: int) -> None:
        self.asked = 0

    def decide(self, request: Request) -> Decision:
        self.asked += 1
        self.requests.append(request)
        observation = request.observation
        times_s = observation.stamp_ns / 1e9 + 0.1 * np.arange(1, 17)
        rows = np.tile(HOME, (16, 1))
        rows[:, 0] = 0.3 * np.sin(times_s)
        chunk = ActionChunk(stamp_ns=observation.stamp_ns, period_s=0.1, positions=rows)
        decision = Decision(
            sequence=observation.sequence, epoch=observation.epoch, plan=None, chunk=chunk, latency_s=0.0,
            model_digest="",
        )  # fmt: skip
        return self._spoil(self.asked, decision)


class Elapsed:
    """A goal that is there after some time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._at_ns = clock, ns(seconds)

    def succeeded(self) -> bool:
        return self._clock.now_ns() >= self._at_ns

    def progress(self) -> float:
        return min(1.0, self._clock.now_ns() / self._at_ns)


class Bench:
    """A session on the obedient robot, in simulated time, with the real vetting and guard."""

    def __init__(
        self,
        policy: Wave | None = None,
        *,
        robot: Callable[[Clock], ObedientRobot] = ObedientRobot,
        inference: Inference | None = None,
        goal_s: float = 5.0,
        time_limit_s: float = 10.0,
        patience: Patience | None = None,
        interrupted: Callable[[], str] = str,
        external_stop: Callable[[], str] = str,
        vetting: Vets | None = None,
        helm_vetting: Vets | None = None,
        guard: Guards | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
        operator: Operator | None = None,
        goal: Callable[[Clock, float], Goal] = Elapsed,
        emit: Callable[[list[Event]], Emit] = lambda events: events.append,
        prove_also: Callable[[int], tuple[Proof, ...]] = lambda now_ns: (),
    ) -> None:
        self.clock = clock or SimulatedClock()
        gates = Gates(
            limits=LIMITS,
            vetting=vetting or Vetting(LIMITS),
            helm_vetting=helm_vetting or Vetting(LIMITS),
            guard=guard or Guard(LIMITS),
        )
        self.robot = robot(self.clock)
        self.policy = policy or Wave()
        self.events: list[Event] = []
        self.session = Session(
            charge=Charge(instruction="wave", seed=0, time_limit_s=time_limit_s),
            robot=self.robot,
            policy=self.policy,
            gates=gates,
            steering=Steering.of(
                inference or SimulatedInference(self.policy, gates.vetting),
                gates,
                emit(self.events),
                budget=budget,
                operator=operator,
            ),
            goal=goal(self.clock, goal_s),
            clock=self.clock,
            emit=emit(self.events),
            patience=patience,
            interrupted=interrupted,
            external_stop=external_stop,
            prove_also=prove_also,
        )

    def modes(self) -> list[str]:
        return [event.after for event in self.events if event.kind == "mode_changed"]
