"""A nats-server with JetStream and the least-privilege users of our services."""

from pathlib import Path

from common.bus import server_config
from devstack.servers.embedded import EmbeddedServer, script, write_private
from devstack.servers.process import Process
from devstack.servers.server import answers


class NatsServer(EmbeddedServer):
    """`passwords`: by user name (provisioner, gateway, accounts, usage)."""

    name = "nats"

    def __init__(self, folder: Path, *, passwords: dict[str, str], port: int = 0, log: Path | None = None) -> None:
        super().__init__(folder, port=port, log=log)
        self.passwords = passwords

    @property
    def url(self) -> str:
        """Without credentials: each service gives its own name and password."""
        return f"nats://{self.host}:{self.port}"

    def _make_runner(self) -> Process:
        config = self.folder / "nats.conf"
        listen = f"{self.host}:{self.port}"
        text = server_config.render(passwords=self.passwords, store_dir=str(self.folder / "jetstream"), listen=listen)
        write_private(config, text)
        return Process(self.name, [script("nats-server"), "-c", str(config)], self.log)

    def is_ready(self) -> bool:
        """The server greets, which it does only once JetStream has recovered."""
        return answers(self.port, said=b"", begins=(b"INFO ",))
