import os

import pytest

from millrace.core.errors import ConfigError
from millrace.gstreamer.process import python


@pytest.fixture(autouse=True)
def gstreamer() -> None:
    """Skips where no Python has GStreamer's bindings; under CI that is a failure."""
    try:
        python()
    except ConfigError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
