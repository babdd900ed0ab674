"""The results of an evaluation so far, on disk as they come: what an interrupted one goes on from.

Invariant: results of one subject alone are in a journal, and a killed process loses none that was added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forearm.errors import ForearmError, InputError
from forearm.evaluation.subject import differences
from forearm.evaluation.trial import TrialResult


class Journal:
    """The results so far, one JSON line each behind a line that says of what; what a resumed suite starts from.

    Args:
        path: the file; made when the first result comes.
        subject: what is evaluated: policy, code and the like. A journal of anything else is not continued.

    Raises:
        InputError: when the file is another subject's, naming what differs, or no journal.
    """

    def __init__(self, path: Path, subject: Mapping[str, Any]) -> None:
        self._path = path
        self._subject: dict[str, Any] = json.loads(json.dumps(dict(subject)))
        self.results: list[TrialResult] = []
        """Read back from an earlier, interrupted suite; errors are left out, so that they are tried again."""
        if path.is_file():
            self._read_back()

    def add(self, result: TrialResult) -> None:
        """Writes one result; after this returns, a killed process does not lose it."""
        fresh = not self._path.is_file()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            if fresh:
                file.write(json.dumps(self._subject) + "\n")
            file.write(json.dumps(result.record()) + "\n")

    def discard(self) -> None:
        """Removes the file: its results are elsewhere now."""
        self._path.unlink(missing_ok=True)

    def _read_back(self) -> None:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # the last line may have been cut off
            if whole:
                self._refuse_other(json.loads(whole[0]))
            results = [TrialResult(**json.loads(line)) for line in whole[1:]]
        except (AttributeError, TypeError, ValueError) as error:
            if isinstance(error, ForearmError):
                raise
            raise InputError(
                f"unfinished evaluation {self._path}: got {error}, an evaluation's lines are needed; delete it or "
                "name another file"
            ) from error
        if not whole:
            self._path.unlink()
        elif whole != lines:
            self._path.write_text("".join(whole), encoding="utf-8")
        self.results = [result for result in results if not result.is_error]

    def _refuse_other(self, subject: Mapping[str, Any]) -> None:
        differing = "; ".join(differences(subject, self._subject))
        if differing:
            raise InputError(
                f"unfinished evaluation {self._path}: got one of something else ({differing}), only the same policy, "
                "code and trials can be continued; delete it or name another file"
            )
