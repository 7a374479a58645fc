"""Other people's optimizers, in an environment of their own: ``.venv`` beside this file, made at its first use."""

import subprocess
import sys
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


def run(script: str, *arguments: str) -> None:
    """Runs a script of this folder with the peers' interpreter."""
    subprocess.run([python(), FOLDER / script, *arguments], check=True, stdout=sys.stderr)
