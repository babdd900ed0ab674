"""CUDA graphs: a decision's thousands of kernels are started by the GPU itself, not one by one from Python."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from forearm.errors import InputError
from forearm.model.fixed_decision import FixedDecision, Stage
from forearm.model.released import MolmoAct2, Prompt

WARM_UPS = 3  # runs before a capture: libraries make their handles and workspaces in the first ones
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]  # need no plans per shape


@contextmanager
def attention_kernels() -> Generator[None]:
    """Uses the attention kernels that graphs are made of: rounding is then the same with and without a graph."""
    with sdpa_kernel(_KERNELS):
        yield


class Graphs:
    """Records stages on one GPU. All share the memory of their intermediate results: none outlives its stage."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise InputError(
                f"CUDA graphs: got a model on {device}, allowed is cuda; move the model there, or decide with a "
                "FixedDecision"
            )
        self._device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()

    def record(self, stage: Stage) -> Stage:
        """What does on the GPU, at each call, what `stage` does now."""
        with torch.cuda.device(self._device), torch.no_grad(), attention_kernels():
            before = torch.cuda.current_stream()
            self._stream.wait_stream(before)
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UPS):
                    stage()
            before.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads, cameras' for example, may use the GPU meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                stage()
        return graph.replay


def captured(model: MolmoAct2, prompt: Prompt, action_dim: int) -> FixedDecision:
    """Decisions on prompts like this one, each stage one graph.

    Args:
        model: on a GPU.
        prompt: as long as those that are to be decided, with as many images; with depth where it asks for depth.
        action_dim: channels that mean something, from the first on.

    Raises:
        InputError: off the GPU, and as `FixedDecision` does.
    """
    return FixedDecision(model, prompt, action_dim, Graphs(model.device).record)
