"""Loads the genuine MolmoAct2 modules of the PyPI wheel lerobot 0.6.1, in an environment of their own.

Runs only there (see `model_latency.py`, which makes that environment): it needs transformers, which forearm does not. Nothing of the
wheel is copied; its folder is put under a package name of our own so that lerobot itself need not be importable.
"""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

PACKAGE = "genuine_molmoact2"


def load(unpacked: Path) -> Any:
    """The module `modeling_molmoact2` below an unpacked wheel."""
    import torch

    # torchvision's compiled operators do not load beside this CPU build of torch; only its Resize is used.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    sys.modules.setdefault("requests", types.ModuleType("requests"))  # imported for videos from the web, which nobody asks for
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(unpacked / "lerobot" / "policies" / "molmoact2")]
    sys.modules[PACKAGE] = package
    sibling = types.ModuleType(f"{PACKAGE}.modeling_molmoact2")
    sibling._hf_token = lambda: None  # the action tokenizer asks its sibling for a hub token
    sys.modules[sibling.__name__] = sibling
    module = importlib.import_module(f"{PACKAGE}.molmoact2_hf_model.modeling_molmoact2")
    module._torchvision_operators = library  # they live as long as this object
    return module
