"""A reasoner that is to learn new words keeps what it knows of the old ones: rows are appended, none is moved.

Words, their places in a sentence and the phrases of the subtask are rows of tables. What a longer table adds starts as
fresh weights do, except that a new phrase starts as one that is never said.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from forearm.model.checkpoint import Checkpoint
from forearm.model.reasoner import Reasoner
from forearm.model.words import Words

UNSAID = 5.0  # logits by which a new phrase starts below the least likely one that was taught


@torch.no_grad()
def with_words(
    parent: Checkpoint[Reasoner], words: Words, seed: int, *, names: bool = False, closer: bool = False
) -> tuple[Reasoner, frozenset[str]]:
    """The parent's network for more words, and the names of the parameters that got rows; ready to be trained.

    Sentences that the parent knew lead to what they led to, to the last bit, unless a longer sentence gave every
    sentence more empty places, or the parent said no names, or did not look closer, and this is to.

    Args:
        parent: whose weights are taken; it stays as it is.
        words: the parent's, `extended`.
        seed: decides the new rows alone.
        names: whether it is to say names, as `ReasonerConfig.names`, also where the parent says none.
        closer: whether it is to look closer, as `ReasonerConfig.closer`, also where the parent does not.
    """
    config = parent.model.config
    grows = {"vocabulary": len(words.vocabulary), "places": words.places, "subtasks": len(words.subtasks)}
    torch.manual_seed(seed)  # layers that fill their own weights draw from the global generator
    model = Reasoner(replace(config, **grows, names=names or config.names, closer=closer or config.closer))
    model.initialise(torch.Generator().manual_seed(seed))
    old, grown = dict(parent.model.named_parameters()), set[str]()
    for name, parameter in model.named_parameters():
        known = old.get(name, parameter[:0])
        parameter[: len(known)] = known
        if parameter.shape != known.shape:
            grown.add(name)
    if "subtask_head.weight" in grown:
        known = len(old["subtask_head.bias"])
        model.subtask_head.weight[known:] = 0.0
        model.subtask_head.bias[known:] = old["subtask_head.bias"].min() - UNSAID
    return model, frozenset(grown)
