"""Whether what is about to be acted on is of now: every age limit, and what a stamp alone does not show.

Invariant: nothing counts as fresh that was not shown to be. Too old, stamped in the future, going backwards, a clock
that jumped, or all of them at once, numbers that stand still, pictures that come again while the arms they see are
elsewhere, an answer of another session or model: each is a finding of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError, listing
from forearm.messages import Finding, Floats, Image, Observation, Outcome
from forearm.robot.embodiment import Embodiment
from forearm.safety import checks

Findings = tuple[Finding, ...]

# s, ten ticks: how far the loop's clock and the robot's stamps may drift apart in one tick, and how far both may go on.
# It is a row of a chunk: vetting has looked at arms that are late by one. A live run's watchdog has held them by then.
CLOCK_STEP_S = 0.1
# A camera is frozen when old bytes come again over that many new captures while an arm it sees is that far from where
# it was when they came first. In 30 demonstrations of three tasks a view stayed the same twice at the most while an arm
# moved by 0.001 rad or more.
REPEATS = 5  # captures, 0.5 s at 10 Hz
FRAMES = 8  # different pictures of a camera that are remembered; a driver's ring of buffers has 2 to 4, as a rule
MOVED_RAD = 0.1  # rad, of any one joint; 40 mm at a reach of 0.4 m, several pixels of every camera
SAMPLE = 16_384  # bytes of a picture that are compared, evenly spread: 10 µs, and 3 µs at the most to find them again
REMEMBERED = 500  # ticks, 5 s: how long a late tick counts as what may happen again


def _image_ages() -> dict[str, float]:
    # Several times an undrained camera's 0.1-0.4 s on this station's public clients.
    return {"top": 0.5, "left": 0.5, "right": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old each source may be when it is acted on, s.

    Attributes:
        images_s: the newest image, of each camera.
        depth_s: the newest depth image of any camera that has one.
        state_s: measured joints.
        request_s: the observation that a policy is asked about, when it begins to think.
        decision_s: the observation that a decision answers, when it is vetted.
        command_s: a set-point on its way to the joints.
    """

    images_s: Mapping[str, float] = field(default_factory=_image_ages)
    depth_s: float = 0.5  # made with the image
    state_s: float = 0.05  # five ticks
    request_s: float = 1.0  # an answer to anything older could not be followed any more
    decision_s: float = 1.0  # a chunk of 16 rows at 0.1 s still has six rows to go
    command_s: float = 0.05  # five ticks

    def __post_init__(self) -> None:
        ages = (*self.images_s.values(), self.depth_s, self.state_s, self.request_s, self.decision_s, self.command_s)
        if not all(isfinite(age) and age > 0.0 for age in ages):
            raise ConfigError(f"ages: got {self}, allowed are finite times > 0; check their unit, s")

    def image_s(self, camera: str) -> float:
        """The limit for that camera's image.

        Raises:
            ConfigError: for a camera that has none.
        """
        if camera not in self.images_s:
            raise ConfigError(
                f"ages: got no limit for camera {camera!r}, there are limits of {listing(self.images_s)}; add one"
            )
        return self.images_s[camera]


AGES = Ages()


