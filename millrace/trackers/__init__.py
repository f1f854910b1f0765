"""Objects → identities: one file per tracker, over shared Kalman and matching code."""
