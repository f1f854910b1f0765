"""Chromium without a window, led by its DevTools protocol: pages are opened, asked and photographed."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection", "--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1",
    "--window-size=1500,900", "--hide-scrollbars",
)  # fmt: skip
SECONDS = 30.0  # that any answer may take


def chromium() -> str | None:
    """Where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """`async with Browser() as browser: await browser.open(url)`. `told` is what pages said in their console."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._count = 0

    async def __aenter__(self) -> Browser:
        program = chromium()
        if program is None:
            raise FileNotFoundError("chromium is not installed")
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stderr is not None
        async with asyncio.timeout(SECONDS):
            address = None
            while address is None:
                address = re.search(rb"ws://([^/]+)/", await self._process.stderr.readline())
        self._reader = asyncio.create_task(self._read_on())
        self._http = aiohttp.ClientSession()
        async with self._http.get(f"http://{address[1].decode()}/json") as answer:
            page = next(each for each in await answer.json() if each["type"] == "page")
        self._line = await self._http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Log"):
            await self._do(f"{domain}.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._line.close()
        await self._http.close()
        self._process.terminate()
        await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._folder.cleanup()

    async def open(self, url: str) -> None:
        await self._do("Page.navigate", url=url)

    async def ask(self, code: str) -> Any:
        """What an expression of JavaScript comes to in the page. Raises RuntimeError for what it throws."""
        done = await self._do("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"])[:500])
        return done["result"].get("value")

    async def picture(self, path: Path | str) -> None:
        """What the page looks like, as a PNG."""
        done = await self._do("Page.captureScreenshot")
        Path(path).write_bytes(base64.b64decode(done["data"]))

    async def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        await self._line.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self._line.receive_json()
                if message.get("id") == number:
                    if "error" in message:
                        raise RuntimeError(f"{method}: {message['error']}")
                    return dict(message["result"])
                if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                    self.told.append(str(message["params"])[:500])

    async def _read_on(self) -> None:
        """What it writes must be read, or it waits."""
        assert self._process.stderr is not None
        while await self._process.stderr.readline():
            pass
