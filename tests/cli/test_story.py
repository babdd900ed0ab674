"""What a run tells while it goes on."""

import pytest

from forearm.cli.story import Story
from forearm.events import CameraRegistered


@pytest.mark.parametrize("verdict", ["as drawn", "put right", "unknown", "refused"])
def test_a_main_camera_that_is_not_as_drawn_is_told(verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = CameraRegistered(
        stamp_ns=0, camera="top", verdict=verdict, shift_m=(0.0, 0.0, 0.0), turn_rad=(0.0, 0.0, 0.0),  # pyright: ignore[reportArgumentType]
        focal=1.0, table_m=0.0, arms_fit=1.0, text="top camera: 18 mm [off]",
    )  # fmt: skip
    Story().tell(found)
    assert ("camera: top camera: 18 mm [off]" in capsys.readouterr().err) == (verdict != "as drawn")
