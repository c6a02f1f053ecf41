"""The few requests the supervisor makes to its own services, on loopback."""

import http.client
import json
from typing import Any

from devstack.servers.ports import LOOPBACK


def request(
    port: int, path: str, *, method: str = "GET", body: object = None, bearer: str | None = None, timeout: float = 5.0
) -> tuple[int, Any]:
    """Status and JSON body (None if it is not JSON); status 0 when nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    headers = {"content-type": "application/json"} if body is not None else {}
    if bearer:
        headers["authorization"] = f"Bearer {bearer}"
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except json.JSONDecodeError:
        return answer.status, None
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def is_ready(port: int, path: str = "/readyz") -> bool:
    """It answers 200 there."""
    return request(port, path)[0] == 200
