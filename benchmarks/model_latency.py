"""One decision of the released architecture, ours beside the genuine modules of the PyPI wheel lerobot 0.6.1.

    python benchmarks/model_latency.py --json latency.json

The same 228 M-parameter model, random but for one chain of depth codes that rounding cannot break, the same three 480x640
images and the same sentence for both, from camera images to actions: without depth, with a full depth map, and with the
previous map at hand, the scene being unchanged or changed in 16 of 100 cells. There ours gives the exact answer still. The
peer gives that in its full mode alone, beside which `exact_depth_...` ratios hold it: equal answers. `beside_adaptive_...`
ratios are to its adaptive mode, which trusts unchanged cells.
Each side is a process of one thread, and every round runs each case on both in turn. Seconds are those that the process
computed: on an idle machine the same as on the wall, and on one with other work to do, where the wall says little, still
of use. Medians are compared, like with like: `fp32` and `bf16` have their own ratios, and `ratios` are those of bf16
where the machine has instructions for it, else of fp32. `floor_s` is what the multiplications alone would take at the
rate of a large product in this run.

The peer lives in an environment of its own below build/ (made at the first run, about 150 MB besides torch): the wheel is
unpacked without its dependencies, beside transformers 5.5.4 and torchvision 0.28.0 without theirs, over this torch.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

import floor
import timing_model
from forearm.model.config import ModelConfig
from forearm.model.layers import bf16_is_emulated
from forearm.model.published import parse_config
from forearm.model.weights import shapes

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
# What is compared, the peer's case over ours.
RATIOS = {
    "no_depth": ("no_depth", "no_depth"),
    "full_depth": ("full_depth", "full_depth"),
    "exact_depth_unchanged": ("full_depth", "unchanged"),
    "exact_depth_changed16": ("full_depth", "changed16"),
    "beside_adaptive_unchanged": ("unchanged", "unchanged"),
    "beside_adaptive_changed16": ("changed16", "changed16"),
}
# Peak memory between two cases: what loading takes, and what the first decision then adds.
MEMORY = {"memory to load": ("start", "load"), "memory to load and act": ("start", "no_depth")}


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
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
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


def compare(folder: Path, python: Path, dtype: str, rounds: int) -> dict[str, Any]:
    """Medians of both sides, s, the ratios, and the memory each took, MB."""
    sides = {
        "ours": Side([sys.executable, str(Path(__file__).parent / "forearm_side.py"), str(folder), dtype]),
        "peer": Side(
            [str(python), str(Path(__file__).parent / "molmoact2_peer.py"), str(PEER / "unpacked"), str(folder), dtype]
        ),
    }
    # The first decision is not timed: it reads the weights from the disk and makes what is made once.
    memory = {
        name: {case: side.run(case)["memory_mb"] for case in ("start", "load", "no_depth", "prepare")}
        for name, side in sides.items()
    }
    seen: dict[str, dict[str, list[dict[str, Any]]]] = {name: {case: [] for case in CASES} for name in sides}
    for number in range(rounds):
        for case in CASES:
            for name, side in sides.items():
                said = side.run(case)
                seen[name][case].append(said)
                memory[name].setdefault(case, said["memory_mb"])
                times = f"{said['cpu_s']:7.2f} s, {said['wall_s']:.2f} s on the wall"
                print(f"{dtype} {number} {name:5} {case:11} {times} {said.get('passes', '')}", file=sys.stderr)
    for side in sides.values():
        side.close()
    medians = {
        kind: {
            name: {case: statistics.median(run[kind] for run in runs) for case, runs in cases.items()}
            for name, cases in seen.items()
        }
        for kind in ("cpu_s", "wall_s")
    }
    first = {name: cases["no_depth"][0]["actions"] for name, cases in seen.items()}
    full = seen["ours"]["full_depth"][0]["codes"]
    return {
        **medians,
        "ratios": ratios(medians["cpu_s"]["peer"], medians["cpu_s"]["ours"]),
        "passes": {case: runs[-1].get("passes") for case, runs in seen["ours"].items()},
        "same_codes_as_peer": full == seen["peer"]["full_depth"][0]["codes"],
        "exact_depth_is_full_depth": all(run["codes"] == full for run in seen["ours"]["unchanged"])
        and all(run["exact"] for run in seen["ours"]["changed16"]),
        "largest_action_difference": max(abs(a - b) for a, b in zip(first["ours"], first["peer"], strict=True)),
        "memory_mb": memory,
        "rounds": rounds,
    }


def ratios(peer: dict[str, float], ours: dict[str, float]) -> dict[str, float]:
    """How many times as long the peer takes, under the names that are published."""
    return {name: peer[theirs] / ours[own] for name, (theirs, own) in RATIOS.items()}


def floors(config: ModelConfig, dtype: torch.dtype) -> dict[str, Any]:
    """What no implementation on this core is quicker than, case by case, s; the rates it follows from."""
    rate, reading = floor.product_rate(config, 998, dtype), floor.reading_rate(config, dtype)
    pixels = 196 + 2  # tokens of an image with its two marks
    seconds, parts = dict[str, float](), dict[str, dict[str, float]]()
    for case, tokens, decoded in (("no_depth", 935, 0), ("full_depth", 998, 1), ("unchanged", 998 + 102, 102)):
        pairs = tokens * (tokens + 1) // 2 + (3 * pixels) * (3 * pixels - 1) // 2
        parts[case] = floor.gigaflop(config, images=3, tokens=tokens, pairs=pairs, decoded=decoded)
        seconds[case] = sum(parts[case].values()) / rate
    decoder = 1e-9 * dtype.itemsize * sum(math.prod(s) for n, s in shapes(config).items() if ".transformer.blocks" in n)
    seconds["full_depth"] += 102 * decoder / reading
    about = {"gigaflop_per_s": rate, "gigabytes_per_s": reading, "decoder_gigabytes": decoder}
    return {"floor_s": seconds, "gigaflop": parts, **about}


def table(dtype: str, result: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [f"{dtype}: {'case':<26}{'peer s':>9}{'ours s':>9}{'ratio':>8}{'floor s':>9}"]
    for name, (theirs, case) in RATIOS.items():
        peer, own = result["cpu_s"]["peer"][theirs], result["cpu_s"]["ours"][case]
        least = result["floor_s"].get(case, math.nan)
        lines.append(f"      {name:<26}{peer:>9.2f}{own:>9.2f}{result['ratios'][name]:>8.2f}{least:>9.2f}")
    for what, (since, until) in MEMORY.items():
        took = {name: held[until] - held[since] for name, held in result["memory_mb"].items()}
        lines.append(f"      {what:<26}{took['peer']:>6.0f} MB{took['ours']:>6.0f} MB")
    return "\n".join(lines)


def main() -> None:
    """Both types, a table, and the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case in fp32")
    parser.add_argument("--bf16-rounds", type=int, default=3, help="runs in bf16; slow without its instructions")
    given = parser.parse_args()
    torch.set_num_threads(1)
    python, folder = make_peer(), ROOT / "build" / "timing-model"
    config = parse_config(timing_model.config_json())
    named = shapes(config)
    timing_model.write(folder, named)
    results: dict[str, Any] = {}
    for dtype, kind, rounds in (("fp32", torch.float32, given.rounds), ("bf16", torch.bfloat16, given.bf16_rounds)):
        if rounds:
            results[dtype] = compare(folder, python, dtype, rounds) | floors(config, kind)
            print(table(dtype, results[dtype]))
    if len(results) == 2:
        results["ours_bf16_beside_peer_fp32"] = ratios(
            results["fp32"]["cpu_s"]["peer"], results["bf16"]["cpu_s"]["ours"]
        )
    if given.json:
        headline = results["fp32" if bf16_is_emulated() or "bf16" not in results else "bf16"]["ratios"]
        about = {"parameters": sum(math.prod(shape) for shape in named.values()), "torch": torch.__version__}
        about |= {"cpu": torch.backends.cpu.get_cpu_capability(), "machine": platform.platform(), "threads": 1}
        given.json.write_text(
            json.dumps({"ratios": headline, **results, **about, "load_at_end": os.getloadavg()[0]}, indent=1)
        )


if __name__ == "__main__":
    main()
