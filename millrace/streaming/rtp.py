"""RTP for H.264 and HEVC: access units → RTP packets, and RTCP sender reports.

RFC 3550 (RTP, RTCP), RFC 6184 (H.264: single NAL units and FU-A), RFC 7798 (HEVC: single NAL units and FU).
"""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Sequence

from ..media.nal import read_header

CLOCK = 90_000  # ticks a second of both payloads
PAYLOAD_TYPE = 96
MTU = 1400  # bytes of an RTP packet: fits into any Ethernet frame, VPN headers included
HEADER = 12
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970

CODECS = {"h264": "H264", "hevc": "H265"}


class Packetizer:
    """One RTP stream: its source, sequence numbers and clock; the same packets go to every client."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        """Raises ValueError for a codec without a payload format here and for a header that is cut off."""
        if codec not in CODECS:
            raise ValueError(f"RTP is there for {', '.join(CODECS)}, not for {codec}: encode with one of them")
        self.codec = codec
        self.length_size, self.parameter_sets = read_header(codec, extradata)
        self.source = int.from_bytes(os.urandom(4), "big")
        self.sequence = int.from_bytes(os.urandom(2), "big")
        self.offset = int.from_bytes(os.urandom(4), "big")
        self.sent, self.octets = 0, 0
        self.last = (0, 0.0)  # timestamp of the last packet, and time.time() when it was made

    def timestamp(self, pts: int) -> int:
        """The RTP time of a presentation time in nanoseconds."""
        return (pts * 9 // 100_000 + self.offset) & 0xFFFFFFFF

    def packets(self, units: Sequence[bytes], pts: int) -> list[bytes]:
        """The RTP packets of one access unit; the last carries the marker."""
        timestamp = self.timestamp(pts)
        payloads = [payload for unit in units for payload in self._payloads(unit)]
        out = []
        for n, payload in enumerate(payloads):
            marker = 0x80 if n == len(payloads) - 1 else 0
            head = struct.pack(">BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, timestamp, self.source)
            out.append(head + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.sent += 1
            self.octets = (self.octets + len(payload)) & 0xFFFFFFFF
        self.last = (timestamp, time.time())
        return out

    def _payloads(self, unit: bytes) -> list[bytes]:
        room = MTU - HEADER
        if len(unit) <= room:
            return [unit]
        if self.codec == "h264":
            first, body = unit[0], unit[1:]
            prefix, kind = bytes([first & 0xE0 | 28]), first & 0x1F
        else:
            body = unit[2:]
            kind = unit[0] >> 1 & 0x3F
            prefix = bytes([unit[0] & 0x81 | 49 << 1, unit[1]])
        size = room - len(prefix) - 1
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        last = len(pieces) - 1
        return [
            prefix + bytes([(0x80 if n == 0 else 0) | (0x40 if n == last else 0) | kind]) + piece
            for n, piece in enumerate(pieces)
        ]

    def sender_report(self) -> bytes:
        """RTCP: the clock of the stream against the wall's, and what was sent; with the canonical name."""
        timestamp, at = self.last
        now = time.time()
        timestamp = (timestamp + round((now - at) * CLOCK)) & 0xFFFFFFFF if at else self.offset
        seconds = int(now)
        ntp = struct.pack(">II", seconds + NTP_EPOCH & 0xFFFFFFFF, int((now - seconds) * (1 << 32)) & 0xFFFFFFFF)
        counts = struct.pack(">II", self.sent & 0xFFFFFFFF, self.octets)
        report = struct.pack(">BBHI", 0x80, 200, 6, self.source) + ntp + struct.pack(">I", timestamp) + counts
        name = b"\x01\x08millrace\x00"
        name += bytes(-len(name) % 4)
        return report + struct.pack(">BBHI", 0x81, 202, 1 + len(name) // 4, self.source) + name

    def goodbye(self) -> bytes:
        """RTCP: a last report, and that the stream has ended (RFC 3550, section 6.6)."""
        return self.sender_report() + struct.pack(">BBHI", 0x81, 203, 1, self.source)

    def media(self, control: str) -> str:
        """The media section of an SDP (RFC 8866)."""
        lines = [
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} {CODECS[self.codec]}/{CLOCK}",
        ]
        if format := self._format():
            lines.append(f"a=fmtp:{PAYLOAD_TYPE} {format}")
        return "".join(f"{line}\r\n" for line in [*lines, f"a=control:{control}"])

    def _format(self) -> str:
        sets = self.parameter_sets
        if self.codec == "h264":
            parts = ["packetization-mode=1"]
            if sps := next((unit for unit in sets if unit[0] & 0x1F == 7), None):
                parts.append(f"profile-level-id={sps[1:4].hex()}")
                parts.append("sprop-parameter-sets=" + ",".join(base64.b64encode(unit).decode() for unit in sets))
            return ";".join(parts)
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        found = [(names.get(unit[0] >> 1 & 0x3F), base64.b64encode(unit).decode()) for unit in sets]
        return ";".join(f"{name}={value}" for name, value in found if name)
