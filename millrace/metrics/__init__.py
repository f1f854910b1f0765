"""Results and truth → figures: what is right of what was found, by the measures that others publish."""
