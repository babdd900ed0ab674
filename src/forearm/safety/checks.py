"""Small pure predicates: each looks at one thing and returns its objections, none where it has none.

Invariant: a check objects unless the value is shown to be allowed, so that NaN, which compares false with everything,
is never let through; and it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, nan, prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from forearm.clock import NANOSECONDS
from forearm.errors import listing
from forearm.messages import ActionChunk, Finding, Observation, Outcome
from forearm.robot.embodiment import Embodiment, Joint
from forearm.safety.sweep import Near

Array = NDArray[np.float64]


def finding(
    check: str, outcome: Outcome, subject: str, measured: float, limit: float, unit: str, text: str
) -> tuple[Finding, ...]:
    """One objection, as the tuple that every check returns."""
    return (
        Finding(
            check=check,
            outcome=outcome,
            subject=subject,
            measured=float(measured),
            limit=float(limit),
            unit=unit,
            text=text,
        ),
    )


def worst(findings: Iterable[Finding]) -> Outcome:
    """The outcome that decides: the worst one, ALLOW without any."""
    return max((each.outcome for each in findings), default=Outcome.ALLOW)


def array_is(what: str, value: object, *, width: int, rows: int | None = None) -> tuple[Finding, ...]:
    """STOP unless `value` is finite float64 of shape (width,), or (1 to `rows`, width) where `rows` is given."""
    found = _float64(what, value)
    if found:
        return found
    array = cast(Array, value)
    fits = array.shape == (width,) if rows is None else array.shape == (len(array), width) and 1 <= len(array) <= rows
    if not fits:
        return _misshapen(
            what, array, f"({width},)" if rows is None else f"(1 to {rows}, {width})", width * (rows or 1)
        )
    return _finite(what, array)


def numbers_are(what: str, value: object, shape: tuple[int | None, ...]) -> tuple[Finding, ...]:
    """STOP unless `value` is finite float64 of that shape; None stands for one or more."""
    found = _float64(what, value)
    if found:
        return found
    array = cast(Array, value)
    lengths = zip(array.shape, shape, strict=False)
    if array.ndim != len(shape) or not all(
        length == wanted or (wanted is None and length) for length, wanted in lengths
    ):
        needed = ", ".join("1 or more" if wanted is None else str(wanted) for wanted in shape)
        return _misshapen(what, array, f"({needed})", prod(wanted or 1 for wanted in shape))
    return _finite(what, array)


def _float64(what: str, value: object) -> tuple[Finding, ...]:
    if isinstance(value, np.ndarray) and cast("NDArray[Any]", value).dtype == np.float64:
        return ()
    got = str(getattr(cast(Any, value), "dtype", type(cast(Any, value)).__name__))
    text = f"The {what} is {got}; a float64 array is needed."
    return finding("dtype", Outcome.STOP, what, nan, nan, "", text)


def _misshapen(what: str, array: Array, needed: str, values: int) -> tuple[Finding, ...]:
    text = f"The {what} has shape {array.shape}; {needed} is needed."
    return finding("shape", Outcome.STOP, what, array.size, values, "values", text)


def _finite(what: str, array: Array) -> tuple[Finding, ...]:
    if array.ndim == 1 and isfinite(sum(array.tolist())):  # only where every value is; a third of the time for a few
        return ()
    finite = np.isfinite(array)
    if finite.all():
        return ()
    bad = int((~finite).sum())
    text = f"The {what} has {bad} values that are not finite numbers."
    return finding("finite", Outcome.STOP, what, bad, 0, "values", text)


def period_is(period_s: object, shortest_s: float, longest_s: float) -> tuple[Finding, ...]:
    """STOP unless the time between a chunk's rows is a number from `shortest_s` to `longest_s`."""
    if isinstance(period_s, float) and shortest_s <= period_s <= longest_s:
        return ()
    measured = period_s if isinstance(period_s, float) else nan
    text = f"The chunk's rows are {period_s} s apart; {shortest_s:.3g} to {longest_s:.3g} s is allowed."
    return finding("period", Outcome.STOP, "chunk", measured, longest_s, "s", text)


def lasts(chunk: ActionChunk, longest_s: float) -> tuple[Finding, ...]:
    """HOLD for a chunk that leads further into what nobody has seen than `longest_s`."""
    lasts_s = chunk.period_s * len(chunk.positions)
    if lasts_s <= longest_s:
        return ()
    text = f"The chunk lasts {lasts_s:.3g} s; {longest_s:.3g} s on one look are allowed."
    return finding("duration", Outcome.HOLD, "chunk", lasts_s, longest_s, "s", text)


def answers(stamp_ns: int, observed_ns: int) -> tuple[Finding, ...]:
    """HOLD for a chunk that answers another observation than the one it is judged with."""
    if stamp_ns == observed_ns:
        return ()
    apart = (stamp_ns - observed_ns) / NANOSECONDS
    text = f"The chunk answers an observation {abs(apart) * 1e3:.0f} ms from the one it is judged with."
    return finding("answers", Outcome.HOLD, "chunk", apart, 0.0, "s", text)


