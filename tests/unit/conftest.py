"""Unit tests open no sockets: what needs one is an integration test."""

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_sockets():
    """Refuse network sockets; event loops may have their pipes."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
