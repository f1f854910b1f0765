"""The optional C parts of the package: every `_*.c` below millrace/ is an extension module of that name.

They use the limited API of Python 3.11 and are optional: without a compiler the package installs and runs all the
same, on NumPy. Whatever has a C part tests that both give equal results. All other facts stand in pyproject.toml.
"""

from pathlib import Path

from setuptools import Extension, setup

LIMITED_API = "0x030B0000"

setup(
    ext_modules=[
        Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            define_macros=[("Py_LIMITED_API", LIMITED_API)],
            extra_compile_args=["-O3", "-ffp-contract=off"],  # no fused multiply-add: the same floats as NumPy's
            py_limited_api=True,
            optional=True,
        )
        for source in sorted(Path("millrace").rglob("_*.c"))
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
