"""The Kubernetes base: rendered by kustomize, validated against the schemas, and held to what schemas cannot know."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from common.health import health_routes
from tests.checkout import ROOT, known_variables, variables_of_the_bus_job, variables_of_the_migration

pytestmark = pytest.mark.manifests

Manifest = dict[str, Any]
KUBERNETES = "1.34"
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
EXTERNAL_SECRETS = {"codexflow-tls": {"tls.crt", "tls.key"}}


def renderer() -> list[str]:
    """kubectl or kustomize; where neither is, skips, but fails under CI, where a skip would pass for a test."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail("neither kubectl nor kustomize is installed, and under CI the manifests must be validated")
    pytest.skip("neither kubectl nor kustomize is installed")


@lru_cache(maxsize=1)
def render() -> tuple[Manifest, ...]:
    """Every document of the base."""
    command = [*renderer(), "deploy/k8s/base"]
    rendered = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert rendered.returncode == 0, rendered.stderr
    return tuple(yaml.safe_load_all(rendered.stdout))


@pytest.fixture
def manifests() -> tuple[Manifest, ...]:
    """Every document of the base."""
    return render()


def of_kind(*kinds: str) -> list[Manifest]:
    """The documents of these kinds; there is at least one."""
    found = [manifest for manifest in render() if manifest["kind"] in kinds]
    assert found
    return found


def workloads() -> list[Manifest]:
    """What runs pods."""
    return of_kind("Deployment", "StatefulSet", "Job")


def containers(workload: Manifest) -> list[dict[str, Any]]:
    """All containers of a workload, those that run first included."""
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def every_container() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each container with a name to report."""
    for workload in workloads():
        for container in containers(workload):
            yield f"{workload['kind']}/{workload['metadata']['name']}/{container['name']}", container


def pods_chosen_by(selector: dict[str, str]) -> list[Manifest]:
    """The workloads whose pods carry these labels."""
    return [w for w in workloads() if selector.items() <= w["spec"]["template"]["metadata"]["labels"].items()]


def secrets_of_the_example() -> dict[str, set[str]]:
    """The secrets that ../secrets.example.yaml describes, with their keys."""
    text = (ROOT / "deploy/k8s/secrets.example.yaml").read_text()
    return {secret["metadata"]["name"]: set(secret["stringData"]) for secret in yaml.safe_load_all(text)}


def test_documents_follow_the_schemas(manifests: tuple[Manifest, ...]) -> None:
    """Every document is valid for the cluster version we name, unknown fields refused."""
    assert len(manifests) > 15
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_example_of_secrets_is_valid_and_empty() -> None:
    """The example has the right form, holds no value, and is not part of the base."""
    for secret in yaml.safe_load_all((ROOT / "deploy/k8s/secrets.example.yaml").read_text()):
        kubernetes_validate.validate(secret, KUBERNETES, strict=True)
        assert not any(secret["stringData"].values())
    assert not [manifest for manifest in render() if manifest["kind"] == "Secret"]


def test_selectors_find_their_pods() -> None:
    """Workloads, services, disruption budgets and network policies choose pods that exist."""
    for workload in of_kind("Deployment", "StatefulSet"):
        assert workload in pods_chosen_by(workload["spec"]["selector"]["matchLabels"])
    for service in of_kind("Service"):
        assert len(pods_chosen_by(service["spec"]["selector"])) == 1
    for budget in of_kind("PodDisruptionBudget"):
        assert len(pods_chosen_by(budget["spec"]["selector"]["matchLabels"])) == 1
    for policy in of_kind("NetworkPolicy"):
        assert pods_chosen_by(policy["spec"]["podSelector"].get("matchLabels", {}))
        for rule in policy["spec"].get("ingress", []):
            for peer in rule.get("from", []):
                assert pods_chosen_by(peer["podSelector"]["matchLabels"])


def test_ports_lead_somewhere() -> None:
    """Every target port of a service and every port of a probe or policy is a named port of the chosen containers."""
    for service in of_kind("Service"):
        (workload,) = pods_chosen_by(service["spec"]["selector"])
        named = {port["name"]: port["containerPort"] for port in containers(workload)[0]["ports"]}
        for port in service["spec"]["ports"]:
            assert named[port["targetPort"]] == port["port"]
    for policy in of_kind("NetworkPolicy"):
        for workload in pods_chosen_by(policy["spec"]["podSelector"].get("matchLabels", {})):
            names = {port["name"] for container in containers(workload) for port in container.get("ports", [])}
            assert all(port["port"] in names for rule in policy["spec"].get("ingress", []) for port in rule["ports"])


def test_a_stateful_set_names_a_headless_service() -> None:
    """The gateway's governing service exists and has no address of its own."""
    headless = {service["metadata"]["name"] for service in of_kind("Service") if service["spec"].get("clusterIP") == "None"}
    assert all(stateful["spec"]["serviceName"] in headless for stateful in of_kind("StatefulSet"))


