"""Settings: where they come from, what is refused, and what is never shown."""

import pytest

from framewire.worker.cli import main
from framewire.worker.config import Config, ConfigError
from framewire.worker.settings import settings_of

SECRET = "a secret of more than thirty-two bytes"


def test_the_environment_sets_every_field_and_what_is_given_wins() -> None:
    environ = {
        "FRAMEWIRE_PORT": "9001",
        "FRAMEWIRE_MAX_SESSIONS": "7",
        "FRAMEWIRE_GRACE": "2.5",
        "FRAMEWIRE_ALIAS": "other",
        "UNRELATED": "x",
    }
    config = Config.load(environ, port=9002, alias=None)
    assert (config.port, config.max_sessions, config.grace, config.alias) == (9002, 7, 2.5, "other")


def test_every_field_can_be_set_from_the_environment() -> None:
    for entry, _ in settings_of(Config):
        special = {
            "auth": "platform",
            "fal": "",
            "origins": "https://app.example",
            "ssl_keyfile": "",
            "ssl_certfile": "",
            "warm_sizes": "64x64",
            "secret": SECRET,
        }
        plain = True if entry.default is False else entry.default or 1
        text = special.get(entry.name, str(plain))
        beside = {"FRAMEWIRE_LORA": "gold"} if entry.name == "lora_live" else {}
        loaded = Config.load(beside | {f"FRAMEWIRE_{entry.name.upper()}": text})
        holders = (loaded, loaded.model, loaded.model.options)
        (value,) = (getattr(one, entry.name) for one in holders if hasattr(one, entry.name))
        assert (",".join(value) if isinstance(value, tuple) else str(value)) == text


def test_a_value_of_the_wrong_type_names_the_variable_and_what_it_should_be() -> None:
    with pytest.raises(ConfigError, match=r"FRAMEWIRE_PORT: expected int, got 'eighty'"):
        Config.load({"FRAMEWIRE_PORT": "eighty"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "worker.example", ""])
def test_an_address_others_can_reach_is_refused_without_auth(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--auth jwt.*or bind --host 127\.0\.0\.1"):
        Config(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_auth(host: str) -> None:
    assert Config(host=host).loopback


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "localhost.example.com", "0"])
def test_what_only_looks_like_loopback_is_none(host: str) -> None:
    with pytest.raises(ConfigError):
        Config(host=host)


@pytest.mark.parametrize("auth", [{"auth": "jwt", "secret": SECRET}, {"auth": "jwt", "key": "k"}])
def test_an_open_address_with_tokens_is_served(auth: dict[str, str]) -> None:
    assert not Config(host="0.0.0.0", **auth).loopback  # type: ignore[arg-type]


def test_tokens_need_something_to_sign_or_mint_them_with() -> None:
    with pytest.raises(ConfigError, match="FRAMEWIRE_SECRET"):
        Config(auth="jwt")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auth": "basic"}, "none, jwt, platform"),
        ({"ssl_keyfile": "k.pem"}, "go together"),
        ({"port": -1}, "port must be at least 0"),
        ({"alias": "fal-ai/krea-wan-14b"}, "the app's name alone"),
        ({"port": 70000}, "port must be at most 65535"),
        ({"max_sessions": -1}, "max_sessions must be at least 0"),
        ({"queue": -1}, "queue must be at least 0"),
        ({"decoder": "vhs"}, "choose one of wan, taehv"),
        ({"context_every": 0}, "context_every must be at least 1"),
        ({"warm_sizes": "832x480,big"}, "expected WIDTHxHEIGHT"),
        ({"warm_sizes": "100x100"}, "multiples of 16"),
        ({"lora_live": True}, "no adapter to keep beside the weights"),
        ({"codec_threads": 0}, "codec_threads must be at least 1"),
        ({"caller_sockets": -1}, "caller_sockets must be at least 0"),
        ({"forwarded_allow_ips": "127.0.0.1, proxy.example"}, "forwarded_allow_ips.*proxy.example"),
        ({"forwarded_allow_ips": "10.0.0.1/8"}, "forwarded_allow_ips.*host bits"),
    ],
)
def test_what_cannot_be_served_with_is_refused_in_words(
    values: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.load({}, **values)


def test_behind_a_proxy_a_key_alone_is_refused() -> None:
    """Each worker would sign with a secret of its own: a token of one would not open the next."""
    given = {"auth": "jwt", "key": "k", "forwarded_allow_ips": "127.0.0.1"}
    with pytest.raises(ConfigError, match="FRAMEWIRE_SECRET"):
        Config.load({}, **given)
    with pytest.raises(ConfigError, match="FRAMEWIRE_SECRET"):
        Config.load({"FRAMEWIRE_FORWARDED_ALLOW_IPS": "10.0.0.0/8"}, auth="jwt", key="k")
    assert Config.load({"FRAMEWIRE_SECRET": SECRET}, **given).secret == SECRET
    assert Config.load({}, auth="jwt", key="k").key == "k"  # one worker, and nothing in front


def test_what_is_shown_says_only_whether_secrets_are_set() -> None:
    config = Config(auth="jwt", secret=SECRET, key="the key", host="0.0.0.0")
    assert SECRET not in str(config.shown()) and "the key" not in str(config.shown())
    assert (config.shown()["secret"], config.shown()["key"]) == ("set", "set")
    assert Config().shown()["secret"] == "not set"
    assert set(config.shown()) == {entry.name for entry, _ in settings_of(Config)}


def test_the_config_itself_does_not_print_its_secrets() -> None:
    """A config in a traceback or a debug line must not give them away."""
    secrets = {
        name: f"{SECRET}: the {name}"
        for name, value in Config().shown().items()
        if value == "not set"
    }
    assert {"secret", "key"} <= set(secrets)
    printed = repr(Config(**secrets))
    assert not [value for value in secrets.values() if value in printed]


def test_the_command_refuses_an_open_address_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry, _ in settings_of(Config):
        monkeypatch.delenv(f"FRAMEWIRE_{entry.name.upper()}", raising=False)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "--auth jwt" in said.err


def test_the_command_names_an_unknown_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--backend", "dreams"]) == 2
    assert "no backend 'dreams'" in capsys.readouterr().err


def test_as_many_sessions_as_memory_has_room_for_is_a_word_and_switches_are_words_too() -> None:
    given = {"FRAMEWIRE_MAX_SESSIONS": "auto", "FRAMEWIRE_FP8": "yes", "FRAMEWIRE_COMPILE": "0"}
    config = Config.load(given)
    options = config.model.options
    assert (config.max_sessions, options.fp8, options.compile) == (0, True, False)
    with pytest.raises(ConfigError, match="FRAMEWIRE_FP8: expected yes or no, got 'maybe'"):
        Config.load({"FRAMEWIRE_FP8": "maybe"})


def test_options_that_were_set_by_hand_are_known_from_those_that_were_not() -> None:
    """Also where they say what is so anyway; a speed leaves them alone."""
    config = Config.load({"FRAMEWIRE_COMPILE": "no", "FRAMEWIRE_PORT": "1"}, decoder="wan")
    assert config.model.given == {"compile", "decoder"} and config.model.speed == "faithful"
    assert Config.load({}, fuse_qkv=None).model.given == frozenset()
    with pytest.raises(ConfigError, match="speed 'warp': choose one of faithful, fast, max"):
        Config.load({"FRAMEWIRE_SPEED": "warp"})


def test_a_secret_that_can_be_guessed_from_a_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="secret of 7 bytes can be guessed"):
        Config(auth="jwt", secret="hunter2")


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_as_unset(text: str) -> None:
    """As shells and compose files leave them: FRAMEWIRE_PORT= says nothing."""
    environ = {f"FRAMEWIRE_{entry.name.upper()}": text for entry, _ in settings_of(Config)}
    assert Config.load(environ) == Config.load({})


