"""Answers that are bytes: conditional, compressed where it pays, cached as long as they hold."""

import asyncio
import gzip
import hashlib
import importlib.util
import mimetypes
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

IMMUTABLE = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # kept, but asked for each time; the answer is mostly "not modified"
WORTH_COMPRESSING = 2048
COMPRESSIBLE = {"application/json", "application/javascript", "text/javascript", "image/svg+xml", "font/ttf"}

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/ttf", ".ttf")
mimetypes.add_type("text/markdown", ".md")


@dataclass(frozen=True)
class Content:
    """Bytes to answer with, compressed once for all who ask."""

    body: bytes
    media: str
    etag: str
    compressed: bytes | None = None

    @classmethod
    def of(cls, body: bytes, media: str, level: int = 6) -> "Content":
        kind = media.partition(";")[0]
        pays = len(body) >= WORTH_COMPRESSING and (kind.startswith("text/") or kind in COMPRESSIBLE)
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        return cls(body, media, etag, gzip.compress(body, level, mtime=0) if pays else None)

    def answer(self, request: Request, cache: str = ASK_AGAIN, **headers: str) -> Response:
        """The answer to a GET or HEAD: 304 where the client has these bytes already."""
        told = {"etag": self.etag, "cache-control": cache, "vary": "accept-encoding"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(None, 304, told)
        if self.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.compressed, 200, told | {"content-encoding": "gzip"}, self.media)
        return Response(self.body, 200, told, self.media)


class Folder:
    """The files of a folder, read again when they change."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self._contents: dict[Path, tuple[int, Content]] = {}

    def get(self, name: str) -> Content | None:
        try:
            path = (self.root / name).resolve()
            if not path.is_relative_to(self.root) or not path.is_file():
                return None
            changed = path.stat().st_mtime_ns
        except (OSError, ValueError):  # a name too long, or with a null in it
            return None
        known = self._contents.get(path)
        if known is None or known[0] != changed:
            media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            known = self._contents[path] = (changed, Content.of(path.read_bytes(), media))
        return known[1]


class PackageFile:
    """A file out of an installed package, compressed once for each version of the package and kept in a folder."""

    def __init__(self, package: str, path: str, media: str, cache: Path):
        self.package, self.path, self.media, self.cache = package, path, media, cache
        self._content: Content | None = None
        self._reading = asyncio.Lock()

    @property
    def version(self) -> str | None:
        """The package's version; None where it is not installed."""
        return version(self.package) if importlib.util.find_spec(self.package) else None

    async def get(self) -> Content | None:
        async with self._reading:
            if self._content is None and self.version is not None:
                self._content = await asyncio.to_thread(self._read)
        return self._content

    def _read(self) -> Content:
        found = importlib.util.find_spec(self.package)
        assert found is not None
        assert found.submodule_search_locations is not None
        source = Path(found.submodule_search_locations[0]) / self.path
        etag = f'"{self.package}-{self.version}"'
        kept = self.cache / f"{self.package}-{self.version}-{source.name}.gz"
        if kept.is_file():
            compressed = kept.read_bytes()
            return Content(gzip.decompress(compressed), self.media, etag, compressed)
        body = source.read_bytes()
        compressed = gzip.compress(body, 6, mtime=0)
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_suffix(".part")
            unfinished.write_bytes(compressed)
            unfinished.replace(kept)
        except OSError:
            pass  # a folder that cannot be written: compressed again at the next start
        return Content(body, self.media, etag, compressed)
