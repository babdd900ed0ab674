"""Rotary frequencies stretched as the published rules stretch them; figures of transformers 5.5.4 in fp32."""

import pytest
import torch

from forearm.model.config import TextConfig
from forearm.model.language import Decoder
from forearm.model.layers import Rotation, inverse_frequencies
from forearm.model.published_fields import TEXT
from forearm.model.published_rope import rope
from forearm.model.rotary import LinearScaling, RopeScaling


def published(**scaling: object) -> RopeScaling | None:
    text = TEXT | {"rope_theta": 1e4, "max_position_embeddings": 1024, "rope_scaling": scaling}
    return rope(text)["rope_scaling"]


ORIGINAL = {"factor": 4.0, "original_max_position_embeddings": 256}


@pytest.mark.parametrize(
    ("scaling", "frequencies", "attention"),
    [
        (
            {"rope_type": "linear", "factor": 2.5},
            [0.4, 0.1264911, 0.04, 0.01264911, 0.004, 0.001264911, 0.0004, 0.0001264911],
            1.0,
        ),
        (
            {"type": "llama3", **ORIGINAL, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
            [1.0, 0.3162278, 0.1, 0.006613107, 0.00125, 0.0003952847, 0.000125, 3.952847e-05],
            1.0,
        ),
        (
            {"rope_type": "yarn", **ORIGINAL},
            [1.0, 0.2569351, 0.0625, 0.01383497, 0.0025, 0.0007905695, 0.00025, 7.905695e-05],
            1.138629436111989,
        ),
        (
            {"rope_type": "yarn", **ORIGINAL, "truncate": False, "mscale": 0.7, "mscale_all_dim": 1.2},
            [1.0, 0.2539723, 0.05539864, 0.009639943, 0.0025, 0.0007905695, 0.00025, 7.905695e-05],
            0.9405715251010841,
        ),
        (
            {"rope_type": "yarn", "factor": 4.0, "beta_fast": 4, "beta_slow": 2, "attention_factor": 0.9},
            [1.0, 0.3162278, 0.1, 0.03162278, 0.0025, 0.0007905695, 0.00025, 7.905695e-05],
            0.9,
        ),
    ],
)
def test_frequencies_are_the_published_ones(
    scaling: dict[str, object], frequencies: list[float], attention: float
) -> None:
    stretch = published(**scaling)
    assert stretch is not None
    torch.testing.assert_close(inverse_frequencies(16, 1e4, stretch), torch.tensor(frequencies), rtol=1e-6, atol=0.0)
    assert stretch.attention == pytest.approx(attention, rel=1e-12)
    plain, scaled = (Rotation(torch.arange(1), 16, 1e4, each) for each in (None, stretch))
    torch.testing.assert_close(scaled.cos, plain.cos * attention)


@pytest.mark.parametrize("kind", ["default", "dynamic"])
def test_up_to_the_longest_sequence_a_dynamic_stretch_is_none(kind: str) -> None:
    assert published(rope_type=kind, factor=2.0 if kind == "dynamic" else None) is None


def test_both_names_of_the_field_mean_the_same() -> None:
    text = TEXT | {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": TEXT["rope_theta"]}}
    assert rope(text)["rope_scaling"] == LinearScaling(factor=2.0)


def test_only_the_layers_that_are_named_are_stretched() -> None:
    def keys(**changes: object) -> list[torch.Tensor]:
        decoder = Decoder(TextConfig(width=16, layers=2, heads=2, kv_heads=2, head_dim=8, hidden=8, **changes))
        decoder.initialise(torch.Generator().manual_seed(0))
        rotations = decoder._rotations(torch.arange(3))
        return [each.cos for each in rotations if each is not None]

    stretch = LinearScaling(factor=3.0)
    plain, both, second = keys(), keys(rope_scaling=stretch), keys(rope_scaling=stretch, scaled_layers=(1,))
    assert torch.equal(second[0], plain[0])
    assert torch.equal(second[1], both[1])
    assert not torch.equal(both[1], plain[1])
