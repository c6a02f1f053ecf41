#!/bin/sh
# Writes .env (mode 0600) from .env.example with fresh secrets. An existing .env is never overwritten.
# A setting that is already in the environment is taken over, e.g.  OPENAI_API_KEY_1=sk-… deploy/make-env.sh
set -eu
cd "$(dirname "$0")/.."
target="${1:-.env}"
if [ -e "$target" ]; then
  echo "$target exists: its secrets may be in use, so it stays as it is. Remove it to begin anew." >&2
  exit 1
fi

random_hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# `# generate: <kind>` stands on the line before the setting.
fresh() {
  case "$1" in
    password) printf 'p%s' "$(random_hex 24)" ;; # begins with a letter: nats-server would read digits as a number
    key) printf 'sk-%s' "$(random_hex 24)" ;;
    hex32) random_hex 32 ;;
    pepper) printf '1:%s' "$(random_hex 32)" ;;
    *) echo "unknown kind of secret: $1" >&2; exit 1 ;;
  esac
}

umask 077
kind=""
while IFS= read -r line; do
  case "$line" in
    "# generate: "*) kind="${line#\# generate: }"; continue ;;
    [A-Z]*=*)
      name="${line%%=*}"
      given="$(printenv "$name" || true)"
      if [ -n "$given" ]; then line="$name=$given"
      elif [ -n "$kind" ]; then line="$name=$(fresh "$kind")"
      fi ;;
  esac
  kind=""
  printf '%s\n' "$line"
done <.env.example >"$target.new"
mv "$target.new" "$target"
echo "$target written (mode 0600)."
