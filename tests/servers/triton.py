"""A real Triton server: the binary in the package nvidia-pytriton, with ONNX models in its Python backend.

The package wants an old NumPy, so it lives in an environment of its own: MILLRACE_TRITON_PYTHON names its interpreter,
else one is made in the user's cache under CI. On a user's machine without it the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from millrace.testing.ports import free_port

MEMORY = Path("/dev/shm")
PACKAGES = ("nvidia-pytriton==0.7.0", "onnxruntime")
FACTS = "import sysconfig as s; print(s.get_paths()['purelib'], s.get_config_var('LIBDIR'), s.get_python_version())"
MODEL = """
import sys
sys.path.insert(0, {packages!r})  # the server's interpreter looks in its own only
import onnxruntime, triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession({path!r}, options, providers=["CPUExecutionProvider"])
        self.names = [o.name for o in self.session.get_outputs()]

    def execute(self, requests):
        responses = []
        for request in requests:
            names = [i.name for i in self.session.get_inputs()]
            feed = {{name: pb.get_input_tensor_by_name(request, name).as_numpy() for name in names}}
            values = self.session.run(self.names, feed)
            responses.append(pb.InferenceResponse([pb.Tensor(n, v) for n, v in zip(self.names, values)]))
        return responses
"""


def python_of_triton() -> Path:
    """The interpreter beside which Triton is installed. Skips, or under CI makes it."""
    named = os.environ.get("MILLRACE_TRITON_PYTHON")
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "millrace-tests" / "triton"
    python = Path(named) if named else folder / "bin" / "python"
    if python.is_file():
        return python
    if os.environ.get("CI") != "true":
        pytest.skip(f"no Triton: pip install {' '.join(PACKAGES)} elsewhere, MILLRACE_TRITON_PYTHON names its python")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=100)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True, timeout=100)
    return python


def add_model(server: Triton, name: str, path: str | Path, batch: int = 8) -> None:
    """Put an ONNX file with a free batch into a server's model repository."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}

    def described(infos: list) -> str:
        dims = [
            ", ".join(str(d if isinstance(d, int) else -1) for d in info.shape[1 if batch else 0 :]) for info in infos
        ]
        items = [
            f'{{ name: "{info.name}" data_type: {kinds[info.type]} dims: [ {dim} ] }}'
            for info, dim in zip(infos, dims, strict=True)
        ]
        return ", ".join(items)

    folder = server.repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(MODEL.format(packages=server.packages, path=str(Path(path).resolve())))
    (folder / "config.pbtxt").write_text(
        f'name: "{name}" backend: "python" max_batch_size: {batch}\n'
        f"input [ {described(session.get_inputs())} ]\noutput [ {described(session.get_outputs())} ]\n"
        + ("dynamic_batching { }\n" if batch else "")
    )


class Triton:
    """The server in a process of its own, which can be killed and come back on the same ports."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "models"
        self.repository.mkdir()
        self._backends = folder / "backends"
        self._log = folder / "log"
        self._python = python_of_triton()
        answer = subprocess.run(
            [str(self._python), "-c", FACTS], capture_output=True, text=True, check=True, timeout=20
        )
        self.packages, self._libraries, self._version = answer.stdout.split()
        self.http, self.grpc = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._memory: set[int] = set()

    def start(self, timeout: float = 40) -> None:
        """Begin it; once more where it does not come up, as on a machine that stands still at the wrong moment."""
        if self._begin(timeout) or self._begin(timeout):
            return
        tail = self._log.read_text(errors="replace")[-2000:]
        pytest.fail(f"Triton did not start:\n{tail}")

    def _begin(self, timeout: float) -> bool:
        root = Path(self.packages) / "pytriton" / "tritonserver"
        backend = self._backends / "python"
        if not backend.is_dir():
            shutil.copytree(root / "backends" / "python", backend)
            stub = shutil.copy(root / "python_backend_stubs" / self._version / "triton_python_backend_stub", backend)
            os.chmod(stub, 0o755)
        server = root / "bin" / "tritonserver"
        os.chmod(server, 0o755)
        environment = os.environ | {
            "LD_LIBRARY_PATH": f"{Path(self.packages) / 'nvidia_pytriton.libs'}:{self._libraries}",
        }
        command = [
            str(server), f"--model-repository={self.repository}", f"--backend-directory={self._backends}",
            "--http-address=127.0.0.1", "--grpc-address=127.0.0.1", f"--http-port={self.http}",
            f"--grpc-port={self.grpc}", "--allow-metrics=false", "--disable-auto-complete-config",
        ]  # fmt: skip
        self._memory = {file.stat().st_ino for file in MEMORY.glob("*")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready", timeout=1):
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.kill()
        return False

    def kill(self) -> None:
        """At once, with the processes of its models."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None
            for left in MEMORY.glob("triton_python_backend_shm_region_*"):  # a killed server leaves its memory behind
                if left.stat().st_ino not in self._memory:
                    left.unlink(missing_ok=True)
