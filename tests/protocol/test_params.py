"""What a client may ask for: accepted as real encoders send it, refused with a useful reason."""

import base64
import math
from typing import Any

import pytest
from pydantic import ValidationError

from framewire.protocol import MAX_SEED, Params, Steer
from framewire.protocol.limits import MAX_ID_CHARS, MAX_PROMPT_CHARS

JPEG = b"\xff\xd8\xff\xe0picture\xff\xd9"
BASE64 = base64.b64encode(JPEG).decode()


def params(**values: Any) -> Params:
    return Params.model_validate({"prompt": "a lighthouse"} | values)


def steer(**values: Any) -> Steer:
    return Steer.model_validate(values)


def refusal(build: Any, **values: Any) -> dict[str, Any]:
    """The one thing that is wrong with these values."""
    with pytest.raises(ValidationError) as caught:
        build(**values)
    (error,) = caught.value.errors(include_url=False, include_context=False, include_input=False)
    return dict(error)


@pytest.mark.parametrize(
    ("key", "least", "most", "below", "above"),
    [
        ("width", 64, 2048, 63, 2049),
        ("height", 64, 2048, 63, 2049),
        ("num_blocks", 1, 2**63 - 1, 0, 2**63),
        ("num_denoising_steps", 1, 8, 0, 9),
        ("seed", 0, MAX_SEED, -1, MAX_SEED + 1),
        ("strength", 0.01, 1, -0.1, 1.5),
        ("timestep_shift", 0.1, 20, 0.05, 20.5),
        ("kv_cache_num_frames", 1, 12, 0, 13),
        ("interp_steps", 1, 64, -1, 65),
        ("fps", 0, 1000, -0.1, 1001),
    ],
)
def test_ranges_hold_at_both_ends(
    key: str, least: float, most: float, below: float, above: float | None
) -> None:
    for value in (least, most):
        assert getattr(params(**{key: value}), key) == value
    for value in (below, above):
        if value is not None:
            error = refusal(params, **{key: value})
            assert error["loc"] == (key,)
            assert error["type"].startswith(("greater_than", "less_than"))


@pytest.mark.parametrize(
    "key",
    ["width", "num_blocks", "num_denoising_steps", "seed", "kv_cache_num_frames", "interp_steps"],
)
def test_integers_may_come_as_floats_without_a_fraction(key: str) -> None:
    value = 64 if key in ("width", "interp_steps") else 4
    assert getattr(params(**{key: float(value)}), key) == value
    assert isinstance(getattr(params(**{key: float(value)}), key), int)
    for wrong in (value + 0.5, math.nan, math.inf, 1e300):
        assert refusal(params, **{key: wrong})["loc"] == (key,)


@pytest.mark.parametrize(
    "key",
    [
        "width",
        "num_blocks",
        "num_denoising_steps",
        "seed",
        "strength",
        "interp_steps",
        "kv_cache_num_frames",
    ],
)
def test_true_and_false_are_no_numbers(key: str) -> None:
    assert "true or false" in refusal(params, **{key: True})["msg"]


@pytest.mark.parametrize("key", ["strength", "timestep_shift", "fps"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(key: str, value: float) -> None:
    assert refusal(params, **{key: value})["loc"] == (key,)


def test_a_strength_below_one_hundredth_acts_as_one_hundredth() -> None:
    assert params(strength=0).strength == params(strength=0.001).strength == 0.01
    assert params(strength=1).strength == 1.0


def test_aliases_are_read_and_sent_under_one_name() -> None:
    read = params(noise_scale=0.3, interpolation_steps=2)
    assert (read.strength, read.interp_steps) == (0.3, 2)
    assert read.wire() == {"prompt": "a lighthouse", "strength": 0.3, "interp_steps": 2}
    assert steer(interpolation_steps=3.0).interp_steps == 3
    assert steer(noise_scale=0.5).strength == 0.5


def test_where_both_names_are_sent_ours_wins() -> None:
    assert steer(interp_steps=1, interpolation_steps=9).interp_steps == 1


@pytest.mark.parametrize("fps", [5e-324, 1e-9, 0.09])
def test_a_pace_that_never_shows_a_frame_is_refused_with_the_slowest_there_is(fps: float) -> None:
    """Such a stream would hold its place without sending anything."""
    error = refusal(params, fps=fps)
    assert error["loc"] == ("fps",)
    assert error["msg"].endswith("greater than or equal to 0.1")


def test_no_frames_a_second_are_no_pace_and_false_is_no_number() -> None:
    assert params(fps=0).fps == 0 and params(fps=0.1).fps == 0.1
    assert "true or false" in refusal(params, fps=False)["msg"]


def test_blocks_beyond_63_bits_are_refused() -> None:
    for key in ("num_blocks", "at_block"):
        assert refusal(steer, **{key: 2**63})["loc"] == (key,)
        assert getattr(steer(**{key: 2**63 - 1}), key) == 2**63 - 1


@pytest.mark.parametrize("value", [b"a lighthouse", b"\xff", b""])
def test_text_given_as_bytes_is_refused_in_words_that_say_so(value: bytes) -> None:
    """Whether the bytes happen to be UTF-8 makes no difference."""
    wrong = [
        refusal(Params.model_validate, obj={"prompt": value}),
        refusal(steer, prompt=value),
        refusal(steer, request_id=value),
    ]
    for error in wrong:
        assert "not bytes (msgpack bin)" in error["msg"]


@pytest.mark.parametrize("prompt", ["", " ", "\n\t "])
def test_a_blank_prompt_is_refused(prompt: str) -> None:
    assert "blank" in refusal(Params.model_validate, obj={"prompt": prompt})["msg"]
    assert "blank" in refusal(steer, prompt=prompt)["msg"]


def test_a_prompt_is_required_and_limited_in_length() -> None:
    assert refusal(Params.model_validate, obj={})["type"] == "missing"
    assert params(prompt="x" * MAX_PROMPT_CHARS)
    assert refusal(params, prompt="x" * (MAX_PROMPT_CHARS + 1))["type"] == "string_too_long"
    assert refusal(params, prompt=5)["type"] == "string_type"
    assert refusal(params, prompt="\ud800")["loc"] == ("prompt",)


@pytest.mark.parametrize(
    "value",
    [
        JPEG,
        BASE64,
        f"data:image/jpeg;base64,{BASE64}",
        f"data:;base64,{BASE64}",
        "\n".join(BASE64[at : at + 8] for at in range(0, len(BASE64), 8)),
    ],
    ids=["bin", "base64", "data URL", "data URL without type", "wrapped base64"],
)
def test_pictures_come_as_bytes_base64_or_data_url(value: object) -> None:
    assert params(start_frame=value).start_frame == JPEG
    assert steer(image=value).image == JPEG


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "../secret.png",
        "file:///etc/passwd",
        "https://example.com/cat.jpg",
        "http://169.254.169.254/latest",
        "data:image/png,notbase64",
        "data:image/png;base64,***",
        "not base64!",
        "ünïcode",
        "abc",
    ],
)
def test_paths_and_urls_are_refused(value: str) -> None:
    for key, build in (("start_frame", params), ("image", steer)):
        error = refusal(build, **{key: value})
        assert error["loc"] == (key,)
        assert "data URL" in error["msg"]
        assert value not in error["msg"]


