"""What a plan says it sees, against what the camera measures."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import DepthImage, Finding, Observation, Outcome, Plan
from forearm.model.depth_codes import DEPTH_RANGE_M, code_metres
from forearm.robot.embodiment import BIMANUAL_YAM, Camera
from forearm.safety.depth_agreement import NEAREST_M, _middles, _pixels_of, depth_agrees
from forearm.safety.freshness import AGES
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting

from .scenes import NOW_NS, decided, plan_of, resting, seen

LIMITS = Limits.of()
TOP = BIMANUAL_YAM.cameras[0]
TABLE_M = 1.1
AGE_S = 0.5


def plan(depth_map: np.ndarray) -> Plan:
    return replace(plan_of(resting()), depth_map=depth_map)


def table() -> np.ndarray:
    """(10, 10) m as a plan says it: the table, tilted away from the camera."""
    return TABLE_M + np.linspace(-0.2, 0.2, 10)[:, None] + np.zeros((10, 10))


def pixels(depth_map: np.ndarray, each: int = 12) -> np.ndarray:
    """What a camera measures of just that."""
    return np.kron(depth_map, np.ones((each, each)))


def measured(metres: np.ndarray, *, stamp_ns: int = NOW_NS) -> Observation:
    return seen(depths={"top": DepthImage(stamp_ns=stamp_ns, metres=metres.astype(np.float32))})


def judged(said: np.ndarray, metres: np.ndarray) -> tuple[Finding, ...]:
    return depth_agrees(plan(said), measured(metres), TOP, LIMITS, age_s=AGE_S)


def held(findings: tuple[Finding, ...]) -> Finding:
    (only,) = findings
    assert (only.check, only.outcome, only.subject, only.unit) == ("depth", Outcome.HOLD, "top", "of the cells")
    return only


def test_a_plan_that_sees_what_is_measured_is_let_through() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (120, 120))
    assert judged(table(), pixels(table()) + noise) == ()
    assert judged(table() + LIMITS.depth_error_m - 1e-3, pixels(table())) == ()


def test_an_object_that_the_plan_does_not_know_is_held_and_said_in_words() -> None:
    world = pixels(table())
    world[24:48, 60:84] = 0.75  # four cells of 100
    found = held(judged(table(), world))
    assert (found.measured, found.limit) == (0.04, LIMITS.depth_cells)
    assert found.text == (
        "In row 4, column 6 of the top camera's view the plan sees a surface at 1.03 m, and the camera measures "
        "0.75 m: something is 283 mm nearer than the plan knows. 4 of 100 cells differ by more than 80 mm; 2 may."
    )


def test_what_is_not_measured_is_never_named_as_what_differs_most() -> None:
    world = pixels(table())
    world[:24] = np.nan
    world[72:96, 12:36] = 0.75
    assert "In row 8, column 2 of the top camera's view" in held(judged(table(), world)).text


def test_the_error_that_is_allowed_is_said_in_millimetres() -> None:
    limits = replace(LIMITS, depth_error_m=2.0)
    (found,) = depth_agrees(plan(table() + 3.0), measured(pixels(table())), TOP, limits, age_s=AGE_S)
    assert found.text.endswith("100 of 100 cells differ by more than 2000 mm; 2 may.")


def test_what_is_nearer_than_a_map_can_say_is_known_by_the_maps_nearest_and_by_nothing_else() -> None:
    world, said = pixels(table()), table()
    world[:, 60:72] = 0.31  # a pole under the camera, across all of the view
    assert "something is" in held(judged(said, world)).text
    said[:, 5] = code_metres()[0]
    assert judged(said, world) == ()
    assert held(judged(said, pixels(table()))).measured == 0.1  # and where there is none it is as wrong as before


def test_the_nearest_that_is_compared_is_the_nearest_that_our_model_can_say() -> None:
    assert DEPTH_RANGE_M[0] == NEAREST_M


def test_an_object_that_is_no_longer_there_is_held_too() -> None:
    said = table()
    said[3, 2:7] = 0.7
    assert "farther than the plan knows" in held(judged(said, pixels(table()))).text


@pytest.mark.parametrize(("cells", "objected"), [(2, False), (3, True)])
def test_a_few_cells_may_differ_and_one_more_may_not(cells: int, objected: bool) -> None:
    said = table()
    said[5, :cells] += LIMITS.depth_error_m + 1e-3
    assert bool(judged(said, pixels(table()))) is objected


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
@pytest.mark.parametrize(("cells", "objected"), [(2, False), (3, True)])
def test_a_few_cells_may_be_left_out_and_one_more_may_not(cells: int, objected: bool, nothing: float) -> None:
    said = table()
    said[5, :cells] = nothing
    assert bool(judged(said, pixels(table()))) is objected


def test_silence_where_an_object_stands_is_held_and_where_nothing_is_measured_it_is_not() -> None:
    world, said = pixels(table()), table()
    world[24:48] = 0.75
    said[2:4] = np.nan
    found = held(judged(said, world))
    assert (found.measured, found.limit) == (0.2, LIMITS.depth_cells)
    assert found.text == "0 of 100 cells differ by more than 80 mm and 20 are not stated; 2 may."
    said[5, 5] = 0.5
    assert held(judged(said, world)).text.endswith(
        "1 of 100 cells differ by more than 80 mm and 20 are not stated; 2 may."
    )
    world[24:48] = np.nan
    said[5, 5] = table()[5, 5]
    assert judged(said, world) == ()


def test_a_cell_of_two_surfaces_may_be_called_either_and_nothing_beyond() -> None:
    world = pixels(table())
    for row in range(5):
        world[row * 12 : row * 12 + 6] = 0.7  # the upper halves of fifty cells
    near, far = table(), table()
    near[:5] = 0.7
    beyond = near.copy()
    beyond[:5] = 0.6
    assert judged(near, world) == ()
    assert judged(far, world) == ()
    assert held(judged(beyond, world)).measured == 0.5


def test_the_depth_of_another_scene_is_held() -> None:
    assert held(judged(table(), pixels(table()[::-1])))


def test_cells_without_enough_pixels_say_nothing() -> None:
    world = pixels(table())
    world[:24] = 0.7
    assert judged(table(), world)
    world[:24, 1::2] = np.nan  # half of them are measured: still compared
    assert judged(table(), world)
    world[:24, 2::4] = 0.0  # some drivers say 0 for nothing; a quarter is left
    assert judged(table(), world) == ()


def test_the_middle_of_a_cell_is_that_of_the_pixels_that_measured_something() -> None:
    world = np.random.default_rng(3).uniform(0.5, 2.0, (24, 36))
    world[12, 0], world[23, 11] = 0.0, np.nan  # the first cell of the second row has 142 pixels
    world[0, 12], world[:12, 24:30] = np.nan, 0.0  # and those beside the first one have 143 and half of them
    rows, columns = _pixels_of((2, 3), world.shape)
    near, middle, far = _middles(world[rows, columns], 0.5)
    for row, column in np.ndindex(2, 3):
        cell = world[row * 12 : row * 12 + 12, column * 12 : column * 12 + 12]
        values = np.sort(cell[cell > 0.0])
        assert near[row, column] == values[int(np.floor(0.35 * (len(values) - 1)))]
        assert middle[row, column] == values[(len(values) - 1) // 2]
        assert far[row, column] == values[int(np.ceil(0.65 * (len(values) - 1)))]
    world[11, 35] = 0.0  # one pixel less than half of them
    assert np.isnan([each[0, 2] for each in _middles(world[rows, columns], 0.5)]).all()


def test_a_single_pixel_that_is_enough_is_its_own_middle() -> None:
    world = np.zeros((12, 12))
    world[4, 7] = 0.9
    assert [float(each[0]) for each in _middles(world.reshape(1, -1), 0.005)] == [0.9, 0.9, 0.9]


@pytest.mark.parametrize(("rows", "objected"), [(60, False), (72, True)])
def test_too_few_cells_to_compare_is_itself_an_objection(rows: int, objected: bool) -> None:
    world = pixels(table())
    world[:rows] = np.nan
    findings = judged(table(), world)
    assert bool(findings) is objected
    if objected:
        assert "only 40 can be compared" in held(findings).text


def test_a_map_or_a_depth_that_is_not_a_number_is_not_taken_for_one_that_agrees() -> None:
    assert held(judged(table() * np.nan, pixels(table()))).measured == 0.0
    assert held(judged(table(), pixels(table()) * np.nan)).measured == 0.0
    assert held(judged(table(), np.full((120, 120), np.inf))).measured == 0.0


def test_image_and_map_may_have_any_size() -> None:
    said = table()[:, :7]
    assert judged(said, pixels(said, 50)) == ()
    assert judged(said, pixels(said, 5)) == ()
    world = pixels(said, 50)
    world[:100, :150] = 0.6
    assert held(judged(said, world)).measured == pytest.approx(6 / 70)


def test_a_missing_and_an_old_depth_image_are_held() -> None:
    (found,) = depth_agrees(plan(table()), seen(), TOP, LIMITS, age_s=AGE_S)
    assert (found.check, found.outcome, found.subject, found.limit, found.unit) == (
        "depth",
        Outcome.HOLD,
        "top",
        AGE_S,
        "s",
    )
    assert np.isnan(found.measured)
    assert "measured no depth" in found.text
    old_ns = NOW_NS - round(AGE_S * NANOSECONDS) - 1
    (found,) = depth_agrees(plan(table()), measured(pixels(table()), stamp_ns=old_ns), TOP, LIMITS, age_s=AGE_S)
    assert (found.check, found.outcome, found.subject) == ("age", Outcome.HOLD, "depth of the top camera")


@pytest.mark.parametrize("nothing", [np.zeros((0, 0)), np.full((10, 10), np.nan), np.full((10, 10), np.inf)])
@pytest.mark.parametrize("camera", [TOP, replace(TOP, has_depth=False)])
def test_a_plan_that_says_nothing_of_the_world_is_held_whatever_is_measured(
    nothing: np.ndarray, camera: Camera
) -> None:
    for observation in (seen(depths={}), measured(pixels(table()))):
        found = held(depth_agrees(plan(nothing), observation, camera, LIMITS, age_s=AGE_S))
        assert (found.measured, found.limit) == (0.0, LIMITS.depth_compared)
        assert found.text == (
            "The plan states no depth of anything, so it cannot be checked against the world; say what is seen."
        )
    verdict = Vetting(LIMITS).vet(decided(resting(), plan=plan(nothing)), seen(), NOW_NS)
    assert (verdict.outcome, [each.check for each in verdict.findings]) == (Outcome.HOLD, ["depth"])


def test_one_cell_is_something_said_and_a_policy_without_a_plan_says_nothing_by_its_kind() -> None:
    one = np.full((10, 10), np.nan)
    one[0, 0] = 1.0
    assert (
        "only 1 can be compared"
        in held(depth_agrees(plan(one), measured(pixels(table())), TOP, LIMITS, age_s=AGE_S)).text
    )
    assert Vetting(LIMITS).vet(decided(resting()), seen(depths={}), NOW_NS).outcome is Outcome.ALLOW


def test_what_cannot_be_measured_is_not_compared() -> None:
    assert depth_agrees(plan(table()), seen(depths={}), replace(TOP, has_depth=False), LIMITS, age_s=AGE_S) == ()


def test_vetting_holds_what_disagrees_with_the_world_and_stops_at_a_map_that_is_none() -> None:
    said, vetting = plan(table()), Vetting(LIMITS)
    assert vetting.vet(decided(resting(), plan=said), measured(pixels(table())), NOW_NS).outcome is Outcome.ALLOW
    elsewhere = vetting.vet(decided(resting(), plan=said), measured(pixels(table()[::-1])), NOW_NS)
    assert (elsewhere.outcome, elsewhere.vetted) == (Outcome.HOLD, None)
    flat = replace(said, depth_map=np.ones(100))
    broken = vetting.vet(decided(resting(), plan=flat), measured(pixels(table())), NOW_NS)
    assert broken.outcome is Outcome.STOP


def test_vetting_takes_the_depth_to_be_as_old_as_the_main_cameras_image_may_be() -> None:
    patient = Vetting(LIMITS, ages=replace(AGES, images_s={"top": 0.9, "left": 0.5, "right": 0.5}))
    old = measured(pixels(table()), stamp_ns=NOW_NS - round(0.7 * NANOSECONDS))
    assert patient.vet(decided(resting(), plan=plan(table())), old, NOW_NS).outcome is Outcome.ALLOW
    assert Vetting(LIMITS).vet(decided(resting(), plan=plan(table())), old, NOW_NS).outcome is Outcome.HOLD
