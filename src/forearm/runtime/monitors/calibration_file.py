"""A calibration on disk, beside the weights that it is of. Read and written whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from forearm.errors import CheckpointError
from forearm.files import write_json
from forearm.messages import Floats
from forearm.runtime.monitors.calibration import Calibration, Familiar, Usual

FORMAT = "forearm.calibration.v1"
FILE_NAME = "calibration.json"
DIGITS = 6  # of features: nearly what float32 has


def write_calibration(path: Path, calibration: Calibration) -> None:
    """The whole file, or none."""
    familiar = calibration.familiar
    document: dict[str, Any] = {
        "format": FORMAT,
        **{name: getattr(calibration, name) for name in ("model_digest", "cameras", "commit", "budget", "episodes")},
        "tasks": list(calibration.tasks),
        "threshold": calibration.threshold,
        "usual": {name: asdict(each) for name, each in calibration.usual.items()},
        "familiar": familiar
        and {
            **{name: _shortened(getattr(familiar, name)) for name in ("mean", "axes", "deviations")},
            "rest": familiar.rest,
        },
    }
    write_json(path, document, indent=None)


def read_calibration(path: Path) -> Calibration | None:
    """The calibration in a file, None where there is no such file.

    Raises:
        CheckpointError: when the file is not a calibration: a damaged one is no reason to go without.
    """
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}")
        familiar = document["familiar"]
        found = Calibration(
            model_digest=str(document["model_digest"]),
            cameras=str(document["cameras"]),
            commit=str(document["commit"]),
            budget=float(document["budget"]),
            episodes=int(document["episodes"]),
            tasks=tuple(document["tasks"]),
            usual={name: Usual(**each) for name, each in document["usual"].items()},
            threshold=float(document["threshold"]),
            familiar=familiar
            and Familiar(
                **{name: np.array(familiar[name], dtype=np.float64) for name in ("mean", "axes", "deviations")},
                rest=float(familiar["rest"]),
            ),
        )
        if not isfinite(found.threshold):
            raise ValueError(f"threshold {found.threshold}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: got {type(error).__name__}: {error}, needed is a {FORMAT}; calibrate again or delete it"
        ) from error
    return found


def _shortened(values: Floats) -> Any:
    """Nested lists, each number with so many digits."""
    digits = np.array([float(f"{value:.{DIGITS}g}") for value in values.ravel()])
    return digits.reshape(values.shape).tolist()
