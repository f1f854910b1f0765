"""TLS for brokers: an ssl context from the options of an address."""

from __future__ import annotations

import os
import ssl

from ..core.errors import ConfigError
from .base import Address

TLS_OPTIONS = ("ca", "cert", "key", "alpn")


def tls_context(address: Address) -> ssl.SSLContext:
    """A context that checks the server's name and certificate.

    Options: `ca` (a file or folder of authorities, else the system's), `cert` and `key` (who we are), `alpn`.
    Raises ConfigError naming the file that cannot be used.
    """
    ca, cert, key = (address.options.get(name) for name in ("ca", "cert", "key"))
    for name, path in (("ca", ca), ("cert", cert), ("key", key)):
        if path and not os.path.exists(path):
            raise ConfigError(f"{address.scheme}: there is no file {path} (option {name})")
    try:
        folder = ca if ca and os.path.isdir(ca) else None
        context = ssl.create_default_context(cafile=None if folder else ca, capath=folder)
        if cert:
            context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{address.scheme}: certificates cannot be used: {error}") from error
    if address.options.get("alpn"):
        context.set_alpn_protocols(address.options["alpn"].split(","))
    return context


class ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho-mqtt does not see to."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
