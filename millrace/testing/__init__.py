"""For tests and demonstrations: scenes rendered in code with known truth, pipelines run in one call."""
