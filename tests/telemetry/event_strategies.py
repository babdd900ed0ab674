"""Every kind of event that the messages allow, for hypothesis, and bit-for-bit equality of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from forearm.events import (
    Alarmed,
    CameraRegistered,
    Commanded,
    Decided,
    Judged,
    LimitsStated,
    ModeChanged,
    Observed,
    OperatorActed,
    RecoveryBegan,
    RecoveryEnded,
    SelfTested,
    SessionEnded,
    SessionStarted,
    Stopped,
)
from forearm.messages import ActionChunk, Decision, DepthImage, Finding, Held, Image, Observation, Outcome, Plan

stamps = st.integers(0, 2**62)
counts = st.integers(0, 2**40)
words = st.text(max_size=12)
numbers = st.floats()
some_floats = npst.arrays(
    np.float64, npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), elements=numbers
)
vectors = npst.arrays(np.float64, st.integers(0, 14), elements=numbers)


def _pixels(stamp_ns: int) -> Image:
    """An image that its stamp decides, as a camera's capture is one thing only."""
    generator = np.random.default_rng(stamp_ns)
    return Image(stamp_ns=stamp_ns, pixels=generator.integers(0, 256, (6, 9, 3), dtype=np.uint8))


def _metres(stamp_ns: int) -> DepthImage:
    generator = np.random.default_rng(stamp_ns)
    metres = generator.uniform(0.3, 1.5, (5, 7)).astype(np.float32)
    metres[0, 0] = np.nan
    return DepthImage(stamp_ns=stamp_ns, metres=metres)


cameras = st.sampled_from(["top", "left", "right", "outside"])

points = st.tuples(numbers, numbers, numbers)
observations = st.builds(
    Observation,
    stamp_ns=stamps,
    sequence=counts,
    epoch=counts,
    positions=vectors,
    velocities=vectors,
    efforts=vectors,
    images=st.dictionaries(cameras, stamps.map(_pixels)),
    depths=st.dictionaries(cameras, stamps.map(_metres)),
    instruction=words,
    held=st.lists(st.builds(Held, name=words, arm=words, centre=points, half=points), max_size=3).map(tuple),
)
plans = st.builds(
    Plan,
    subtask=words,
    depth_tokens=npst.arrays(np.int64, st.integers(0, 5)),
    depth_map=some_floats,
    points=some_floats,
    trace=some_floats | st.sampled_from([(0, 0, 3), (2, 0, 3), (2, 4, 3)]).map(np.ones),
    trace_grippers=some_floats,
    trace_times_s=vectors,
    confidence=numbers,
)
decisions = st.builds(
    Decision,
    sequence=counts,
    epoch=counts,
    plan=st.none() | plans,
    chunk=st.builds(ActionChunk, stamp_ns=stamps, period_s=numbers, positions=some_floats),
    latency_s=numbers,
    model_digest=words,
    timings_s=st.dictionaries(words, numbers, max_size=3),
    features=vectors,
)
findings = st.builds(
    Finding,
    check=words,
    outcome=st.sampled_from(Outcome),
    subject=words,
    measured=numbers,
    limit=numbers,
    unit=words,
    text=words,
)


def _tagged(kind: type, tag: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, kind=st.just(tag), stamp_ns=stamps, **parts)


starts = _tagged(
    SessionStarted,
    "session_started",
    epoch=counts,
    instruction=words,
    robot=words,
    policy=words,
    model_digest=words,
    seed=counts,
    commit=words,
    recipe=words,
)
events = st.one_of(
    starts,
    _tagged(
        SelfTested,
        "self_tested",
        proven=st.lists(words, max_size=3).map(tuple),
        failed=st.lists(words, max_size=3).map(tuple),
        cost_s=numbers,
    ),
    _tagged(Observed, "observed", observation=observations),
    _tagged(Decided, "decided", decision=decisions),
    _tagged(
        Judged,
        "judged",
        gate=st.sampled_from(["vetting", "guard"]),
        sequence=counts,
        outcome=st.sampled_from(Outcome),
        findings=st.lists(findings, max_size=3).map(tuple),
        cost_s=numbers,
    ),
    _tagged(Commanded, "commanded", sequence=counts, positions=st.lists(numbers, max_size=14).map(tuple)),
    _tagged(ModeChanged, "mode_changed", before=words, after=words, trigger=words, reason=words),
    _tagged(
        Stopped,
        "stopped_motion",
        cause=words,
        how=st.sampled_from(["slow", "hold", "retreat", "protective"]),
        commanded_ns=stamps,
        standing_ns=st.none() | stamps,
        joints_rad=st.lists(numbers, max_size=2).map(tuple),
        tools_m=st.lists(numbers, max_size=2).map(tuple),
        verdict=st.sampled_from(["standing", "moving", "unknown"]),
    ),
    _tagged(
        RecoveryBegan,
        "recovery_began",
        condition=words,
        arm=words,
        rung=words,
        attempt=counts,
        evidence=st.dictionaries(words, numbers, max_size=3),
        reason=words,
    ),
    _tagged(
        RecoveryEnded,
        "recovery_ended",
        condition=words,
        rung=words,
        attempt=counts,
        recovered=st.booleans(),
        proof=words,
        duration_s=numbers,
    ),
    _tagged(OperatorActed, "operator_acted", who=words, act=words, details=words, accepted=st.booleans()),
    _tagged(LimitsStated, "limits_stated", calibrated=st.booleans(), monitors=words, carded=st.booleans(), card=words),
    _tagged(
        CameraRegistered,
        "camera_registered",
        camera=words,
        verdict=st.sampled_from(["as drawn", "put right", "unknown", "refused"]),
        shift_m=points,
        turn_rad=points,
        focal=numbers,
        table_m=numbers,
        arms_fit=numbers,
        text=words,
    ),
    _tagged(
        Alarmed,
        "alarmed",
        sequence=counts,
        monitor=words,
        value=numbers,
        threshold=numbers,
        in_a_row=counts,
        text=words,
    ),
    _tagged(
        SessionEnded,
        "session_ended",
        outcome=st.sampled_from(["done", "failed", "refused", "stopped", "error"]),
        reason=words,
        progress=numbers,
        ticks=counts,
        late_p50_s=numbers,
        late_p99_s=numbers,
        dropped=counts,
    ),
)


def _bits(values: np.ndarray) -> bytes:
    """The bytes of an array, every NaN being the same one."""
    return np.where(values == values, values, np.nan).tobytes() if values.dtype.kind == "f" else values.tobytes()


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the last bit: types, shapes, signed zeros; NaN is NaN."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
        )
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return type(other) is float and _bits(np.array(one)) == _bits(np.array(other))
    return type(one) is type(other) and one == other
