"""What the released classes can be told to do and no released checkpoint does: activations, one table, the eager kernel."""

from dataclasses import replace

import pytest
import torch
from released import loaded, sampled

from forearm.model.activations import ACTIVATIONS, Activation
from forearm.model.config import TextConfig
from forearm.model.inputs import batch
from forearm.model.language import LanguageModel
from forearm.model.layers import activation
from forearm.model.vision import VisionBackbone

# Of transformers 5.5.4 in fp32, at the inputs below.
PUBLISHED: dict[Activation, list[float]] = {
    "silu": [-0.142278, -0.18877, 0.55198, 11.9999],
    "gelu": [-0.00405023, -0.154269, 0.630516, 12.0],
    "gelu_pytorch_tanh": [-0.00363743, -0.154286, 0.630432, 12.0],
    "gelu_10": [-0.00405023, -0.154269, 0.630516, 10.0],
    "quick_gelu": [-0.0180713, -0.149612, 0.636816, 12.0],
    "relu": [0.0, 0.0, 0.8, 12.0],
    "relu2": [0.0, 0.0, 0.64, 144.0],
    "relu6": [0.0, 0.0, 0.8, 6.0],
    "leaky_relu": [-0.03, -0.005, 0.8, 12.0],
    "hardswish": [0.0, -0.208333, 0.506667, 12.0],
    "mish": [-0.145647, -0.220744, 0.6597, 12.0],
    "laplace": [0.0, 9.38773e-06, 0.629034, 1.0],
    "sigmoid": [0.0474259, 0.377541, 0.689974, 0.999994],
    "tanh": [-0.995055, -0.462117, 0.664037, 1.0],
    "linear": [-3.0, -0.5, 0.8, 12.0],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_published_functions(name: Activation) -> None:
    got = activation(name)(torch.tensor([-3.0, -0.5, 0.8, 12.0]))
    torch.testing.assert_close(got, torch.tensor(PUBLISHED[name]), rtol=1e-5, atol=1e-8)


def test_one_plain_table_reads_like_two() -> None:
    sizes = {"width": 8, "layers": 1, "heads": 2, "kv_heads": 2, "head_dim": 4, "hidden": 8}
    two = LanguageModel(TextConfig(**sizes, vocabulary=5, extra_vocabulary=3))
    two.initialise(torch.Generator().manual_seed(0))
    one = LanguageModel(TextConfig(**sizes, vocabulary=8, extra_vocabulary=None))
    one.initialise(torch.Generator().manual_seed(1))
    tables = dict(two.wte.named_parameters())
    one.load_state_dict({"wte.weight": torch.cat([tables["embedding"], tables["new_embedding"]])}, strict=False)
    ids = torch.tensor([[0, 4, 5, 7]])
    assert torch.equal(one.embed(ids), two.embed(ids))


def test_the_eager_kernel_attends_to_missing_patches_as_the_released_one_does() -> None:
    model, _ = loaded("base")
    vision, adapter, masked = model.config.vision, model.config.adapter, model.vision_backbone
    eager = VisionBackbone(vision, replace(adapter, hides_missing=False), model.config.text.width).eval()
    eager.load_state_dict(masked.state_dict())
    features = torch.randn(1, 9, vision.width * len(vision.taps), generator=torch.Generator().manual_seed(0))
    whole, cut = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[0, 1, 2, -1]])
    with torch.no_grad():
        assert torch.equal(eager.pool(features, whole), masked.pool(features, whole))
        seen = features[0, cut].clone()
        seen[:, 3] = 0.0  # a key, though no part of the mean
        expected = eager.image_pooling_2d(seen.sum(1, keepdim=True) / 3, seen)[:, 0]
        torch.testing.assert_close(eager.pool(features, cut), expected)
        assert not torch.allclose(masked.pool(features, cut), expected)


def test_dropouts_of_the_vision_tower_act_only_while_training() -> None:
    model, prompter = loaded("base")
    vision = replace(model.config.vision, attention_dropout=0.5, residual_dropout=0.5)
    adapter = replace(model.config.adapter, attention_dropout=0.5, residual_dropout=0.5, feature_dropout=0.5)
    backbone = VisionBackbone(vision, adapter, model.config.text.width)
    backbone.load_state_dict(model.vision_backbone.state_dict())
    prompt = batch([sampled(prompter, 1)], 0)
    with torch.no_grad():
        expected = model.vision_backbone(prompt.patches, prompt.windows)
        assert torch.equal(backbone.eval()(prompt.patches, prompt.windows), expected)
        assert not torch.allclose(backbone.train()(prompt.patches, prompt.windows), expected)


def test_end_of_text_is_shown_to_the_expert_where_config_json_does_not_name_it() -> None:
    model, prompter = loaded("base")
    ids = batch([sampled(prompter, 1)], 0).ids
    hidden = ids == model.config.tokens.eos
    assert torch.equal(model.visible(ids, None), ~hidden)
    model.config = replace(model.config, hides_eos=False)
    assert bool(model.visible(ids, None).all())
