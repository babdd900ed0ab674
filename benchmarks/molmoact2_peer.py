"""Loads the genuine MolmoAct2 modules of the PyPI wheel lerobot 0.6.1, and times them on request.

Runs only in the environment that `model_latency.py` makes: it needs transformers, which forearm does not. Nothing of the
wheel is copied; its folder is put under a package name of our own so that lerobot itself need not be importable.
"""

import importlib
import json
import re
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

PACKAGE = "genuine_molmoact2"


def load(unpacked: Path) -> Any:
    """The module `modeling_molmoact2` below an unpacked wheel."""
    # torchvision's compiled operators do not load beside this CPU build of torch; only its Resize is used.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    sys.modules.setdefault("requests", types.ModuleType("requests"))  # imported for videos from the web
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(unpacked / "lerobot" / "policies" / "molmoact2")]
    sys.modules[PACKAGE] = package
    sibling = types.ModuleType(f"{PACKAGE}.modeling_molmoact2")
    sibling._hf_token = lambda: None  # the action tokenizer asks its sibling for a hub token
    sys.modules[sibling.__name__] = sibling
    module = importlib.import_module(f"{PACKAGE}.molmoact2_hf_model.modeling_molmoact2")
    module._torchvision_operators = library  # they live as long as this object
    return module


def part(name: str) -> Any:
    """Another of the genuine modules, once `load` was called."""
    return importlib.import_module(f"{PACKAGE}.molmoact2_hf_model.{name}")


class Processor:
    """The genuine image processor and image token texts, around a byte tokenizer; `last` is what it made last."""

    def __init__(self, cutting: dict, table: dict[str, int]) -> None:
        self._images = part("image_processing_molmoact2").MolmoAct2ImageProcessor(**cutting)
        self._texts, self._table = part("processing_molmoact2"), table
        self._special = re.compile("(" + "|".join(map(re.escape, sorted(table, key=len, reverse=True))) + ")")
        self.last: dict = {}

    def __call__(self, text: str, images: list, return_tensors: str) -> dict:
        made = self._images(images, return_tensors="np")
        flags = SimpleNamespace(
            image_use_col_tokens=True, use_single_crop_col_tokens=False, use_single_crop_start_token=True
        )
        for grid in made["image_grids"]:
            tokens = "".join(self._texts.MolmoAct2Processor.get_image_tokens(flags, grid))
            text = text.replace("<|image|>", tokens, 1)
        ids = [self._table["<|im_end|>"]]
        for piece in self._special.split(text):
            ids.extend([self._table[piece]] if piece in self._table else piece.encode())
        typed = [self._table[each] for each in self._texts.IMAGE_TOKENS]
        names = ("pixel_values", "image_token_pooling", "image_grids", "image_num_crops")
        arrays = {name: np.asarray(made[name]) for name in names}
        arrays["input_ids"] = np.array([ids])
        arrays["token_type_ids"] = np.isin(arrays["input_ids"], typed).astype(np.int64)
        self.last = {"prompt_text": np.array(text), **arrays}
        return {name: torch.as_tensor(value) for name, value in arrays.items()}


def build(modeling: Any, raw: dict) -> Any:
    """The genuine model of a configuration, without weights worth keeping."""
    config = part("configuration_molmoact2").MolmoAct2Config(**raw)
    for each in (config, config.text_config, config.vit_config, config.adapter_config):
        each._attn_implementation = "sdpa"
    return modeling.MolmoAct2ForConditionalGeneration(config).eval()


def memory_mb() -> float:
    """Most memory this process has held so far: of the program alone, not of the one that started it."""
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(held.split()[1]) / 1e3


def answer(cases: dict[str, Callable[[], dict]]) -> None:
    """Runs the case named on each line of stdin; one line of JSON with its times, the memory held, and what it says.

    `cpu_s` is what this process, of one thread, computed: what the clock on the wall would show if nothing else ran.
    """
    for line in sys.stdin:
        began, worked = time.perf_counter(), time.process_time()
        said = cases[line.strip()]()
        cpu_s, wall_s = time.process_time() - worked, time.perf_counter() - began
        print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "memory_mb": memory_mb(), **said}), flush=True)


def main() -> None:
    """`molmoact2_peer.py UNPACKED FOLDER fp32|bf16`: the cases of the latency benchmark."""
    import timing_model

    unpacked, folder, dtype = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    modeling = load(unpacked)
    from safetensors.torch import load_file

    loaded: list[Any] = []
    caches: dict[str, Any] = {}

    def begin() -> dict:
        model = build(modeling, json.loads((folder / "config.json").read_text()))
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        model = model.to(torch.bfloat16) if dtype == "bf16" else model
        model._molmoact2_robot_stats = modeling._RobotStats(json.loads((folder / "norm_stats.json").read_text()))
        loaded.append(model)
        return {}

    cutting = {"crop_mode": "resize", "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    processor = Processor(cutting, timing_model.token_table())

    def predict(images: list, depth: bool, cache: Any = None) -> Any:
        return loaded[0].predict_action(
            processor=processor, images=images, task=timing_model.INSTRUCTION, state=timing_model.state(), norm_tag="yam",
            inference_action_mode="continuous", enable_depth_reasoning=depth, depth_cache=cache,
            generator=torch.Generator().manual_seed(0), enable_cuda_graph=False,
        )  # fmt: skip

    def said(out: Any) -> dict:
        codes = None if out.depth_bins is None else out.depth_bins.reshape(-1).tolist()
        return {"codes": codes, "actions": out.actions.float().reshape(-1).tolist()}

    def full() -> dict:
        out = predict(timing_model.scene(), True)
        caches["before"] = out.depth_cache
        return said(out)

    answer(
        {
            "start": dict,
            "load": begin,
            "prepare": dict,
            "no_depth": lambda: said(predict(timing_model.scene(), False)),
            "full_depth": full,
            "unchanged": lambda: said(predict(timing_model.scene(), True, caches["before"])),
            "changed16": lambda: said(predict(timing_model.changed_scene(), True, caches["before"])),
        }
    )


if __name__ == "__main__":
    main()
