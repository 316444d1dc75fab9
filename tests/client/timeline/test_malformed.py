"""Files that cannot be played: each is refused with the entry that is at fault, and no traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.timelines.files import VIDEO, WORKFLOW, entry, scope

from framewire.client.cli import main
from framewire.client.errors import TimelineError
from framewire.client.timeline import timeline_of
from framewire.client.timeline.moves import parts_of


def with_entry(*entries: Any) -> str:
    return json.dumps({"version": "2.1", "prompts": [*entries]})


def with_settings(**settings: Any) -> str:
    return json.dumps(scope("2.1", **settings))


def with_marker(**marker: Any) -> str:
    return json.dumps(scope() | {"markers": [marker]})


MALFORMED = {
    "": "is empty",
    "{": "line 1, column 2: no JSON",
    "null": "the file: is null",
    "[1, 2]": "the file: is a list",
    '"a prompt"': "the file: is the text 'a prompt'",
    '"0": "a" "48"': "no JSON",
    "{}": "has nothing in it",
    '{"a": 1}': "the file: has a",
    '{"version": "3.0", "prompts": []}': "version: is the text '3.0'; expected one of 1.0, 2.0, 2.1",
    '{"prompts": [{"startTime": 0}]}': "version: is missing",
    '{"version": true, "prompts": []}': "version: is true",
    with_entry(): "prompts: is empty",
    '{"version": "2.0", "prompts": 5}': "prompts: is the number 5; expected a list",
    with_entry("a"): "prompts[0]: is the text 'a'; expected an object",
    with_entry(entry(0, 3, "a"), entry(2, 5, "b")): "prompts[1]: begins at 2 s, within prompts[0]",
    with_entry(entry(0, 3, "a"), entry(4, 5, "b")): "prompts[1]: leaves a gap from 3 s to 4 s",
    with_entry(entry(1, 3, "a")): "prompts[0]: begins at 1 s; expected the first entry to begin",
    with_entry(entry(3, 6, "a") | {"framewire": {"frame": 48}}): "prompts[0]: begins at 3 s",
    with_entry(entry(-1, 3, "a")): "prompts[0].startTime: is -1; expected 0 to",
    with_entry(entry(0, 0, "a")): "prompts[0]: runs from 0 s to 0 s",
    with_entry(entry(0, None, "a"), entry(3, 6, "b")): "prompts[0].endTime: is null",
    with_entry(entry(0, 3, "a") | {"startTime": "0"}): "prompts[0].startTime: is the text '0'",
    with_entry(entry(0, 3, "a") | {"startTime": False}): "prompts[0].startTime: is false",
    with_entry({"startTime": 0, "endTime": 3}): "prompts[0]: has no prompts",
    with_entry({"startTime": 0, "endTime": 3, "prompts": []}): "prompts[0].prompts: is empty",
    with_entry(entry(0, 3, "  ")): "prompts[0].prompts[0].text: is blank",
    with_entry(entry(0, 3, "x" * 9000)): "is a prompt of 9000 characters; expected at most 8192",
    with_entry(entry(0, 3, "a", transitionSteps=-1)): "prompts[0].transitionSteps: is -1",
    with_entry(entry(0, 3, "a", transitionSteps=1.5)): "prompts[0].transitionSteps: is 1.5",
    with_entry(
        entry(0, 3, "a", temporalInterpolationMethod="cubic")
    ): "prompts[0].temporalInterpolationMethod: is the text 'cubic'; expected linear or slerp",
    with_entry(entry(0, 1e300, "a")): "prompts[0].endTime: is 1e+300",
    '{"version":"2.0","prompts":[{"startTime":0,"endTime":NaN,"text":"a"}]}': "endTime: is nan",
    '{"version":"2.0","prompts":[{"startTime":0,"endTime":1e999,"text":"a"}]}': "endTime: is inf",
    with_entry(
        {"startTime": 0, "endTime": 3, "prompts": [{"text": "a", "weight": -5}]}
    ): "prompts[0].prompts[0].weight: is -5",
    with_entry(
        {"startTime": 0, "endTime": 3, "prompts": [{"text": "a", "weight": 0}]}
    ): "prompts[0].prompts: has no weight above 0",
    with_entry(
        {"startTime": 0, "endTime": 3, "prompts": [{"text": 5}]}
    ): "prompts[0].prompts[0].text: is the number 5",
    with_settings(resolution="832x480"): "settings.resolution: is the text '832x480'",
    with_settings(resolution={"width": 10, "height": 480}): "settings.resolution.width: is 10",
    with_settings(seed="42"): "settings.seed: is the text '42'",
    with_settings(denoisingSteps=[]): "settings.denoisingSteps: has 0 steps",
    with_settings(denoisingSteps=[1000, "x"]): "settings.denoisingSteps[1]: is the text 'x'",
    with_settings(noiseScale=7): "settings.noiseScale: is 7; expected 0 to 1",
    with_settings(noiseController="yes"): "settings.noiseController: is the text 'yes'",
    with_settings(inputMode="audio"): "settings.inputMode: is the text 'audio'",
    with_settings(kvCacheAttentionBias=3): "settings.kvCacheAttentionBias: is 3",
    with_marker(time=1, type="dance"): "markers[0].type: is the text 'dance'",
    with_marker(time=9, type="reset"): "markers[0].time: is 9; expected 0 to 6",
    with_marker(time=1, type="pause"): "markers[0]: pauses for no time",
    with_marker(time=1, type="jump"): "markers[0].to: is null",
    '{"48": "a"}': "['48']: is the first, at frame 48; expected a prompt at frame 0",
    '{"0": "a", "-5": "b"}': "['-5']: is no frame",
    '{"0": "a", "0": "b"}': "'0' stands there twice",
    '{"0": "a", " 0": "b"}': "is frame 0 once more",
    '{"0": 5}': "['0']: is the number 5; expected a prompt",
    '{"0": "a", "99999999999": "b"}': "['99999999999']: is 99999999999",
    '{"prompts": ["a", "b"], "switch_frame_indices": [1, 2]}': "has 2 for 2 prompts; expected 1",
    '{"prompts": ["a", "b", "c"], "switch_frame_indices": [9, 3]}': "switch_frame_indices[1]: is 3",
    '{"prompts": ["a", "b"], "switch_frame_indices": "x"}': "switch_frame_indices[0]: is the text 'x'",
    '{"prompts": ["a", 5], "switch_frame_indices": [1]}': "prompts[1]: is the number 5",
    '{"format": "scope-workflow"}': "has neither a timeline nor prompts",
    '{"format": "scope-workflow", "timeline": {"entries": []}}': "timeline.entries: is empty",
    '{"version": "2.1", "prompts": ' + "[" * 5000 + "]" * 5000 + "}": "nested too deep",
    '{"0": ' + "9" * 5000 + "}": "number",
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), MALFORMED.items(), ids=range(len(MALFORMED)))
def test_what_is_wrong_is_said_with_its_place_and_what_would_be_right(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By both commands, with exit code 2; in JSON as well."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert main(["timeline", "check", str(path)]) == 2
    said = capsys.readouterr()
    assert says in said.err and "Traceback" not in said.err and said.out == ""
    assert said.err.startswith(f"framewire timeline check: {path}: ")
    assert main(["timeline", "show", str(path), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False and says in found["error"]["reason"]


def test_there_are_forty_of_them() -> None:
    assert len(MALFORMED) >= 40


def test_what_is_no_text_at_all_is_refused_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    for data in (b"\xff\xfe{\x00}\x00", b"\x89PNG\r\n", b"\x00" * 50, b" " * 33_000_000):
        path.write_bytes(data)
        assert main(["timeline", "check", str(path)]) == 2
        assert str(path) in capsys.readouterr().err
    assert main(["timeline", "check", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["0", "48", "prompts"]), inner)
    ),
    max_leaves=12,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, each in inner:
            found += (
                _places(each, (*path, key)) if isinstance(each, dict | list) else [(*path, key)]
            )
    return found


@given(data=st.data())
def test_any_value_in_any_place_is_played_or_refused_in_words(data: st.DataObject) -> None:
    """Nothing else than a TimelineError comes of it, and what is read can be laid out."""
    whole = json.loads(json.dumps(data.draw(st.sampled_from([VIDEO, WORKFLOW, scope()]))))
    *path, last = data.draw(st.sampled_from(_places(whole)))
    owner = whole
    for key in path:
        owner = owner[key]
    owner[last] = data.draw(JSON)
    try:
        parts = parts_of(timeline_of(json.dumps(whole)), frames=500)
    except TimelineError as error:
        assert error.reason
    else:
        assert sum(part.frames or 0 for part in parts) <= 500


@given(value=JSON, text=st.text(max_size=40))
def test_any_json_and_any_text_is_played_or_refused_in_words(value: Any, text: str) -> None:
    for said in (json.dumps(value), text, "{" + text, f'{{"0": {json.dumps(text)}}}'):
        for lines in (False, True):
            try:
                timeline_of(said, lines=lines)
            except TimelineError as error:
                assert error.reason
