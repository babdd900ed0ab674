"""Every number that safety compares against, in one place, each with its unit and its source.

Invariant: limits are positive, finite and complete, or there are no limits to work with.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from forearm.errors import ConfigError
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment

Array = NDArray[np.float64]

TICK_S = 0.01  # s, the control period: one set-point per joint every tick


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """What two arms may be asked to do. Per joint (J,), in embodiment order: rad or opening, and per s, s², s³.

    Attributes:
        lower: smallest position a set-point may have.
        upper: largest position a set-point may have.
        velocity: greatest speed.
        acceleration: greatest acceleration.
        jerk: greatest jerk.
        tracking_error: how far a joint may be from where it was last sent.
        position_excess: how far outside its range a joint may be measured, or a chunk's row be and still be clipped.
        effort: N m or N that a joint may give for any length of time, contact or not.
        effort_of_speed: N m s/rad or N s, what a joint may give beside that for moving.
        arm_clearance_m: m, least distance of the two arms along a vetted chunk.
        arm_clearance_now_m: m, least distance of the two arms at a set-point, and as measured.
        self_clearance_m: m, least distance of an arm's hand from its own base and shoulder.
        fixture_clearance_m: m, least distance of arms and held objects from fixtures and keep-out zones along a vetted
            chunk.
        fixture_clearance_now_m: m, least distance of the arms from them at a set-point, and as measured.
        placing_speed: m/s, greatest speed at which what is held may come upon the table or a fixture.
        link_height_m: m, least height of links, grippers and cameras above the table.
        finger_height_m: m, least height of the fingertips; below zero they may press on the table's surface.
        sag_m: m, how much lower than set-points may be, and nearer to its own base, an arm may be measured.
        trace_error_m: m, greatest distance of a plan's trace from where its own chunk takes the tool.
        depth_error_m: m, greatest distance of a cell of a plan's depth map from what the camera measures there.
        depth_cells: share of the compared cells that may be farther off than that.
        depth_pixels: share of a cell's pixels that must be measured for the cell to be compared.
        depth_compared: share of a depth map's cells that must be compared.
        slowing: greatest factor by which a chunk that is too fast is stretched in time instead of being refused.
        least_pace: least share of its pace to which a chunk is slowed so that the arms can stop in the room they have.
        fewest_rows: fewest rows that are worth following when only the first ones are safe.
        most_rows: most rows that a chunk may have.
        shortest_period_s: s, least time between a chunk's rows.
        longest_period_s: s, greatest time between a chunk's rows.
        longest_chunk_s: s, longest time that a policy's chunk may lead on, on one look.
        longest_motion_s: s, the same of a motion that no policy made: a recovery's, a person's.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array
    tracking_error: Array
    position_excess: Array
    effort: Array
    effort_of_speed: Array
    arm_clearance_m: float = 0.012  # covers the chase's corner cutting between rows; the capsules enclose the meshes
    arm_clearance_now_m: float = 0.008  # lower than vetted, so that a vetted path is not held at its tightest place
    self_clearance_m: float = 0.005
    # Like an arm's from itself: neither side moves unforeseen. Demonstrations stay 28 mm clear of the box. Corners that
    # set-points cut, by up to 7 mm at full speed, are the lower one's, which holds.
    fixture_clearance_m: float = 0.005
    fixture_clearance_now_m: float = 0.003
    # Demonstrations put down and let go at up to 0.27 m/s in the tenth of a second before. A hand of 1 kg, with what it
    # holds, brings 0.08 J at this speed, and 1 J at 1.5 m/s, about as fast as the arms may be told to go.
    placing_speed: float = 0.4
    link_height_m: float = 0.010
    # A set-point that deep presses with about 15 N: 400 N m/rad at a reach of 0.4 m is 2.5 N/mm. Laying a held object
    # down needs some of it.
    finger_height_m: float = -0.006
    # At a reach of 0.5 m 400 N m/rad give way by 4 mm to 3 N m that the compensation of gravity lacks: 0.6 kg there.
    sag_m: float = 0.004
    trace_error_m: float = 0.12  # eight times the prototype's mean trace error (14.7 mm)
    # Both from 1484 decisions of the shipped model in the running cell, none of which is held by the two together
    # (benchmarks/plan_against_world.py): its map is 4 mm off in the median, and 80 mm or more in at most two cells.
    depth_error_m: float = 0.08
    depth_cells: float = 0.02
    depth_pixels: float = 0.3  # 43 of a cell's 144: what shiny surfaces leave of a stereo image still tells its middle
    depth_compared: float = 0.5
    slowing: float = 2.0
    least_pace: float = 0.1  # at which the fewest rows, 0.1 s apart, take as long as a chunk may
    fewest_rows: int = 4
    most_rows: int = 64  # twice the released model's 30
    shortest_period_s: float = 1.0 / 60.0
    longest_period_s: float = 0.5
    longest_chunk_s: float = 4.0  # our model's chunks last 1.6 s, released ones' 1 s, and slowing doubles either
    longest_motion_s: float = 6.5  # 64 rows at 0.1 s, the longest way back along where the arms have been

    def __post_init__(self) -> None:
        for field in fields(self):
            value = np.asarray(getattr(self, field.name), dtype=np.float64)
            if value.ndim and value.shape != self.lower.shape:
                raise ConfigError(
                    f"{field.name}: got shape {value.shape}, allowed is {self.lower.shape}; give every joint a limit"
                )
            signed = field.name in ("lower", "upper", "finger_height_m")
            if not np.isfinite(value).all() or (not signed and (value <= 0.0).any()):
                raise ConfigError(
                    f"{field.name}: got {getattr(self, field.name)}, allowed is a finite value > 0; check its unit"
                )
        if self.slowing < 1.0:
            raise ConfigError(f"slowing: got {self.slowing}, allowed is a factor ≥ 1; 1 means never")
        for joint in np.flatnonzero(self.lower >= self.upper):
            lower, upper = self.lower[joint], self.upper[joint]
            raise ConfigError(f"range of joint {joint}: got {lower}..{upper}, allowed is lower < upper; swap them")

    @classmethod
    def of(cls, embodiment: Embodiment = BIMANUAL_YAM) -> Limits:
        """The software limits of two YAM arms: ranges from the embodiment, dynamics from the motors, derated."""
        return cls(
            lower=embodiment.lower,
            upper=embodiment.upper,
            velocity=np.array(_VELOCITY * 2),
            acceleration=np.array(_ACCELERATION * 2),
            jerk=np.array(_JERK * 2),
            tracking_error=np.array(_TRACKING_ERROR * 2),
            position_excess=np.array(_POSITION_EXCESS * 2),
            effort=np.array(_EFFORT * 2),
            effort_of_speed=np.array(_EFFORT_OF_SPEED * 2),
        )


