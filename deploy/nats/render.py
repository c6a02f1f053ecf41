"""Prints deploy/nats/nats.conf: the permissions of common.bus.server_config with passwords read from the server's environment.

python deploy/nats/render.py > deploy/nats/nats.conf
"""

import sys

from common.bus.server_config import ADMINISTRATOR, PERMISSIONS, render

USERS = (ADMINISTRATOR, *PERMISSIONS)

sys.stdout.write(
    "# Written by deploy/nats/render.py; a test compares the two. Needs nats-server 2.14 or newer (feature_flags).\n"
)
sys.stdout.write(
    render(
        passwords={user: f"$NATS_{user.upper()}_PASSWORD" for user in USERS},
        store_dir="/data",
        listen="0.0.0.0:4222",
        monitor="127.0.0.1:8222",
    )
)
