"""What Serve is told follows from the worker's settings, and what makes no sense is refused."""

import pytest

from framewire.worker.config import ConfigError
from framewire.worker.on_ray.settings import check_reach, serve_options, settings_on_ray

TESTCARD = {"FRAMEWIRE_BACKEND": "testcard"}


def options(**settings: str) -> dict[str, object]:
    environ = TESTCARD | {f"FRAMEWIRE_{name}": value for name, value in settings.items()}
    return serve_options(settings_on_ray(environ), environ)


def test_more_sockets_get_through_than_there_are_places_and_places_in_line() -> None:
    """Else whoever finds none would hang instead of being told so."""
    found = options(MAX_SESSIONS="3", QUEUE="5")
    assert found["max_ongoing_requests"] == 3 + 5 + 4
    assert found["max_queued_requests"] == -1, "never an HTTP error in the place of words"


def test_serve_waits_longer_than_the_workers_own_grace() -> None:
    assert options(GRACE="90")["graceful_shutdown_timeout_s"] == 95


def test_replicas_are_added_by_open_sessions_between_the_limits() -> None:
    scale = options(MAX_SESSIONS="10", RAY_MIN_REPLICAS="2", RAY_MAX_REPLICAS="7")
    found = scale["autoscaling_config"]
    assert isinstance(found, dict)
    assert (found["min_replicas"], found["max_replicas"]) == (2, 7)
    assert found["target_ongoing_requests"] == pytest.approx(8)
    alone = options(RAY_MIN_REPLICAS="9")["autoscaling_config"]
    assert isinstance(alone, dict) and alone["max_replicas"] == 9


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        ({"BACKEND": "testcard"}, 0),
        ({"BACKEND": "tiny"}, 0),
        ({"BACKEND": "wan", "PRESET": "krea-realtime-14b"}, 1),
        ({"BACKEND": "wan", "PRESET": "krea-realtime-14b", "NUM_GPUS": "2"}, 2),
        ({"BACKEND": "wan", "PRESET": "krea-realtime-14b", "DEVICE": "cuda:0,cuda:1"}, 2),
        ({"BACKEND": "wan", "PRESET": "krea-realtime-14b", "DEVICE": "cpu"}, 0),
        ({"BACKEND": "auto", "PRESET": "tiny"}, 0),
        ({"BACKEND": "wan", "PRESET": "tiny-random"}, 0),
    ],
)
def test_a_replica_takes_the_gpus_that_its_model_is_spread_over(
    settings: dict[str, str], gpus: int
) -> None:
    actor = options(**settings)["ray_actor_options"]
    assert isinstance(actor, dict) and actor["num_gpus"] == gpus


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RAY_MAX_REPLICAS": "many"}, "RAY_MAX_REPLICAS 'many': give a number"),
        ({"RAY_MIN_REPLICAS": "3", "RAY_MAX_REPLICAS": "2"}, "the other way"),
        ({"RAY_MAX_REPLICAS": "0", "RAY_MIN_REPLICAS": "0"}, "at least 1"),
        ({"RAY_MAX_REPLICAS": "9" * 40}, "give a number"),
        ({"BACKEND": "krea"}, "no backend 'krea': choose one of auto"),
        ({"BACKEND": "auto", "PRESET": "krea"}, "no preset 'krea': choose one of"),
    ],
)
def test_what_no_replica_could_be_made_of_is_refused_before_serve_waits_for_one(
    settings: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        options(**settings)


def test_a_proxy_that_others_can_reach_needs_auth() -> None:
    open_to_all = settings_on_ray(TESTCARD)
    check_reach(open_to_all, "127.0.0.1")
    with pytest.raises(ConfigError, match="auth is none"):
        check_reach(open_to_all, "0.0.0.0")
    check_reach(
        settings_on_ray(TESTCARD | {"FRAMEWIRE_AUTH": "jwt", "FRAMEWIRE_SECRET": "s" * 32}),
        "0.0.0.0",
    )


def test_what_one_replica_alone_would_know_of_is_off_unless_asked_for() -> None:
    """Serve sends a request to any replica: a queued one would not be found again."""
    assert settings_on_ray(TESTCARD).jobs == 0
    assert settings_on_ray(TESTCARD | {"FRAMEWIRE_JOBS": "5"}).jobs == 5
