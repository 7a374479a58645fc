"""What can be set about a server, each value with its bound said in its comment."""

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 2**20


def _cache_directory() -> Path:
    home = os.path.expanduser("~/.cache")  # as it is where nobody has a home, which Path would not stand
    base = os.environ.get("XDG_CACHE_HOME") or (home if os.path.isabs(home) else tempfile.gettempdir())
    return Path(base) / "secondorder"


def _frontend() -> Path:
    """The page's files: inside an installed package, beside the package in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "frontend"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "frontend"


@dataclass(frozen=True)
class Settings:
    """The environment variable ``SECONDORDER_<NAME>`` replaces a default: ``SECONDORDER_GRACE=60``."""

    store: str = "memory"  # where finished runs go: "memory", or the path of an SQLite file that holds them as well
    memory: int = 256 * MEGABYTE  # bytes of finished runs kept in memory, and as many again of unfinished ones
    disk: int = 4096 * MEGABYTE  # bytes of finished runs kept in the SQLite file
    queue: int = 64  # unfinished runs (and waiting questions) at most; one more is answered 503
    grace: float = 5.0  # seconds that a run goes on after its last viewer left
    heartbeat: float = 15.0  # seconds of silence after which a stream says that it is alive
    patience: float = 20.0  # seconds that a viewer may leave what it was sent unread before it is dropped
    cancelling: float = 0.5  # seconds that the worker may take to let go of a cancelled run before it is replaced
    leaving: float = 30.0  # the same where nobody cancelled but nobody waits any more, or where others would lose much
    silence: float = 120.0  # seconds, beyond its price, that a job may keep the worker silent before it is given up
    # Bytes by which a worker may grow before it is replaced when idle: some 80 typed costs with their figures. (At 190
    # of them it has as many memory maps as Linux gives a process, and XLA would crash.)
    growth: int = 2048 * MEGABYTE
    rate: str = "200/second;6000/minute"  # POSTs of one client, in the notation of the library `limits`
    body: int = MEGABYTE  # bytes of a request's body at most
    warm: bool = True  # whether the lessons' programs are compiled in the background
    cache: Path = dataclasses.field(default_factory=_cache_directory)  # compiled programs, plotly's compressed bundle
    frontend: Path = dataclasses.field(default_factory=_frontend)

    @classmethod
    def from_environment(cls, **given: object) -> "Settings":
        """The settings ``given``, the others from the environment; ValueError names a variable that cannot be read."""
        values: dict[str, object] = {}
        for field in dataclasses.fields(cls):
            variable = f"SECONDORDER_{field.name.upper()}"
            text = os.environ.get(variable)
            if text is None:
                continue
            kind = field.type if isinstance(field.type, type) else str
            try:
                values[field.name] = text.lower() in ("1", "true", "yes") if kind is bool else kind(text)
            except ValueError:
                raise ValueError(f"{variable}={text!r} is not {kind.__name__}") from None
        return cls(**(values | given))  # type: ignore[arg-type]
