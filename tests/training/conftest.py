import numpy as np
import pytest

from forearm.data.dataset import Dataset
from forearm.training.batch import Lessons

HOME = np.array([0.6, 1.47, 1.3, -1.4, 0.0, -1.57, 1.0, -0.6, 1.47, 1.3, -1.4, 0.0, 1.57, 1.0], dtype=np.float32)


@pytest.fixture(scope="session")
def lessons() -> Lessons:
    """Two made-up episodes: the left arm swings and closes its gripper once."""
    rng = np.random.default_rng(0)
    lengths, parts = (60, 50), []
    for length in lengths:
        actions = np.tile(HOME, (length, 1))
        actions[:, 0] += np.linspace(0, 0.3, length, dtype=np.float32)
        actions[length // 2 :, 6] = 0.0
        parts.append(actions)
    actions = np.concatenate(parts)
    total = len(actions)
    dataset = Dataset(
        images={
            "top": rng.integers(0, 255, (total, 120, 120, 3), dtype=np.uint8),
            "left": rng.integers(0, 255, (total, 72, 72, 3), dtype=np.uint8),
            "right": rng.integers(0, 255, (total, 72, 72, 3), dtype=np.uint8),
        },
        depth_cells=rng.uniform(0.6, 1.4, (total, 10, 10)).astype(np.float32),
        positions=actions + rng.normal(0, 0.005, actions.shape).astype(np.float32),
        actions=actions,
        subtasks=np.array(["take it with the left arm"] * total),
        starts=np.array([0, *np.cumsum(lengths)]),
        instructions=("hand the red bar to the left arm and place it on the pad",) * 2,
        seeds=np.arange(2),
    )
    return Lessons.of(dataset, horizon=16)
