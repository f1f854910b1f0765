"""Our kernels among PyTorch's operations touch no memory but their own, and their threads do not run into each other.

They are compiled as C++ and run on hard cases: here, and again under g++'s sanitizers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from crowds import HOW, KINDS, as_cells, crowd
from host_gpu import COMPILE, HostModule, as_cpp

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.media import MASK_WINDOWS, MASKS, Cells, TensorInfo  # noqa: E402
from millrace.runtimes import torch_kernels, torch_masks, torch_nms, torch_pooling  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells  # noqa: E402

if shutil.which("g++") is None:
    pytest.skip("g++ is not installed: kernels are compiled for the CPU with it", allow_module_level=True)


WATCHED = "MILLRACE_SANITIZE" in os.environ


def source_of(file):
    return files("millrace.runtimes").joinpath(file).read_text()


@pytest.fixture
def played(monkeypatch, tmp_path):
    HostModule.folder = tmp_path
    monkeypatch.setattr(torch_kernels.Kernels, "on", lambda self, device: HostModule(None, self.source))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))


def cells_of(count, how, kind, scores):
    random = np.random.default_rng(count)
    made = [as_cells(crowd(random, count, how), kind, random) for _ in range(2)]
    numbers, places = (np.stack(column) for column in zip(*made, strict=True))
    cells = torch.from_numpy(np.concatenate([numbers, np.zeros((2, count, 1), np.float32)], 2))
    cells[..., 4] = torch.from_numpy(random.choice(scores, (2, count)).astype(np.float32))
    places = torch.from_numpy(places) if kind == "grid" else torch.zeros((0, 3))
    return cells, torch.from_numpy(random.integers(0, 2, (2, count)).astype(np.int32)), places


SCORES = {"many": [0.1, 0.5, 0.6, 0.7, 0.8, 0.9], "equal": [0.5], "none": [0.1], "not a number": [np.nan]}
CASES = [
    *((count, "clusters", "many") for count in (1, 2, 31, 33, 511, 513)),
    *((130, how, "many") for how in HOW),
    *((65, "clusters", scores) for scores in SCORES),
    (33, "not a number", "many"),
    (33, "one place", "equal"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "how", "scores"), CASES)
def test_any_number_of_threads_says_the_same_of_hard_cases(played, monkeypatch, kind, count, how, scores):
    cells, classes, places = cells_of(count, how if how in HOW else "clusters", kind, SCORES[scores])
    if how == "not a number":
        cells[..., :4] = torch.nan
    if how == "one place":
        cells[..., :4] = torch.tensor([2.0, 2, 2.5, 2.5])
    asked = torch.tensor([[0.3, 0.45, 0], [0.3, 0.45, 1]])
    found = []
    for threads in (1, 32, 512) if count > 500 and not WATCHED else (1, 32):  # so many are slow
        monkeypatch.setattr(torch_nms, "_THREADS", threads)
        found.append(torch_nms.by_kernel(cells, classes, places, asked, KINDS.index(kind), 4, False))
    for one, *others in zip(*found, strict=True):
        assert all(each.numpy().tobytes() == one.numpy().tobytes() for each in others)
    if kind != "grid":  # whose exp has other last bits
        wanted = torch_nms.step_by_step(cells, classes, places, asked, KINDS.index(kind), 4, False)
        for one, other in zip(found[0], wanted, strict=True):
            assert one.numpy().tobytes() == other.numpy().tobytes()


def test_no_cells_at_all(played):
    given = torch.zeros((2, 0, 5)), torch.zeros((2, 0), dtype=torch.int32), torch.zeros((0, 3)), torch.zeros((2, 3))
    assert [each.shape for each in torch_nms.by_kernel(*given, 1, 4, False)] == [(2, 0)] * 3


WRONG = [
    (0, lambda cells: cells.half()), (1, lambda classes: classes.long()), (2, lambda places: places[:, :5]),
    (3, lambda asked: asked[:1]), (3, lambda asked: asked.double()),
]  # fmt: skip


@pytest.mark.parametrize(("place", "change"), WRONG)
def test_what_lies_otherwise_is_refused_before_it_is_read(played, place, change):
    given = [*cells_of(9, "clusters", "grid", [0.5]), torch.tensor([[0.3, 0.45, 0]] * 2)]
    torch_nms.by_kernel(*given, 2, 4, False)
    given[place] = change(given[place])
    with pytest.raises(RuntimeError, match="a kernel was given"):
        torch_nms.by_kernel(*given, 2, 4, False)


def test_numbers_of_masks_that_do_not_fit_are_refused(played):
    given = [torch.rand(1, 4, 3, 3), torch.rand(1, 2, 9), torch.zeros((1, 5), dtype=torch.int64)]
    assert torch_masks.by_kernel(*given, given[2], 5).shape == (1, 5)
    for wrong in ((*given, given[2], 4), (*given, given[2].int(), 5), (given[0].half(), *given[1:], given[2], 5)):
        with pytest.raises(RuntimeError, match=r"a kernel was given|are not for"):
            torch_masks.by_kernel(*wrong)


class Given(torch.nn.Module):
    def forward(self, *tensors):
        return tensors


BOXES = {
    "about the edges": [[-9, -9, 3, 3], [300, 180, 400, 300], [0, 0, 320, 192], [319.9, 191.9, 320, 192]],
    "wider than a prototype": [[-1e4, -1e4, 1e4, 1e4], [-1e30, 0, 1e30, 192]],
    "no numbers": [[np.nan] * 4, [0, 0, np.inf, np.inf], [np.nan, 0, 90, 90]],
    "nothing": [[10, 10, 10, 10], [40, 40, 20, 20], [-50, -50, -20, -20], [330, 200, 340, 210]],
    "fractions": [[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.9]],
}


@pytest.mark.parametrize("room", [0.01, 2])
@pytest.mark.parametrize("boxes", BOXES)
@pytest.mark.parametrize("overlap", [0.45, np.inf])
def test_masks_of_hard_boxes(played, monkeypatch, room, boxes, overlap):
    """More than there is room for, too; and rows that all stay."""
    monkeypatch.setattr(torch_masks, "ROOM", room)
    monkeypatch.setattr(torch_nms, "_THREADS", 32)
    infos = [TensorInfo("prototypes", (None, 8, 48, 80), "float32"), TensorInfo("head", (None, 120, 14), "float32")]
    cells = Cells("head", 1, 4, 6, boxes="corners", prototypes="prototypes", size=(320, 192))
    module = KeptCells(BestCells(Given(), 1, cells, 70), [info.name for info in infos], 30)
    random = np.random.default_rng(1)
    head = random.normal(0, 1, (2, 120, 14)).astype(np.float32)
    head[..., :4] = np.resize(np.array(BOXES[boxes], np.float32), (120, 4))
    head[..., 4:6] = random.uniform(0, 1, (2, 120, 2))
    asked = torch.tensor([[0.3, overlap, 0]] * 2)
    prototypes = torch.from_numpy(random.normal(0, 1, (2, 8, 48, 80)).astype(np.float32))
    found = []
    for suppress, logits in (
        (torch_nms.step_by_step, torch_masks.step_by_step), (torch_nms.by_kernel, torch_masks.by_kernel),
    ):  # fmt: skip
        monkeypatch.setattr(torch_nms, "suppress", suppress)
        monkeypatch.setattr(torch_masks, "mask_logits", logits)
        found.append(dict(zip(module.leaves, module(prototypes, torch.from_numpy(head), asked), strict=False)))
    mine, theirs = found
    assert torch.equal(mine[MASK_WINDOWS], theirs[MASK_WINDOWS])
    assert mine[MASK_WINDOWS].shape == (2, 31, 4)
    assert mine[MASKS].shape == (2, int(room * 48 * 80))
    assert torch.allclose(mine[MASKS], theirs[MASKS], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", torch_pooling._KINDS)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (7, 87)])
def test_maxima_of_small_and_long_pictures(played, dtype, size):
    x = torch.randn(3, 24, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    kernel = torch_pooling._kernels.on(x.device)[torch_pooling._KINDS[dtype]]
    for window, step, border in (((1, 1), (1, 1), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((5, 3), (1, 4), (2, 1))):
        got = torch_pooling.by_kernel(kernel, None, x, window, step, border)
        assert torch.equal(got, torch.nn.functional.max_pool2d(x, window, step, border))


def library(name):
    found = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(found):
        pytest.skip(f"g++ has no {name}")
    return found


def under_address_sanitizer(*command):
    """Python with memory that is watched, and kernels that watch it."""
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests.parent), str(tests)])
    watched = {
        "LD_PRELOAD": f"{library('libasan.so')} {library('libstdc++.so.6')}",
        "ASAN_OPTIONS": "detect_leaks=0:protect_shadow_gap=0", "CUDA_VISIBLE_DEVICES": "",  # else a GPU has no room
        "PYTHONPATH": paths, "MILLRACE_SANITIZE": "address,undefined",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **watched}, cwd=tests.parent, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


@pytest.mark.skipif(WATCHED, reason="this is that run")
def test_no_kernel_touches_what_is_not_its_own():
    others = ["tests/runtimes/test_torch_masks.py", "tests/runtimes/test_torch_pooling.py"]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "kernel or pooling", __file__, *others]
    done = under_address_sanitizer(*command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


WRITES_TOO_FAR = """
import torch
from host_gpu import HostModule
from millrace.runtimes import torch_kernels, torch_nms
from pathlib import Path
HostModule.folder = Path({folder!r})
source = torch_nms._kernels.source
wrong = source.replace("i < count; i += blockDim.x", "i <= count; i += blockDim.x")
assert wrong != source
torch_kernels.Kernels.on = lambda self, device: HostModule(None, {which})
torch.cuda.current_stream = lambda device: type("Stream", (), dict(cuda_stream=0))
torch_nms._THREADS = 4
cells, classes, places, asked = torch_nms.made_up(1)
torch_nms.by_kernel(cells, classes, places, asked, 1, 5, True)
"""


@pytest.mark.skipif(WATCHED, reason="it runs that itself")
@pytest.mark.parametrize("which", ["source", "wrong"])
def test_one_that_did_would_be_found_out(tmp_path, which):
    done = under_address_sanitizer("-c", WRITES_TOO_FAR.format(folder=str(tmp_path), which=which))
    assert (done.returncode == 0) == (which == "source"), done.stderr[-2000:]
    assert ("heap-buffer-overflow" in done.stderr) == (which == "wrong")


RACE = """
#include <cstdint>
int main() {
    enum { PICTURES = 2, COUNT = 150, NUMBERS = 5 };
    static float cells[PICTURES * COUNT * NUMBERS], scores[PICTURES * COUNT];
    static int classes[PICTURES * COUNT];
    static long long order[PICTURES * COUNT];
    static MILLRACE_KERNELS::Box boxes[PICTURES * COUNT];
    static unsigned char fates[PICTURES * COUNT];
    float asked[] = {0.1f, 0.45f, 0, 0.1f, 0.45f, 1};
    uint32_t state = 1;
    auto random = [&] { return (state = state * 1664525 + 1013904223) >> 8; };
    for (int i = 0; i < PICTURES * COUNT; i++) {
        float x = random() % 12 * 20, y = random() % 4;
        float cell[] = {x, y, x + 15 + random() % 8, y + 20 + random() % 8, 0};
        for (int k = 0; k < NUMBERS; k++) cells[i * NUMBERS + k] = cell[k];
        classes[i] = random() % 2;
        order[i] = COUNT - 1 - i % COUNT;
        scores[i] = 1 - i % COUNT / 160.0f;
    }
    const float *c = cells, *places = nullptr, *s = scores, *a = asked;
    const int* k = classes;
    const long long* o = order;
    MILLRACE_KERNELS::Box* b = boxes;
    unsigned char* f = fates;
    int count = COUNT, numbers = NUMBERS, kind = 1, grid[] = {PICTURES, 1, 1}, block[] = {8, 1, 1};
    void* given[] = {&c, &k, &places, &o, &s, &a, &b, &f, &count, &numbers, &kind};
    run_suppress(grid, block, given);
    int gone = 0;
    for (unsigned char fate : fates) gone += fate == 2;
    return gone > 50 ? 0 : 3;
}
"""


@pytest.mark.skipif(WATCHED, reason="another sanitizer's")
@pytest.mark.parametrize("barriers", [True, False])
def test_threads_of_a_block_wait_for_each_other(tmp_path, barriers):
    """Without its barriers the kernel is found to race, so the test would see one that is missing."""
    library("libtsan.so")
    (tmp_path / "race.cpp").write_text(as_cpp(source_of("nms.cu")) + RACE)
    without = [] if barriers else ["-D__syncthreads()=", "-DTOGETHER"]
    command = [*COMPILE, "-fsanitize=thread", "-g", *without, "race.cpp", "-o", "race"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    done = subprocess.run([str(tmp_path / "race")], capture_output=True, text=True, timeout=100)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this machine's memory is laid out in a way that ThreadSanitizer does not know")
    assert (done.returncode == 0) == barriers, done.stderr[-2000:]
    assert ("data race" in done.stderr) != barriers
