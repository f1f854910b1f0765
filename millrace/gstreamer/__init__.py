"""GStreamer fragments in a process of their own: what their users share, source and elements."""
