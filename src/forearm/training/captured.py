"""One optimiser step as a CUDA graph: a small model's many kernels wait for their launches, not for the chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor

from forearm.training.batch import Batch

WARM_UP = 3  # steps done one kernel at a time first, so that libraries and the optimiser have made what they keep

Step = Callable[[Batch], dict[str, Tensor]]


class CapturedStep:
    """Does what `step` does, and after a few real steps replays them; every call is one step, whichever way.

    Batches must all have one shape. What it answers is overwritten by the next call.

    Args:
        step: forwards, backwards and updates; nothing in it may wait for the device.
        generator: on the device, the only one that `step` draws from.
    """

    def __init__(self, step: Step, generator: torch.Generator) -> None:
        self._step, self._generator = step, generator
        self._done = 0
        self._stream = torch.cuda.Stream()
        self._graph = torch.cuda.CUDAGraph()

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        if self._done < WARM_UP:
            self._done += 1
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                figures = self._step(batch)
            torch.cuda.current_stream().wait_stream(self._stream)
            return figures
        if self._done == WARM_UP:
            self._done += 1
            self._held = batch
            self._graph.register_generator_state(self._generator)
            # Other threads pin batches meanwhile, which is none of the capture's business.
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._figures = self._step(batch)
        for held, fresh in zip(_tensors(self._held), _tensors(batch), strict=True):
            held.copy_(fresh)
        self._graph.replay()
        return self._figures


def _tensors(batch: Batch) -> Iterator[Tensor]:
    yield from batch.sight
    yield from cast(tuple[Tensor, ...], batch[1:])
