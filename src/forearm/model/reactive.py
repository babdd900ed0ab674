"""The small model without its reasoning, to compare with: it sees and reads the same, and acts at once.

Same stems, decoder, action expert and flow as the reasoner's; no depth, no points, no trace, and no mask between what
is seen, what is asked and what is done. Whatever it does, it cannot say beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forearm.model.action_expert import ActionExpert, Context
from forearm.model.attention import GrowingCache
from forearm.model.fourier import FourierEmbedding
from forearm.model.language import Decoder
from forearm.model.reasoner import ARMS, STATE_CHANNELS, ReasonerConfig, Sight
from forearm.model.stem import ConvStem


class Reactive(nn.Module):
    """Images, joints and words in; the action expert sees every one of their tokens.

    Args:
        config: the reasoner's; what only reasoning needs is not used.
    """

    def __init__(self, config: ReasonerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder.width
        self.top_stem = ConvStem(config.top_side, config.cell_channels, width)
        self.wrist_stem = ConvStem(config.wrist_side, config.cell_channels, width)
        self.decoder = Decoder(config.decoder)
        self.expert = ActionExpert(config.expert)
        self.word = nn.Embedding(config.vocabulary + 1, width)
        self.word_place = nn.Parameter(torch.zeros(config.places, width))
        self.state = FourierEmbedding(STATE_CHANNELS, 4, width)
        self.arm = nn.Embedding(ARMS, width)

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights of the parts that do not make their own."""
        self.decoder.initialise(generator)
        self.expert.initialise(generator)
        for parameter in (self.word_place, self.word.weight, self.arm.weight):
            nn.init.normal_(parameter, std=0.5, generator=generator)

    def context(self, sight: Sight) -> Context:
        """What the action expert sees: everything, at every layer."""
        batch = sight.top.shape[0]
        top = self.top_stem(sight.top).tokens
        wrists = self.wrist_stem(sight.wrists.flatten(0, 1)).tokens
        wrists = wrists.unflatten(0, (batch, ARMS)) + self.arm.weight[:, None]
        state = self.state(sight.state) + self.arm.weight
        words = self.word(sight.words) + self.word_place
        cache = GrowingCache(self.config.decoder.layers)
        tokens: list[Tensor] = [top, wrists.flatten(1, 2), state, words]
        self.decoder(torch.cat(tokens, dim=1), cache=cache, tail=0)
        return self.expert.context(list(cache.pairs()))
