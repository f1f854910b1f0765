"""One session for all who want the same model, closed by the last; a file that was replaced is another one."""

from __future__ import annotations

import os
import threading

import pytest

from millrace.engines.share import key_of, open_sessions, shared
from millrace.testing.models import make_level_model


class Fake:
    inputs = outputs = ()
    metadata: dict[str, str] = {}
    parallel, batches, device = 2, False, "cpu"

    def __init__(self):
        self.closed = 0

    def run(self, inputs):
        return {"out": inputs}

    def close(self):
        self.closed += 1


def test_two_users_share_and_the_last_one_closes():
    made = []
    first = shared("key", lambda: made.append(Fake()) or made[-1])
    second = shared("key", lambda: made.append(Fake()) or made[-1])
    other = shared("other", lambda: made.append(Fake()) or made[-1])
    assert len(made) == 2 and open_sessions() == 2
    assert second.run(3) == {"out": 3}
    first.close()
    first.close()  # twice is once
    assert made[0].closed == 0
    second.close()
    other.close()
    assert [each.closed for each in made] == [1, 1] and open_sessions() == 0


def test_one_loads_while_the_others_wait_for_it():
    made, gate, shares = [], threading.Event(), []

    def load():
        assert gate.wait(5)
        made.append(Fake())
        return made[-1]

    threads = [threading.Thread(target=lambda: shares.append(shared("key", load))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(5)
    assert len(made) == 1 and len(shares) == 4
    for each in shares:
        each.close()
    assert made[0].closed == 1


def test_a_load_that_fails_is_tried_again_by_the_next():
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError):
        shared("key", fail)
    assert open_sessions() == 0
    shared("key", Fake).close()


def test_keys_tell_files_and_options_apart(tmp_path):
    model = make_level_model(tmp_path / "m.onnx")
    os.symlink(model, tmp_path / "link.onnx")
    key = key_of(model, "cpu", "auto", {"parallel": 2})
    assert key == key_of(str(tmp_path / "link.onnx"), "cpu", "auto", {"parallel": 2})
    assert key != key_of(model, "cpu", "auto", {"parallel": 1})
    assert key != key_of(model, "cpu", "openvino", {"parallel": 2})
    make_level_model(tmp_path / "new.onnx", width=16)
    os.replace(tmp_path / "new.onnx", model)
    assert key != key_of(model, "cpu", "auto", {"parallel": 2})
    assert key_of("triton://h/m", "cpu", "auto", {}) != key_of("triton://h/m", "cpu", "auto", {})


def test_two_infer_elements_of_one_model_have_one_session(tmp_path):
    from millrace.core import Context
    from millrace.elements.infer import Infer

    model = make_level_model(tmp_path / "m.onnx")
    elements = [Infer(model=model), Infer(model=model, confidence=0.9), Infer(model=model, parallel=1)]
    for element in elements:
        element.open(Context("infer"))
    assert open_sessions() == 2  # the third asks for another number of calls
    for element in elements:
        element.close()
    assert open_sessions() == 0


def test_a_share_makes_its_runtime_ready_for_sizes():
    class Warm(Fake):
        def warm(self, sizes):
            self.sizes = sizes

    made = Warm()
    share = shared("warm", lambda: made)
    share.warm([1, 4])
    assert made.sizes == [1, 4]
    share.close()
    plain = shared("plain", Fake)
    plain.warm([1])  # a runtime that needs no warming is left alone
    plain.close()


@pytest.mark.parametrize("users", [1, 2])
def test_a_session_that_others_use_is_not_cancelled(users):
    class Waits(Fake):
        cancelled = 0

        def cancel(self):
            self.cancelled += 1

    runtime = Waits()
    shares = [shared("key", lambda: runtime) for _ in range(users)]
    shares[0].cancel()
    for share in shares:
        share.close()
    assert runtime.cancelled == (users == 1)
