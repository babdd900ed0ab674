"""The text around a model's inputs: which ids mean what, how a prompt is worded, what of it is hidden. No torch.

Wording follows the released checkpoints byte for byte: it is part of the distribution that their weights were trained
    on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE_PLACEHOLDER = "<|image|>"
STATE_LEVELS = 256  # state tokens of the released checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIds:
    """Ids with a meaning of their own. They differ between exports: a checkpoint's configuration decides.

    A None means that the checkpoint has no such token. The defaults are those of a released export; depth ids are
    inferred.
    """

    bos: int = 151_645
    eos: int = 151_645
    pad: int = 151_643
    image_start: int | None = 154_624
    image_end: int | None = 154_625
    image_patch: int | None = 154_626
    image_column: int | None = 154_627
    low_image_start: int | None = 154_628
    low_image: int | None = 154_630
    frame_start: int | None = 154_631
    frame_end: int | None = 154_632
    state_start: int | None = 151_673
    state_end: int | None = 151_674
    state_first: int | None = 151_675
    state_count: int = STATE_LEVELS
    action_output: int | None = 151_931
    action_start: int | None = 151_932
    action_end: int | None = 151_933
    action_first: int | None = 151_934
    action_count: int = 2048
    depth_output: int | None = None
    depth_start: int | None = None
    depth_end: int | None = None
    depth_first: int | None = None

    @property
    def image_typed(self) -> tuple[int, ...]:
        """Ids of tokens that see one another in both directions."""
        ids = (
            self.image_start,
            self.image_end,
            self.image_patch,
            self.image_column,
            self.low_image_start,
            self.low_image,
            self.frame_start,
            self.frame_end,
        )
        return tuple(each for each in ids if each is not None)

    @property
    def depth_marks(self) -> tuple[int, ...]:
        """Ids of tokens around a depth map, which the depth gate scales as it does codes."""
        return tuple(each for each in (self.depth_output, self.depth_start, self.depth_end) if each is not None)


# What surrounds a sentence without being part of it, as the released checkpoints strip it.
_QUOTES_AND_BRACKETS = "\"'`“”‘’[](){}"
_SENTENCE_ENDS = ".,!?;:,…"
_CLOSERS = "\"'”’)]}"
_LABELS = (
    re.compile(r"^(?:task|instruction|language[_ ]instruction|goal)\s*[:\-]\s*", re.IGNORECASE),
    re.compile(r"^(?:the\s+task\s+is\s+to|your\s+task\s+is\s+to)\s+", re.IGNORECASE),
)


def normalise_instruction(text: str) -> str:
    """The bare task in lower case: no quotes, labels or final punctuation, sentences joined by semicolons."""
    task = re.sub(r"\s+", " ", text).strip()
    before = None
    while task and task != before:
        before = task
        task = task.strip().strip(_QUOTES_AND_BRACKETS).strip()
        for label in _LABELS:
            task = label.sub("", task, count=1).strip()
        for ends in (_SENTENCE_ENDS, _CLOSERS, _SENTENCE_ENDS):
            task = task.rstrip(ends).rstrip()
    sentences = [each.strip() for each in re.split(r"[.!?]+", task) if each.strip()]
    return ("; ".join(sentences) if len(sentences) > 1 else task).lower()


def state_levels(normalised: NDArray[np.float32], count: int = STATE_LEVELS) -> NDArray[np.int64]:
    """The nearest of `count` levels over [-1, 1], halves to even; NaN counts as 0, infinities as the ends."""
    finite = np.nan_to_num(np.asarray(normalised, dtype=np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    scaled = (np.clip(finite, -1.0, 1.0) + 1.0) / 2.0 * float(count - 1)
    return np.clip(np.rint(scaled).astype(np.int64), 0, count - 1)


def state_text(levels: Iterable[int]) -> str:
    """The state as tokens: `<state_start><state_17>…<state_end>`."""
    return f"<state_start>{''.join(f'<state_{level}>' for level in levels)}<state_end>"


def prompt_text(
    *,
    task: str,
    state: str,
    setup: str,
    control: str,
    images: int,
    depth: bool,
    setup_tokens: bool = True,
    control_tokens: bool = True,
) -> str:
    """Everything the model is told, with one placeholder per image; without the leading bos token.

    Args:
        task: normalised instruction.
        state: from `state_text`; empty leaves the sentence about it out.
        setup: the robot in words.
        control: what its actions are in words.
        images: how many cameras, in their order.
        depth: whether the model writes a depth map before it acts.
        setup_tokens: marks `setup` with its tokens.
        control_tokens: marks `control` with its tokens.
    """
    setup = _marked(setup, "<setup_start>", "<setup_end>") if setup_tokens else setup
    control = _marked(control, "<control_start>", "<control_end>") if control_tokens else control
    known = f" The current state of the robot is {state}." if state else ""
    question, trigger = "what action should the robot take to complete the task?", "<action_output>"
    if depth:
        question = (
            "first predict the depth map of the main image and then predict the action the robot should take to "
            "complete the task?"
        )
        trigger = "<depth_output><action_output>"
    views = IMAGE_PLACEHOLDER if images == 1 else "".join(f"Image {i}{IMAGE_PLACEHOLDER}" for i in range(1, images + 1))
    return (
        f"{views}<|im_start|>user\nThe task is to {task}. The setup is {setup}.{known} The expected control mode is "
        f"{control}. Given these, {question}<|im_end|>\n<|im_start|>assistant\n{trigger}"
    )


def _marked(text: str, start: str, end: str) -> str:
    return text if not text or (text.startswith(start) and text.endswith(end)) else f"{start}{text}{end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMarks:
    """Where column and start tokens stand in an image's text.

    `columns` ends each row of the cropped image with one,
    `whole_columns` each row of the whole image, `low_start` gives the whole image beside crops a start token of its
    own.
    """

    columns: bool = True
    whole_columns: bool = False
    low_start: bool = True


def image_text(grid: Sequence[int], marks: ImageMarks) -> str:
    """The tokens of one image: `grid` is (low rows, low columns, high rows, high columns), 0 without crops."""
    low_rows, low_columns, rows, columns = (int(each) for each in grid)
    whole = ("<im_patch>" * low_columns + "<im_col>" * marks.whole_columns) * low_rows
    if rows == 0 or columns == 0:
        return f"<im_start>{whole}<im_end>"
    start = "<low_res_im_start>" if marks.low_start else "<im_start>"
    cropped = ("<im_patch>" * columns + "<im_col>" * marks.columns) * rows
    return f"{start}{whole}<im_end><im_start>{cropped}<im_end>"


def expand_images(prompt: str, grids: Sequence[Sequence[int]], marks: ImageMarks) -> str:
    """`prompt` with each image placeholder replaced by its tokens, in order."""
    for grid in grids:
        prompt = prompt.replace(IMAGE_PLACEHOLDER, image_text(grid, marks), 1)
    return prompt


def hide_spans(ids: Sequence[int], start: int, end: int) -> NDArray[np.bool_]:
    """True from each `start` id to the `end` id that closes it; an unclosed one hides all that follows."""
    hidden = np.zeros(len(ids), dtype=np.bool_)
    ends = iter([i for i, each in enumerate(ids) if each == end])
    closing = next(ends, None)
    for begin in (i for i, each in enumerate(ids) if each == start):
        while closing is not None and closing < begin:
            closing = next(ends, None)
        if closing is None:
            hidden[begin:] = True
            break
        hidden[begin : closing + 1] = True
        closing = next(ends, None)
    return hidden


def codes_between(ids: Sequence[int], start: int, end: int, first: int, count: int) -> list[int]:
    """The codes that `ids` hold between the first `start` and the `end` after it; either may be missing."""
    begin = ids.index(start) + 1 if start in ids else 0
    rest = list(ids[begin:])
    span = rest[: rest.index(end)] if end in rest and start in ids else rest
    return [each - first for each in span if first <= each < first + count]
