"""Records that say more than those of the release before must reach gateways that have the old ones already."""

from accounts.domain.objects import SHAPE
from common.contracts.directory import KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord

FIELDS = {
    1: {
        "KeyRecord": "expires_at key_id label limits lookup models name networks organization_id owner_id owner_kind project_id "
        "scopes secrets status tags version",
        "Limits": "concurrency daily_cost_nanousd daily_tokens monthly_cost_nanousd monthly_tokens requests_per_minute "
        "tokens_per_minute version",
        "MemberRecord": "kind limits member_id organization_id status version",
        "OrganizationRecord": "alert_percents end_user_limits limits max_staleness_seconds name organization_id status time_zone "
        "version",
        "ProjectRecord": "alert_percents budget_mode cache end_user_limits environment limits models name on_no_grant "
        "organization_id project_id retention_days revoked_streams status tier version",
    },
    2: {
        "KeyRecord": "expires_at key_id label limits lookup models name networks organization_id owner_id owner_kind project_id "
        "scopes secrets status tags version",
        "Limits": "concurrency daily_cost_nanousd daily_tokens monthly_cost_nanousd monthly_tokens requests_per_minute "
        "tokens_per_minute version",
        "MemberRecord": "kind limits member_id organization_id status version",
        "OrganizationRecord": "alert_percents earlier_time_zone end_user_limits enforcement limits max_staleness_seconds name "
        "organization_id status time_zone time_zone_from version",
        "ProjectRecord": "alert_percents budget_mode cache end_user_limits enforcement environment limits models name on_no_grant "
        "on_unpriced organization_id project_id retention_days revoked_streams status tier version",
    },
}
"""By shape, once released never edited: a new field needs a new entry here and the next SHAPE in accounts/domain/objects.py."""


def test_a_record_with_other_fields_has_another_shape():
    """Otherwise a gateway would go on with the old record, whose version is the same."""
    records = (KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord)
    assert {record.__name__: " ".join(sorted(record.__struct_fields__)) for record in records} == FIELDS[SHAPE]
