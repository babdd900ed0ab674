import numpy as np
import pytest

from forearm.errors import ConfigError
from forearm.model.layout import (
    ACTOR_SEES,
    DEPTH,
    POINT,
    POINT_QUERY,
    SEES,
    STAGES,
    STATE,
    TOP,
    TRACE,
    TRACE_QUERY,
    WORDS,
    WRIST,
    Layout,
)

LENGTHS = dict(zip([group for stage in STAGES for group in stage], [25, 18, 2, 13, 2, 5, 2, 2, 10], strict=True))


def reached_from(groups: tuple[str, ...]) -> set[str]:
    """Everything that these groups see, directly or through others."""
    reached, waiting = set[str](), list(groups)
    while waiting:
        group = waiting.pop()
        if group not in reached:
            reached.add(group)
            waiting += SEES[group]
    return reached


def test_no_attention_path_leads_from_the_words_to_the_trace() -> None:
    assert not reached_from((TRACE_QUERY,)) & {WORDS, POINT_QUERY}


def test_no_attention_path_leads_from_words_points_or_the_main_image_to_the_actions() -> None:
    assert not reached_from(ACTOR_SEES) & {WORDS, POINT_QUERY, POINT, TRACE_QUERY, TOP}


def seen_by_trace_queries(layout: Layout) -> set[str]:
    rows = layout.mask(1)[layout.within(1, TRACE_QUERY)]
    return {group for group in LENGTHS if rows[:, layout.span(group)].any()}


def seen_by_actor(layout: Layout) -> set[str]:
    seen = set(layout.actor_sees().tolist())
    return {group for group in LENGTHS if layout.span(group).start in seen}


def test_nothing_that_follows_sees_the_part_that_is_done_without() -> None:
    whole = Layout(LENGTHS)
    queries, actor = seen_by_trace_queries(whole), seen_by_actor(whole)
    assert (queries, actor) == (set(SEES[TRACE_QUERY]), set(ACTOR_SEES))
    assert seen_by_trace_queries(Layout(LENGTHS, DEPTH)) == queries - {DEPTH}
    assert seen_by_trace_queries(Layout(LENGTHS, POINT)) == queries - {POINT} | {WORDS}
    assert seen_by_trace_queries(Layout(LENGTHS, TRACE)) == queries
    assert seen_by_actor(Layout(LENGTHS, DEPTH)) == seen_by_actor(Layout(LENGTHS, POINT)) == actor
    assert seen_by_actor(Layout(LENGTHS, TRACE)) == {TOP, WRIST, STATE, DEPTH, POINT}


def test_a_part_that_nobody_can_do_without_is_refused() -> None:
    with pytest.raises(ConfigError, match="words"):
        Layout(LENGTHS, "words")


def test_the_point_sees_words_and_images() -> None:
    assert {WORDS, TOP} <= set(SEES[POINT_QUERY])


def test_masks_of_the_stages_are_the_table() -> None:
    layout = Layout(LENGTHS)
    whole = np.zeros((79, 79), dtype=bool)
    for stage in range(3):
        mask = layout.mask(stage)
        whole[layout.stage(stage), : mask.shape[1]] = mask
    groups = [group for stage in STAGES for group in stage]
    for row in groups:
        for column in groups:
            block = whole[layout.span(row), layout.span(column)]
            if row == column == WORDS:
                assert np.array_equal(block, np.tril(np.ones((13, 13), dtype=bool)))
            else:
                assert block.all() == block.any() == (column in SEES[row])


def test_every_token_sees_itself() -> None:
    layout = Layout(LENGTHS)
    for stage in range(3):
        mask = layout.mask(stage)
        own = layout.stage(stage)
        assert mask[np.arange(own.stop - own.start), np.arange(own.start, own.stop)].all()


def test_groups_lie_one_behind_the_other() -> None:
    layout = Layout(LENGTHS)
    ends = [0]
    for group in LENGTHS:
        assert layout.span(group).start == ends[-1]
        ends.append(layout.span(group).stop)
    assert layout.within(1, POINT) == slice(5, 7)
