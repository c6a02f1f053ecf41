"""One run of the command: its settings, who it speaks for, and which organization and project are meant."""

import os
import uuid
from functools import cached_property

import httpx
import typer

from codexflow_cli.client import TIMEOUT, Client, Query, Tokens
from codexflow_cli.credentials import CredentialStore
from codexflow_cli.errors import Refused, WrongUse
from codexflow_cli.session import GivenToken, NoToken, StoredSession
from codexflow_cli.settings import Settings, configuration_folder, load_settings

AGENT = "codexflow-cli/1"
NOT_FOUND = 404
ENDED = ("revoked", "ended")
IDENTIFIER_LENGTH = 36


class Invocation:
    """Everything is made when a command first asks for it: `--help` reads no file and opens no connection."""

    def __init__(self, url: str | None = None, idempotency_key: str | None = None) -> None:
        self._named_url, self._idempotency_key = url, idempotency_key
        self.store = CredentialStore(configuration_folder())

    @cached_property
    def settings(self) -> Settings:
        """Options over the environment over config.toml."""
        return load_settings(os.environ, configuration_folder(), url=self._named_url)

    @cached_property
    def url(self) -> str:
        """Where accounts is. Raises WrongUse when nobody has said."""
        if self.settings.url is None:
            raise WrongUse("Where is the accounts service? Give --url, CODEXFLOW_URL, or `url` in config.toml.")
        return self.settings.url

    @cached_property
    def http(self) -> httpx.Client:
        """The connections; the process ends with them."""
        return httpx.Client(timeout=TIMEOUT, headers={"user-agent": AGENT})

    @cached_property
    def client(self) -> Client:
        """Speaks for whoever is signed in."""
        tokens: Tokens = StoredSession(self.store, self.url, self.http)
        if self.settings.token:
            tokens = GivenToken(self.settings.token)
        return Client(self.url, tokens, self.http, self._idempotency_key)

    @cached_property
    def stranger(self) -> Client:
        """Speaks for nobody."""
        return Client(self.url, NoToken(), self.http)

    def organization(self, named: str | None) -> str:
        """The identifier of the one that is named, configured, or the only one there is."""
        name = named or self.settings.organization
        if name is None:
            return self._only_organization()
        return self.identify(name, "/organizations", "slug", "organization", {"slug": name})

    def project(self, named: str | None, organization: str | None = None) -> str:
        """The identifier of the one that is named or configured; a slug is looked up in the organization."""
        name = named or self.settings.project
        if name is None:
            raise WrongUse("Which project? Give --project, CODEXFLOW_PROJECT, or `project` in config.toml.")
        if is_identifier(name):
            return name.lower()
        path = f"/organizations/{self.organization(organization)}/projects"
        return self.identify(name, path, "slug", "project", {"slug": name})

    def identify(self, named: str, path: str, field: str, kind: str, query: Query | None = None) -> str:
        """The identifier of an object that is named by it, or by another field, for which its list is read.

        What has ended gives way to what has not. Raises Refused when there is none, WrongUse when there are several.
        """
        if is_identifier(named):
            return named.lower()
        found = [item for item in self.client.pages(path, query) if item[field].casefold() == named.casefold()]
        chosen = [item for item in found if item.get("status") not in ENDED] or found
        if not chosen:
            raise Refused({"status": NOT_FOUND, "code": "not_found", "detail": f"There is no {kind} {named} that you may see."})
        if len(chosen) > 1:
            raise WrongUse(f"There are {len(chosen)} called {named}; name the {kind} by its id.")
        return str(chosen[0]["id"] if "id" in chosen[0] else chosen[0]["user_id"])

    def _only_organization(self) -> str:
        first = self.client.get("/organizations", {"limit": 2}).document["data"]
        if len(first) != 1:
            raise WrongUse("Which organization? Give --organization, CODEXFLOW_ORGANIZATION, or `organization` in config.toml.")
        return str(first[0]["id"])


def is_identifier(name: str) -> bool:
    """Whether this is an object's identifier and needs no looking up."""
    try:
        return len(name) == IDENTIFIER_LENGTH and bool(uuid.UUID(name))
    except ValueError:
        return False


def invocation(context: typer.Context) -> Invocation:
    """That of the command that runs."""
    found = context.find_object(Invocation)
    if found is None:
        raise RuntimeError("the application's callback has not run")
    return found
