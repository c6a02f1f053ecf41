"""docker-compose.yml: what must hold before anybody starts it."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT, SERVICES, known_variables, variables_of_the_bus_job, variables_of_the_migration

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
JOBS = {"accounts-migrate", "usage-migrate", "bus-provision", "bootstrap"}
SECRET = re.compile(r"PASSWORD|PEPPERS|SIGNING_KEY|SECRET|MASTER_KEY|API_KEY")
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")

parts = pytest.mark.parametrize("part", sorted(PARTS))


@parts
def test_each_part_is_checked_or_ends(part: str) -> None:
    """A part that stays says whether it is healthy; a job ends, is not restarted and has no health check."""
    if part in JOBS:
        assert PARTS[part]["restart"] == "no"
        assert PARTS[part]["healthcheck"] == {"disable": True}
    else:
        assert PARTS[part]["restart"] == "unless-stopped"
        assert PARTS[part]["healthcheck"]["test"]


@parts
def test_each_part_is_contained(part: str) -> None:
    """Nothing writes to its root file system, gains privileges or keeps capabilities that it does not need."""
    assert PARTS[part]["read_only"] is True
    assert PARTS[part]["cap_drop"] == ["ALL"]
    assert PARTS[part]["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in PARTS[part] or part == "postgres"
    assert not PARTS[part].get("privileged")


@parts
def test_no_secret_has_a_default(part: str) -> None:
    """A secret comes from the environment, compose refuses to start without it, and it is in no URL."""
    for name, value in PARTS[part].get("environment", {}).items():
        if SECRET.search(name):
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name} has a default or is written down"
        assert not re.search(r"//[^/@]*:[^/@]*@", value), f"{name} holds a password in a URL"


@parts
def test_images_are_pinned_or_ours(part: str) -> None:
    """Foreign images have a version; ours are built from this checkout."""
    image = PARTS[part]["image"]
    if image.startswith("codexflow-"):
        assert any(other.get("build") and other["image"] == image for other in PARTS.values())
    else:
        assert re.search(r":v?\d", image), f"{image} is not pinned"


@parts
def test_dependencies_are_waited_for(part: str) -> None:
    """Who depends on a job waits for its success, who depends on a server for its health."""
    for dependency, how in PARTS[part].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if dependency in JOBS else "service_healthy"
        assert how["condition"] == wanted


@parts
def test_neighbours_share_a_network(part: str) -> None:
    """Every host name in a part's settings is a part that it can reach."""
    for name, value in PARTS[part].get("environment", {}).items():
        found = re.match(r"\w+://(?:\w+@)?([a-z]+)[:/]", value)
        if found:
            assert set(PARTS[found[1]]["networks"]) & set(PARTS[part]["networks"]), f"{name}: {part} cannot reach {found[1]}"


def test_the_gateway_cannot_reach_the_database() -> None:
    """No network holds both the gateway or LiteLLM and PostgreSQL."""
    for part in ("gateway", "litellm"):
        assert not set(PARTS[part]["networks"]) & set(PARTS["postgres"]["networks"])


def test_only_the_services_are_published_and_only_here() -> None:
    """Servers are not published at all; the services on the loopback interface unless somebody decides otherwise."""
    published = {part: settings["ports"] for part, settings in PARTS.items() if "ports" in settings}
    assert set(published) == set(SERVICES)
    for ports in published.values():
        assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in ports)


def test_what_must_survive_is_on_volumes() -> None:
    """The books, the bus and the gateway's spool are on named volumes."""
    for part, volume in (("postgres", "postgres-data"), ("nats", "nats-data"), ("gateway", "gateway-state")):
        assert volume in COMPOSE["volumes"]
        assert any(str(mount).startswith(f"{volume}:") for mount in PARTS[part]["volumes"])
    assert f"gateway-state:{PARTS['gateway']['environment']['GATEWAY_STATE_DIR']}" in PARTS["gateway"]["volumes"]


def test_mounted_files_are_in_the_repository() -> None:
    """A mount of a missing file would be made as an empty folder by the engine."""
    for part in PARTS.values():
        for mount in part.get("volumes", []):
            source = str(mount).split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source


def test_every_variable_is_explained_in_the_example() -> None:
    """What compose reads is in .env.example, or has a default there is no need to touch."""
    for found in REFERENCE.finditer((ROOT / "docker-compose.yml").read_text()):
        assert re.search(rf"^{found['name']}=", EXAMPLE, re.MULTILINE) or found["rest"].startswith(":-"), found["name"]


def test_the_example_holds_no_secret() -> None:
    """Nobody can start with a password that is printed in a public repository."""
    for line in EXAMPLE.splitlines():
        name, _, value = line.partition("=")
        assert line.startswith("#") or not SECRET.search(name) or not value, name


@pytest.mark.parametrize("service", SERVICES)
def test_services_know_their_settings(service: str) -> None:
    """Each service gets every setting it requires, and none that it does not know."""
    given, known = set(PARTS[service]["environment"]), known_variables(service)
    assert {name for name, default in known.items() if default is None} <= given
    assert given - set(known) <= ({"LITELLM_API_KEY"} if service == "gateway" else set())


@pytest.mark.parametrize("service", ["accounts", "usage"])
def test_migrations_know_their_settings(service: str) -> None:
    """None is given that they do not know; what only they know, the service is not given."""
    of_the_migration = set(variables_of_the_migration(service))
    assert set(PARTS[f"{service}-migrate"]["environment"]) <= set(known_variables(service)) | of_the_migration
    assert not set(PARTS[service]["environment"]) & of_the_migration


def test_the_bus_job_knows_its_settings() -> None:
    """The provisioning job is given only what it reads."""
    assert set(PARTS["bus-provision"]["environment"]) <= variables_of_the_bus_job()


def test_routes_lead_to_pools_that_litellm_has() -> None:
    """Every model that the gateway asks LiteLLM for is a pool of the example config, and the upstream's key is given."""
    routes = tomllib.loads((ROOT / "deploy/gateway/routes.toml").read_text())
    config = yaml.safe_load((ROOT / "litellm-config.example.yaml").read_text())
    pools = {deployment["model_name"] for deployment in config["model_list"]}
    for candidates in routes["tiers"].values():
        assert {candidate["model"] for candidate in candidates} <= pools
    for upstream in routes["upstreams"].values():
        assert upstream["api_key_env"] in PARTS["gateway"]["environment"]
        assert upstream["base_url"].startswith("http://litellm:")