def follows(sequence: int, last: int) -> tuple[Finding, ...]:
    """HOLD for a command that is not newer than the last one sent."""
    if sequence > last:
        return ()
    text = f"The command is number {sequence}, and number {last} was sent already."
    return finding("sequence", Outcome.HOLD, "command", sequence, last + 1, "", text)


def broken(gate: str, error: Exception) -> tuple[Finding, ...]:
    """STOP for an exception inside a check."""
    text = f"A check of the {gate} failed: {type(error).__name__}: {error}"
    return finding("fault", Outcome.STOP, gate, nan, nan, "", text)


def same_epoch(what: str, epoch: int, session: int) -> tuple[Finding, ...]:
    """HOLD for what belongs to another session."""
    if epoch == session:
        return ()
    text = f"The {what} belongs to session {epoch}; this is session {session}."
    return finding("epoch", Outcome.HOLD, what, epoch, session, "session", text)


def fresh(what: str, stamp_ns: int, now_ns: int, age_s: float) -> tuple[Finding, ...]:
    """HOLD for what is older than `age_s`, or stamped in the future."""
    age = (now_ns - stamp_ns) / NANOSECONDS
    if 0.0 <= age <= age_s:
        return ()
    if age < 0.0:
        text = f"The {what} is stamped {-age * 1e3:.0f} ms in the future; a clock jumped."
    else:
        text = f"The {what} is {age * 1e3:.0f} ms old; {age_s * 1e3:.0f} ms is allowed."
    return finding("age", Outcome.HOLD, what, age, age_s, "s", text)


def cameras_fresh(observation: Observation, cameras: Sequence[str], now_ns: int, age_s: float) -> tuple[Finding, ...]:
    """HOLD for every camera that is missing or whose newest image is older than `age_s`."""
    found: tuple[Finding, ...] = ()
    for name in cameras:
        if name not in observation.images:
            have = listing(observation.images) or "none"
            text = f"The {name} camera's image is missing; there are images of {have}."
            found += finding("camera", Outcome.HOLD, name, nan, age_s, "s", text)
        else:
            found += fresh(f"image of the {name} camera", observation.images[name].stamp_ns, now_ns, age_s)
    return found


def within(
    check: str, what: str, unit: str, values: Array, limits: Array, joints: Sequence[Joint], outcome: Outcome
) -> tuple[Finding, ...]:
    """`outcome` for the joint whose |value| (..., J) exceeds its limit (J,) most; `unit` follows the joint's own."""
    if (np.abs(values) <= limits).all():
        return ()
    at = _largest(np.abs(values) / limits)
    joint, measured, limit = joints[at[-1]], abs(float(values[at])), float(limits[at[-1]])
    row = f" at row {at[0]}" if len(at) > 1 else ""
    text = f"{joint.name} {what} {measured:.3g} {joint.unit}{unit}{row}; {limit:.3g} is allowed."
    return finding(check, outcome, joint.name, measured, limit, f"{joint.unit}{unit}", text)


def in_range(
    what: str, values: Array, lower: Array, upper: Array, joints: Sequence[Joint], outcome: Outcome
) -> tuple[Finding, ...]:
    """`outcome` for the joint whose value (..., J) is farthest outside lower..upper (J,)."""
    if ((values >= lower) & (values <= upper)).all():
        return ()
    at = _largest(np.maximum(lower - values, values - upper))
    joint, measured, low, high = joints[at[-1]], float(values[at]), float(lower[at[-1]]), float(upper[at[-1]])
    limit = low if measured < low else high
    text = f"The {what} puts {joint.name} at {measured:.3f} {joint.unit}; {low:.3f} to {high:.3f} is allowed."
    return finding("position", outcome, joint.name, measured, limit, joint.unit, text)


def trace_matches(trace: Array, tools: Array, embodiment: Embodiment, error_m: float) -> tuple[Finding, ...]:
    """HOLD where a plan's trace (T, A, 3) is farther than `error_m` from the tools (T, A, 3) its own chunk gives."""
    gaps = np.linalg.norm(trace - tools, axis=-1)
    if np.all(gaps <= error_m):
        return ()
    at = _largest(gaps)
    arm, gap = embodiment.arms[at[1]].name, float(gaps[at])
    text = (
        f"The plan says the {arm} tool will be {gap * 1e3:.0f} mm from where the chunk takes it; "
        f"{error_m * 1e3:.0f} mm is allowed."
    )
    return finding("trace", Outcome.HOLD, arm, gap, error_m, "m", text)


def near(outcome: Outcome, pair: Near, clearance_m: float, required_m: float, where: str) -> tuple[Finding, ...]:
    """`outcome` for two bodies that come nearer to each other than they may."""
    text = f"{pair.text} are {clearance_m * 1e3:.0f} mm apart {where}; {required_m * 1e3:.0f} mm is needed."
    return finding(f"clearance: {pair.kind}", outcome, pair.text, clearance_m, required_m, "m", text)


def _largest(values: Array) -> tuple[int, ...]:
    """Where the largest value is, NaN being larger than any."""
    flat = int(np.argmax(np.where(np.isnan(values), np.inf, values)))
    return tuple(int(index) for index in np.unravel_index(flat, values.shape))
