"""Calls of the CUDA driver that return at once, made with the interpreter lock held.

The driver's Python bindings give the lock up around every call. For a call of a microsecond that is dear: with several
threads at work each one has to win it back, which takes longer than the call and was a third of a decode worker's time.
Nothing here waits for the GPU (the queue of a stream holds a thousand calls, far more than a pipeline has under way).
"""

from __future__ import annotations

import ctypes
import sys

_PLACE, _SIZE, _NUMBER = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint
_SIGNATURES = {  # names with _v2 are those that the driver's header gives the plain names to
    "cuEventRecord": (_PLACE, _PLACE),
    "cuEventQuery": (_PLACE,),
    "cuStreamWaitEvent": (_PLACE, _PLACE, _NUMBER),
    "cuMemcpyDtoDAsync_v2": (_PLACE, _PLACE, _SIZE, _PLACE),
    "cuMemcpyHtoDAsync_v2": (_PLACE, _PLACE, _SIZE, _PLACE),
    "cuMemAllocAsync": (ctypes.POINTER(ctypes.c_void_p), _SIZE, _PLACE),
    "cuMemFreeAsync": (_PLACE, _PLACE),
    "cuLaunchKernel": (_PLACE, *(_NUMBER,) * 7, _PLACE, _PLACE, _PLACE),
}


class Calls:
    """Each answers the driver's code, 0 for success. Handles and addresses are ints."""

    def __init__(self) -> None:
        library = ctypes.PyDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, ctypes.c_int
            setattr(self, name.removesuffix("_v2"), function)

    cuEventRecord: ctypes._NamedFuncPointer  # noqa: N815
    cuEventQuery: ctypes._NamedFuncPointer  # noqa: N815
    cuStreamWaitEvent: ctypes._NamedFuncPointer  # noqa: N815
    cuMemcpyDtoDAsync: ctypes._NamedFuncPointer  # noqa: N815
    cuMemcpyHtoDAsync: ctypes._NamedFuncPointer  # noqa: N815
    cuMemAllocAsync: ctypes._NamedFuncPointer  # noqa: N815
    cuMemFreeAsync: ctypes._NamedFuncPointer  # noqa: N815
    cuLaunchKernel: ctypes._NamedFuncPointer  # noqa: N815
