"""A fine-tuning run, of a model of ours or of a released one: what it goes on from, what it learns, what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forearm.errors import InputError
from forearm.training.checkpoint import claim_run

Tune = Literal["full", "lora", "expert", "added"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """One run.

    Attributes:
        parent: a checkpoint's folder; it stays as it is.
        data: datasets' folders; a released checkpoint learns from one.
        out: another folder, which gets the new checkpoint, its metrics and training.html.
        tune: what is trained: all of the checkpoint, low-rank additions to it, its action expert, parts that it lacks.
        provenance: written into the checkpoint: commit, command and the like.

    Raises:
        InputError: when `out` is the parent.
    """

    parent: Path
    data: tuple[Path, ...]
    out: Path
    tune: Tune
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.out.resolve() == self.parent.resolve():
            raise InputError(
                f"fine-tuning: got {self.out} as parent and result, allowed are two folders; name another --out"
            )

    def claim(self, parent: str, recipe: Mapping[str, Any]) -> None:
        """Says in `out` that it belongs to this run of that recipe, from a parent of that digest.

        Raises:
            InputError: when it is another's, or holds a checkpoint of none.
        """
        data = [str(each.resolve()) for each in self.data]
        claim_run(self.out, {"parent": parent, "tune": self.tune, "data": data, "recipe": recipe})

    def made(self, parent: str) -> dict[str, Any]:
        """What the result says of where it came from."""
        return {**self.provenance, "parent": parent, "tune": self.tune, "data": [str(each) for each in self.data]}