class Freshness:
    """Watches one session's observations, tick by tick. Used by the control thread alone; the guard owns it.

    Args:
        embodiment: whose cameras and arms they are.
        cameras: whose images must be there.
        ages: the limits.

    Raises:
        ConfigError: for a camera without an age limit.
    """

    def __init__(self, embodiment: Embodiment, cameras: Sequence[str], ages: Ages = AGES) -> None:
        self._ages = ages
        self._limits_s = {camera: ages.image_s(camera) for camera in cameras}
        self._seen_joints = {camera: _joints_in_view(camera, embodiment) for camera in cameras}
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen; the next observation is compared with nothing."""
        self._views: dict[str, _View] = {}
        self._now_ns: int | None = None
        self._stamp_ns = self._sequence = -1
        self._latencies_s = _Peaks()
        self.session_latency_s = 0.0
        """The longest latency since the session began, s."""

    @property
    def worst_latency_s(self) -> float:
        """The longest that something could go unnoticed in the last `REMEMBERED` ticks, s: from tick to tick, and on.

        What happens just after a pose was measured is seen a tick later, when its own pose has some age already. Ticks
        that did not come in time do not count.
        """
        return self._latencies_s.largest

    def review(self, observation: Observation, now_ns: int) -> Findings:
        """Every objection to acting on `observation` at `now_ns`. About 10 µs, and 15 µs for every new image."""
        found = checks.fresh("measured pose", observation.stamp_ns, now_ns, self._ages.state_s)
        if self._now_ns is not None:
            found += clock_runs(now_ns - self._now_ns, observation.stamp_ns - self._stamp_ns)
            found += advances(observation, self._stamp_ns, self._sequence)
            if not found:  # a tick that did not come in time is held, and motion begins anew from rest
                latency_s = (now_ns - observation.stamp_ns + now_ns - self._now_ns) / NANOSECONDS
                self._latencies_s.add(latency_s)
                self.session_latency_s = max(self.session_latency_s, latency_s)
        self._now_ns, self._stamp_ns, self._sequence = now_ns, observation.stamp_ns, observation.sequence
        for camera, limit_s in self._limits_s.items():
            found += self._camera(camera, limit_s, observation, now_ns)
        for camera, depth in observation.depths.items():
            found += checks.fresh(f"depth of the {camera} camera", depth.stamp_ns, now_ns, self._ages.depth_s)
        return found

    def _camera(self, camera: str, limit_s: float, observation: Observation, now_ns: int) -> Findings:
        """The camera's newest image is there, new enough, no older than the last one, and none of the last ones."""
        found = checks.cameras_fresh(observation, (camera,), now_ns, limit_s)
        image = observation.images.get(camera)
        if image is None:
            return found
        view, joints = self._views.get(camera), self._seen_joints[camera]
        if view is None:
            self._views[camera] = _View(image, observation.positions[joints])
            return found
        if image.stamp_ns < view.stamp_ns:
            found += backwards(f"image of the {camera} camera", view.stamp_ns - image.stamp_ns)
        elif image.stamp_ns > view.stamp_ns:
            view.compare(image, observation.positions[joints])
        if view.repeats < REPEATS:
            return found
        return found + moves_with_arms(camera, view.repeats, view.came_at, view.at)


class _Peaks:
    """The largest of the last `REMEMBERED` values, kept without looking at all of them again.

    A value that a later one reaches or tops will never be the largest any more; what is left falls from old to new.
    """

    def __init__(self) -> None:
        self._count = 0
        self._peaks: deque[tuple[int, float]] = deque()

    def add(self, value: float) -> None:
        while self._peaks and self._peaks[-1][1] <= value:
            self._peaks.pop()
        self._peaks.append((self._count, value))
        self._count += 1
        if self._peaks[0][0] < self._count - REMEMBERED:
            self._peaks.popleft()

    @property
    def largest(self) -> float:
        """0 where there is none."""
        return self._peaks[0][1] if self._peaks else 0.0


class _View:
    """A camera's newest image, since how many captures none was new, and where the arms in view were when it was.

    `came_at` is where they were when the newest capture came: what they did since then is in no picture yet.
    """

    def __init__(self, image: Image, at: Floats) -> None:
        self.stamp_ns, self.repeats, self.at, self.came_at = image.stamp_ns, 0, at, at
        self._known = deque([(_sample(image), at)], maxlen=FRAMES)  # different ones, each with where the arms were then

    def compare(self, image: Image, at: Floats) -> None:
        """Takes the next capture.

        A picture that was there before may come again where nothing has noise, if the arms are where they were then.
        """
        sample = _sample(image)
        self.stamp_ns, self.came_at = image.stamp_ns, at
        before = next((then for known, then in self._known if known == sample), None)
        if before is None:
            self.repeats, self.at = 0, at
            self._known.append((sample, at))
        else:
            self.repeats, self.at = self.repeats + 1, before