@pytest.mark.parametrize("name", ["key", "expansion_key"])
@pytest.mark.parametrize("value", ["k-secret-123”", "é", "k\r\nX-Evil: 1"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(name: str, value: str) -> None:
    """No viewer could ever send it."""
    with pytest.raises(ConfigError, match=f"^{name} has a character") as caught:
        Config(**{name: value})  # type: ignore[arg-type]
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("pace", "fps"), [("preset", None), ("off", 0), ("0", 0), ("24", 24), ("0.1", 0.1)]
)
def test_the_pace_of_pages_is_the_preset_s_none_or_so_many_frames_a_second(
    pace: str, fps: float | None
) -> None:
    assert Config.load({"FRAMEWIRE_PACE": pace}).page_fps == fps


@pytest.mark.parametrize("pace", ["fast", "nan", "inf", "-1", "0.05", "1001", "5e-324"])
def test_a_pace_that_is_none_is_refused_in_words(pace: str) -> None:
    with pytest.raises(ConfigError, match=r"pace .*: give preset, off, or 0\.1 to 1000 frames"):
        Config(pace=pace)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("*", "https://example.com"),
        ("app.example", "https://example.com"),
        ("https://app.example/", "a browser writes it https://app.example"),
        ("https://app.example:443", "a browser writes it https://app.example"),
        ("https://App.Example", "a browser writes it https://app.example"),
        ("https://*.app.example", "no wildcards"),
        ("https://user@app.example", "a browser writes it https://app.example"),
        ("https://app.example:port", "port"),
        ("http://ok.example, null", "https://example.com"),
    ],
)
def test_an_origin_that_could_never_match_is_refused_with_what_would_be_right(
    listed: str, words: str
) -> None:
    with pytest.raises(ConfigError, match="origins: ") as refused:
        Config(origins=listed)
    assert words in str(refused.value)


def test_origins_are_as_browsers_write_them() -> None:
    listed = "https://app.example, http://localhost:3000,http://[::1]:8080 , capacitor://localhost"
    assert Config(origins=listed).origins == listed


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"FAL_KEY": "a:b", "FAL_API_KEY": "c"}, "a:b"),
        ({"FAL_KEY_ID": "a", "FAL_KEY_SECRET": "b", "FAL_API_KEY": "c"}, "a:b"),
        ({"FAL_KEY_ID": "a", "FAL_API_KEY": "c"}, "c"),
        ({"FAL_KEY": "a:b", "FRAMEWIRE_FAL_KEY": "d:e"}, "d:e"),
    ],
)
def test_the_key_of_fal_is_found_by_the_names_that_its_clients_know(
    environ: dict[str, str], key: str
) -> None:
    assert Config.load(environ, fal="fal-ai/krea-wan-14b").fal_key == key


def test_a_plain_worker_leaves_the_key_of_fal_alone() -> None:
    """It is not its own, and one that is malformed is no fault of its settings."""
    assert Config.load({"FAL_KEY": "ä b"}).fal_key == ""
