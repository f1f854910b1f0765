"""Identities → counts and events: one file per kind of rule. Runs on pts, never on the wall clock."""
