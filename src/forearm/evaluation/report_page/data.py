"""The whole run as one JSON object: what the page's script is given."""

from __future__ import annotations

import numpy as np

from forearm.evaluation.report_page.packing import Json, number, numbers, thinned
from forearm.evaluation.report_page.pictures import camera_frames, depth_frames
from forearm.evaluation.report_page.reasoning import decision, tool_paths
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.telemetry.log import RunLog
from forearm.telemetry.views import joint_names

CURVE_MOST = 1200  # samples of each joint's curve: more than a laptop's screen has columns


def page_data(log: RunLog) -> Json:
    """Everything that moves with the scrubber. Times in s since the start; lengths in m unless a name ends in _mm."""
    main = BIMANUAL_YAM.cameras[0]
    return {
        "duration": round(log.duration_s, 4),
        "complete": log.complete and log.end is not None,
        "mainCamera": main.name,
        "arms": [{"name": arm.name, "base": list(arm.base)} for arm in BIMANUAL_YAM.arms],
        "cameras": camera_frames(log),
        "depth": depth_frames(log, main),
        "decisions": [decision(log, decided, main) for decided in log.decisions],
        "paths": tool_paths(log, main),
        "joints": _joints(log),
        "lateness": _lateness(log),
        "modes": [
            {"time": round(log.seconds(change.stamp_ns), 4), "before": change.before, "after": change.after}
            for change in log.mode_changes
        ],
        "alarms": [
            {"time": round(log.seconds(alarm.stamp_ns), 4), "monitor": alarm.monitor, "inARow": alarm.in_a_row}
            for alarm in log.alarms
        ],
        "verdicts": [
            {
                "time": round(log.seconds(verdict.stamp_ns), 4),
                "gate": verdict.gate,
                "sequence": verdict.sequence,
                "outcome": verdict.outcome.name,
                "cost_ms": number(verdict.cost_s * 1e3, 4),
            }
            for verdict in log.verdicts
        ],
    }


def _lateness(log: RunLog) -> Json | None:
    """How late the control loop's ticks began; None where the session did not get to say so."""
    if log.end is None:
        return None
    late = {"p50_ms": number(log.end.late_p50_s * 1e3, 4), "p99_ms": number(log.end.late_p99_s * 1e3, 4)}
    return {"ticks": log.end.ticks, **late}


def _joints(log: RunLog) -> Json:
    """Each joint's name, unit and range, and its curves: what was measured, what was commanded."""
    count = log.positions.shape[-1] or log.commands.shape[-1]
    known = count == len(BIMANUAL_YAM.joints)
    return {
        "names": joint_names(count),
        "units": [joint.unit for joint in BIMANUAL_YAM.joints] if known else [""] * count,
        "measured": _curves(log, log.stamps_ns, log.positions),
        "commanded": _curves(log, log.command_stamps_ns, log.commands),
    }


def _curves(log: RunLog, stamps_ns: np.ndarray[tuple[int], np.dtype[np.int64]], rows: Floats) -> Json:
    kept = thinned(len(rows), CURVE_MOST)
    return {
        "times": [round(log.seconds(int(stamps_ns[i])), 4) for i in kept],
        "values": numbers(rows[kept].T, 4),
    }
