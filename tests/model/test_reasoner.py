from dataclasses import replace

import numpy as np
import pytest
import torch

from forearm.model.flow import sample
from forearm.model.pointing import KEY_WIDTH, CloserLook, PointHead
from forearm.model.reasoner import Reading, Reasoner, Sight
from forearm.model.sizes import NANO
from forearm.model.stem import ConvStem, token_order


@pytest.fixture(scope="module")
def model() -> Reasoner:
    torch.manual_seed(0)
    made = Reasoner(NANO.config(vocabulary=9, places=6, subtasks=4))
    made.initialise(torch.Generator().manual_seed(0))
    for parameter in made.expert.parameters():  # zero at first: every branch must count here
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval().requires_grad_(False)


def sight(batch: int = 2, seed: int = 0) -> Sight:
    generator = torch.Generator().manual_seed(seed)
    return Sight(
        top=torch.randn(batch, 3, 120, 120, generator=generator),
        wrists=torch.randn(batch, 2, 3, 72, 72, generator=generator),
        state=torch.randn(batch, 2, 10, generator=generator),
        words=torch.randint(1, 9, (batch, 6), generator=generator),
    )


TOOLS = torch.tensor([[[0.3, -0.1, 0.1], [0.3, -0.5, 0.1]]] * 2)
POINTS = torch.tensor([[[0.4, 0.5], [torch.nan, torch.nan]]] * 2)


def planned(model: Reasoner, seen: Sight, points: torch.Tensor = POINTS) -> torch.Tensor:
    cache = model.new_cache()
    codes = model.read(seen, cache).depth.argmax(-1)
    return model.plan(codes, points, TOOLS, cache)


def acted(model: Reasoner, seen: Sight, traces: torch.Tensor, points: torch.Tensor = POINTS) -> torch.Tensor:
    cache = model.new_cache()
    codes = model.read(seen, cache).depth.argmax(-1)
    model.plan(codes, points, TOOLS, cache)
    model.commit(traces, TOOLS, cache)
    noise = torch.randn(2, 16, 14, generator=torch.Generator().manual_seed(1))
    return sample(model.expert, model.context(cache), noise, 4)


def test_words_change_the_points_scores(model: Reasoner) -> None:
    seen = sight()
    other = seen._replace(words=seen.words.flip(0))
    first = model.read(seen, model.new_cache()).points
    second = model.read(other, model.new_cache()).points
    assert not torch.allclose(first, second)


def test_a_name_that_is_given_is_pointed_by_and_one_that_is_not_is_the_likeliest() -> None:
    torch.manual_seed(0)
    naming = Reasoner(replace(NANO, names=True).config(vocabulary=9, places=6, subtasks=4))
    naming.initialise(torch.Generator().manual_seed(0))
    torch.nn.init.normal_(naming.point_head.meaning.weight)
    naming.eval().requires_grad_(False)

    def by(names: torch.Tensor | None) -> Reading:
        return naming.read(sight(), naming.new_cache(), names)

    said = by(None)
    assert said.names is not None
    likeliest, other = said.names.argmax(-1), (said.names.argmax(-1) + 1) % 10
    torch.testing.assert_close(by(likeliest).points, said.points, rtol=0, atol=0)
    torch.testing.assert_close(by(torch.full((2, 2), -1)).points, said.points, rtol=0, atol=0)
    pointed = by(other)
    torch.testing.assert_close(pointed.names, said.names, rtol=0, atol=0)
    assert not torch.allclose(pointed.points, said.points)


def test_where_either_arm_could_begin_one_does_and_where_none_is_to_none_does(model: Reasoner) -> None:
    def chosen(*arms: tuple[float, float]) -> list[int]:
        scores = torch.full((1, 2, 101), -30.0)
        for arm, (cell, none) in enumerate(arms):
            scores[0, arm, 10 + arm], scores[0, arm, 100] = cell, none
        return model.point_head.choose(scores.log_softmax(-1)).tolist()[0]

    def chance(of: float) -> tuple[float, float]:
        return float(np.log(of)), float(np.log(1 - of))

    assert chosen(chance(0.37), chance(0.34)) == [10, 100]
    assert chosen(chance(0.34), chance(0.37)) == [100, 11]
    assert chosen(chance(0.2), chance(0.1)) == [10, 100]
    assert chosen(chance(0.12), chance(0.12)) == [100, 100]
    assert chosen(chance(0.9), chance(0.4)) == [10, 100]
    assert chosen(chance(0.9), chance(0.8)) == [10, 11]


def test_words_do_not_change_the_trace_of_given_points(model: Reasoner) -> None:
    seen = sight()
    other = seen._replace(words=seen.words.flip(0))
    torch.testing.assert_close(planned(model, seen), planned(model, other), rtol=0, atol=0)


