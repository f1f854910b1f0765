"""Errors and what is said in them."""

from __future__ import annotations

import pytest

from millrace.core.errors import redact


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rtsp://me:word@h/x?y=1", "rtsp://***@h/x?y=1"),
        ("azure://h?device=a&sas=abc=&timeout=3", "azure://h?device=a&sas=***&timeout=3"),
        ("broker='kafka://h/t?sasl.password=abc' topic='t'", "broker='kafka://h/t?sasl.password=***' topic='t'"),
        ("HostName=h;DeviceId=d;SharedAccessKey=abc=", "HostName=h;DeviceId=d;SharedAccessKey=***"),
        ("https://h/hook?token=abc", "https://h/hook?token=***"),
        ("no secret=here", "no secret=here"),
        ("rtspsrc user-id=me user-pw=word ! fakesink", "rtspsrc user-id=me user-pw=*** ! fakesink"),
        ("mqttsink password='my word' topic=t", "mqttsink password=*** topic=t"),
        ("password=, or user=", "password=, or user="),
    ],
)
def test_secrets_of_addresses_are_left_out(text: str, told: str) -> None:
    assert redact(text) == told
