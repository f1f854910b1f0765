"""RTSP's messages on the wire (RFC 2326): requests read with limits, answers written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

HEAD = 16 * 1024  # bytes of a request's lines
HEADERS = 64
BODY = 64 * 1024
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    413: "Request Entity Too Large", 453: "Not Enough Bandwidth", 454: "Session Not Found",
    455: "Method Not Valid in This State", 459: "Aggregate Operation Not Allowed", 461: "Unsupported Transport",
    501: "Not Implemented", 505: "RTSP Version Not Supported",
}  # fmt: skip


class BadRequestError(Exception):
    """What came is no request that can be answered otherwise; `status` says why. The connection is closed."""

    def __init__(self, status: int, sequence: str = "0") -> None:
        super().__init__(REASONS[status])
        self.status = status
        self.sequence = sequence


@dataclass(slots=True)
class Request:
    """A request; header names are in lower case."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def sequence(self) -> str:
        return self.headers.get("cseq", "0")

    @property
    def path(self) -> str:
        """The path of the URL, decoded, without slashes at its ends."""
        return unquote(urlsplit(self.url).path).strip("/")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request; frames of interleaved data before it (receiver reports) are passed over.

    None at the end of the connection. Raises BadRequestError for what is no request or too large.
    """
    try:
        first = await reader.readexactly(1)
        while first == b"$":
            head = await reader.readexactly(3)
            await reader.readexactly(int.from_bytes(head[1:], "big"))
            first = await reader.readexactly(1)
        text = (first + await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequestError(400) from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError(413) from None
    request = _parse(text.decode("utf-8", "replace"))
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 10):
        raise BadRequestError(400, request.sequence)
    if int(length) > BODY:
        raise BadRequestError(413, request.sequence)
    await reader.readexactly(int(length))
    return request


def _parse(text: str) -> Request:
    line, *rest = text.split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[0].replace("_", "").isalpha():
        raise BadRequestError(400)
    method, url, version = parts
    headers: dict[str, str] = {}
    for header in filter(None, rest):
        name, colon, value = header.partition(":")
        if not colon or len(headers) >= HEADERS:
            raise BadRequestError(400)
        headers[name.strip().lower()] = value.strip()
    request = Request(method.upper(), url, headers)
    if version != "RTSP/1.0":
        raise BadRequestError(505 if version.startswith("RTSP/") else 400, request.sequence)
    return request


def answer(
    status: int, sequence: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), body: str = ""
) -> bytes:
    """An answer as bytes. `sequence` is repeated as it came, without what could end the line."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    safe = "".join(c for c in sequence if c.isprintable())[:32]
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", f"CSeq: {safe}", "Server: millrace"]
    lines += [f"{name}: {value}" for name, value in pairs]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
