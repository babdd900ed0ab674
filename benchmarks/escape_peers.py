"""The peers' side of `escape_rate.py`: what their limiters make of rows of joint targets.

Run in the peer's own environment: `escape_peers.py IN.npz OUT.npz`. IN has starts (N, 14), rows (N, R, 14) and counts
(N,); OUT the rows that would have reached the robot and their counts. Needs numpy, and for `inspect_robots_yam` its
wheels and MuJoCo; nothing of forearm.
"""

from __future__ import annotations

import sys

import numpy as np

# Where the station's bases stand, m. The peer's arm model begins 9.2 mm lower than this station's: its gripper frame is
# at 0.2755 m where the station's is at 0.2847 m, both arms at home.
LEFT, RIGHT = (0.0, 0.0, 0.0092), (0.0, -0.61, 0.0092)


def inspect_robots_yam(starts: np.ndarray, rows: np.ndarray, counts: np.ndarray, low: np.ndarray, high: np.ndarray):
    """The guardrails of inspect-robots-yam as strict as its documentation offers, one action a row.

    Clamp to the real joint limits, 5 % of the range a step (its default), collision geometry measured, no penetration
    allowed, a blocked action ends the run; and the rollout's own refusal of what is not finite. Each item begins with
    the arms at its start, told as the home pose; a home pose that it refuses moves nothing.
    """
    from inspect_robots.approver import ChainApprover, ClampApprover, DeltaLimitApprover
    from inspect_robots.errors import SafetyAbort
    from inspect_robots.types import Action
    from inspect_robots_yam.collision import CollisionApprover, CollisionChecker, CollisionConfig
    from inspect_robots_yam.config import YamConfig, action_box

    space = action_box(low=low, high=high, gripper_max_step=YamConfig().gripper_max_step)
    checker = CollisionChecker(CollisionConfig(left_base_pos=LEFT, right_base_pos=RIGHT, penetration_threshold=0.0))
    made, reached = np.zeros_like(rows), np.zeros_like(counts)
    for item, start in enumerate(starts):
        try:
            collision = CollisionApprover(checker, start, action_space=space, on_violation="abort")
        except ValueError:
            continue
        chain, store = ChainApprover(ClampApprover(space), DeltaLimitApprover(space), collision), {}
        for number, row in enumerate(rows[item, : counts[item]]):
            if not np.isfinite(row).all():
                break
            try:
                made[item, number] = chain.review(Action(data=row.copy()), store).data
            except SafetyAbort:
                break
            reached[item] = number + 1
    return made, reached


def lerobot(starts: np.ndarray, rows: np.ndarray, counts: np.ndarray, most: np.ndarray):
    """LeRobot's cap on relative targets, with a cap for every joint: Python's min and max on goal minus present.

    The robot follows perfectly: present is what was sent before.
    """
    made = np.zeros_like(rows)
    for item, start in enumerate(starts):
        present = [float(each) for each in start]
        for number in range(counts[item]):
            sent = []
            for joint, goal in enumerate(rows[item, number].tolist()):
                cap = float(most[joint])
                safe = max(min(goal - present[joint], cap), -cap)
                sent.append(present[joint] + safe)
            made[item, number], present = sent, sent
    return made, counts.copy()


def main() -> None:
    """Reads, limits, writes."""
    given = np.load(sys.argv[1])
    made, reached = inspect_robots_yam(*(given[name] for name in ("starts", "rows", "counts", "low", "high")))
    np.savez(sys.argv[2], rows=made, counts=reached)


if __name__ == "__main__":
    main()
