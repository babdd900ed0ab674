"""What is known of a model's limits beside its weights: its monitors' calibration and its operating-limit card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forearm.runtime import card as cards
from forearm.runtime.card import Card
from forearm.runtime.monitors import calibration_file as calibrations
from forearm.runtime.monitors.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """Each counts only for the model that it is of, and None is for what nobody has measured.

    Attributes:
        calibration: by which decisions raise alarms; an operator is asked then, where there is one.
        card: what the model may be asked, and under which conditions.
    """

    calibration: Calibration | None = None
    card: Card | None = None


NOTHING = Known()


def read_known(folder: Path | None) -> Known:
    """What lies in a folder of weights; nothing for a policy without any.

    Raises:
        CheckpointError: for a file that is damaged.
    """
    if folder is None:
        return NOTHING
    return Known(
        calibration=calibrations.read_calibration(folder / calibrations.FILE_NAME),
        card=cards.read_card(folder / cards.FILE_NAME),
    )
