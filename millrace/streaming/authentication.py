"""Who may watch: Basic (RFC 7617) and Digest (RFC 2617, MD5 without qop, as RTSP clients speak it)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping

REALM = "millrace"
_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class Authentication:
    """Checks the Authorization header against a table of users and passwords; an empty table lets everybody in."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._nonce = os.urandom(16).hex()

    @property
    def challenges(self) -> list[str]:
        """What WWW-Authenticate says to those who have not shown who they are."""
        return [f'Digest realm="{REALM}", nonce="{self._nonce}", algorithm=MD5', f'Basic realm="{REALM}"']

    def allows(self, method: str, header: str | None) -> bool:
        if not self._users:
            return True
        scheme, _, rest = (header or "").partition(" ")
        if scheme.lower() == "basic":
            return self._basic(rest)
        return scheme.lower() == "digest" and self._digest(method, rest)

    def _basic(self, text: str) -> bool:
        try:
            user, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        wanted = self._users.get(user)
        return hmac.compare_digest((wanted or "").encode(), password.encode()) and wanted is not None

    def _digest(self, method: str, text: str) -> bool:
        given = {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(text)}
        password = self._users.get(given.get("username", ""))
        if password is None or given.get("nonce") != self._nonce or given.get("realm") != REALM:
            return False
        who = _md5(f"{given['username']}:{REALM}:{password}")
        what = _md5(f"{method}:{given.get('uri', '')}")
        wanted = _md5(f"{who}:{self._nonce}:{what}")
        return hmac.compare_digest(wanted.encode(), given.get("response", "").encode())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
