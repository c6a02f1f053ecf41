"""Find a service account for a caller who may see or change it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import ServiceAccount
from accounts.domain.principal import Principal
from accounts.outbound.service_accounts import find_service_account
from accounts.use_cases.authorize_caller import authorize, missing
from common.contracts.roles import Permission


async def service_account_for(
    connection: AsyncConnection,
    caller: Principal,
    organization_id: str,
    service_account_id: str,
    *permissions: Permission,
    to_change: bool = False,
) -> ServiceAccount:
    """The service account, also one that was closed; `to_change` locks it, and needs service_accounts.manage where no other
    permissions are named. Raises NotFound, Forbidden.
    """
    usual: Permission = "service_accounts.manage" if to_change else "service_accounts.read"
    for permission in permissions or (usual,):
        await authorize(connection, caller, permission, organization_id)
    account = await find_service_account(connection, organization_id, service_account_id, locked=to_change)
    if account is None:
        raise missing()
    return account
