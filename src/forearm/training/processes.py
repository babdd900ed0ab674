"""The processes of one run: those that torchrun started, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """How many work together, which of them this is, and where it computes."""

    count: int
    rank: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a scalar over all processes; each must ask for it."""
        if self.count > 1:
            dist.all_reduce(value)
        return float(value) / self.count

    def wait(self) -> None:
        """Returns when all have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined() -> Generator[Processes]:
    """The processes that torchrun started this one with, by its environment; a run of one where it did not."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if count > 1:
        dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        processes = Processes(count=count, rank=rank, device=device)
        yield processes
        processes.wait()  # one that leaves while others still write has them aborted
    finally:
        if count > 1:
            dist.destroy_process_group()
