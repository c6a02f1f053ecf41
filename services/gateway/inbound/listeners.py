"""What the bus tells the gateway besides the directory and the watermarks: quota states."""

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from common.contracts.events import QuotaState
from common.contracts.subjects import QUOTA_STATE
from gateway.use_cases.show_quota import QuotaStates

_decode = msgspec.json.Decoder(QuotaState).decode


async def listen_to_quota(client: Client, states: QuotaStates) -> None:
    """Subscribe; survives reconnects. A state that cannot be read is passed over: it is only shown, never decided on."""

    async def heard(message: Msg) -> None:
        try:
            state = _decode(message.data)
        except msgspec.MsgspecError:
            return
        states.take(state)

    await client.subscribe(f"{QUOTA_STATE}.*", cb=heard)