@pytest.mark.parametrize("value", [b"", "", "data:image/png;base64,", 5, [1], {}])
def test_an_empty_picture_or_none_at_all_is_refused(value: object) -> None:
    assert refusal(params, start_frame=value)["loc"] == ("start_frame",)


def test_denoising_steps_must_fall_strictly() -> None:
    assert params(denoising_steps=[1000, 750.5, 0]).denoising_steps == (1000, 750.5, 0)
    assert params(denoising_steps=[700]).denoising_steps == (700,)
    for wrong in ([500, 500], [500, 700], [], [1001], [-1], [math.nan], [9] * 17, "1000", 1000):
        with pytest.raises(ValidationError):
            params(denoising_steps=wrong)


@pytest.mark.parametrize(
    ("key", "value"), [("input", "some"), ("fmt", "png"), ("events", "maybe"), ("webcam_mode", 7)]
)
def test_choices_are_checked(key: str, value: object) -> None:
    assert refusal(params, **{key: value})["loc"] == (key,)


def test_unknown_keys_are_ignored() -> None:
    krea = {"context_noise": 0.0, "block_on_frame": False, "webcam_fps": 10, "x": {"y": [1]}}
    assert params(**krea) == params()
    assert steer(**krea) == steer()


def test_only_what_was_set_is_sent() -> None:
    assert Params(prompt="x", seed=7, width=None).wire() == {"prompt": "x", "seed": 7}
    assert Steer(action="end").wire() == {"action": "end"}


def test_later_params_take_what_they_leave_out_from_earlier_ones() -> None:
    earlier = Params(prompt="a", seed=7, width=640)
    merged = Params(prompt="b", width=832, seed=None).over(earlier)
    assert (merged.prompt, merged.seed, merged.width) == ("b", 7, 832)
    assert (earlier.prompt, earlier.width) == ("a", 640)


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        params().seed = 5


def test_a_live_map_of_the_demo_app_is_read() -> None:
    read = steer(image=JPEG, strength=0.5, prompt="x", num_blocks=1000, timestamp=1763689876543.0)
    assert (read.image, read.num_blocks, read.timestamp) == (JPEG, 1000, 1763689876543.0)


@pytest.mark.parametrize(
    "values",
    [
        {"action": "stop"},
        {"at_block": -1},
        {"at_block": True},
        {"request_id": "x" * (MAX_ID_CHARS + 1)},
        {"timestamp": math.nan},
        {"num_blocks": 0},
        {"seed": MAX_SEED + 1},
    ],
)
def test_a_bad_steer_is_refused(values: dict[str, Any]) -> None:
    assert refusal(steer, **values)["loc"] == tuple(values)


@pytest.mark.parametrize(
    "loras", [{"ink": 2.1}, {"ink": -0.1}, {"ink": True}, {"ink": "much"}, {"": 1}, ["ink"], "ink"]
)
def test_strengths_of_adapters_are_numbers_from_0_to_2_by_name(loras: object) -> None:
    with pytest.raises(ValidationError):
        Params.model_validate({"prompt": "a", "loras": loras})
    assert Params.model_validate({"prompt": "a", "loras": {"ink": 2}}).loras == {"ink": 2.0}
