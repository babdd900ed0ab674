"""Released checkpoints as policies: a tiny one of the released layout, for a robot with the station's joints."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import ConfigError, InputError, InstructionError
from forearm.events import Decided, Event, Judged, Observed
from forearm.messages import Observation, Outcome, Request, VettedChunk
from forearm.model import depth_decoding, weights
from forearm.model.inputs import batch
from forearm.model.published import parse_config
from forearm.policy.choice import about_policy, policy_named, scene_for, tasks_for
from forearm.policy.released import RATE_HZ, ReleasedPolicy, read
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.simulation import Simulation

REFERENCES = Path(__file__).parents[1] / "parity" / "references"
SETUP = task_named("lift").sample(3)
START = np.array(SETUP.start)
NEAR = 0.01  # rad and opening, around where the arms start: wherever the flow leads, nothing is to be said against it
ROWS = 6


def write_checkpoint(folder: Path, like: str, **tag: object) -> Path:
    """Random weights in the layout of a reference, its statistics those of the station's arms near their start."""
    folder.mkdir(exist_ok=True)
    config = json.loads((REFERENCES / like / "config.json").read_text()) | {"max_action_dim": 16}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "token_table.json").write_bytes((REFERENCES / like / "token_table.json").read_bytes())
    generator = torch.Generator().manual_seed(0)
    named = weights.shapes(parse_config(config))
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in named.items()}
    first, last = config["depth_token_start_id"], config["depth_token_start_id"] + config["num_depth_tokens"]
    loud = next(name for name in tensors if name.endswith("wte.embedding"))
    tensors[loud][first:last, 0] = 50.0  # drowns the rest, and after a code the closing token is heard in it
    tensors["lm_head.weight"][:, 0] = 0.0
    tensors["lm_head.weight"][config["depth_end_token_id"]] = 5.0 * torch.eye(1, len(tensors["lm_head.weight"][0]))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    stats = {"q01": (START - NEAR).tolist(), "q99": (START + NEAR).tolist(), "mask": [True] * len(START)}
    cameras = [f"observation.images.{name}" for name in ("top", "left", "right")]
    known = {"setup_type": "two arms", "control_mode": "absolute joint pose", "camera_keys": cameras}
    known |= {"action_stats": stats, "state_stats": stats, **tag}
    statistics = {"norm_mode": "q01_q99", "metadata_by_tag": {"yam_dual": known}}
    (folder / "norm_stats.json").write_text(json.dumps(statistics))
    return folder


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("thinking"), "think")


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("acting"), "base", fps=10)


@pytest.fixture(scope="module")
def seen() -> Observation:
    robot = CellRobot(setup=SETUP, clock=SimulatedClock())
    robot.connect(1)
    try:
        return replace(robot.read(), instruction=SETUP.instruction)
    finally:
        robot.close()


def events_of(folder: Path, seconds: float) -> tuple[list[Event], np.ndarray]:
    """What a session by that checkpoint told of, and where the arms were at its end."""
    events: list[Event] = []
    setup = replace(SETUP, time_limit_s=seconds)
    Simulation(setup, policy_named(str(folder))).run(seed=0, emit=events.append)
    return events, next(each.observation.positions for each in reversed(events) if isinstance(each, Observed))


@pytest.mark.slow
def test_it_moves_the_arms_through_vetting_and_guard_and_says_that_it_has_no_plan(thinking: Path) -> None:
    events, last = events_of(thinking, 1.5)
    decisions = [each.decision for each in events if isinstance(each, Decided)]
    assert len(decisions) > 2
    assert all(each.plan is None and each.chunk.period_s == 1.0 / RATE_HZ for each in decisions)
    assert max(each.outcome for each in events if isinstance(each, Judged)) < Outcome.HOLD
    assert 0.0 < np.abs(last - START).max() <= NEAR + 0.005


