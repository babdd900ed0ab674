"""What Foxglove shows of an event beside its exact record: joints, the predicted trace in 3D, and sentences.

Views are derived and nothing reads them back; the records in `log` are the truth.
"""

from __future__ import annotations

from collections.abc import Iterator

from foxglove_schemas_protobuf.Color_pb2 import Color
from foxglove_schemas_protobuf.JointState_pb2 import JointState
from foxglove_schemas_protobuf.JointStates_pb2 import JointStates
from foxglove_schemas_protobuf.LinePrimitive_pb2 import LinePrimitive
from foxglove_schemas_protobuf.Log_pb2 import Log
from foxglove_schemas_protobuf.Point3_pb2 import Point3
from foxglove_schemas_protobuf.SceneEntity_pb2 import SceneEntity
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.message import Message

from forearm.events import (
    Alarmed,
    CameraRegistered,
    Commanded,
    Decided,
    Event,
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
from forearm.messages import Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.telemetry.images import timestamp

TOPICS: dict[str, type[Message]] = {
    "/joints/measured": JointStates,
    "/joints/commanded": JointStates,
    "/plan/trace": SceneUpdate,
    "/log": Log,
}
TRACE_COLOURS = ((0.17, 0.44, 0.85), (0.85, 0.42, 0.13))  # left blue, right orange, as in the report
CELL_FRAME = "cell"
_LEVELS = {
    Outcome.ALLOW: Log.Level.INFO,
    Outcome.LIMIT: Log.Level.WARNING,
    Outcome.HOLD: Log.Level.ERROR,
    Outcome.STOP: Log.Level.FATAL,
}
_REGISTERED = {
    "as drawn": Outcome.ALLOW,
    "put right": Outcome.LIMIT,
    "unknown": Outcome.LIMIT,
    "refused": Outcome.STOP,
}


def joint_names(count: int) -> list[str]:
    """The joints' names where there are as many as the YAM station has, otherwise their numbers."""
    if count == len(BIMANUAL_YAM.joints):
        return [joint.name for joint in BIMANUAL_YAM.joints]
    return [f"joint{number}" for number in range(1, count + 1)]


def _measured(event: Observed) -> JointStates:
    seen = event.observation
    # Not strict: what a broken robot says in odd shapes must reach the log all the same.
    rows = zip(joint_names(len(seen.positions)), seen.positions, seen.velocities, seen.efforts, strict=False)
    joints = [JointState(name=name, position=at, velocity=speed, effort=load) for name, at, speed, load in rows]
    return JointStates(timestamp=timestamp(seen.stamp_ns), joints=joints)


def _commanded(event: Commanded) -> JointStates:
    rows = zip(joint_names(len(event.positions)), event.positions, strict=True)
    joints = [JointState(name=name, position=at) for name, at in rows]
    return JointStates(timestamp=timestamp(event.stamp_ns), joints=joints)


def _trace(event: Decided) -> SceneUpdate | None:
    plan = event.decision.plan
    if plan is None or plan.trace.ndim != 3 or plan.trace.shape[-1] != 3:
        return None
    entities: list[SceneEntity] = []
    for arm, path in enumerate(plan.trace):
        red, green, blue = TRACE_COLOURS[arm % len(TRACE_COLOURS)]
        line = LinePrimitive(
            type=LinePrimitive.Type.LINE_STRIP,
            thickness=0.006,  # m
            points=[Point3(x=x, y=y, z=z) for x, y, z in path],
            color=Color(r=red, g=green, b=blue, a=1.0),
        )
        stamp = timestamp(event.stamp_ns)
        entities.append(SceneEntity(timestamp=stamp, frame_id=CELL_FRAME, id=f"trace/{arm}", lines=[line]))
    return SceneUpdate(entities=entities)


def _sentences(event: Event) -> Iterator[tuple[str, str, Outcome]]:
    """Who says it, the sentence, how bad it is."""
    match event:
        case SessionStarted():
            yield "session", f"started: {event.instruction}", Outcome.ALLOW
        case SelfTested():
            yield "self-test", f"{len(event.proven)} known-bad and good inputs were judged rightly", Outcome.ALLOW
            for failure in event.failed:
                yield "self-test", f"not proven: {failure}", Outcome.STOP
        case CameraRegistered():
            yield "camera", event.text, _REGISTERED[event.verdict]
        case Judged():
            for finding in event.findings:
                yield event.gate, finding.text, finding.outcome
        case ModeChanged():
            yield "mode", f"{event.before} → {event.after}: {event.reason}", Outcome.LIMIT
        case Stopped():
            yield "stop", f"{event.text}: {event.cause}", Outcome.ALLOW if event.verdict == "standing" else Outcome.STOP
        case RecoveryBegan():
            yield "recovery", f"{event.reason} Trying: {event.rung} ({event.attempt}).", Outcome.LIMIT
        case RecoveryEnded():
            how = "recovered" if event.recovered else "not recovered"
            yield "recovery", f"{event.condition}, {event.rung}: {how}. {event.proof}", Outcome.LIMIT
        case OperatorActed():
            yield "operator", f"{event.who}: {event.act}. {event.details}", Outcome.LIMIT
        case LimitsStated():
            yield "limits", f"monitors: {event.monitors}", Outcome.ALLOW if event.calibrated else Outcome.LIMIT
            yield "limits", f"card: {event.card}", Outcome.ALLOW if event.carded else Outcome.LIMIT
        case Alarmed():
            yield "monitor", f"{event.monitor}: {event.text}", Outcome.LIMIT
        case SessionEnded():
            yield "session", f"{event.outcome}: {event.reason}", Outcome.ALLOW
        case Observed() | Decided() | Commanded():
            return


def views(event: Event) -> Iterator[tuple[str, Message]]:
    """The messages to show for `event`, each with its topic, in an order that depends on the event alone."""
    if isinstance(event, Observed):
        yield "/joints/measured", _measured(event)
    elif isinstance(event, Commanded):
        yield "/joints/commanded", _commanded(event)
    elif isinstance(event, Decided):
        scene = _trace(event)
        if scene is not None:
            yield "/plan/trace", scene
    for name, text, outcome in _sentences(event):
        utf8 = text.encode(errors="replace").decode()  # protobuf takes no lone surrogates, which argv can hold
        yield "/log", Log(timestamp=timestamp(event.stamp_ns), level=_LEVELS[outcome], message=utf8, name=name)
