"""Text → graph."""
