"""What a checkpoint is, in words: sizes, parts, horizon, cameras, tags and token ids, without reading a weight."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from forearm.errors import CheckpointError
from forearm.model.config import ModelConfig
from forearm.model.published import read_config
from forearm.model.statistics import Tag, read_tags
from forearm.model.weights import parts, stored_sizes


def describe(folder: Path) -> str:
    """A page about the released checkpoint in `folder`. Under a second: only headers are read.

    Raises:
        CheckpointError: when something is missing or damaged, or does not belong together.
        ConfigError: when config.json says something this code cannot obey.
    """
    config = read_config(folder)
    counts = parts(config)
    size, types = stored_sizes(folder, config)
    lines = [
        f"{folder}: {sum(counts.values()):,} parameters, {size / 1e9:.2f} GB stored as {' and '.join(types)}",
        "",
        *(f"  {part:<26}{count:>15,}" for part, count in counts.items()),
        "",
        *(f"  {name:<12}{text}" for name, text in _facts(config)),
        "",
        *_tags(folder, config),
        "",
        "  token ids   " + _ids(config),
    ]
    return "\n".join(lines)


def _facts(config: ModelConfig) -> list[tuple[str, str]]:
    text, vision, expert, depth = config.text, config.vision, config.expert, config.depth
    order = "after" if text.norm_after else "before"
    facts = [
        (
            "decoder",
            f"{text.layers} layers of {text.width}, {text.heads} heads over {text.kv_heads} x {text.head_dim}, "
            f"feed-forward {text.hidden}, norms {order} each branch, query and key norm {text.qk_norm or 'none'}, "
            f"up to {text.max_positions} tokens",
        ),
        (
            "vision",
            f"{vision.kept_layers} of {vision.layers} layers of {vision.width}, "
            f"{vision.image_size[0]} x {vision.image_size[1]} px in patches of {vision.patch}, "
            f"outputs of blocks {', '.join(map(str, vision.tapped))}",
        ),
    ]
    if expert is None:
        facts.append(("expert", "none: actions are written as tokens"))
    else:
        facts.append(
            (
                "expert",
                f"{expert.layers} layers of {expert.width}, {expert.heads} heads, "
                f"chunks of up to {expert.horizon} rows of {expert.action_dim}, {config.flow.steps} flow steps, "
                f"actions {config.action_mode}",
            )
        )
    if depth is None or not depth.reasoning:
        facts.append(("depth", "none" if depth is None else f"not written, gate {depth.gate or 'none'}"))
    else:
        facts.append(("depth", f"{depth.codes} codes of {depth.codebook}, gate {depth.gate or 'none'}"))
    return facts


def _tags(folder: Path, config: ModelConfig) -> list[str]:
    try:
        tags = read_tags(folder / config.norm_stats_file)
    except CheckpointError as error:
        return [f"  tags        none: {error}"]
    return [f"  tag         {_tag(tag)}" for tag in tags.values()]


def _tag(tag: Tag) -> str:
    state = "?" if tag.state is None else tag.state.size
    action = "?" if tag.action is None else tag.action.size
    cameras = " or ".join(", ".join(names) for names in (tag.cameras, *tag.alternatives)) or "in the user's order"
    return (
        f"{tag.name}: {tag.setup}, {tag.control}; state {state}, action {action}, "
        f"horizon {tag.horizon or 'of the model'}, cameras {cameras}"
    )


def _ids(config: ModelConfig) -> str:
    named = ((each.name, getattr(config.tokens, each.name)) for each in fields(config.tokens))
    return ", ".join(f"{name} {value}" for name, value in named if value is not None)
