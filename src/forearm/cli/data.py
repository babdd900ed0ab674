"""`forearm data`: what a dataset is, and how somebody else's becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def data(
    what: tyro.conf.Positional[Literal["info", "import"]],
    folder: tyro.conf.Positional[Path],
    /,
    mapping: Path | None = None,
    out: Path | None = None,
) -> int:
    """Looks at a LeRobot v3.0 dataset, or imports it: into our units, rate and cameras, so that `train` takes it.

      forearm data info data/theirs                                      features, sentences, what is missing
      forearm data info data/theirs --mapping theirs.toml                and whether it can be imported, or why not
      forearm data import data/theirs --mapping theirs.toml --out data/mine

    A mapping says which feature is which:

      depth = "observation.depth.cam_high"                # left out where there is none
      [cameras]
      top = { feature = "observation.images.cam_high", fovy = 58.0 }       # vertical field of view, degrees
      left = { feature = "observation.images.cam_left_wrist", fovy = 72.0 }
      right = { feature = "observation.images.cam_right_wrist", fovy = 72.0 }
      [state]                                             # and the same for [action], absolute targets
      feature = "observation.state"
      channels = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]            # names or numbers, left arm first
      grippers = [6, 13]
      unit = "deg"                                        # or rad
      closed = 0.0                                        # what it says for a closed gripper
      open = 100.0                                        # and for an open one

    Exit codes: 0 done; 2 it is no such dataset, or cannot be what the mapping says.

    Args:
        what: info, or import.
        folder: the dataset's.
        mapping: a TOML file.
        out: the new dataset's folder.
    """
    from forearm.cli.terminal import say
    from forearm.data.mapping import read_mapping
    from forearm.errors import InputError

    said = None if mapping is None else read_mapping(mapping)
    if what == "info":
        from forearm.data.survey import survey

        say(survey(folder, said))
        return 0
    if said is None or out is None:
        raise InputError("import: got no mapping or no folder to write to, needs both; add --mapping FILE --out DIR")
    from forearm.cli.terminal import PEOPLE
    from forearm.data.importing import import_dataset

    PEOPLE.print(f"{import_dataset(folder, said, out)} episodes imported")
    say(str(out))
    return 0
