"""The synthetic world is deterministic, keeps its held-out combinations, and can be measured."""

import numpy as np
from train_tiny.captions import caption, plain_caption, vocabulary, words
from train_tiny.clips import clip_of, random_clip, random_starts
from train_tiny.measure import look
from train_tiny.world import DIRECTIONS, Scene, Thing, random_scene


def test_the_same_seed_draws_the_same_clip() -> None:
    """Training can be repeated: everything follows from the seed."""
    one, other = (random_clip(np.random.default_rng(7), change=True).frames for _ in range(2))
    assert np.array_equal(one, other)


def test_training_never_draws_a_held_out_combination() -> None:
    """What is measured on held-out combinations was never trained on, also after a change."""
    rng = np.random.default_rng(0)
    for index in range(300):
        clip = random_clip(rng, change=index % 3 == 0)
        assert not clip.before.held_out or clip.before.things[0].motion == "still"
        assert not clip.after.held_out
        assert not any(start.before.held_out for start in random_starts(rng))


def test_every_caption_is_made_of_the_vocabulary() -> None:
    """The text encoder knows every word of the grammar."""
    rng, known = np.random.default_rng(0), set(vocabulary())
    for index in range(300):
        scene = random_scene(rng, 1 + index % 3)
        for text in (caption(scene, rng, left_out=0.2), plain_caption(scene)):
            assert set(words(text)) <= known, text


def test_what_changes_is_always_mentioned() -> None:
    """A caption that leaves things out leaves out only what stays as it was."""
    before = Scene((Thing("red", "circle", "left"),), "night")
    after = Scene((Thing("blue", "circle", "left"),), "night")
    rng = np.random.default_rng(0)
    for _ in range(50):
        said = words(caption(after, rng, left_out=1.0, instead_of=before))
        assert {"blue", "azure"} & set(said)


def test_the_measures_read_ground_truth() -> None:
    """At least 99 % of drawn scenes are read right, so that a miss is the model's."""
    rng = np.random.default_rng(11)
    tries, misses = 0, []
    for _ in range(60):
        scene = random_scene(rng, held_out=True)
        thing = scene.things[0]
        seen = look(clip_of(rng, scene, scene).frames[9:])
        pairs = [
            (seen.background, scene.background),
            (seen.colour, thing.colour),
            (seen.shape, thing.shape),
        ]
        if thing.motion in (*DIRECTIONS, "still"):
            pairs.append((seen.direction, thing.motion))
        tries += len(pairs)
        misses += [pair for pair in pairs if pair[0] != pair[1]]
    assert len(misses) <= 0.01 * tries, misses
