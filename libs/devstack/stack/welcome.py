"""What `make up` prints when everything is ready: addresses, the key when it is new, and two examples to paste."""

from pathlib import Path

from devstack.stack.assembly import Assembly
from devstack.stack.terminal import Terminal

_UPSTREAMS = {
    "simulated": "simulated provider {} (for a real one set OPENAI_API_KEY, UPSTREAM_BASE_URL or LITELLM_BASE_URL)",
    "openai": "OpenAI-compatible {}",
    "litellm": "LiteLLM {}",
}

_PYTHON = """\
import json, openai  # pip install openai
stack = json.load(open("{file}"))
client = openai.OpenAI(base_url="{gateway}/v1", api_key=stack["api_key"])
answer = client.chat.completions.create(model="auto", messages=[{{"role": "user", "content": "Hello!"}}])
print(answer.choices[0].message.content)"""

_CURL = """\
curl -s {gateway}/v1/chat/completions -H 'content-type: application/json' \\
  -H "authorization: Bearer {key}" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""


def show(assembly: Assembly, terminal: Terminal, seconds: float, *, detached: bool) -> None:
    """To standard output; the key itself only when it was just made."""
    described = assembly.description()
    file = assembly.state.folder / "stack.json"
    say, bold, dim = terminal.say, terminal.bold, terminal.dim
    say(f"\n{bold('CodexFlow is ready')} after {seconds:.1f} s\n")
    for url in described["gateway_urls"]:
        say(f"  gateway    {bold(url + '/v1')}")
    say(f"  accounts   {described['accounts_url']}   {dim('API: /docs')}")
    say(f"  usage      {described['usage_url']}   {dim('API: /docs')}")
    say(f"  upstream   {_UPSTREAMS[described['upstream']].format(described['upstream_url'])}")
    say(f"  login      {described['user_email']} / {described['user_password']}")
    if assembly.first_seed:
        say(f"  API key    {bold(described['api_key'])}   {dim('shown this once')}")
    say(f"  state      {file} {dim('(private)')}\n")
    key = described["api_key"] if assembly.first_seed else _read_key(file)
    say(f"{dim('# try it')}\n{_CURL.format(gateway=described['gateway_url'], key=key)}\n")
    say(f"{dim('# or in Python')}\n{_PYTHON.format(gateway=described['gateway_url'], file=file)}\n")
    say(dim("Stop: make down · look: make status, make logs SERVICE=gateway" if detached else "Stop: Ctrl-C"))


def _read_key(file: Path) -> str:
    return f"""$(python3 -c 'import json; print(json.load(open("{file}"))["api_key"])')"""
