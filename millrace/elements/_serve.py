"""What elements share that listen for watchers: a server in a loop of its own, begun, named and ended."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.element import Context, state
from ..core.errors import ConfigError, OutputError
from ..core.hosts import is_loopback
from ..streaming.loop import Loop
from ._pace import Paced


class Served(Paced):
    """A subclass has the settings `host`, `port`, `name` and `users`, and makes the server."""

    element: ClassVar[str]  # its name, in messages
    scheme: ClassVar[str]  # of the addresses that it serves

    if TYPE_CHECKING:
        host: str
        port: int
        name: str
        users: dict[str, str]

    loop: Loop | None = state(lambda: None)
    server: Any = state(lambda: None)  # with `start`, `stop` and `port`
    context: Context | None = state(lambda: None)

    @abstractmethod
    def make_server(self) -> Any:
        """The server, which does not listen yet."""

    def validate(self) -> None:
        if not self.name.strip("/"):
            raise ConfigError(f"{self.element}: name is empty: give the path of the streams, such as cam or {{stream}}")

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        self.loop = Loop(f"millrace-{self.element}")
        self.server = self.make_server()
        try:
            self.loop.run(self.server.start())
        except OSError as error:
            self.stop_serving()
            raise OutputError(f"{self.scheme}://{self.host}:{self.port}", error) from error
        if not is_loopback(self.host) and not self.users:
            anybody = "without passwords: whoever reaches this machine can watch"
            context.warn(f"{self.element} listens on {self.host} {anybody}", None)

    @property
    def listens_on(self) -> int:
        """The port, also where any free one was asked for."""
        port: int = self.server.port if self.server is not None else self.port
        return port

    def stop_serving(self) -> None:
        loop, self.loop = self.loop, None
        if loop is not None and self.server is not None:
            loop.run(self.server.stop())
            loop.close()
            self.server = None

    def close(self) -> None:
        self.stop_serving()
