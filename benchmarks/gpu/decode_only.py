"""Decode-only: PyNvVideoCodec's and PyAV's own loops, with no code of ours, to measure the application against.

    python benchmarks/gpu/decode_only.py clip.mp4 --streams 32 --how nvc --threads 4

Prints one line of JSON: fps in a window after everything runs. Clips are read over and over. `nvc`: its core decoder
fed by its own demuxer, or by PyAV's (`nvc+av`); `av`: PyAV's CUDA decoder, pictures left on the GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

sys.setswitchinterval(0.0005)  # else the threads wait 5 ms for each other


def context() -> int:
    """The primary context of GPU 0, current in the calling thread."""
    from cuda.bindings import driver

    driver.cuInit(0)
    device = driver.cuDeviceGet(0)[1]
    driver.cuDevicePrimaryCtxSetFlags(device, driver.CUctx_flags.CU_CTX_SCHED_BLOCKING_SYNC)
    made = driver.cuDevicePrimaryCtxRetain(device)[1]
    driver.cuCtxSetCurrent(made)
    return int(made)


def stream() -> int:
    from cuda.bindings import driver

    return int(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING)[1])


def by_nvc(clip: str, handle: int, primary: int) -> Iterator[int]:
    """Pictures of each packet."""
    import PyNvVideoCodec as nvc  # noqa: N813

    demuxer = nvc.CreateDemuxer(clip)
    decoder = nvc.CreateDecoder(
        gpuid=0, codec=demuxer.GetNvCodecId(), cudacontext=primary, cudastream=handle, usedevicememory=True
    )
    while True:
        for packet in demuxer:
            yield len(decoder.Decode(packet))
        demuxer = nvc.CreateDemuxer(clip)


def by_nvc_and_av(clip: str, handle: int, primary: int) -> Iterator[int]:
    import av
    import PyNvVideoCodec as nvc  # noqa: N813

    codec, decoder = None, None
    while True:
        with av.open(clip) as container:
            video = container.streams.video[0]
            codec = video.codec_context.name
            if decoder is None:
                kind = {"h264": nvc.cudaVideoCodec.H264, "hevc": nvc.cudaVideoCodec.HEVC}[codec]
                decoder = nvc.CreateDecoder(
                    gpuid=0, codec=kind, cudacontext=primary, cudastream=handle, usedevicememory=True
                )
            change = av.BitStreamFilterContext(f"{codec}_mp4toannexb", video)
            feed = nvc.PacketData()
            for packet in container.demux(video):
                for changed in change.filter(packet if packet.size else None):
                    feed.bsl_data, feed.bsl, feed.pts = changed.buffer_ptr, changed.size, changed.pts or 0
                    yield len(decoder.Decode(feed))


def by_av(clip: str, handle: int, primary: int) -> Iterator[int]:
    import av
    from av.codec.hwaccel import HWAccel

    while True:
        how = HWAccel("cuda", allow_software_fallback=False, options={"primary_ctx": "0", "current_ctx": "1"})
        try:
            container = av.open(clip, hwaccel=how)
        except TypeError:
            container = av.open(clip)
        with container:
            for packet in container.demux(container.streams.video[0]):
                yield len(packet.decode())


HOW: dict[str, Callable[[str, int, int], Iterator[int]]] = {"nvc": by_nvc, "nvc+av": by_nvc_and_av, "av": by_av}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--how", choices=HOW, default="nvc+av")
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    primary = context()
    counts = [0] * arguments.threads
    going = [True]
    errors: list[str] = []

    def work(index: int) -> None:
        try:
            from cuda.bindings import driver

            context()
            handle = stream()
            own = [
                HOW[arguments.how](arguments.clip, handle, primary)
                for _ in range(index, arguments.streams, arguments.threads)
            ]
            while own and going[0]:  # one that has none would take the lock from the others
                for each in own:
                    counts[index] += next(each)
            driver.cuStreamSynchronize(handle)
        except Exception as error:  # noqa: BLE001  # the main thread tells it
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(arguments.threads)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while not errors and time.monotonic() < began + 60:
        if all(counts[: arguments.streams]) and sum(counts) >= 20 * arguments.streams:  # later threads have none
            break
        time.sleep(0.05)
    time.sleep(1.0)
    before, cpu, start = sum(counts), time.process_time(), time.perf_counter()
    time.sleep(arguments.seconds)
    done, used, took = sum(counts) - before, time.process_time() - cpu, time.perf_counter() - start
    going[0] = False
    facts: dict[str, Any] = {"how": arguments.how, "threads": arguments.threads, "streams": arguments.streams}
    if errors:
        facts["error"] = errors[0][:300]
    print(json.dumps({**facts, "fps": round(done / took, 1), "cpu_s_per_1000": round(1000 * used / max(1, done), 3)}))
    sys.stdout.flush()
    import os

    os._exit(0)  # decoders that are destroyed while the interpreter ends would wait for each other


if __name__ == "__main__":
    main()
