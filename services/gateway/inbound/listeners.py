"""What the bus tells the gateway besides the directory and the watermarks: quota states, and recalls of grants."""

from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from common.contracts.events import QuotaState
from common.contracts.grants import Recall
from common.contracts.subjects import GRANTS_RECALL, QUOTA_STATE
from gateway.use_cases.show_quota import QuotaStates

_decode = msgspec.json.Decoder(QuotaState).decode
_decode_recall = msgspec.json.Decoder(Recall).decode


async def listen_to_quota(client: Client, states: QuotaStates) -> None:
    """Subscribe; survives reconnects. A state that cannot be read is passed over: it is only shown, never decided on."""

    async def heard(message: Msg) -> None:
        try:
            state = _decode(message.data)
        except msgspec.MsgspecError:
            return
        states.take(state)

    await client.subscribe(f"{QUOTA_STATE}.*", cb=heard)


async def listen_to_recalls(client: Client, take: Callable[[Recall], None]) -> None:
    """Subscribe; survives reconnects. One that is missed is said again as long as somebody waits."""

    async def heard(message: Msg) -> None:
        try:
            recall = _decode_recall(message.data)
        except msgspec.MsgspecError:
            return
        take(recall)

    await client.subscribe(GRANTS_RECALL, cb=heard)
