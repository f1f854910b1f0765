"""What the parts for NVIDIA GPUs share: the context, streams, events, memory, kernels. Imports nothing of theirs."""
