"""Files of DeepStream's deepstream-app, and of its sample applications, as plans: a file for each group of groups.

`load_app("source1.txt")` gives the plan and what became of each key; see docs/deepstream.md.
"""

from .app import load_app
from .parts import App

__all__ = ["App", "load_app"]
