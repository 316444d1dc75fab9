"""Coverage-guided fuzzing of the codecs and both roles with atheris (libFuzzer).

    python tests/fuzz/fuzz_codec.py [-max_total_time=60] [other options of libFuzzer]

Starts from the committed corpus beside it; what it finds goes to build/fuzz. Stops with a failure at
the first input that raises anything but the typed error, and keeps that input there.
"""

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
FOUND = HERE.parents[1] / "build" / "fuzz"

sys.path.insert(0, str(HERE.parent))
with atheris.instrument_imports(include=["framewire", "support.codec_target"]):
    from support.codec_target import one_input


def main() -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={FOUND}/", "-max_len=512", "-timeout=10", "-rss_limit_mb=1024"]
    given = sys.argv[1:] or ["-max_total_time=60"]
    atheris.Setup([sys.argv[0], *options, *given, str(FOUND), str(HERE / "corpus")], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
