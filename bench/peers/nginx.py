"""nginx as a plain reverse proxy at its best: one worker, keep-alive to the upstream, no access log."""

import os
import shutil
import subprocess

from bench.peers.system import Ground, Missing, System, free_port, wait_ready
from bench.processes import is_running, running

CONFIGURATION = """\
daemon off;
worker_processes 1;
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log error;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 64k;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    tcp_nodelay on;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /v1/ {{ proxy_pass http://mock; }}
        location /stream/v1/ {{ proxy_buffering off; proxy_pass http://mock; }}
    }}
}}
"""


def _version(program: str) -> str:
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=10)
    return shown.stderr.rpartition("/")[2].split()[0]


def start(ground: Ground) -> System:
    """Start nginx. Raises Missing when it is not installed, Unfit when it does not come up."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise Missing("nginx is not installed: apt-get install nginx-light")
    folder, port = ground.folder / "nginx", free_port()
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIGURATION.format(folder=folder, upstream=ground.upstream_port, port=port, user=_user_line())
    (folder / "nginx.conf").write_text(text)
    log = folder / "out.log"
    command = [program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = ground.cleanup.enter_context(running(command, ground.cores.system, log))
    wait_ready(f"http://127.0.0.1:{port}/v1/models", lambda: is_running(process), log, 10, "nginx")
    return System(
        name="nginx",
        version=_version(program),
        settings="1 worker, proxy_pass, keep-alive upstream, no access log; streams: proxy_buffering off",
        port=port,
        roots=(process.pid,),
        stream_path="/stream/v1/chat/completions",
        warm_up_seconds=1.0,
    )


def _user_line() -> str:
    """A worker of a root-owned nginx would change to a user that cannot read the folder of the checkout."""
    return "user root;\n" if os.geteuid() == 0 else ""
