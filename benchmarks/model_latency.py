"""One decision of the released architecture, ours beside the genuine modules of the PyPI wheel lerobot 0.6.1.

    python benchmarks/model_latency.py --json latency.json

The same 228 M-parameter random model, the same three 480x640 images and the same sentence for both, from camera images to
actions: without depth, with a full depth map, and with the previous map at hand, the scene being unchanged or changed in 16
of 100 cells. There the peer uses its adaptive mode, which trusts unchanged cells; ours gives the full answer exactly.
Every round runs each case on both sides in turn, so that other work on the machine slows both; medians are compared.

The peer lives in an environment of its own below build/ (made at the first run, about 150 MB besides torch): the wheel is
unpacked without its dependencies, beside transformers 5.5.4 and torchvision 0.28.0 without theirs, over this torch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

import timing_model

ROOT = Path(__file__).parent.parent
PEER = ROOT / "build" / "peer-lerobot-0.6.1"
# What the genuine modules import, with versions that go together; --no-deps keeps torch as it is.
PACKAGES = [
    "transformers==5.5.4",
    "torchvision==0.28.0",
    "einops",
    "regex",
    "huggingface-hub>=1.5,<2",
    "tokenizers>=0.22,<=0.23.0",
    "httpx",
    "httpcore",
    "anyio",
    "h11",
    "certifi",
    "idna",
    "hf-xet",
    "fsspec",
    "typer",
    "shellingham",
]
CASES = ("no_depth", "full_depth", "unchanged", "changed16")
RATIOS = {
    "no_depth": "no_depth",
    "full_depth": "full_depth",
    "exact_depth_unchanged": "unchanged",
    "exact_depth_changed16": "changed16",
}


def make_peer() -> Path:
    """The peer's Python, made if need be.

    Raises:
        SystemExit: where packages cannot be had.
    """
    python = PEER / "bin" / "python"
    if (PEER / "ready").is_file():
        return python
    print(f"making the peer's environment in {PEER}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", PEER], check=True)
    site = next((PEER / "lib").glob("python*")) / "site-packages"
    (site / "zz_torch_of_forearm.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    install = [*pip, "install", "--no-deps", "--target", str(site), *PACKAGES]
    download = [*pip, "download", "--no-deps", "--ignore-requires-python", "lerobot==0.6.1", "-d", str(PEER)]
    for command in (install, download):
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit(f"model_latency: {' '.join(command)} failed; the peer needs a package index")
    with zipfile.ZipFile(next(PEER.glob("lerobot-0.6.1*.whl"))) as wheel:
        wheel.extractall(
            PEER / "unpacked", [n for n in wheel.namelist() if n.startswith("lerobot/policies/molmoact2/")]
        )
    (PEER / "ready").touch()
    return python


class Side:
    """A process that runs cases by name, one at a time."""

    def __init__(self, command: list[str]) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTHONWARNINGS": "ignore",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, case: str) -> dict[str, Any]:
        """What one run took and said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(case + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"model_latency: {' '.join(self._process.args)} ended in {case}")  # type: ignore[arg-type]
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def ours(folder: Path, dtype: str) -> None:
    """Our side's cases, on request of the parent."""
    from forearm.model import depth_decoding, generate
    from forearm.model.inputs import Prompter, batch, read_crops
    from forearm.model.statistics import choose, read_tags
    from forearm.model.tokenizer import read_tokenizer
    from forearm.model.weights import load
    from molmoact2_peer import answer

    torch.set_num_threads(1)
    model = load(folder, dtype=torch.bfloat16 if dtype == "bf16" else None).model
    config = model.config
    crops, marks = read_crops(folder, config)
    tag = choose(read_tags(folder / "norm_stats.json"), None)
    prompter = Prompter(config=config, tokenizer=read_tokenizer(folder, config), tag=tag, crops=crops, marks=marks)
    pace, codes = depth_decoding.Pace(), dict[str, torch.Tensor]()

    def prompt(images: list, *, depth: bool) -> Any:
        return batch(
            [prompter.sample(images, timing_model.INSTRUCTION, timing_model.state(), depth=depth)], config.tokens.pad
        )

    def acted(stream: generate.Stream, **more: Any) -> dict:
        noise = torch.randn((1, timing_model.HORIZON, 32), generator=torch.Generator().manual_seed(0))
        chunk = generate.act(stream, noise.to(model.lm_head.weight.dtype), timing_model.CHANNELS)[
            ..., : timing_model.CHANNELS
        ]
        assert tag.action is not None
        return {"actions": tag.action.unnormalise(chunk.float().numpy()).reshape(-1).tolist(), **more}

    def deep(name: str, depth: depth_decoding.Depth) -> dict:
        codes[name] = depth.codes
        return acted(depth.stream, codes=depth.codes[0].tolist(), passes=depth.passes)

    def changed16() -> dict:
        # The draft is right except in the changed cells; which codes a random model gives elsewhere is of no interest.
        images, cells = timing_model.changed_scene(), timing_model.changed_cells()
        if "changed" not in codes:
            codes["changed"] = depth_decoding.write(model, prompt(images, depth=True)).codes
        import time

        began = time.perf_counter()
        draft = codes["changed"].clone()
        draft[:, cells] = (draft[:, cells] + 1) % timing_model.CODEBOOK
        changed = depth_decoding.changed_cells(images[0], timing_model.scene()[0], timing_model.CODES)
        depth = depth_decoding.verify(model, prompt(images, depth=True), draft, changed, pace)
        assert torch.equal(depth.codes, codes["changed"])
        return acted(
            depth.stream, codes=depth.codes[0].tolist(), passes=depth.passes, seconds=time.perf_counter() - began
        )

    answer(
        {
            "load": lambda: {},
            "no_depth": lambda: acted(generate.read(model, prompt(timing_model.scene(), depth=False), room=0)),
            "full_depth": lambda: deep("full", depth_decoding.write(model, prompt(timing_model.scene(), depth=True))),
            "unchanged": lambda: deep(
                "exact",
                depth_decoding.verify(model, prompt(timing_model.scene(), depth=True), codes["full"], pace=pace),
            ),
            "changed16": changed16,
        }
    )


