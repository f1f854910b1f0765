"""Tensors → objects: one file per family of models."""
