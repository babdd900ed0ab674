"""What tests of fine-tuning released checkpoints share: tiny ones, a dataset of others, an action tokenizer."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, trainers

from forearm.data.lerobot import Source
from forearm.data.mapping import FeatureMapping, Robot, Vector, View
from forearm.model import weights
from forearm.model.action_tokenizer import ActionTokenizer, cosine_basis
from forearm.model.adaptation import LowRank, Rates, adapt, train_everything
from forearm.training.examples import Examples, prompter_for
from forearm.training.processes import Processes
from forearm.training.released_trainer import ReleasedRecipe, ReleasedTrainer

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("data", "model")]
import foreign  # noqa: E402

REFERENCES = Path(__file__).parents[1] / "parity" / "references"
BASE = REFERENCES / "base"
THINK = REFERENCES / "think_gate_layer"
CODES = "observation.depth_codes"
SCALE, LEAST = 4, -16  # of the tiny action tokenizer: what its 64 tokens can say
ALONE = Processes(count=1, rank=0, device=torch.device("cpu"))
KINDS = ("full", "lora")  # all of it, by flow, tokens and depth; low-rank additions, by the flow alone
SHORT = ReleasedRecipe(
    steps=5,
    batch=4,
    micro=2,
    noises=2,
    warmup=1,
    rates=Rates(language=1e-3, vision=1e-3, connector=1e-3, expert=1e-3),
)


def one_arm(*, depth_codes: str | None = None, **robot: str) -> FeatureMapping:
    """The left arm's six joints and two of the cameras, which is what the tiny checkpoint takes."""
    channels = tuple(f"left_{joint}.pos" for joint in foreign.JOINTS[:6])
    return FeatureMapping(
        cameras={
            "top": View(feature="observation.images.cam_high"),
            "left": View(feature="observation.images.cam_left_wrist"),
        },
        state=Vector(feature="observation.state", channels=channels, unit="deg"),
        action=Vector(feature="action", channels=channels, unit="deg"),
        depth_codes=depth_codes,
        robot=Robot(**robot) if robot else None,
    )


def write_dataset(root: Path) -> Path:
    """Two short episodes of others, with the codes of a 3 x 3 depth map beside them."""
    foreign.write(root, depth=False, lengths=(20, 12))
    path, info = root / "data/chunk-000/file-000.parquet", root / "meta/info.json"
    table = pq.read_table(path)
    codes = (np.arange(table.num_rows)[:, None] // 8 + np.arange(9)) % 8
    pq.write_table(table.append_column(CODES, pa.array(codes.tolist(), type=pa.list_(pa.int64()))), path)
    said = json.loads(info.read_text())
    said["features"][CODES] = {"dtype": "int64", "shape": [9], "names": None}
    info.write_text(json.dumps(said))
    return root


def write_tokenizer(folder: Path) -> Path:
    """An action tokenizer of at most 64 tokens, trained the way FAST's is, for six joints over six rows."""
    rng = np.random.default_rng(0)
    chunks = np.clip(np.cumsum(rng.normal(size=(200, 6, 6)), axis=1) * 0.2, -1, 1)
    whole = np.clip(np.around(cosine_basis(6) @ chunks * SCALE).reshape(200, -1) - LEAST, 0, 40).astype(int)
    alphabet = [chr(each) for each in range(41)]
    bpe = Tokenizer(models.BPE())
    bpe.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(vocab_size=64, show_progress=False, initial_alphabet=alphabet)
    bpe.train_from_iterator(["".join(map(chr, each)) for each in whole], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    bpe.save(str(folder / "tokenizer.json"))
    (folder / "processor_config.json").write_text(json.dumps({"scale": SCALE, "min_token": LEAST}))
    return folder


def examples_of(dataset: Path, tokenizer: Path | None = None, checkpoint: Path = BASE) -> Examples:
    """Of a tiny checkpoint, with depth codes where it writes them."""
    mapping = one_arm(depth_codes=CODES if checkpoint == THINK else None)
    prompter = prompter_for(checkpoint, checkpoint / "norm_stats.json", mapping)
    actions = None if tokenizer is None else ActionTokenizer.read(tokenizer)
    return Examples(Source(dataset), mapping, prompter, actions)


def trainer_of(kind: str, dataset: Path, tokenizer: Path, processes: Processes) -> ReleasedTrainer:
    """One of the `KINDS`, at its first step; the same for every process."""
    torch.manual_seed(0)
    if kind == "full":
        model, examples = weights.load(THINK).model, examples_of(dataset, tokenizer, THINK)
        train_everything(model)
    else:
        model, examples = weights.load(BASE).model, examples_of(dataset)
        adapt(model, LowRank(rank=4, dropout=0.0))
    return ReleasedTrainer(model, examples, SHORT, processes)
