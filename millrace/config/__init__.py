"""Text → graph: our YAML is read into a plan, a plan is built into a pipeline."""

from __future__ import annotations

from .load import load, loads
from .plan import Plan

__all__ = ["Plan", "load", "loads"]