def test_points_change_the_trace(model: Reasoner) -> None:
    assert not torch.allclose(planned(model, sight()), planned(model, sight(), POINTS.flip(1)))


def made_without(part: str, like: Reasoner) -> Reasoner:
    """The same weights where nothing follows from one part of the reasoning."""
    made = Reasoner(replace(NANO, without=part).config(vocabulary=9, places=6, subtasks=4))
    made.load_state_dict(like.state_dict())
    torch.nn.init.normal_(made.target.weight)  # zero at first
    return made.eval().requires_grad_(False)


def test_nothing_follows_from_a_part_that_is_done_without(model: Reasoner) -> None:
    seen = sight()

    def traced(part: str, codes: int) -> torch.Tensor:
        made, cache = made_without(part, model), model.new_cache()
        said = made.read(seen, cache).depth.argmax(-1)
        return made.plan(torch.full_like(said, codes), POINTS, TOOLS, cache)

    assert not torch.allclose(traced("", 5), traced("", 50))
    torch.testing.assert_close(traced("depth", 5), traced("depth", 50), rtol=0, atol=0)
    pointless = made_without("point", model)
    other = seen._replace(words=seen.words.flip(0))
    torch.testing.assert_close(planned(pointless, seen), planned(pointless, seen, POINTS.flip(1)), rtol=0, atol=0)
    assert not torch.allclose(planned(pointless, seen), planned(pointless, other))
    traceless, traces = made_without("trace", model), torch.zeros(2, 2, 5, 4)
    torch.testing.assert_close(acted(traceless, seen, traces), acted(traceless, seen, traces + 0.1), rtol=0, atol=0)
    assert not torch.allclose(acted(traceless, seen, traces), acted(traceless, seen, traces, POINTS.flip(1)))


def test_words_points_and_the_main_image_do_not_change_the_actions_of_a_given_trace(model: Reasoner) -> None:
    seen = sight()
    other = seen._replace(words=seen.words.flip(0), top=seen.top.flip(0))
    traces = torch.randn(2, 2, 5, 4, generator=torch.Generator().manual_seed(3))
    first = acted(model, seen, traces)
    torch.testing.assert_close(first, acted(model, other, traces, POINTS.flip(1)), rtol=0, atol=0)


def test_the_trace_changes_the_actions(model: Reasoner) -> None:
    seen, traces = sight(), torch.zeros(2, 2, 5, 4)
    assert not torch.allclose(acted(model, seen, traces), acted(model, seen, traces + 0.04), atol=1e-3)


def test_an_erased_plan_is_not_the_plan(model: Reasoner) -> None:
    contexts = []
    for erased in (False, True):
        cache = model.new_cache()
        codes = model.read(sight(), cache).depth.argmax(-1)
        traces = model.plan(codes, POINTS, TOOLS, cache)
        model.commit(traces, TOOLS, cache, erased=erased)
        contexts.append(model.context(cache).keys[-1])
    assert not torch.allclose(*contexts)


def test_samples_of_a_batch_do_not_see_each_other(model: Reasoner) -> None:
    seen = sight()
    alone = Sight(*(tensor[:1] for tensor in seen))
    together, single = model.read(seen, model.new_cache()), model.read(alone, model.new_cache())
    torch.testing.assert_close(together.points[:1], single.points, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.depth[:1], single.depth, rtol=1e-4, atol=1e-5)


def test_no_gradient_flows_from_the_actions_into_the_reasoning(model: Reasoner) -> None:
    trained = Reasoner(model.config)
    trained.load_state_dict(model.state_dict())
    acted(trained, sight(), planned(trained, sight()).detach()).sum().backward()
    assert not trained.top_stem.first.weight.grad.any()
    assert not trained.word.weight.grad.any()
    assert trained.wrist_stem.first.weight.grad.any()


def test_cells_come_back_in_the_images_own_order() -> None:
    assert sorted(token_order(10)) == list(range(100))
    assert token_order(4) == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


@pytest.mark.parametrize(("side", "cells", "middles"), [(10, [0, 99], [0.05, 0.95]), (20, [0, 399], [0.025, 0.975])])
def test_a_chosen_cell_without_offset_is_its_middle(side: int, cells: list[int], middles: list[float]) -> None:
    head = PointHead(128, 128, 10, 9).requires_grad_(False)
    head.offset_leave.weight.zero_()
    head.offset_leave.bias.zero_()
    places = head.place(torch.randn(1, 2, KEY_WIDTH), torch.randn(1, side**2, KEY_WIDTH), torch.tensor([cells]))
    torch.testing.assert_close(places, torch.tensor([[[each, each] for each in middles]]))


