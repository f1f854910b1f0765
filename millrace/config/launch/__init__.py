"""Lines of gst-launch as plans."""
