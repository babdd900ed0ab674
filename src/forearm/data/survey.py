"""What a dataset on disk is, in words, and what of it is missing for a robot of ours."""

from __future__ import annotations

import json
from pathlib import Path

from forearm.data.importing import problems
from forearm.data.lerobot import Feature, Source
from forearm.data.mapping import FeatureMapping

BOUNDS = ("q01", "q99")  # what released checkpoints scale by
MOST = 12  # sentences shown


def survey(root: Path, mapping: FeatureMapping | None = None) -> str:
    """A page about the dataset in `root`. With a mapping every row is read, without one the description alone.

    Raises:
        DatasetError: when it is missing, of another version, or does not describe itself.
    """
    source = Source(root)
    frames = sum(place.length for place in source.places)
    sentences = sorted(set(source.tasks.values()))
    features = sorted(source.features.values(), key=lambda each: each.name)
    width = max(len(each.name) for each in features)
    lines = [
        f"{root}: {source.info.get('robot_type') or 'a robot without a name'}, {len(source.places)} episodes, "
        f"{frames:,} frames at {source.fps:g} Hz ({frames / source.fps / 60:.1f} minutes), {len(sentences)} sentences",
        "",
        *(f"  {each.name:<{width}}  {_described(each)}" for each in features),
        "",
        *(f"  “{each}”" for each in sentences[:MOST]),
        *([f"  and {len(sentences) - MOST} more"] if len(sentences) > MOST else []),
        "",
        *(f"  missing: {each}" for each in _missing(source)),
    ]
    if mapping is None:
        lines.append("  to import it, say in a mapping which feature is which: forearm data --help")
    else:
        found = problems(source, mapping)
        lines += [f"  cannot be imported: {each}" for each in found] or ["  can be imported by this mapping"]
    return "\n".join(lines)


def _described(feature: Feature) -> str:
    size = " × ".join(str(each) for each in feature.shape)
    what = f"{feature.dtype} {size}" + (" depth" if feature.is_depth else "")
    unit = feature.info.get("depth_unit")
    named = f": {', '.join(feature.names)}" if feature.is_vector and feature.names else ""
    return what + (f" in {unit}" if unit else "") + named


def _missing(source: Source) -> list[str]:
    """What our models would learn from and this dataset lacks."""
    found = list[str]()
    path = source.root / "meta/stats.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    lacking = [
        each.name
        for each in sorted(source.features.values(), key=lambda each: each.name)
        if each.is_vector and each.shape != (1,) and not set(BOUNDS) <= set(stored.get(each.name, {}))
    ]
    if lacking:
        found.append(
            f"quantiles {' and '.join(BOUNDS)} of {', '.join(lacking)}; they are computed where they are needed"
        )
    if not any(each.is_depth for each in source.features.values()):
        found.append("depth; a depth map is not learned from it, everything else is")
    if not any(each.is_picture for each in source.features.values()):
        found.append("pictures")
    if not source.tasks:
        found.append("sentences")
    return found
