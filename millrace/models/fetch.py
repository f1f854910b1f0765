"""One file from an address into a folder: resumed where it broke off, and kept only when its hash is right."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..core.errors import ConfigError, redact

Progress = Callable[[int, int], None]  # bytes that are there, bytes of all

TRIES = 4  # a connection that breaks is made again so often in a row without a byte gained
TIMEOUT = 20.0  # seconds without a byte
PAUSE = 0.5  # seconds before it is made again, longer each time
_PIECE = 1 << 16


class FetchError(ConfigError):
    """A file cannot be had from its address, or is not what it should be."""


def fetch(url: str, path: Path, digest: str, size: int, progress: Progress = lambda done, size: None) -> Path:
    """Bring `url` to `path`; returns it. `digest` is `sha256:…` or `sha384:…` of the file, `size` its bytes.

    What came before a break is kept beside it (`.part`) and the rest asked for. Raises FetchError: offline, gone,
    broken off again and again, of another size or hash (then nothing is kept).
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{redact(url)}: only http and https addresses are fetched")
    if os.environ.get("MILLRACE_OFFLINE", "0") not in ("", "0"):
        raise FetchError(f"{path.name} is not here, and MILLRACE_OFFLINE forbids to fetch it from {redact(url)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        if path.is_file() and _digest(path, digest) == digest:
            return path  # another process has brought it meanwhile
        part = path.with_name(path.name + ".part")
        _bring(url, part, size, progress)
        found = _digest(part, digest)
        if found != digest:
            part.unlink()
            raise FetchError(f"{redact(url)} gave another file than expected: {found} in place of {digest}; not kept")
        part.replace(path)
    return path


def _bring(url: str, part: Path, size: int, progress: Progress) -> None:
    tries = 0
    while True:
        have = part.stat().st_size if part.is_file() else 0
        if have == size:
            return
        if have > size:
            part.unlink()
            have = 0
        try:
            _receive(url, part, have, size, progress)
            why = "it ended early"
        except HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in (408, 416, 429):
                raise FetchError(f"{redact(url)}: the server says {error.code} {error.reason}") from None
            if error.code == 416:
                part.unlink(missing_ok=True)  # it has fewer bytes than we: begin anew
            why = f"the server says {error.code} {error.reason}"
        except (URLError, TimeoutError, http.client.HTTPException, ConnectionError) as error:
            why = str(getattr(error, "reason", None) or error) or type(error).__name__
        now = part.stat().st_size if part.is_file() else 0
        tries = tries + 1 if now <= have else 0
        if now != size and tries >= TRIES:
            raise FetchError(f"{redact(url)} cannot be fetched: {why}; {now} of {size} bytes are kept, try again later")
        if now != size and tries:
            time.sleep(PAUSE * tries)


def _receive(url: str, part: Path, have: int, size: int, progress: Progress) -> None:
    """Append what is missing; from the start where the server gives the whole. No more than `size` bytes come."""
    headers = {"User-Agent": "millrace", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _opener().open(Request(url, headers=headers), timeout=TIMEOUT) as answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if resumed else 0
        told = answer.headers.get("Content-Length")
        if told is not None and told.isdigit() and done + int(told) != size:
            part.unlink(missing_ok=True)
            raise FetchError(f"{redact(url)} gives a file of {done + int(told)} bytes, expected are {size}; not kept")
        with open(part, "ab" if resumed else "wb") as file:
            while piece := answer.read1(min(_PIECE, size + 1 - done)):
                done += len(piece)
                if done > size:
                    file.close()
                    part.unlink()
                    raise FetchError(f"{redact(url)} gives more than the expected {size} bytes; not kept")
                file.write(piece)
                progress(done, size)


class _NoDowngrade(HTTPRedirectHandler):
    """Follows redirects, but not from https to http, nor to other kinds of addresses."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (urlsplit(req.full_url).scheme == "https" and scheme != "https"):
            raise FetchError(f"{redact(req.full_url)} leads to {redact(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> Any:
    return build_opener(_NoDowngrade())


def _digest(path: Path, like: str) -> str:
    """`sha256:…` of a file, by the algorithm of `like`."""
    kind = like.partition(":")[0]
    with open(path, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def is_right(path: Path, digest: str) -> bool:
    """Whether a file is there and has this hash."""
    return path.is_file() and _digest(path, digest) == digest


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one process fetches a file at a time; the others wait for it."""
    try:
        import fcntl
    except ImportError:  # Windows: two may fetch the same, and the later one wins
        yield
        return
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
