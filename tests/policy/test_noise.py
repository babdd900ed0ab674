"""What a chunk is sampled from, and what is different for a policy that was refused."""

import numpy as np

from forearm.messages import Observation, Request
from forearm.model.config import ExpertConfig
from forearm.policy.noise import CALM, noise_for

EXPERT = ExpertConfig(
    width=32, layers=1, heads=2, hidden=32, context_width=32, action_dim=14, horizon=16, time_channels=16
)


def drawn(sequence: int, attempt: int, seed: int = 3) -> np.ndarray:
    seen = Observation(
        stamp_ns=0, sequence=sequence, epoch=1, positions=np.zeros(14), velocities=np.zeros(14), efforts=np.zeros(14),
        images={}, depths={}, instruction="",
    )  # fmt: skip
    return noise_for(Request(observation=seen, attempt=attempt), seed, EXPERT).numpy()


def test_noise_is_fresh_for_every_observation_and_attempt_and_repeats_with_the_seed() -> None:
    asked = [(sequence, attempt) for sequence in (1, 2) for attempt in (0, 1)]
    for one in asked:
        for other in asked:
            assert (one == other) == np.array_equal(drawn(*one), drawn(*other))
    assert not np.array_equal(drawn(2, 1), drawn(2, 1, seed=4))


def test_a_first_answer_begins_calm_and_one_after_a_refusal_with_all_the_noise_there_is() -> None:
    spread = [np.std([drawn(sequence, attempt) for sequence in range(40)]) for attempt in (0, 1, 2)]
    np.testing.assert_allclose(spread, [CALM, 1.0, 1.0], rtol=0.03)
