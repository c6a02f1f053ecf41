"""Writes the services' OpenAPI documents: `python -m devstack.openapi FOLDER`. Nothing is started or connected."""

import json
import sys
from pathlib import Path
from typing import Any

# Placeholders, so that the applications can be built; none of them ever leaves this process.
SHARED: dict[str, Any] = {"database_password": "unused", "nats_password": "unused"}
ACCOUNTS: dict[str, Any] = {**SHARED, "key_peppers": "1:" + "00" * 32, "signing_key": "00" * 32}


def documents() -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service."""
    from prometheus_client import CollectorRegistry

    from accounts.app import build_app as build_accounts
    from accounts.settings import Settings as AccountsSettings
    from gateway.app import people_app
    from usage.app import build_app as build_usage
    from usage.settings import Settings as UsageSettings

    return {
        "accounts": build_accounts(AccountsSettings(**ACCOUNTS)).openapi(),
        "usage": build_usage(UsageSettings(**SHARED)).openapi(),
        "gateway": people_app(list, CollectorRegistry()).openapi(),
    }


def main(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for service, document in documents().items():
        (folder / f"{service}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