# Joints 1-3 are DM-J4340 motors (no load 52.5 rpm = 5.5 rad/s, rated 36 rpm = 3.8 rad/s at 24 V), joints 4-6 and the
# gripper DM-J4310 (200 rpm = 20.9 rad/s, rated 120 rpm = 12.6 rad/s): Damiao's data sheets. Demonstrators of these arms
# move at up to 2.6 rad/s at shoulder and elbow and 3 rad/s at the wrist; the limits lie between the two. A gripper
# opens in 0.15 s.
_VELOCITY = [3.0, 3.0, 3.0, 5.0, 5.0, 5.0, 12.0]  # rad/s, 1/s
# DM-J4340 gives 9 N m rated and 27 N m peak; the stretched arm (3 kg at .3 m) has about 0.4 kg m²: 25 rad/s² is 10 N m.
_ACCELERATION = [25.0, 25.0, 25.0, 40.0, 40.0, 40.0, 300.0]  # rad/s², 1/s²
_JERK = [500.0, 500.0, 500.0, 1000.0, 1000.0, 1000.0, 10000.0]  # rad/s³, 1/s³; full acceleration within 40 ms
# A joint at full speed lags by about 55 ms (kd/kp of the position loop): 0.14 and 0.2 rad; twice that is not following.
# A gripper that has closed on a block stands far from its target on purpose.
_TRACKING_ERROR = [0.3, 0.3, 0.3, 0.4, 0.4, 0.4, 1.2]  # rad, 1
# Sag, encoder noise, a network's rounding of 0 and 1.
_POSITION_EXCESS = [0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.2]  # rad, 1
# The motors' rated torques: DM-J4340 9 N m (27 peak), DM-J4310 3 N m (7 peak), Damiao's data sheets. 30 demonstrations
# of three tasks need at most 1.8 N m and 0.5 N m beyond what their speed explains. At a reach of 0.4 m 9 N m is 22 N.
# Grippers press on purpose, with up to 28 N there and 30 N at the most: above that their limit only meets broken ones.
_EFFORT = [9.0, 9.0, 9.0, 3.0, 3.0, 3.0, 40.0]  # N m, N
# The cell's joints are damped that much; real ones less, which allows them more than they need while they move.
_EFFORT_OF_SPEED = [22.0, 22.0, 20.0, 5.0, 3.0, 1.2, 0.4]  # N m s/rad, N s
