"""What a trial looked like: its scene before anything moved, or a strip of what happened, as JPEGs inside the page."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as Picture

from forearm.cell.scene import OUTSIDE
from forearm.cell.simulator import CellRobot
from forearm.clock import SimulatedClock
from forearm.evaluation.report_page.packing import in_base64, thinned
from forearm.evaluation.trial import Trial
from forearm.messages import Image
from forearm.telemetry.log import RunLog

STRIP_FRAMES = 6
WIDTH_MOST = 320  # px, of the camera for people
JPEG_QUALITY = 80  # of 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture: a JPEG in base64, and what to say under it."""

    jpeg: str
    caption: str


def scene(trial: Trial) -> Frame:
    """The scene as it starts; about 0.5 s.

    Raises:
        InputError: for a trial that there is none of.
    """
    robot = CellRobot(setup=trial.setup(), clock=SimulatedClock(), outside_view=True)
    robot.connect(epoch=1)
    image = robot.read().images[OUTSIDE]
    robot.close()
    return Frame(jpeg=_jpeg(image), caption="the scene")


def strip(log: RunLog) -> list[Frame]:
    """Evenly spread pictures of a run, the first and the last among them, each with what the policy said it did."""
    images = log.images.get(OUTSIDE, ())
    chosen = [images[index] for index in thinned(len(images), STRIP_FRAMES)]
    return [
        Frame(jpeg=_jpeg(image.decode()), caption=f"{log.seconds(image.stamp_ns):.1f} s {_said(log, image.stamp_ns)}")
        for image in chosen
    ]


def _said(log: RunLog, stamp_ns: int) -> str:
    """What the newest plan at that time calls itself; empty without one."""
    plans = [each.decision.plan for each in log.decisions if each.stamp_ns <= stamp_ns]
    return "" if not plans or plans[-1] is None else plans[-1].subtask


def _jpeg(image: Image) -> str:
    picture = Picture.fromarray(image.pixels)
    picture.thumbnail((WIDTH_MOST, WIDTH_MOST))
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=JPEG_QUALITY)
    return in_base64(buffer.getvalue())
