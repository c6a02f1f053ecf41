#!/usr/bin/env bash
# Writes the hashed requirement files from pyproject.toml and the *.in files: no index, no host, every platform.
# `requirements/lock.sh` keeps what is locked and adds what is missing; `requirements/lock.sh --upgrade` renews all.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"
compile() {
  local out="$1"; shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --output-file "requirements/$out.txt" "$@"
}
for part in gateway accounts usage cli; do compile "$part" --extra "$part" pyproject.toml "$@"; done
compile stack --extra gateway --extra accounts --extra usage --extra cli --extra devstack pyproject.toml "$@"
compile dev --extra gateway --extra accounts --extra usage --extra cli --extra devstack --extra dev pyproject.toml "$@"
for tool in bootstrap litellm checkov; do compile "$tool" "requirements/$tool.in" "$@"; done
