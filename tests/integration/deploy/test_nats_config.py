"""The NATS configuration of compose on a real server."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from nats.js.errors import APIError

from common.bus import connection
from devstack.servers.embedded import script
from devstack.servers.ports import free_port
from tests.checkout import ROOT

PASSWORDS = {user: f"p{index}7e5" for index, user in enumerate(("provisioner", "gateway", "accounts", "usage"))}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """nats-server with the committed file; only addresses and the store's place are the test's own."""
    port, monitor = free_port(), free_port()
    text = (ROOT / "deploy/nats/nats.conf").read_text()
    for compose, here in (
        ("0.0.0.0:4222", f"127.0.0.1:{port}"),
        ("127.0.0.1:8222", f"127.0.0.1:{monitor}"),
        ("/data", str(tmp_path)),
    ):
        assert text.count(compose) == 1
        text = text.replace(compose, here)
    config = tmp_path / "nats.conf"
    config.write_text(text)
    environment = {f"NATS_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
    with subprocess.Popen([script("nats-server"), "-c", config], env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_for(port)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=60)


def wait_for(port: int) -> None:
    """Blocks until something listens there; raises TimeoutError after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


async def test_the_job_provisions_with_the_deployed_permissions(server: str) -> None:
    """The server takes the passwords from its environment, and the provisioning job works with them, twice."""
    for _ in range(2):
        job = subprocess.run(
            [sys.executable, "-m", "common.bus"],
            env={"BUS_NATS_URL": server, "BUS_NATS_PASSWORD": PASSWORDS["provisioner"], "BUS_MAX_BYTES_SCALE": "0.01"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert job.returncode == 0, job.stderr


async def test_services_may_not_make_streams(server: str) -> None:
    """Streams are the provisioning job's business; a service's user cannot make one."""
    client = await connection.connect(url=server, service="gateway", password=PASSWORDS["gateway"], name="test")
    try:
        with pytest.raises((APIError, TimeoutError)):
            await client.jetstream(timeout=1).add_stream(name="MINE", subjects=["mine"])
    finally:
        await client.close()


def test_passwords_are_not_interchangeable(server: str) -> None:
    """Another user's password does not open the door."""
    port = int(server.rsplit(":", 1)[1])
    greeting = json.dumps({"user": "usage", "pass": PASSWORDS["gateway"], "verbose": False, "protocol": 1})
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client, client.makefile("rb") as answers:
        assert answers.readline().startswith(b"INFO ")
        client.sendall(f"CONNECT {greeting}\r\nPING\r\n".encode())
        assert b"Authorization Violation" in answers.readline()