def test_the_spool_outlives_the_pod() -> None:
    """The gateway's state folder is on a claimed volume that is kept."""
    (gateway,) = of_kind("StatefulSet")
    claims = {claim["metadata"]["name"] for claim in gateway["spec"]["volumeClaimTemplates"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in containers(gateway)[0]["volumeMounts"]}
    (settings,) = [m for m in of_kind("ConfigMap") if "GATEWAY_STATE_DIR" in m["data"]]
    assert mounts[settings["data"]["GATEWAY_STATE_DIR"]] in claims
    assert set(gateway["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


def test_the_ingress_leads_to_the_gateway() -> None:
    """Both prefixes go to a port that the gateway's service has, over TLS, unbuffered."""
    (ingress,) = of_kind("Ingress")
    (rule,) = ingress["spec"]["rules"]
    paths = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert set(paths) == {"/v1", "/api/v1"}
    ports = {s["metadata"]["name"]: {p["name"] for p in s["spec"]["ports"]} for s in of_kind("Service")}
    assert all(backend["name"] == "gateway" and backend["port"]["name"] in ports["gateway"] for backend in paths.values())
    assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"


def test_quantities_are_quantities() -> None:
    """Requests and limits are numbers with a known unit, and a memory limit is always there."""
    for name, container in every_container():
        resources = container["resources"]
        assert "memory" in resources["limits"], name
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        for quantity in [*resources["requests"].values(), *resources["limits"].values()]:
            assert QUANTITY.fullmatch(str(quantity)), f"{name}: {quantity}"
    (gateway,) = of_kind("StatefulSet")
    for claim in gateway["spec"]["volumeClaimTemplates"]:
        assert QUANTITY.fullmatch(claim["spec"]["resources"]["requests"]["storage"])


def test_references_resolve() -> None:
    """Every config map is in the base, every secret and its key in the example or listed as external."""
    maps = {manifest["metadata"]["name"] for manifest in of_kind("ConfigMap")}
    secrets = {**secrets_of_the_example(), **EXTERNAL_SECRETS}
    accounts = {manifest["metadata"]["name"] for manifest in of_kind("ServiceAccount")}
    for name, container in every_container():
        assert {source["configMapRef"]["name"] for source in container["envFrom"]} <= maps, name
        for variable in container.get("env", []):
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in secrets[reference["name"]], name
    for workload in workloads():
        pod = workload["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in accounts
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} <= maps
        volumes = {
            volume["name"] for volume in [*pod["volumes"], *workload["spec"].get("volumeClaimTemplates", [])] if "name" in volume
        }
        volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for container in containers(workload) for mount in container["volumeMounts"]} <= volumes
    for ingress in of_kind("Ingress"):
        assert {tls["secretName"] for tls in ingress["spec"]["tls"]} <= set(secrets)


def test_no_secret_is_in_a_config_map() -> None:
    """Config maps hold no password, and no URL in them does."""
    for manifest in of_kind("ConfigMap"):
        for name, value in manifest["data"].items():
            assert not re.search(r"PASSWORD|SECRET|PEPPERS|SIGNING|API_KEY$", name), name
            assert not re.search(r"://[^/@\s]*:[^/@\s]*@", value), name


def test_probes_ask_what_the_services_serve() -> None:
    """Liveness and start-up ask /healthz, readiness /readyz, at paths that our health routes have."""
    served = {getattr(route, "path", None) for route in health_routes(list).routes}
    for workload in of_kind("Deployment", "StatefulSet"):
        (container,) = containers(workload)
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            asked = container[probe]["httpGet"]
            assert asked["path"] == path
            assert path in served
            assert asked["port"] in ports
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/path"] in served
        assert int(annotations["prometheus.io/port"]) in {port["containerPort"] for port in container["ports"]}


def test_images_are_pinned() -> None:
    """Every image has a version, and all of ours the same one."""
    images = {container["image"] for _, container in every_container()}
    assert all(re.fullmatch(r"codexflow-(accounts|usage|gateway):\d+\.\d+\.\d+", image) for image in images)
    assert len({image.split(":")[1] for image in images}) == 1


def test_pods_are_contained() -> None:
    """No root, no writable root file system, no capabilities, no API token."""
    for workload in workloads():
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for name, container in every_container():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def settings_given(container: dict[str, Any]) -> set[str]:
    """The names of a container's environment variables, config maps included."""
    maps = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind("ConfigMap")}
    given = {variable["name"] for variable in container.get("env", [])}
    return given.union(*(maps[source["configMapRef"]["name"]] for source in container["envFrom"]))


def test_services_know_their_settings() -> None:
    """Each service gets every setting it requires, and none that it does not know but the keys its routes name."""
    routes_keys = set(re.findall(r'api_key_env = "(\w+)"', (ROOT / "deploy/k8s/base/routes.toml").read_text()))
    for workload in of_kind("Deployment", "StatefulSet"):
        (container,) = containers(workload)
        service, given = container["name"], settings_given(container)
        known = known_variables(service)
        assert {name for name, default in known.items() if default is None} <= given
        assert given - set(known) <= (routes_keys if service == "gateway" else set())
        if service == "gateway":
            assert routes_keys <= given


def test_jobs_know_their_settings() -> None:
    """The migrations get settings that their services know, the provisioning job what it reads."""
    (job,) = of_kind("Job")
    for container in containers(job):
        if container["name"] == "bus":
            assert container["command"] == ["python", "-m", "common.bus"]
            assert {"BUS_NATS_URL", "BUS_NATS_PASSWORD"} <= settings_given(container) <= variables_of_the_bus_job()
        else:
            known = known_variables(container["name"]) | variables_of_the_migration(container["name"])
            assert settings_given(container) <= set(known)


def test_pods_have_time_to_drain() -> None:
    """A pod is not killed before the gateway has drained (30 s), shipped (5 s) and the pause before has passed."""
    (gateway,) = of_kind("StatefulSet")
    (settings,) = [m for m in of_kind("ConfigMap") if "GATEWAY_DRAIN_SECONDS" in m["data"]]
    pause = containers(gateway)[0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pause + float(settings["data"]["GATEWAY_DRAIN_SECONDS"]) + 5
    assert gateway["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > needed
