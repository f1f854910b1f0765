"""The world → packets. `open_source(stream, uri)` picks the file that knows the address."""