def test_a_chunk_has_the_rows_and_the_rate_that_its_statistics_say(acting: Path, seen: Observation) -> None:
    chunk = policy_of(acting).decide(Request(observation=seen)).chunk
    assert chunk.positions.shape == (ROWS, len(BIMANUAL_YAM.joints))
    assert (chunk.period_s, chunk.stamp_ns) == (0.1, seen.stamp_ns)
    assert np.abs(chunk.positions - START).max() <= NEAR + 1e-6


def test_the_same_seed_and_observation_give_the_same_chunk_and_a_refused_one_another(
    acting: Path, seen: Observation
) -> None:
    first, again, refused, other = (
        policy_of(acting, seed).decide(Request(observation=seen, attempt=attempt)).chunk.positions
        for seed, attempt in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - refused).max() > 1e-4
    assert np.abs(first - other).max() > 1e-4


def test_a_chunk_continues_what_the_arms_follow_meanwhile(acting: Path, seen: Observation) -> None:
    policy = policy_of(acting)
    before = policy.decide(Request(observation=seen)).chunk
    led = replace(before, positions=np.tile(START + 0.8 * NEAR, (ROWS, 1)))
    following = VettedChunk(chunk=led, sequence=seen.sequence, epoch=seen.epoch)
    free, bound = (
        policy.decide(Request(observation=seen, following=each, delay_s=0.15)).chunk.positions
        for each in (None, following)
    )
    gaps = [np.abs(rows[:2] - led.positions[:2]).max() for rows in (free, bound)]
    assert gaps[1] < 0.1 * NEAR < gaps[0]


def test_the_second_depth_map_is_that_of_greedy_decoding_from_fewer_passes(
    thinking: Path, seen: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, written = policy_of(thinking), list[depth_decoding.Depth]()
    verify = depth_decoding.verify
    monkeypatch.setattr(depth_decoding, "verify", lambda *given: written.append(verify(*given)) or written[-1])
    for _ in range(2):
        policy.decide(Request(observation=seen))
    released = read(thinking)
    images = [seen.images[name].pixels for name in ("top", "left", "right")]
    state = seen.positions.astype(np.float32)
    sample = released.prompter.sample(images, seen.instruction, state, depth=True)
    full = depth_decoding.write(released.model, batch([sample], released.model.config.tokens.pad))
    assert [each.codes.tolist() for each in written] == [full.codes.tolist()]
    assert written[0].passes < full.passes


def test_it_may_be_asked_for_every_task_and_says_which_weights_answer(acting: Path, thinking: Path) -> None:
    assert len(tasks_for(str(acting))) == 10
    assert scene_for(str(acting), "put everything in the box", 0).task == "put-everything-in-box"
    with pytest.raises(InstructionError):
        scene_for(str(acting), "make some tea", 0)
    about = about_policy(str(acting))
    assert about["model_digest"] == policy_of(acting).model_digest != policy_of(thinking).model_digest
    assert about["recipe"] == {}


OTHERS = {
    "another robot": {"action_stats": {"q01": [-1.0] * 7, "q99": [1.0] * 7}},
    "other cameras": {"camera_keys": ["observation.images.exterior"]},
    "another way to move": {"control_mode": "delta end-effector pose"},
}


@pytest.mark.parametrize("tag", OTHERS.values(), ids=list(OTHERS))
def test_a_checkpoint_for_another_robot_is_refused(tag: dict[str, object], tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, "base", **tag)
    with pytest.raises(InputError, match="embodiment tag: got yam_dual, of which 0 are of a robot like the station's"):
        read(folder)


def test_a_checkpoint_that_only_writes_its_actions_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"action_mode": "discrete"}))
    with pytest.raises(ConfigError, match="action mode: got 'discrete'"):
        read(folder)


def policy_of(folder: Path, seed: int = 0) -> ReleasedPolicy:
    policy = ReleasedPolicy(read(folder))
    policy.reset(seed=seed)
    return policy
