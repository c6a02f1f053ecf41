#!/opt/codexflow/bin/python -I
"""The image's health check: exit 0 when this container's service answers /healthz within two seconds."""

import os
import sys
import urllib.error
import urllib.request

PORTS = {"gateway": "8000", "accounts": "8001", "usage": "8002"}


def main() -> int:
    """0 = alive; 1 = silent or failing, with the reason on standard error."""
    service = os.environ["CODEXFLOW_SERVICE"]
    port = os.environ.get(f"{service.upper()}_PORT", PORTS[service])
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
            return 0
    except (urllib.error.URLError, OSError) as problem:
        sys.stderr.write(f"{service}: {problem}\n")
        return 1


sys.exit(main())