def test_a_closer_look_stays_in_and_beside_the_cell() -> None:
    closer = CloserLook(128, 10).requires_grad_(False)
    scores = closer.scores(torch.randn(1, 2, KEY_WIDTH), torch.randn(1, 400, KEY_WIDTH), torch.tensor([[0, 55]]))
    allowed = [(score > torch.finfo(score.dtype).min).nonzero()[:, 0].tolist() for score in scores[0]]
    assert allowed[0] == [20 * row + column for row in range(4) for column in range(4)]
    assert allowed[1] == [20 * row + column for row in range(8, 14) for column in range(8, 14)]


def test_a_closer_look_tells_two_colours_apart_that_lie_in_one_cell() -> None:
    """Two squares of 5 px in one cell of 12 px: asked for either, its middle is pointed to, and not one between both."""
    torch.manual_seed(0)
    stem, head, closer = ConvStem(120, 32, 64), PointHead(64, 32, 10, 2), CloserLook(64, 10)
    images = torch.zeros(1, 3, 120, 120)
    images[:, 0, 60:65, 48:53] = images[:, 2, 67:72, 55:60] = 1.0
    middles = torch.tensor([[[50.5, 62.5], [57.5, 69.5]]]) / 120
    words, cells = torch.nn.Embedding(2, KEY_WIDTH), torch.tensor([[54, 54]])
    parts = torch.tensor([[20 * 10 + 8, 20 * 11 + 9]])
    optimiser = torch.optim.Adam([*head.parameters(), *closer.parameters(), *words.parameters()], lr=3e-3)
    with torch.no_grad():
        seen = stem(images)

    def looked() -> tuple[torch.Tensor, torch.Tensor]:
        keys = closer.keys(seen.tokens, seen.parts)
        return keys, closer.scores(words.weight[None], keys, cells)

    for _ in range(60):
        keys, scores = looked()
        apart = (head.place(words.weight[None], keys, parts) - middles).abs().sum() * closer.parts_side
        (torch.nn.functional.cross_entropy(scores[0], parts[0]) + apart).backward()
        optimiser.step()
        optimiser.zero_grad()
    keys, scores = looked()
    torch.testing.assert_close(head.place(words.weight[None], keys, scores.argmax(-1)), middles, rtol=0, atol=0.5 / 120)


def test_a_closer_look_that_is_not_sure_leaves_a_place_to_the_last_bit(model: Reasoner) -> None:
    looking = Reasoner(replace(model.config, closer=True))
    looking.load_state_dict(model.state_dict(), strict=False)
    looking.eval().requires_grad_(False)
    assert looking.closer is not None
    cells = torch.full((16, 2), 55)
    first = model.points(model.read(sight(16), model.new_cache()), cells)
    reading = looking.read(sight(16), looking.new_cache())
    torch.testing.assert_close(looking.points(reading, cells), first, rtol=0, atol=0)
    looking.closer.enquire.weight.mul_(1e5)  # the same parts are the likeliest, and surely
    looking.closer.enquire.bias.mul_(1e5)
    parts = looking.closer.scores(reading.questions, reading.part_keys, cells).argmax(-1)
    closer = looking.point_head.place(reading.questions, reading.part_keys, parts)
    torch.testing.assert_close(looking.points(reading, cells), closer, rtol=0, atol=0)
    scores = looking.closer.scores(reading.questions, reading.part_keys, cells)
    for away, overruled in ((0.3 / 20, False), (0.4 / 20, True)):  # fractions of the image: 12 and 16 mm
        assert (looking.closer.overrules(scores, first + away, first) == overruled).all()


def test_parts_of_cells_come_in_the_images_own_order() -> None:
    closer = CloserLook(64, 10).requires_grad_(False)
    parts, tokens = torch.zeros(1, 64, 20, 20), torch.zeros(1, 25, 64)
    untouched = closer.keys(tokens, parts)
    parts[..., 3, 7] = 1.0
    assert (closer.keys(tokens, parts) != untouched).any(-1).nonzero().tolist() == [[0, 3 * 20 + 7]]
    tokens[:, 6] = 1.0  # the second of the second row, four parts wide and high
    changed = (closer.keys(tokens, torch.zeros(1, 64, 20, 20)) != untouched).any(-1)[0].nonzero()[:, 0].tolist()
    assert changed == [20 * row + column for row in range(4, 8) for column in range(4, 8)]


def test_none_is_no_place(model: Reasoner) -> None:
    reading = model.read(sight(), model.new_cache())
    assert model.points(reading, torch.tensor([[100, 3], [3, 100]])).isnan().any(-1).tolist() == [
        [True, False],
        [False, True],
    ]
