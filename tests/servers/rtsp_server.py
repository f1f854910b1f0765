"""A real RTSP server for the tests: `/usr/bin/python3 rtsp_server.py PORT PATH=LAUNCH …` (Debian's GStreamer).

Every mount is a GStreamer launch line, one with a depay0 takes streams (RECORD) instead of giving them; it says READY
on stdout when it listens. with USER:PASSWORD@PATH=LAUNCH
all of them ask for basic authentication.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def token(role: str) -> GstRtspServer.RTSPToken:
    made = GstRtspServer.RTSPToken()
    made.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    return made


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    mounts = server.get_mount_points()
    auth = GstRtspServer.RTSPAuth()
    if not any("@/" in mount.partition("=")[0] for mount in sys.argv[2:]):
        auth.set_default_token(token("anyone"))
    for mount in sys.argv[2:]:
        path, _, launch = mount.partition("=")
        login, at, path = path.rpartition("@")
        user, _, word = login.partition(":")
        role = user if at else "anyone"
        if at:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, word), token(user))
        factory = GstRtspServer.RTSPMediaFactory()
        allowed = f"{role},media.factory.access=true,media.factory.construct=true"
        factory.add_role_from_structure(Gst.Structure.new_from_string(allowed))
        factory.set_launch(f"( {launch} )")
        if "name=depay0" in launch:
            factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        factory.set_latency(0)
        factory.set_shared("is-live" in launch)
        mounts.add_factory(path, factory)
    server.set_auth(auth)
    if not server.attach(None):
        sys.exit(f"cannot listen on port {sys.argv[1]}")
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


main()
