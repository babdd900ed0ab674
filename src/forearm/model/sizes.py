"""How large a reasoner is, in the few numbers and switches in which ours differ."""

from __future__ import annotations

from dataclasses import dataclass

from forearm.model.config import ExpertConfig, TextConfig
from forearm.model.reasoner import ReasonerConfig

HEAD = 32  # width of an attention head
ACTIONS, TIME_CHANNELS = 14, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of a reasoner: its tokens' width, layers and inner width of decoder and expert, channels of an image's cell.

    With `names` it says by which word what each gripper holds, or is to take next, goes; with `closer` it looks closer
    where it points. A chunk has `horizon` rows. `without` is a part of its reasoning that nothing follows from: one of
    `layout.WITHOUT`.
    """

    width: int
    layers: int
    hidden: int
    cell_channels: int
    names: bool = False
    closer: bool = False
    horizon: int = 16  # 1.6 s
    without: str = ""

    def config(self, *, vocabulary: int, places: int, subtasks: int) -> ReasonerConfig:
        """The network of these sizes, for that many words, words in a sentence, and phrases of its own."""
        heads = self.width // HEAD
        decoder = TextConfig(
            width=self.width,
            layers=self.layers,
            heads=heads,
            kv_heads=heads,
            head_dim=HEAD,
            hidden=self.hidden,
            rope_theta=None,  # every token carries a learned place of its own
            initializer_range=0.06,
        )
        expert = ExpertConfig(
            width=self.width,
            layers=self.layers,
            heads=heads,
            hidden=self.hidden,
            context_width=self.width,
            action_dim=ACTIONS,
            horizon=self.horizon,
            time_channels=TIME_CHANNELS,
        )
        return ReasonerConfig(
            decoder=decoder,
            expert=expert,
            cell_channels=self.cell_channels,
            vocabulary=vocabulary,
            places=places,
            subtasks=subtasks,
            names=self.names,
            closer=self.closer,
            without=self.without,
        )


NANO = Sizes(width=128, layers=4, hidden=256, cell_channels=128)
STATION = Sizes(width=192, layers=6, hidden=512, cell_channels=192, names=True)
