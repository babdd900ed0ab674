"""What a policy that was refused does differently the next time."""

import numpy as np

from forearm.policy.reasoning import ReasoningPolicy


def test_noise_is_fresh_for_every_observation_and_attempt_and_repeats_with_the_seed() -> None:
    policy = ReasoningPolicy.load()
    policy.reset(seed=3)
    drawn = {(sequence, attempt): policy._noise(sequence, attempt).numpy() for sequence in (1, 2) for attempt in (0, 1)}
    for one, first in drawn.items():
        for other, second in drawn.items():
            assert (one == other) == np.array_equal(first, second)
    np.testing.assert_array_equal(policy._noise(2, 1).numpy(), drawn[2, 1])
    policy.reset(seed=4)
    assert not np.array_equal(policy._noise(2, 1).numpy(), drawn[2, 1])
