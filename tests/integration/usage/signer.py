"""What usage needs of accounts: a key set at an address, and tokens signed with its key."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.contracts.access_tokens import ALGORITHM, Identity, claims_of
from common.contracts.identifiers import uuid7
from common.contracts.roles import Role


class Signer:
    """Serves the public key; `rotate` replaces it."""

    def __init__(self) -> None:
        self.rotate()
        signer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(signer.key_set())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/.well-known/jwks.json"

    def rotate(self) -> None:
        self.key, self.key_id = Ed25519PrivateKey.generate(), uuid7()

    def key_set(self) -> bytes:
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return msgspec.json.encode({"keys": [{**public, "kid": self.key_id, "alg": ALGORITHM, "use": "sig"}]})

    def token(self, roles: dict[str, Role], *, lifetime_seconds: int = 300, **more: Any) -> str:
        claims = claims_of(Identity(user_id=uuid7(), roles=roles, **more), lifetime_seconds=lifetime_seconds)
        return jwt.encode(claims, self.key, algorithm=ALGORITHM, headers={"kid": self.key_id})

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
