"""One scene to be played: the task, its sentence, where everything starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from forearm.cell.variation import Look, Matter, Pace, Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that a run of the cell depends on besides the commands; equal setups play equally.

    `instruction` is one of the task's own sentences, `said` the same in the words of the person who asked, empty where
    nobody did.
    `start` (J,) are the initial joint positions in embodiment order and units; `time_limit_s` is how long a trial lasts
    at the most; `variation` names what was varied on purpose.
    """

    task: str
    instruction: str
    seed: int
    placements: tuple[Placement, ...]
    look: Look
    start: tuple[float, ...]
    time_limit_s: float
    matter: Matter = field(default_factory=Matter)
    pace: Pace = field(default_factory=Pace)
    variation: str = ""
    said: str = ""

    @property
    def spoken(self) -> str:
        """The sentence as the policy and the log get it."""
        return self.said or self.instruction

    def placement(self, name: str) -> Placement:
        """Where the object `name` starts.

        Raises:
            KeyError: for an object that the scene does not have.
        """
        for placement in self.placements:
            if placement.name == name:
                return placement
        raise KeyError(name)
