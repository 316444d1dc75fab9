"""Every format that is read, and what each field of it becomes."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.timelines.files import KREA, VIDEO, WORKFLOW, entry, scope

from framewire.client.timeline import Entry, Moment, Timeline, load_timeline, timeline_of
from framewire.client.timeline.model import WeightedText
from framewire.client.timeline.moves import parts_of, shown_frames


def read(value: Any) -> Timeline:
    return timeline_of(json.dumps(value))


def test_a_timeline_of_2_0_with_all_its_settings() -> None:
    found = read(KREA)
    assert found.format == "Scope timeline 2.0" and found.made_for == "krea-realtime-video"
    assert found.settings == {
        "width": 832, "height": 480, "seed": 42, "denoising_steps": [1000, 750],
        "strength": 0.7, "noise_controller": True,
    }  # fmt: skip
    assert found.not_honoured == () and not found.wants_input
    (part,) = parts_of(found)
    assert part.params["prompt"] == "a lighthouse at dawn"
    assert [(cue.at, cue.values) for cue in part.cues] == [
        (136, {"prompt": "the lighthouse in a storm"})
    ]
    assert part.frames == 272


def test_a_timeline_of_2_1_with_blends_transitions_and_what_nothing_here_does() -> None:
    found = read(VIDEO)
    first, second = found.entries
    assert first.prompts == (WeightedText("fox", 70), WeightedText("robot", 30))
    assert first.values() == {
        "prompt": "fox",
        "prompts": [{"text": "fox", "weight": 70}, {"text": "robot", "weight": 30}],
    }
    assert first.change()["interp_steps"] == 1, "0 steps are at once"
    assert second.change() == {
        "prompt": "robot fox", "interp_steps": 6, "transition": {"method": "slerp"},
    }  # fmt: skip
    assert found.wants_input and found.settings["noise_controller"] is False
    said = " ".join(found.not_honoured)
    assert "manageCache" in said and "kvCacheAttentionBias 0.3" in said
    assert len(found.not_honoured) == 2


def test_a_timeline_of_1_0_with_text_and_what_is_for_the_eye() -> None:
    """Prompts only; `text` is the older name, the last one may still have been growing."""
    items = [
        {"id": "1", "startTime": 0, "endTime": 2.5, "text": "a fox", "color": "#f00"},
        {"id": "2", "startTime": 2.5, "endTime": 2.5, "text": "an owl", "isLive": True},
    ]
    found = read({"version": "1.0", "prompts": items})
    assert found.entries == (
        Entry(Moment(0), Moment(2.5), (WeightedText("a fox"),)),
        Entry(Moment(2.5), None, (WeightedText("an owl"),)),
    )
    assert found.not_honoured == () and shown_frames(parts_of(found)) is None


def test_the_timeline_of_a_workflow() -> None:
    found = read(WORKFLOW)
    assert found.format == "Scope workflow 1.0" and found.made_for == "krea-realtime-video"
    assert found.settings["seed"] == 42 and found.settings["denoising_steps"] == [1000, 750]
    assert (found.settings["width"], found.settings["height"]) == (576, 320)
    assert found.entries[0].values()["blend"] == {"method": "slerp"}
    assert found.entries[1].change() == {
        "prompt": "owl", "interp_steps": 4, "transition": {"method": "linear"},
    }  # fmt: skip
    said = "\n".join(found.not_honoured)
    for what in ("kv_cache_attention_bias 0.3", "the pipeline rife", "graph"):
        assert what in said, said


def test_a_workflow_without_a_timeline_shows_its_prompts() -> None:
    value = {key: each for key, each in WORKFLOW.items() if key != "timeline"}
    (only,) = read(value).entries
    assert (only.text, only.end) == ("owl", None)


@pytest.mark.parametrize(
    "text",
    [
        '{"0": "a", "48": "b"}',
        '{"48": "b", "0": "a"}',
        '"0": "a",\n"48": "b",',
        '{"prompts": ["a", "b"], "switch_frame_indices": [12]}',
        '{"prompts": ["a", "b"], "switch_frame_indices": "12"}\n{"prompts": ["c"]}\n',
        '{"switch_frame_indices": [12]}\n{"prompts": ["a", "b"]}',
        '{"switch_frame_indices": [12]}\n{"prompt": "a"}\n{"prompt": "b"}',
    ],
)
def test_prompts_by_frame_and_lists_by_latent_frame(text: str) -> None:
    """Four frames to a latent frame; neither has an end."""
    (part,) = parts_of(timeline_of(text))
    assert part.params == {"prompt": "a"} and part.frames is None
    assert [(cue.at, cue.values) for cue in part.cues] == [(48, {"prompt": "b"})]


def test_deforum_s_settings_say_size_seed_and_length() -> None:
    value = {
        "prompts": {"0": "a --neg blurry", "48": "b"}, "max_frames": 96, "W": 512, "H": 512,
        "seed": 5, "animation_mode": "2D",
    }  # fmt: skip
    found = read(value)
    assert found.settings == {"width": 512, "height": 512, "seed": 5}
    assert [one.text for one in found.entries] == ["a", "b"]
    said = "\n".join(found.not_honoured)
    assert "blurry" in said and "animation_mode" in said
    assert shown_frames(parts_of(found)) == 96
    assert "seed" not in read(value | {"seed": -1}).settings, "by chance"


def test_a_prompt_list_may_say_its_length() -> None:
    text = '{"prompts": ["a", "b"], "switch_frame_indices": [12], "num_output_frames": 24}'
    assert shown_frames(parts_of(timeline_of(text))) == 96


def test_both_spellings_of_the_bias_and_every_setting_that_cannot_be_honoured_is_named() -> None:
    settings = {
        "kv_cache_attention_bias": 0.5, "quantization": "fp8_e4m3fn", "vaeType": "tae",
        "loras": [{"path": "x", "scale": 1}], "denoisingSteps": [500, 750], "seed": 2**31,
        "somethingNew": 1, "vaceEnabled": True,
        "schemaFieldOverrides": {"base_seed": 7, "another": 2},
    }  # fmt: skip
    found = read(scope("2.1", **settings))
    said = "\n".join(found.not_honoured)
    for what in (
        "kv_cache_attention_bias", "quantization fp8_e4m3fn", "vaeType", "loras", "denoisingSteps",
        "seed 2147483648", "somethingNew", "vaceEnabled", "schemaFieldOverrides.another",
    ):  # fmt: skip
        assert f"settings.{what}" in said, said
    assert found.settings["seed"] == 7 and "denoising_steps" not in found.settings


def test_what_an_entry_says_that_is_not_known_is_named() -> None:
    found = read(scope("2.1", entry(0, 1, "a", transitionSteps=100, shiny=True)))
    assert found.not_honoured == (
        "prompts[0].transitionSteps 100: 64 at most, taken instead",
        "prompts[0].shiny: not known here",
    )
    assert found.entries[0].transition_steps == 64


def test_entries_that_touch_within_a_frame_follow_each_other() -> None:
    """Playheads count in floats."""
    found = read(scope("2.0", entry(0, 3.0000001, "a"), entry(3, 6, "b")))
    assert shown_frames(parts_of(found)) == 96


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(KREA).encode())
    assert load_timeline(path) == read(KREA), "a byte order mark is none of its business"
    with pytest.raises(Exception, match=r"nowhere\.json: No such file"):
        load_timeline(tmp_path / "nowhere.json")


def test_a_line_of_a_prompt_list_ends_where_json_lines_do() -> None:
    """Some letters are line ends to Python and to nobody else."""
    text = '{"prompts": ["a\u2028b", "c\x85d"], "switch_frame_indices": [12]}\n'
    assert [entry.prompts[0].text for entry in timeline_of(text).entries] == ["a\u2028b", "c\x85d"]