def closing_row(folder: Path) -> torch.Tensor:
    """A row of the head that wins at the end of every map: random weights never close one."""
    from forearm.model import generate
    from forearm.model.inputs import Prompter, batch, read_crops
    from forearm.model.statistics import choose, read_tags
    from forearm.model.tokenizer import read_tokenizer
    from forearm.model.weights import load

    model = load(folder).model
    crops, marks = read_crops(folder, model.config)
    tag = choose(read_tags(folder / "norm_stats.json"), None)
    prompter = Prompter(
        config=model.config, tokenizer=read_tokenizer(folder, model.config), tag=tag, crops=crops, marks=marks
    )
    sample = prompter.sample(timing_model.scene(), timing_model.INSTRUCTION, timing_model.state(), depth=True)
    first = timing_model.token_table()["<depth_0>"]
    then = torch.arange(first, first + timing_model.CODEBOOK)[None]
    hidden = generate.read(
        model, batch([sample], 256), room=timing_model.CODEBOOK, then=then, tail=timing_model.CODEBOOK
    ).hidden[0]
    return 100.0 * hidden.mean(0)


def compare(folder: Path, python: Path, dtype: str, rounds: int) -> dict[str, Any]:
    """Medians of both sides, s, the ratios, and the memory each took, MB."""
    sides = {
        "ours": Side([sys.executable, __file__, "--side", str(folder), dtype]),
        "peer": Side(
            [str(python), str(Path(__file__).parent / "molmoact2_peer.py"), str(PEER / "unpacked"), str(folder), dtype]
        ),
    }
    loaded = {name: side.run("load")["memory_mb"] for name, side in sides.items()}
    seen: dict[str, dict[str, list[dict[str, Any]]]] = {name: {case: [] for case in CASES} for name in sides}
    memory: dict[str, dict[str, float]] = {name: {} for name in sides}
    for number in range(rounds):
        for case in CASES:
            for name, side in sides.items():
                said = side.run(case)
                seen[name][case].append(said)
                memory[name].setdefault(case, said["memory_mb"])
                print(
                    f"{dtype} {number} {name:5} {case:11} {said['seconds']:7.2f} s {said.get('passes', '')}",
                    file=sys.stderr,
                )
    for side in sides.values():
        side.close()
    medians = {
        name: {case: statistics.median(run["seconds"] for run in runs) for case, runs in cases.items()}
        for name, cases in seen.items()
    }
    first = {name: cases["no_depth"][0]["actions"] for name, cases in seen.items()}
    return {
        "seconds": medians,
        "ratios": {name: medians["peer"][case] / medians["ours"][case] for name, case in RATIOS.items()},
        "passes": {case: runs[-1].get("passes") for case, runs in seen["ours"].items()},
        "same_codes_as_peer": seen["ours"]["full_depth"][0]["codes"] == seen["peer"]["full_depth"][0]["codes"],
        "exact_depth_is_full_depth": all(
            run["codes"] == seen["ours"]["full_depth"][0]["codes"] for run in seen["ours"]["unchanged"]
        ),
        "largest_action_difference": max(abs(a - b) for a, b in zip(first["ours"], first["peer"], strict=True)),
        "memory_mb": {name: {"loaded": loaded[name], **memory[name]} for name in sides},
        "rounds": rounds,
    }


def table(dtype: str, result: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [f"{dtype}: {'case':<24}{'peer s':>9}{'ours s':>9}{'ratio':>8}"]
    for name, case in RATIOS.items():
        peer, own = result["seconds"]["peer"][case], result["seconds"]["ours"][case]
        lines.append(f"      {name:<24}{peer:>9.2f}{own:>9.2f}{result['ratios'][name]:>8.2f}")
    memory = {name: f"{max(each.values()):.0f} MB" for name, each in result["memory_mb"].items()}
    return "\n".join([*lines, f"      most memory: peer {memory['peer']}, ours {memory['ours']}"])


def main() -> None:
    """Both types, a table, and the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case in fp32")
    parser.add_argument(
        "--bf16-rounds", type=int, default=1, help="runs of each case in bf16; slow without its instructions"
    )
    parser.add_argument("--side", nargs=2, metavar=("FOLDER", "TYPE"), help="be our side of a comparison")
    given = parser.parse_args()
    if given.side:
        ours(Path(given.side[0]), given.side[1])
        return
    from forearm.model.published import parse_config
    from forearm.model.weights import shapes

    torch.set_num_threads(1)
    python, folder = make_peer(), ROOT / "build" / "timing-model"
    named = shapes(parse_config(timing_model.config_json()))
    timing_model.write(folder, named)
    timing_model.write(folder, named, closing_row(folder))
    results = {}
    for dtype, rounds in (("fp32", given.rounds), ("bf16", given.bf16_rounds)):
        if rounds:
            results[dtype] = compare(folder, python, dtype, rounds)
            print(table(dtype, results[dtype]))
    if given.json:
        parameters = sum(torch.Size(shape).numel() for shape in named.values())
        about = {"parameters": parameters, "torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
        about |= {"machine": platform.platform(), "threads": 1, "load_at_end": os.getloadavg()[0]}
        first = results[next(iter(results))]
        given.json.write_text(json.dumps({"ratios": first["ratios"], **results, **about}, indent=1))


if __name__ == "__main__":
    main()
