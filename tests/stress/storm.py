"""Thousands of ECGs at once, each with its own signature, and everything that can go wrong between them."""

import asyncio
import json
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.stress import signed
from tests.stress.client import Client, Reply, request_bytes

Array = npt.NDArray[np.float64]

AT_ONCE = 300
IN_A_BATCH = 20
PATIENCE_S = 600.0
"""Longest wait for an answer; what is slow on a crowded machine is not lost."""

POISON_MV = 5.0
"""Above this the stub engine fails, and with it whatever batch the ECG is in."""

BAD: tuple[tuple[bytes, int, str], ...] = (
    (request_bytes(signed.ECGS, b"{", "application/json"), 400, "malformed_json"),
    (request_bytes(signed.ECGS, b"PK", "application/zip"), 400, "malformed_archive"),
    (request_bytes(signed.ECGS, b"x", "text/plain"), 415, "unknown_format"),
    (request_bytes(signed.ECGS, b"{}", "application/json"), 422, "missing_rate"),
    (signed.raw_float32(1)[:-4].replace(b"content-length: 16000", b"content-length: 15996"), 422, "bad_shape"),
)


def embedding(answer: dict[str, Any]) -> Array:
    return np.array(answer["embedding"])


def query_of(number: int) -> dict[str, str]:
    return {"include": "embedding"} | ({"priority": "stat"} if number % 3 == 0 else {})


class Storm:
    """Sends numbered ECGs and holds every answer against the number."""

    def __init__(self, client: Client, alone: Array) -> None:
        self.client = client
        self.alone = alone
        self.came: Counter[str] = Counter()

    def require_own(self, answer: dict[str, Any], number: int) -> None:
        np.testing.assert_allclose(embedding(answer) / self.alone, signed.levels(number), rtol=0.01)

    async def one(self, number: int) -> None:
        """What happens to an ECG is decided by its number."""
        kinds = {
            3: self.bad,
            5: self.leaver,
            7: self.stalled,
            9: self.poison,
            11: self.batch,
            13: self.again,
        }
        kind = kinds.get(number % 16, self.good)
        await kind(number)
        self.came[kind.__name__] += 1

    async def good(self, number: int) -> None:
        make = signed.FORMATS[number // 16 % len(signed.FORMATS)]
        reply = await self.client.send(make(number, **query_of(number)), timeout_s=PATIENCE_S)
        assert reply.status == 200, reply.lost or reply.body
        self.require_own(json.loads(reply.body), number)

    async def bad(self, number: int) -> None:
        request, status, code = BAD[number // 16 % len(BAD)]
        self.require_problem(await self.client.send(request, timeout_s=PATIENCE_S), status, code)

    async def leaver(self, number: int) -> None:
        asking = asyncio.ensure_future(self.client.send(signed.raw_int16(number, **query_of(number))))
        await self.leave(asking, number)
        if not asking.cancelled():
            self.require_own(json.loads(asking.result().body), number)

    async def stalled(self, number: int) -> None:
        """A body that never ends: of every tenth the refusal is waited for, the others give up first."""
        request = signed.raw_int16(number, **query_of(number))[:-1]
        patient = number // 16 % 10 == 0
        reply = await self.client.send(request, timeout_s=60 if patient else 0.2)
        assert reply.status == (408 if patient else 0), reply.lost

    async def poison(self, number: int) -> None:
        request = signed.raw_float32(number, 100.0, **query_of(number))
        self.require_problem(await self.client.send(request, timeout_s=PATIENCE_S), 503, "engine_failed")

    async def again(self, number: int) -> None:
        """Sent three times under one key, and of every other the first sender leaves: one answer, and no other's."""
        make = signed.FORMATS[number // 16 % len(signed.FORMATS)]
        request = signed.keyed(make(number, **query_of(number)), number)
        sending = [asyncio.ensure_future(self.client.send(request, timeout_s=PATIENCE_S)) for _ in range(2)]
        if number // 16 % 2:
            await self.leave(sending.pop(0), number)
        replies = [*await asyncio.gather(*sending), await self.client.send(request, timeout_s=PATIENCE_S)]
        assert {reply.status for reply in replies} == {200}, [reply.lost or reply.body for reply in replies]
        assert len({reply.body for reply in replies}) == 1
        assert replies[-1].headers["idempotency-replayed"] == "true"
        self.require_own(json.loads(replies[-1].body), number)
        other = signed.keyed(make(number + 1, **query_of(number)), number)
        self.require_problem(await self.client.send(other, timeout_s=PATIENCE_S), 422, "idempotency_mismatch")

    async def batch(self, number: int) -> None:
        """Lines or a .zip; of every other one the first sender leaves, and it is sent again under its key."""
        numbers = range(number, number + IN_A_BATCH)
        request = (signed.lines, signed.archive)[number // 16 % 2](numbers, skip=7)
        if number // 32 % 2:
            request = signed.keyed(request, number)
            await self.leave(asyncio.ensure_future(self.client.send(request, timeout_s=PATIENCE_S)), number)
        reply = await self.client.send(request, timeout_s=PATIENCE_S)
        assert reply.status == 200, reply.lost or reply.body
        lines = [json.loads(line) for line in reply.body.splitlines()]
        assert [line["index"] for line in lines] == list(range(IN_A_BATCH))
        for one, line in zip(numbers, lines, strict=True):
            if one % 7 == 0:
                assert line["problem"]["code"] == "missing_rate"
            else:
                self.require_own(line["answer"], one)

    async def leave(self, asking: "asyncio.Future[Reply]", number: int) -> None:
        """Give up a request after a while, if it has not been answered by then."""
        await asyncio.sleep(number % 97 / 200)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def all_of(self, numbers: range) -> None:
        """Every number once, so many at a time."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await self.one(number)

        await asyncio.gather(*(one(number) for number in numbers))

    def require_problem(self, reply: Reply, status: int, code: str) -> None:
        assert reply.status == status, reply.lost or reply.body
        assert json.loads(reply.body)["code"] == code
