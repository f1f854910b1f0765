"""Models of other frameworks → ONNX: one file for each framework."""
