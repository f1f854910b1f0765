"""The KServe v2 inference protocol over gRPC, by NVIDIA's client library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc as client
from tritonclient.utils import InferenceServerException

from .triton_base import Placed, Remote, Unreachable, named_dtype, remote

_RETRY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED")


class GrpcTransport:
    """One channel, used by one call at a time."""

    def __init__(self, address: str, model: str, version: str, secure: bool, timeout: float) -> None:
        # A channel of its own, not one that the library shares between clients of an address; after a loss it tries
        # again soon, because we decide how long to wait.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000)]
        options += [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._client = client.InferenceServerClient(address, ssl=secure, channel_args=options)
        self._model, self._version, self._timeout = model, version, timeout

    def describe(self) -> Remote:
        """What the model takes and gives. Raises Unreachable, ValueError."""
        facts = self._ask("get_model_metadata", self._model, self._version, as_json=True)
        try:
            config = self._ask("get_model_config", self._model, self._version, as_json=True)
        except ValueError:  # of Triton; other servers have none
            config = {}
        return remote(facts, config)

    def infer(self, feed: Mapping[str, Any], outputs: Mapping[str, Placed | None]) -> dict[str, Any]:
        """Run the model. Inputs are arrays or Placed; outputs without a place come back as arrays."""
        inputs = []
        for name, value in feed.items():
            array = value.array if isinstance(value, Placed) else np.ascontiguousarray(value)
            item = client.InferInput(name, list(array.shape), named_dtype(array.dtype))
            if isinstance(value, Placed):
                item.set_shared_memory(value.region, value.size, value.offset)
            else:
                item.set_data_from_numpy(array)
            inputs.append(item)
        wanted = []
        for name, place in outputs.items():
            output = client.InferRequestedOutput(name)
            if place:
                output.set_shared_memory(place.region, place.size, place.offset)
            wanted.append(output)
        result = self._ask("infer", self._model, inputs, self._version, wanted)
        if lacking := [name for name in outputs if result.get_output(name) is None]:
            raise ValueError(f"its answer lacks the outputs {', '.join(lacking)}")
        return {
            name: np.array(result.as_numpy(name)) if place is None else tuple(result.get_output(name).shape)
            for name, place in outputs.items()
        }

    def register(self, name: str, key: str, size: int) -> None:
        self._ask("register_system_shared_memory", name, key, size)

    def unregister(self, name: str) -> None:
        self._ask("unregister_system_shared_memory", name)

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._client, method)(*arguments, **options, client_timeout=self._timeout)
        except InferenceServerException as error:
            status, message = str(error.status() or ""), str(error.message() or error)
            if any(name in status for name in _RETRY) or "no available version" in message:
                raise Unreachable(f"{status.rpartition('.')[2]}: {message.splitlines()[0][:200]}") from error
            raise ValueError(message) from error
