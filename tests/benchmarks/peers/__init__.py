"""Other people's optimizers, in an environment of their own: ``.venv`` beside this file, made at its first use."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent


def python() -> str:
    """The interpreter of the peers' environment."""
    environment = FOLDER / ".venv"
    found = environment / "bin" / "python"
    done = environment / "made"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        needed = ["-m", "pip", "install", "--quiet", "-r", FOLDER / "requirements.txt"]
        subprocess.run([found, *needed], check=True, stdout=sys.stderr)
        done.touch()
    return str(found)


@contextmanager
def started(script: str, *arguments: str) -> Iterator[Callable[[int], float]]:
    """A script of this folder under the peers' interpreter, compiled and waiting.

    Asked for some steps, it takes them from the start and tells their seconds. Between questions it sleeps, so that
    ours and theirs can be timed in turns.
    """
    command = [python(), FOLDER / script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        stdin, stdout = peer.stdin, peer.stdout

        def ask(steps: int) -> float:
            print(steps, file=stdin, flush=True)
            return float(stdout.readline())

        yield ask
        stdin.close()
