"""The ladder: what is tried, in which order and how often, when a task goes wrong; and the proof that it helped.

Invariant: a recovery moves nothing by itself. Its motions are chunks that vetting judges and the guard lets through,
tick by tick, like the policy's. Nothing is tried for ever: each condition has its rungs and the run its budget, and
behind the last one is a protective stop that says what was tried. `recovered` is said only of what was measured.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from math import nan

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError
from forearm.events import Emit, RecoveryBegan, RecoveryEnded
from forearm.messages import Floats, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM, Arm
from forearm.runtime import retreat
from forearm.runtime.agreement import Agreement
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.conditions import GRASPS, HISTORY_S, STALE_S, Condition, Detected, Moment, detect
from forearm.runtime.grasp import Felt, Grasp, feel, grips
from forearm.runtime.helm import Helm, Motion
from forearm.runtime.ladder import LADDER, STANDING, Rung, next_rung
from forearm.runtime.loop import Tick
from forearm.runtime.patience import Concern, in_words
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.mode import Mode, Trigger
from forearm.safety.stops import holding

SETTLE_S = 0.3  # s of standing that the guard allows, before the policy is asked anew
FIRST_WAIT_S = 0.5  # s that the first wait of a condition lasts; each later one twice as long
LONGEST_WAIT_S = 4.0  # s
RUNG_S = 12.0  # s that a rung may take: the longest way at half speed
FOLLOWING_S = 0.5  # s of following the policy without an objection: whatever was in the way is gone
FELT_S = 0.3  # s that a gripper must have held for the grasp to be proven
PROOF_S = 8.0  # s in which the proof has to come; reaching and grasping takes the policy 2 to 4
GRACE_S = 1.0  # s after a recovery in which the policy's first answer is waited for
PATH_ROWS = 1200  # two minutes
MOVED_RAD = 0.1  # rad by which something moves again
SEEN_AGAIN = {
    Condition.STALE_PERCEPTION: "fresh images",
    Condition.MISPERCEPTION: "plans whose map is what the camera measures",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be tried.

    Attributes:
        attempts: rungs of a whole run.
        ask_s: s that a person, where there is one, has to act before the protective stop.
    """

    attempts: int = 12
    ask_s: float = 60.0  # to come back to the screen, look at the arms and take over; they stand meanwhile

    def __post_init__(self) -> None:
        if self.attempts < 1 or not self.ask_s >= 0:
            raise ConfigError(
                f"budget: got {self}, allowed are at least 1 attempt and a time ≥ 0; raise what is too small"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Order:
    """What a tick comes to: the concern that counts, and the change of mode that goes with it, if any.

    `brakes` says whether the arms were told to brake, which is to be measured like every stop.
    """

    concern: Concern
    trigger: Trigger | None = None
    reason: str = ""
    brakes: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class _Attempt:
    """A rung under way: first it acts, then (`handed_back_ns`) its success has to show."""

    found: Detected
    rung: Rung
    number: int
    began_ns: int
    under_way: bool = False
    calm_since_ns: int | None = None
    handed_back_ns: int | None = None
    held: frozenset[int] = frozenset()
    pose: Floats
    told: Floats
    shown_since_ns: int | None = None


class Recovery:
    """Watches every tick of one session and climbs the ladder. Used by the control thread alone.

    Args:
        helm: taken over while a rung acts.
        chunks: told to brake before it does.
        emit: takes the events.
        limits: when a policy's map counts as wrong.
        budget: how much may be tried.
        attended: whether there is a person who can be asked.
        stale_s: s, an age that images do not get where all is well.
    """

    def __init__(
        self,
        *,
        helm: Helm,
        chunks: ChunkBuffer,
        emit: Emit,
        limits: Limits,
        budget: Budget | None = None,
        attended: bool = False,
        stale_s: float = STALE_S,
    ) -> None:
        self._helm, self._chunks, self._emit, self._budget = helm, chunks, emit, budget or Budget()
        self._attended, self._stale_s = attended, stale_s
        self._history: deque[Moment] = deque(maxlen=round(HISTORY_S / TICK_S))
        self._path: deque[Floats] = deque(maxlen=PATH_ROWS)
        self._agreement = Agreement(limits, PATH_ROWS)
        self._felt = tuple(Felt() for _ in BIMANUAL_YAM.arms)
        self._ticks = 0
        self._commanded: Floats | None = None
        self._mode = Mode.IDLE
        self._attempt: _Attempt | None = None
        self._failures: Counter[Condition] = Counter()
        self._tried: list[str] = []

    @property
    def grasps(self) -> tuple[Grasp, ...]:
        """(A,) what each gripper has."""
        return tuple(felt.grasp for felt in self._felt)

    def watch(self, tick: Tick, why: str) -> None:
        """Looks on while a person steers; what was under way is not proven."""
        self._note(tick)
        self.forget(tick.stamp_ns, why)

    def judge(self, tick: Tick, concern: Concern, mode: Mode) -> Order:
        """What this tick means for the session, given what the monitor says; call it after each."""
        self._note(tick)
        self._mode = mode
        if concern.final:
            return Order(concern=concern)
        attempt = self._attempt
        if attempt is None:
            return self._begin_if_needed(tick) or Order(concern=concern)
        if attempt.handed_back_ns is None:
            return self._act(attempt, tick)
        return self._prove(attempt, tick) or Order(concern=patient_again(concern, attempt.handed_back_ns, tick))

    def forget(self, now_ns: int, why: str) -> None:
        """A person or the end of the run takes the matter over: whatever is under way has not been proven."""
        if self._attempt is not None:
            self._end(self._attempt, now_ns, recovered=False, proof=why)
        self._history.clear()
        self._failures.clear()

    def close(self, now_ns: int, done: bool) -> None:
        """The run ends; a task that is done proves the recovery under way."""
        if self._attempt is not None:
            proof = "The task is done." if done else "The run ended before anything showed it."
            self._end(self._attempt, now_ns, recovered=done, proof=proof)

    def _note(self, tick: Tick) -> None:
        """Adds the tick to the history, the grasps and, every `retreat.PERIOD_S`, the path."""
        seen = tick.observation
        if self._commanded is None:
            self._commanded = np.array(seen.positions)
        if tick.verdict.command is not None:
            self._commanded = tick.verdict.command.positions
        felt = zip(self._felt, grips(seen, self._commanded, BIMANUAL_YAM), strict=True)
        self._felt = tuple(feel(before, grip, TICK_S) for before, grip in felt)
        if self._ticks % round(retreat.PERIOD_S / TICK_S) == 0:
            self._path.append(self._commanded)
            self._agreement.add_row()
        self._ticks += 1
        self._history.append(
            Moment(
                stamp_ns=tick.stamp_ns,
                commanded=self._commanded,
                measured=seen.positions,
                efforts=seen.efforts,
                grasps=self._felt,
                oldest_image_ns=min((image.stamp_ns for image in seen.images.values()), default=seen.stamp_ns),
                guarded=tick.verdict,
                vetted=None if tick.answer is None else tick.answer.verdict,
                rises_m=nan if tick.answer is None else self._agreement.note(tick.answer, seen, tick.stamp_ns),
            )
        )

    def _begin_if_needed(self, tick: Tick) -> Order | None:
        return self._begin(found, tick) if (found := self._detect()) is not None else None

    def _detect(self) -> Detected | None:
        """What is wrong now; while the policy has not begun, or a person moves the arms, nothing is."""
        return detect(self._history, self._stale_s) if self._mode in (Mode.ENGAGED, Mode.HOLDING) else None

    def _begin(self, found: Detected, tick: Tick) -> Order:
        """Takes the next rung for the condition."""
        assert self._commanded is not None  # this tick was noted
        held = holding(tick.observation, BIMANUAL_YAM)
        number = next_rung(found.condition, self._failures[found.condition], held, self._barred(found))
        rung = LADDER[found.condition][number] if len(self._tried) < self._budget.attempts else Rung.ASK
        self._emit(
            RecoveryBegan(
                stamp_ns=tick.stamp_ns,
                condition=found.condition.value,
                arm=found.arm,
                rung=rung.value,
                attempt=number + 1,
                evidence=dict(found.evidence),  # an event goes to other processes, which takes a plain mapping
                reason=found.text,
            )
        )
        self._attempt = _Attempt(
            found=found,
            rung=rung,
            number=number + 1,
            began_ns=tick.stamp_ns,
            pose=tick.observation.positions,
            told=self._commanded,
        )
        self._failures[found.condition] = number + 1
        if rung is Rung.ASK and not self._attended:
            return self._give_up(self._attempt, tick)
        self._tried.append(rung.value)
        self._history.clear()
        self._chunks.hold()
        self._helm.take_over()
        self._steer(self._attempt, tick)
        trigger = None if self._mode is Mode.RECOVERING else Trigger.RECOVER
        return Order(concern=Concern(outcome=Outcome.ALLOW), trigger=trigger, reason=found.text, brakes=True)

    def _barred(self, found: Detected) -> frozenset[Rung]:
        """Rungs that may not be taken now: ways through what is not seen, and one that leads nowhere."""
        if not found.may_move:
            return frozenset(Rung) - STANDING
        return frozenset() if self._agreement.way_back(self._travelled()) is not None else frozenset({Rung.RETRACE})

    def _travelled(self) -> Floats:
        """(N, J) the path up to the newest set-point."""
        return np.stack([*self._path, *([] if self._commanded is None else [self._commanded])])

    def _steer(self, attempt: _Attempt, tick: Tick) -> None:
        """Asks for the rung's motion (H, J)."""
        rows = self._rows(attempt.rung, attempt.told, tick.observation.positions)
        self._helm.steer(Motion(rows=rows, period_s=retreat.PERIOD_S))

    def _rows(self, rung: Rung, told: Floats, measured: Floats) -> Floats:
        path = np.stack([*self._path, told])
        grasps = self.grasps
        holding = [index for index, grasp in enumerate(grasps) if grasp is Grasp.HOLDING]
        empty = [index for index in range(len(grasps)) if index not in holding]
        troubled = [index for index in empty if grasps[index] is not Grasp.OPEN] or empty
        match rung:
            case Rung.BACK_OFF:
                return retreat.back_off(path, troubled)
            case Rung.MAKE_WAY:
                return retreat.make_way(path, empty)
            case Rung.START_OVER:
                return retreat.make_way(path, empty, holding)
            case Rung.RETREAT:
                return retreat.retreat(path)
            case Rung.RETRACE:
                way = self._agreement.way_back(path)
                return retreat.standing(told) if way is None else way
            case Rung.REPERCEIVE | Rung.REPLAN | Rung.ASK:
                # Where the arms are, but with what the grippers were told: what they hold stays held.
                here = np.array(measured)
                here[BIMANUAL_YAM.grippers] = told[BIMANUAL_YAM.grippers]
                return retreat.standing(here)

    def _act(self, attempt: _Attempt, tick: Tick) -> Order:
        """One tick of a rung that acts."""
        elapsed_s = (tick.stamp_ns - attempt.began_ns) / NANOSECONDS
        if attempt.rung is Rung.ASK:
            waiting = Concern(outcome=Outcome.HOLD, reason=f"{attempt.found.text} A person is needed.")
            return Order(concern=waiting) if elapsed_s < self._budget.ask_s else self._give_up(attempt, tick)
        moves = attempt.rung not in STANDING
        objection = _objection(tick)
        if objection and moves:
            self._end(attempt, tick.stamp_ns, recovered=False, proof=objection)
            return self._begin(detect(self._history, self._stale_s) or attempt.found, tick)
        attempt.under_way |= not tick.dry
        calm = not objection and (not moves or (attempt.under_way and tick.dry))
        if calm and attempt.calm_since_ns is None and not moves:
            self._steer(attempt, tick)  # the guard's objection made the set-point start afresh, grippers and all
        attempt.calm_since_ns = (attempt.calm_since_ns or tick.stamp_ns) if calm else None
        calm_s = 0.0 if attempt.calm_since_ns is None else (tick.stamp_ns - attempt.calm_since_ns) / NANOSECONDS
        left_s = max(SETTLE_S - calm_s, self._wait_s(attempt) - elapsed_s)
        if calm and self._sees(attempt) and self._helm.asks_ahead(tick.stamp_ns, left_s):
            return self._hand_back(attempt, tick)
        if elapsed_s > RUNG_S:
            self._end(attempt, tick.stamp_ns, recovered=False, proof=f"It took longer than {RUNG_S:g} s.")
            return self._begin(attempt.found, tick)
        return Order(concern=Concern(outcome=Outcome.ALLOW))

    def _wait_s(self, attempt: _Attempt) -> float:
        """How long this rung stands at the least."""
        if attempt.rung is not Rung.REPLAN:
            return 0.0
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt.number - 1))

    def _sees(self, attempt: _Attempt) -> bool:
        """Whether every image was taken after the trouble began."""
        return self._history[-1].oldest_image_ns > attempt.began_ns

    def _hand_back(self, attempt: _Attempt, tick: Tick) -> Order:
        """The rung has done what it can: the policy is asked anew, from where the arms stand."""
        attempt.handed_back_ns = tick.stamp_ns
        attempt.pose = tick.observation.positions
        attempt.held = frozenset(index for index, grasp in enumerate(self.grasps) if grasp is Grasp.HOLDING)
        self._history.clear()
        self._chunks.hold()
        self._helm.hand_back(tick.stamp_ns)
        reason = f"{attempt.rung.value.capitalize()}: done; the policy decides anew."
        return Order(concern=Concern(outcome=Outcome.ALLOW), trigger=Trigger.RECOVERED, reason=reason)

    def _prove(self, attempt: _Attempt, tick: Tick) -> Order | None:
        """Looks whether the condition is gone, has come again, or nothing shows either in time."""
        assert attempt.handed_back_ns is not None
        if (found := self._detect()) is not None:
            self._end(attempt, tick.stamp_ns, recovered=False, proof=found.text)
            return self._begin(found, tick)
        proof, lasting_s = self._proof(attempt, tick)
        if not proof:
            attempt.shown_since_ns = None
        elif attempt.shown_since_ns is None:
            attempt.shown_since_ns = tick.stamp_ns
        elif tick.stamp_ns - attempt.shown_since_ns >= lasting_s * NANOSECONDS:
            self._failures[attempt.found.condition] = 0
            self._end(attempt, tick.stamp_ns, recovered=True, proof=proof)
            return None
        if tick.stamp_ns - attempt.handed_back_ns <= PROOF_S * NANOSECONDS:
            return None
        self._end(attempt, tick.stamp_ns, recovered=False, proof=f"Nothing showed it within {PROOF_S:g} s.")
        again = attempt.found.condition in GRASPS and self._mode is Mode.ENGAGED
        return self._begin(attempt.found, tick) if again else None

    def _proof(self, attempt: _Attempt, tick: Tick) -> tuple[str, float]:
        """What shows at this instant that the condition is gone, empty if nothing, and for how long it has to."""
        if attempt.found.condition in GRASPS:
            fresh = [i for i, grasp in enumerate(self.grasps) if grasp is Grasp.HOLDING and i not in attempt.held]
            words = "".join(f"The {BIMANUAL_YAM.arms[index].name} gripper holds something. " for index in fresh)
            return words.strip(), FELT_S
        if (what := SEEN_AGAIN.get(attempt.found.condition)) is not None:
            follows = tick.verdict.outcome is Outcome.ALLOW and not tick.dry
            return (f"The arms have followed {what} for {FOLLOWING_S:g} s." if follows else ""), FOLLOWING_S
        # An arm that is still held or jammed does not move, however long the guard has nothing to object.
        joints = np.concatenate([np.arange(len(attempt.pose))[arm.joints] for arm in _arms(attempt.found.arm)])
        moved = float(np.abs(tick.observation.positions - attempt.pose)[joints].max())
        return (f"A joint has moved by {moved:.2f} rad." if moved > MOVED_RAD else ""), 0.0

    def _give_up(self, attempt: _Attempt, tick: Tick) -> Order:
        """The ladder has no more rungs: a protective stop that says what was tried."""
        tried = ", ".join(self._tried) or "nothing"
        reason = f"{attempt.found.text} Tried: {tried}. A person is needed."
        self._end(attempt, tick.stamp_ns, recovered=False, proof="Nobody was there.")
        return Order(concern=Concern(outcome=Outcome.STOP, reason=reason))

    def _end(self, attempt: _Attempt, now_ns: int, *, recovered: bool, proof: str) -> None:
        self._attempt = None
        self._emit(
            RecoveryEnded(
                stamp_ns=now_ns,
                condition=attempt.found.condition.value,
                rung=attempt.rung.value,
                attempt=attempt.number,
                recovered=recovered,
                proof=proof,
                duration_s=(now_ns - attempt.began_ns) / NANOSECONDS,
            )
        )


def patient_again(concern: Concern, handed_back_ns: int, tick: Tick) -> Concern:
    """The monitor's concern; just after a recovery its patience has not begun to run out."""
    if concern.outcome is Outcome.STOP and tick.stamp_ns - handed_back_ns <= GRACE_S * NANOSECONDS:
        return Concern(outcome=Outcome.HOLD, reason=concern.reason)
    return concern


def _arms(name: str) -> list[Arm]:
    """The arm of that name, all of them for an empty one."""
    return [arm for arm in BIMANUAL_YAM.arms if name in ("", arm.name)]


def _objection(tick: Tick) -> str:
    """Why this tick of a motion came to nothing, empty if it did not."""
    if tick.answer is not None and tick.answer.verdict.vetted is None:
        return in_words(tick.answer.verdict)
    return in_words(tick.verdict) if tick.verdict.command is None else ""
