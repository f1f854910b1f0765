"""The engine: elements, channels, workers, pipelines. Knows nothing of video; standard library only."""
