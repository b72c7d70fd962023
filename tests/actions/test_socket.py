"""Ten Enters on two real connections to the engine's socket: one call, one action, identity from the kernel."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from adapters.model import ActionState
from engine.peer import Peer
from engine.request import decode, encode
from engine.server import Client, Server
from tests.actions.conftest import REASON, Floor


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *messages: dict[str, Any]
) -> list[dict[str, Any]]:  # fmt: skip
    writer.writelines(encode({"id": n, **message}) for n, message in enumerate(messages))
    await writer.drain()
    return [decode(await asyncio.wait_for(reader.readline(), 10)) for _ in messages]


async def test_ten_enters_over_two_connections(floor: Floor, running: str, tmp_path: Path) -> None:
    async def handle(message: dict[str, Any], peer: Peer, client: Client) -> dict[str, Any]:
        return await (floor.actions.plan if message["do"] == "plan" else floor.actions.act)(message, peer)

    server = Server(tmp_path / "s", handle, log=floor.logged.append)
    await server.start()
    try:
        first, second = [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(2)]
        (reply,) = await ask(*first, {"do": "plan", "verb": "stop", "key": running})
        plan = reply["ok"]
        act = {"do": "act", "plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
        answers = await asyncio.gather(ask(*first, *[act] * 5), ask(*second, *[act] * 5))
        actions = {answer["ok"]["action"] for some in answers for answer in some}
        assert len(actions) == 1
        (action,) = actions
        assert (await floor.ended(action)).state is ActionState.DONE
        (refused,) = await ask(*second, {**act, "do": "act", "nonce": "0" * 32})
        assert refused["error"]["code"] == "plan_void"
        for _, writer in (first, second):
            writer.close()
            await writer.wait_closed()
    finally:
        await server.close()
    assert len(floor.dev.sends) == 1
    identity = json.loads(floor.audited()[0].body)["identity"]
    assert (identity["uid"], identity["pid"]) == (os.getuid(), os.getpid())
