"""Packets → clients: servers that a pipeline feeds."""
