"""Tensors → tensors: one file per way of running a model."""
