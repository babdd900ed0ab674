"""From cameras, sentences and joint states to what the model reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from released import REFERENCES, loaded, sampled

from forearm.errors import CheckpointError, ConfigError, InputError
from forearm.model.images import CropConfig, cut, resize, tiling
from forearm.model.inputs import batch, read_crops
from forearm.model.published import read_config
from forearm.model.statistics import choose, read_tags
from forearm.model.tokenizer import ByteTokenizer, read_tokenizer
from forearm.model.tokens import (
    ImageMarks,
    codes_between,
    hide_spans,
    image_text,
    normalise_instruction,
    prompt_text,
    state_levels,
)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Put the red block in the box.", "put the red block in the box"),
        ("  'Task: pick up  the cup!'  ", "pick up the cup"),
        ("Instruction: Your task is to fold it. Then stop!", "fold it; then stop"),
        ('"[language_instruction - open the drawer?]"', "open the drawer"),
        ("Goal: ", ""),
        ("the task is to the task is to wave", "wave"),
    ],
)
def test_instructions_are_stripped_to_the_bare_task(said: str, meant: str) -> None:
    assert normalise_instruction(said) == meant


def test_the_wording_of_a_prompt_is_the_released_one() -> None:
    text = prompt_text(
        task="wave",
        state="<state_start><state_7><state_end>",
        setup="one arm",
        control="joint pose",
        images=2,
        depth=True,
    )
    assert text == (
        "Image 1<|image|>Image 2<|image|><|im_start|>user\nThe task is to wave. The setup is <setup_start>one arm<setup_end>. "
        "The current state of the robot is <state_start><state_7><state_end>. The expected control mode is "
        "<control_start>joint pose<control_end>. Given these, first predict the depth map of the main image and then predict "
        "the action the robot should take to complete the task?<|im_end|>\n<|im_start|>assistant\n<depth_output><action_output>"
    )


def test_without_a_state_its_sentence_disappears_and_one_image_has_no_number() -> None:
    text = prompt_text(
        task="wave", state="", setup="s", control="c", images=1, depth=False, setup_tokens=False, control_tokens=False
    )
    assert text.startswith(
        "<|image|><|im_start|>user\nThe task is to wave. The setup is s. The expected control mode is c. Given these, what"
    )


def test_state_levels_round_half_to_even_and_take_what_is_not_a_number_as_the_middle() -> None:
    values = np.array([-1, 1, np.nan, np.inf, -np.inf, 2.0, 1 / 255, 3 / 255], dtype=np.float32)
    assert state_levels(values).tolist() == [0, 255, 128, 255, 0, 255, 128, 129]


@pytest.mark.parametrize(
    ("ids", "hidden"),
    [
        ([1, 8, 2, 9, 3], [0, 1, 1, 1, 0]),
        ([8, 2, 9, 8, 2], [1, 1, 1, 1, 1]),
        ([9, 8, 8, 9, 1], [0, 1, 1, 1, 1]),
        ([1, 2], [0, 0]),
    ],
)
def test_spans_are_hidden_from_start_to_end_and_open_ones_to_the_last(ids: list[int], hidden: list[int]) -> None:
    assert hide_spans(ids, 8, 9).astype(int).tolist() == hidden


def test_codes_are_read_between_their_marks() -> None:
    assert codes_between([7, 1, 20, 21, 5, 22, 2, 23], 1, 2, 20, 4) == [0, 1, 2]
    assert codes_between([20, 21], 1, 2, 20, 4) == [0, 1]


def test_resizing_to_the_same_size_changes_nothing_and_a_flat_image_stays_flat() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (42, 42, 3), dtype=np.uint8)
    assert resize(image, (42, 42)) is image
    assert (resize(np.full((31, 57, 3), 91, np.uint8), (42, 42)) == 91).all()


def test_halving_rounds_ties_to_even() -> None:
    image = np.array([[[0, 0, 2], [1, 3, 3]]] * 2, dtype=np.uint8)
    assert resize(image, (1, 1)).reshape(-1).tolist() == [0, 2, 2]


def test_a_width_of_27_patches_makes_14_windows_of_which_the_last_are_half_empty() -> None:
    made = cut(np.zeros((100, 90, 3), np.uint8), CropConfig())
    assert made.grid == (14, 14, 0, 0)
    assert made.crops.shape == (1, 729, 588)
    assert ((made.windows >= 0).sum(1) < 4).sum() == 27
    assert sorted(made.windows[made.windows >= 0].tolist()) == list(range(729))


def test_overlapping_crops_show_every_place_once() -> None:
    made = cut(
        np.zeros((60, 100, 3), np.uint8),
        CropConfig(mode="overlap-and-resize-c2", size=(42, 42), max_crops=4, margins=(1, 1)),
    )
    low, high = made.windows[:4], made.windows[4:]
    assert low.max() == 8
    shown = high[high >= 0]
    assert shown.min() >= 9
    assert len(shown) == len(set(shown.tolist()))


def test_tilings_prefer_the_least_enlarging() -> None:
    assert tiling(100, 200, 100, 8) == (1, 2)
    assert tiling(900, 300, 100, 6) == (3, 1)
    assert tiling(10, 10, 100, 8) == (1, 1)


def test_cropped_images_have_column_tokens_and_the_whole_comes_first() -> None:
    text = image_text((1, 2, 2, 1), ImageMarks())
    assert (
        text == "<low_res_im_start><im_patch><im_patch><im_end><im_start><im_patch><im_col><im_patch><im_col><im_end>"
    )


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_not_an_rgb_image_is_refused(image: Any) -> None:
    with pytest.raises(InputError, match="image: got"):
        cut(image, CropConfig())


def test_margins_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="crop margins"):
        CropConfig(mode="overlap-and-resize-c2", size=(42, 42), margins=(2, 1))


def test_a_processor_config_decides_how_images_are_cut(tmp_path: Path) -> None:
    config = read_config(REFERENCES / "multicrop")
    crops, marks = read_crops(REFERENCES / "multicrop", config)
    assert (crops.mode, crops.max_crops, crops.margins) == ("overlap-and-resize-c2", 4, (1, 1))
    assert (marks.columns, marks.whole_columns) == (True, False)
    for field, value in (("image_mean", [0.48, 0.45, 0.40]), ("image_std", "half"), ("image_processor", 3)):
        (tmp_path / "processor_config.json").write_text(json.dumps({field: value}))
        with pytest.raises(ConfigError) as error:
            read_crops(tmp_path, config)
        assert f"processor_config.json {field}: got {value!r}, allowed is" in str(error.value)
    (tmp_path / "processor_config.json").write_text(json.dumps({"size": {"height": 42}}))
    with pytest.raises(CheckpointError, match=r"processor_config\.json"):
        read_crops(tmp_path, config)


def test_shorter_prompts_are_padded_on_the_left_and_windows_count_on() -> None:
    _, prompter = loaded("base")
    samples = [sampled(prompter, 1, "a"), sampled(prompter, 2, "a longer one")]
    prompt = batch(samples, pad=256)
    assert prompt.valid is not None
    assert prompt.valid[0].tolist() == [False] * 11 + [True] * len(samples[0].ids)
    assert prompt.valid[1].all()
    assert prompt.patches.shape[0] == 4
    assert prompt.windows[8:12].max() == 2 * 9 + 8


def test_the_same_prompts_without_padding_say_so() -> None:
    _, prompter = loaded("base")
    assert batch([sampled(prompter, 1)], pad=256).valid is None


def test_depth_is_refused_where_it_was_not_taught() -> None:
    _, prompter = loaded("base")
    with pytest.raises(InputError, match="depth reasoning"):
        sampled(prompter, 1, depth=True)


def test_a_state_of_another_size_is_refused() -> None:
    _, prompter = loaded("base")
    with pytest.raises(InputError, match="channels: got"):
        prompter.sample([], "wave", np.zeros(5, np.float32), depth=False)


def test_a_state_may_be_left_out_and_needs_tokens_of_its_own() -> None:
    _, prompter = loaded("base")
    assert "The current state" not in prompter.sample([], "wave", None, depth=False).text
    config = replace(prompter.config, tokens=replace(prompter.config.tokens, state_count=0))
    with pytest.raises(InputError, match="without state tokens"):
        replace(prompter, config=config).sample([], "wave", np.zeros(6, np.float32), depth=False)


def test_a_tag_takes_its_cameras_or_their_alternatives() -> None:
    _, prompter = loaded("base")
    tag = replace(prompter.tag, cameras=("top", "left", "right"), alternatives=(("top", "wrist"),))
    assert len(sampled(replace(prompter, tag=tag), 1).crops) == 2
    with pytest.raises(InputError, match="images: got 2, allowed are 3"):
        sampled(replace(prompter, tag=replace(tag, alternatives=())), 1)


def test_a_tokenizer_that_lacks_a_token_is_refused_by_name(tmp_path: Path) -> None:
    config = read_config(REFERENCES / "think")
    table = json.loads((REFERENCES / "think" / "token_table.json").read_text())
    (tmp_path / "token_table.json").write_text(
        json.dumps({name: i for name, i in table.items() if name != "<depth_3>"})
    )
    with pytest.raises(CheckpointError, match="<depth_3>"):
        read_tokenizer(tmp_path, config)
    (tmp_path / "token_table.json").write_text(json.dumps(table | {"<im_patch>": 5}))
    with pytest.raises(CheckpointError, match="'<im_patch>': got id 5"):
        read_tokenizer(tmp_path, config)
    (tmp_path / "token_table.json").write_text(json.dumps({n: i for n, i in table.items() if n != "<setup_end>"}))
    with pytest.raises(CheckpointError, match="'<setup_end>', which every prompt holds"):
        read_tokenizer(tmp_path, config)
    (tmp_path / "token_table.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not found"):
        read_tokenizer(tmp_path, config)


def test_a_learned_tokenizer_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    config = read_config(REFERENCES / "base")
    table = json.loads((REFERENCES / "base" / "token_table.json").read_text())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fillers = iter(range(256, 500))
    names = {i: name for name, i in table.items()}
    tokenizer.add_special_tokens([AddedToken(names.get(i, f"<unused_{i}>")) for i in fillers])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path, config)
    assert read.encode("<im_start>a<state_3>")[::2] == [table["<im_start>"], table["<state_3>"]]
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_tokenizer(tmp_path, config)


def test_bytes_and_special_tokens_are_told_apart() -> None:
    assert ByteTokenizer({"<a>": 300, "<a_1>": 301}).encode("x<a_1>é<a>") == [120, 301, 195, 169, 300]


def stats(tmp_path: Path, mode: str, **changes: Any) -> Path:
    each = {
        "mean": [0, 1],
        "std": [1, 2],
        "min": [-2, 0],
        "max": [2, 0],
        "q01": [-1, -1],
        "q99": [1, 3],
        "q10": [-1, 0],
        "q90": [1, 1],
        "mask": [True, True],
    }
    tag = {"action_horizon": 4, "action_stats": each | changes, "state_stats": each | changes}
    path = tmp_path / "norm_stats.json"
    path.write_text(json.dumps({"norm_mode": mode, "metadata_by_tag": {"arm": tag}}))
    return path


@pytest.mark.parametrize(
    ("mode", "normalised", "back"),
    [
        ("q01_q99", [0.5, 0.0], [0.5, 1.0]),
        ("q10_q90", [0.5, 0.0], [0.5, 0.5]),
        ("min_max", [0.25, 0.0], [0.5, 0.0]),
        ("mean_std", [0.5, 1.0], [0.5, 3.0]),
        ("none", [0.5, 3.0], [0.5, 3.0]),
    ],
)
def test_every_mode_scales_and_returns(tmp_path: Path, mode: str, normalised: list[float], back: list[float]) -> None:
    tag = choose(read_tags(stats(tmp_path, mode)), None)
    assert tag.state is not None
    scaled = tag.state.normalise(np.array([0.5, 3.0], np.float32))
    np.testing.assert_allclose(scaled, normalised, rtol=1e-6)
    np.testing.assert_allclose(tag.state.unnormalise(scaled), back, rtol=1e-6)


def test_unscaled_channels_pass_raw_but_are_clipped_on_the_way_back(tmp_path: Path) -> None:
    tag = choose(read_tags(stats(tmp_path, "q01_q99", mask=[False, True], min=[-2, -3], max=[2, 4])), "arm")
    assert tag.action is not None
    np.testing.assert_allclose(tag.action.normalise(np.array([5.0, 9.0], np.float32)), [5.0, 1.0])
    np.testing.assert_allclose(tag.action.unnormalise(np.array([5.0, 9.0], np.float32)), [1.0, 3.0])


@pytest.mark.parametrize(
    "content",
    [
        {"norm_mode": "sideways", "metadata_by_tag": {}},
        {"format": "v9"},
        {"metadata_by_tag": [1]},
        {"metadata_by_tag": {"arm": None}},
    ],
)
def test_statistics_of_another_kind_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "norm_stats.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="norm_stats"):
        read_tags(tmp_path / "norm_stats.json")


def test_statistics_that_lack_what_their_mode_needs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="q99"):
        read_tags(stats(tmp_path, "q01_q99", q99=None))
    with pytest.raises(CheckpointError, match="channels"):
        read_tags(stats(tmp_path, "q01_q99", q99=[1.0]))
    with pytest.raises(CheckpointError, match="q99 has values that are not finite"):
        read_tags(stats(tmp_path, "q01_q99", q99=[1.0, float("nan")]))
    assert read_tags(stats(tmp_path, "q01_q99", count=[1234]))  # what else a file says is nobody's business


def test_an_unknown_tag_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embodiment tag: got 'arms', allowed are arm"):
        choose(read_tags(stats(tmp_path, "none")), "arms")
