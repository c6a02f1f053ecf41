"""What the bus tells the gateway besides the directory and the watermarks: quota states, and recalls of grants and leases."""

from collections.abc import Callable
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from common.contracts.events import QuotaState
from common.contracts.grants import Recall
from common.contracts.rates import RatesRecall
from common.contracts.subjects import GRANTS_RECALL, QUOTA_STATE, RATES_RECALL
from gateway.use_cases.show_quota import QuotaStates

_decode = msgspec.json.Decoder(QuotaState).decode
_decode_recall = msgspec.json.Decoder(Recall).decode
_decode_rates_recall = msgspec.json.Decoder(RatesRecall).decode


async def listen_to_quota(client: Client, states: QuotaStates) -> None:
    """Subscribe; survives reconnects. A state that cannot be read is passed over: it is only shown, never decided on."""

    async def heard(message: Msg) -> None:
        try:
            state = _decode(message.data)
        except msgspec.MsgspecError:
            return
        states.take(state)

    await client.subscribe(f"{QUOTA_STATE}.*", cb=heard)


async def listen_to_recalls(client: Client, of_grants: Callable[[Recall], None], of_rates: Callable[[RatesRecall], None]) -> None:
    """Subscribe; survives reconnects. One that is missed, or cannot be read, is said again as long as somebody waits."""

    async def heard_of_grants(message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            of_grants(_decode_recall(message.data))

    async def heard_of_rates(message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            of_rates(_decode_rates_recall(message.data))

    await client.subscribe(GRANTS_RECALL, cb=heard_of_grants)
    await client.subscribe(RATES_RECALL, cb=heard_of_rates)