def _sample(image: Image) -> bytes:
    """Evenly spread bytes of the picture, `SAMPLE` at the most."""
    flat = image.pixels.reshape(-1)
    return flat[:: max(1, -(-flat.size // SAMPLE))].tobytes()


def _joints_in_view(camera: str, embodiment: Embodiment) -> list[int]:
    """The joints whose motion changes the picture: every arm's for a camera that stands, its own arm's on a wrist."""
    described = embodiment.camera(camera)
    stands = described.cell_from_camera is not None
    arms = [arm for arm in embodiment.arms if stands or described.mount.startswith(arm.name)]
    return [joint for arm in arms for joint in range(arm.joints.start, arm.joints.stop)]


def clock_runs(loop_ns: int, robot_ns: int) -> Findings:
    """HOLD where the loop's clock went back, did another step in one tick than the robot's stamps, or leapt with them.

    Whether both clocks jumped or the loop stood still nobody can tell from them, and nobody need: what was to happen
    meanwhile did not, and the arms begin anew from where they are.
    """
    apart, gone = abs(loop_ns - robot_ns) / NANOSECONDS, loop_ns / NANOSECONDS
    if loop_ns >= 0 and max(apart, gone) <= CLOCK_STEP_S:
        return ()
    both = gone > CLOCK_STEP_S >= apart
    text = (
        f"The loop's clock went on by {loop_ns / 1e6:.0f} ms while the robot's stamps went on by "
        f"{robot_ns / 1e6:.0f} ms; {CLOCK_STEP_S * 1e3:.0f} ms {'in a tick' if both else 'apart'} is allowed. "
        + ("Both clocks jumped, or the loop stood still." if both else "A clock jumped.")
    )
    measured = gone if both else apart if loop_ns >= 0 else inf
    subject = "both clocks" if both else "clock"
    return checks.finding("clock", Outcome.HOLD, subject, measured, CLOCK_STEP_S, "s", text)


def advances(observation: Observation, stamp_ns: int, sequence: int) -> Findings:
    """HOLD for an observation that goes back in time, or is another one under an old number."""
    if observation.stamp_ns < stamp_ns:
        return backwards("measured pose", stamp_ns - observation.stamp_ns)
    if observation.sequence < sequence or (observation.sequence == sequence and observation.stamp_ns > stamp_ns):
        text = f"The measured pose is number {observation.sequence} after number {sequence}; numbers must go up."
        return checks.finding("sequence", Outcome.HOLD, "measured pose", observation.sequence, sequence + 1, "", text)
    return ()


def backwards(what: str, back_ns: int) -> Findings:
    """HOLD for what is stamped `back_ns` before the one that came before it."""
    text = f"The {what} is stamped {back_ns / 1e6:.0f} ms before the one that came before it; stamps must go up."
    return checks.finding("backwards", Outcome.HOLD, what, back_ns / NANOSECONDS, 0.0, "s", text)


def moves_with_arms(camera: str, repeats: int, at: Floats, before: Floats) -> Findings:
    """HOLD for a camera that gave no new picture while the joints in view are too far from where they were at this."""
    moved_rad = float(np.abs(at - before).max())
    if moved_rad <= MOVED_RAD:
        return ()
    text = (
        f"The {camera} camera gave no new picture in {repeats} captures, and an arm it sees is {moved_rad:.2f} rad "
        "from where it was at this one; it is frozen, or sees nothing."
    )
    return checks.finding("frozen", Outcome.HOLD, camera, moved_rad, MOVED_RAD, "rad", text)


def same_model(digest: str, session: str) -> Findings:
    """HOLD for a decision of other weights than the session began with."""
    if digest == session:
        return ()
    text = f"The decision comes from model {digest or 'without weights'}; the session began with {session or 'none'}."
    return checks.finding("model", Outcome.HOLD, "decision", 0.0, 0.0, "", text)
