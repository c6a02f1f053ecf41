"""The same servers in containers: same interface, same port and data after a kill or restart."""

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from common.bus import server_config
from devstack.servers.nats import NatsServer
from devstack.servers.postgres import DATABASE, PostgresServer
from devstack.servers.process import StartFailed
from devstack.servers.valkey import ValkeyServer

NATS_IMAGE = "nats:2.12"
POSTGRES_IMAGE = "postgres:18"
VALKEY_IMAGE = "valkey/valkey:9"
IMAGES = (NATS_IMAGE, POSTGRES_IMAGE, VALKEY_IMAGE)

# Its reaper is one more image to pull; every container here is removed by the fixture that made it.
testcontainers_config.ryuk_disabled = True


class Container:
    """A container that can be killed and started again; its published port is fixed, or it would change with a restart."""

    def __init__(self, name: str, container: DockerContainer) -> None:
        self.name = name
        self._container = container
        self._created = False

    @property
    def running(self) -> bool:
        if not self._created:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return wrapped.status == "running"

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._create()

    def _create(self) -> None:
        try:
            self._container.start()
        except Exception:
            self._container.stop()  # an engine keeps what it could not start
            raise
        self._created = True

    def stop(self) -> None:
        if self.running:
            self._container.get_wrapped_container().stop(timeout=15)

    def kill(self) -> None:
        if self.running:
            self._container.get_wrapped_container().kill()
            self._container.get_wrapped_container().wait()

    def remove(self) -> None:
        if self._created:
            self._container.stop(force=True, delete_volume=True)
            self._created = False

    def tail(self) -> str:
        return self._container.get_wrapped_container().logs(tail=15).decode(errors="replace") if self._created else ""


class InContainer:
    """Mixed into a server: waits for a container instead of a process, and removes it at the end."""

    def _wait(self) -> None:
        import time

        end = time.monotonic() + 90
        while not self.is_ready():
            if time.monotonic() > end or not self._runner.running:
                raise StartFailed(self.name, "did not become ready in its container", self._runner.tail())
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._runner:
            self._runner.remove()


class NatsContainer(InContainer, NatsServer):
    """nats-server's own image with our configuration."""

    def _make_runner(self) -> Container:
        config = self.folder / "nats.conf"
        config.write_text(server_config.render(passwords=self.passwords, store_dir="/data", listen="0.0.0.0:4222"))
        container = (
            DockerContainer(NATS_IMAGE)
            .with_bind_ports(4222, self.port)
            .with_volume_mapping(str(config), "/etc/nats/nats.conf", "ro")
            .with_command("-c /etc/nats/nats.conf")
        )
        return Container(self.name, container)


class ValkeyContainer(InContainer, ValkeyServer):
    """Valkey's own image."""

    def _make_runner(self) -> Container:
        command = f'valkey-server --requirepass {self.password} --save "" --maxmemory 64mb --maxmemory-policy allkeys-lru'
        return Container(self.name, DockerContainer(VALKEY_IMAGE).with_bind_ports(6379, self.port).with_command(command))


class PostgresContainer(InContainer, PostgresServer):
    """PostgreSQL's own image; the roles and schemas come from the same script as everywhere."""

    def _make_runner(self) -> Container:
        container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_bind_ports(5432, self.port)
            .with_env("POSTGRES_PASSWORD", self.password)
            .with_env("POSTGRES_DB", DATABASE)
        )
        return Container(self.name, container)


def images_missing(client: object) -> list[str]:
    """Which of our images the engine does not have."""
    import docker.errors

    missing = []
    for image in IMAGES:
        try:
            client.images.get(image)
        except docker.errors.ImageNotFound:
            missing.append(image)
    return missing
