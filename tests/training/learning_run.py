"""One of torchrun's processes: `learning_run.py DATASET TOKENIZER OUT`. Learns in each way, and saves after three steps."""

import json
import sys
from pathlib import Path

import torch
from tiny_released import KINDS, trainer_of

from forearm.training.processes import joined


def main(dataset: Path, tokenizer: Path, out: Path) -> None:
    torch.set_num_threads(1)
    with joined() as processes:
        for kind in KINDS:
            trainer = trainer_of(kind, dataset, tokenizer, processes)
            losses = [trainer.advance() for _ in range(3)]
            trainer.save(out / kind)
            losses += [trainer.advance() for _ in range(2)]
            whole = trainer.weights()
            if processes.first:
                torch.save(whole, out / kind / "whole.pt")
                (out / kind / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
