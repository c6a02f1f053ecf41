"""Who owns keys: members by email, service accounts by name."""

from codexflow_cli.commands.members import member_id
from codexflow_cli.invocation import Invocation, is_identifier


def owner_id(here: Invocation, who: str | None, project_id: str) -> str | None:
    """The identifier of an owner in the organization of a project; None when nobody is named."""
    if who is None or is_identifier(who):
        return who
    organization_id = str(here.client.get(f"/projects/{project_id}").document["organization_id"])
    return member_id(here, who, organization_id) if "@" in who else service_account_id(here, who, organization_id)


def service_account_id(here: Invocation, who: str, organization_id: str) -> str:
    """The identifier of a service account that is named by it or by its name."""
    return here.identify(who, f"/organizations/{organization_id}/service-accounts", "name", "service account", {"name": who})


def service_account_path(here: Invocation, who: str, organization: str | None) -> str:
    """Where a service account is."""
    organization_id = here.organization(organization)
    return f"/organizations/{organization_id}/service-accounts/{service_account_id(here, who, organization_id)}"
