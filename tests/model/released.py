"""What tests of the released layout share: a tiny checkpoint, its prompts, and where the references are."""

from pathlib import Path

import numpy as np

from forearm.model.images import CropConfig
from forearm.model.inputs import Prompter, Sample
from forearm.model.released import MolmoAct2
from forearm.model.statistics import choose, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.model.tokens import ImageMarks
from forearm.model.weights import load

REFERENCES = Path(__file__).parents[1] / "parity" / "references"


def loaded(name: str) -> tuple[MolmoAct2, Prompter]:
    folder = REFERENCES / name
    model = load(folder).model
    prompter = Prompter(
        config=model.config,
        tokenizer=read_tokenizer(folder, model.config),
        tag=choose(read_tags(folder / "norm_stats.json"), None),
        crops=CropConfig.whole(model.config.vision),
        marks=ImageMarks(),
    )
    return model, prompter


def sampled(prompter: Prompter, seed: int, instruction: str = "fold the towel", *, depth: bool = False) -> Sample:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(2)]
    return prompter.sample(images, instruction, rng.uniform(-1, 1, 6).astype(np.float32), depth=depth)
