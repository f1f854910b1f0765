"""The explicit form, with sources that come while it runs: python examples/explicit_pipeline.py a.mp4 b.mp4"""

import sys

from millrace import Graph, Pipeline
from millrace.registry import create
from millrace.sources import open_source

graph = Graph()
graph.add("decode", create("decode"))
graph.add("limit", create("limit", count=20))
graph.link("decode", "limit")

pipeline = Pipeline(graph, keep_open=True)
pipeline.bus.subscribe(lambda message: print(f"{message.kind}: {message.text}"))
with pipeline:
    for number, path in enumerate(sys.argv[1:]):
        pipeline.add_source(f"stream-{number}", open_source(f"stream-{number}", path), into="decode")
    while pipeline.sources():
        pipeline.wait(timeout=0.05)
    pipeline.drain()
    pipeline.wait(timeout=30)
for name, stats in pipeline.stats().items():
    print(f"{name}: {stats.items_in} in, {stats.items_out} out")
