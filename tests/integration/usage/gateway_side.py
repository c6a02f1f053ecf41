"""What the other services say on the bus, said by a test: envelopes, asks, presence, directory records."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, Limits, OrganizationRecord, ProjectRecord, organization_entry, project_entry
from common.contracts.events import (
    HEADER_BOOT,
    HEADER_CLOSE,
    HEADER_FROM,
    HEADER_GATEWAY,
    HEADER_TO,
    INSUFFICIENT_QUOTA,
    Decision,
    KeyActivity,
    Presence,
    QuotaState,
    RequestSettled,
    Watermark,
)
from common.contracts.grants import GrantAnswer, GrantAsk, Recall, ScopeAnswer, ScopeAsk
from common.contracts.identifiers import uuid7
from common.contracts.rates import RatesRecall
from common.contracts.subjects import (
    GRANTS_ASK,
    GRANTS_RECALL,
    KEY_ACTIVITY,
    PRESENCE,
    QUOTA_STATE,
    RATES_RECALL,
    REQUESTS,
    WATERMARKS,
)
from tests.days import this_day, this_month
from tests.servers.fixtures import Bus

PATIENCE_SECONDS = 60.0
ASK_SECONDS = 5.0


def make_event(project_id: str, boot: str, **changes: Any) -> RequestSettled:
    """A plain successful request of today: 10 + 5 tokens, 1,000 nano-USD."""
    now = time.time_ns() // 1_000_000
    event_id = uuid7()
    plain = RequestSettled(
        event_id=event_id,
        request_id=f"req-{event_id}",
        gateway="g1",
        boot=boot,
        organization_id="org-1",
        project_id=project_id,
        key_id="key-1",
        endpoint="chat.completions",
        model_requested="auto",
        model="sim-fast-1",
        tier="fast",
        status="ok",
        http_status=200,
        admitted_at=now,
        finished_at=now,
        period_day=this_day(),
        period_month=this_month(),
        latency_us=20_000,
        ttft_us=5_000,
        prompt_tokens=10,
        completion_tokens=5,
        usage_source="provider",
        cost_nanousd=1_000,
        cost_status="exact",
    )
    return msgspec.structs.replace(plain, **changes)


def make_refusal(project_id: str, boot: str, limit: str, needed: int, **changes: Any) -> RequestSettled:
    """A request of today that a budget has refused."""
    decision = Decision(mode="strict", limit=limit, needed=needed)
    nothing: dict[str, Any] = {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost_nanousd": 0,
        "usage_source": "none",
        "cost_status": "none",
    }
    refused: dict[str, Any] = {"status": "refused", "http_status": 429, "error_code": INSUFFICIENT_QUOTA, "decision": decision}
    return make_event(project_id, boot, **{**nothing, **refused, **changes})


def envelope_headers(boot: str, first: int, last: int, *, close: int | None = None) -> dict[str, str]:
    headers = {HEADER_GATEWAY: "g1", HEADER_BOOT: boot, HEADER_FROM: str(first), HEADER_TO: str(last)}
    return headers if close is None else {**headers, HEADER_CLOSE: str(close)}


class GatewaySide:
    """Connections as gateway, accounts and provisioner."""

    def __init__(self, bus: Bus, gateway: Client, accounts: Client, administrator: Client) -> None:
        self.bus, self.gateway, self.accounts, self.administrator = bus, gateway, accounts, administrator

    @classmethod
    async def connect(cls, bus: Bus) -> Self:
        return cls(bus, await bus.connect("gateway"), await bus.connect("accounts"), await bus.connect("provisioner"))

    async def close(self) -> None:
        for client in (self.gateway, self.accounts, self.administrator):
            await client.close()

    async def ship(
        self, events: Sequence[RequestSettled], *, boot: str, first: int, last: int | None = None, close: int | None = None
    ) -> None:
        last = first + len(events) - 1 if last is None else last
        await self.ship_raw(msgspec.json.encode(events), envelope_headers(boot, first, last, close=close))

    async def ship_raw(self, body: bytes, headers: dict[str, str]) -> None:
        await self.gateway.jetstream(timeout=30).publish(REQUESTS, body, headers=headers)

    async def present(self, boot: str) -> None:
        presence = Presence(gateway="g1", boot=boot, directory_created="", applied_sequence=0, at=time.time_ns() // 1_000_000)
        await self.gateway.publish(PRESENCE, msgspec.json.encode(presence))

    async def ask(self, boot: str, *asks: ScopeAsk, seconds: float = PATIENCE_SECONDS) -> GrantAnswer:
        """Asked again while nobody answers, as gateways do; raises TimeoutError."""
        message = msgspec.json.encode(GrantAsk(gateway="g1", boot=boot, asks=asks))
        async with asyncio.timeout(seconds):
            while True:
                with suppress(nats.errors.TimeoutError, nats.errors.NoRespondersError):
                    answer = await self.gateway.request(GRANTS_ASK, message, timeout=ASK_SECONDS)
                    return msgspec.json.decode(answer.data, type=GrantAnswer)
                await asyncio.sleep(0.05)

    async def ask_once(
        self,
        boot: str,
        project_id: str,
        seq: int,
        *,
        limit_version: int = 1,
        seconds: float = PATIENCE_SECONDS,
        **amounts: Any,
    ) -> ScopeAnswer:
        """The answer, whatever it says; raises TimeoutError."""
        ask = ScopeAsk(scope="project", scope_id=project_id, period=this_month(), limit_version=limit_version, seq=seq, **amounts)
        return (await self.ask(boot, ask, seconds=seconds)).answers[0]

    async def ask_tokens(self, boot: str, project_id: str, seq: int, **amounts: Any) -> ScopeAnswer:
        """The decision: asked again while usage says that the directory has told it less than the ask knows."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (answer := await self.ask_once(boot, project_id, seq, **amounts)).status == "stale_limits":
                await asyncio.sleep(0.05)
        return answer

    async def put_project(
        self,
        project_id: str,
        *,
        version: int = 1,
        organization_id: str = "org-1",
        tokens: int | None = None,
        cost: int | None = None,
        daily_tokens: int | None = None,
        retention_days: int | None = None,
    ) -> None:
        record = ProjectRecord(
            project_id=project_id,
            organization_id=organization_id,
            version=version,
            status="active",
            limits=Limits(version=version, monthly_tokens=tokens, monthly_cost_nanousd=cost, daily_tokens=daily_tokens),
            retention_days=retention_days,
        )
        await self._put(project_entry(project_id), record)

    async def put_organization(
        self, organization_id: str = "org-1", limits: Limits = NO_LIMITS, *, version: int = 1, **fields: Any
    ) -> None:
        record = OrganizationRecord(organization_id=organization_id, version=version, status="active", limits=limits, **fields)
        await self._put(organization_entry(organization_id), record)

    async def _put(self, entry: str, record: msgspec.Struct) -> None:
        await self.accounts.jetstream(timeout=30).publish(f"$KV.DIRECTORY.{entry}", msgspec.json.encode(record))

    async def hear_recalls(self) -> list[Recall | RatesRecall]:
        """A list that fills with what is recalled from now on, of grants and of leases."""
        heard: list[Recall | RatesRecall] = []

        async def said(message: Any) -> None:
            shape = Recall if message.subject == GRANTS_RECALL else RatesRecall
            heard.append(msgspec.json.decode(message.data, type=shape))

        await self.gateway.subscribe(GRANTS_RECALL, cb=said)
        await self.gateway.subscribe(RATES_RECALL, cb=said)
        await self.gateway.flush()
        return heard

    async def hear_watermarks(self, boot: str) -> list[Watermark]:
        """A list that fills with what is said of a boot from now on."""
        heard: list[Watermark] = []

        async def said(message: Any) -> None:
            heard.append(msgspec.json.decode(message.data, type=Watermark))

        await self.gateway.subscribe(f"{WATERMARKS}.{boot}", cb=said)
        await self.gateway.flush()
        return heard

    async def hear_key_activity(self) -> list[KeyActivity]:
        """A list that fills with what is said to accounts of used keys from now on."""
        heard: list[KeyActivity] = []

        async def said(message: Any) -> None:
            heard.append(msgspec.json.decode(message.data, type=KeyActivity))

        await self.accounts.subscribe(KEY_ACTIVITY, cb=said)
        await self.accounts.flush()
        return heard

    async def hear_quota(self, project_id: str) -> list[QuotaState]:
        """A list that fills with what is said of a project from now on."""
        heard: list[QuotaState] = []

        async def said(message: Any) -> None:
            heard.append(msgspec.json.decode(message.data, type=QuotaState))

        await self.gateway.subscribe(f"{QUOTA_STATE}.{project_id}", cb=said)
        await self.gateway.flush()
        return heard
