import pytest

from millrace.core.hosts import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_only_this_machine_reaches_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", None, "10.0.0.1", "127.0.0.1.example.com", "localhost.example"])
def test_others_may_reach_everything_else(host):
    assert not is_loopback(host)
