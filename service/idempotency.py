"""The same answer to a request that is sent again under the same Idempotency-Key, within bounded memory and no disk."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from service.errors import IdempotencyError, ParameterError
from service.pipeline import Answered

Work = Callable[[], Awaitable[Answered]]
KEEP_S = 24 * 3600.0
_Place = tuple[str, str, int | None]
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class _Kept:
    """An answer, or one that is being worked on, and what was asked."""

    fingerprint: str
    answer: asyncio.Future[Answered]
    until_s: float


@dataclass(frozen=True)
class Resend:
    """A request that may come again.

    Attributes:
        key: its Idempotency-Key.
        fingerprint: hash of everything that its answer depends on.
        line: its place in a batch, each ECG of which may come again; None for a single one.

    Raises:
        ParameterError: a key that is not 1 to 255 printable ASCII characters.
    """

    key: str
    fingerprint: str
    line: int | None = None

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise ParameterError("Idempotency-Key takes 1 to 255 printable ASCII characters")


class Answers:
    """Answers by caller and key; the oldest go first when there is no room, failures are not kept.

    Args:
        most_bytes: of answers; 0 keeps none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[_Place, _Kept] = OrderedDict()

    async def answer(self, caller: str, resend: Resend | None, work: Work) -> tuple[Answered, bool]:
        """The answer to a request, and whether it was given before.

        A resend that comes while the first is worked on waits for it; where the first fails, the resend is worked on.

        Args:
            caller: whose key it is; callers do not meet.
            resend: key and fingerprint; None where the request bears no key.
            work: answers the request.

        Raises:
            IdempotencyError: the key was used for another request.
        """
        if resend is None:
            return await work(), False
        place = (caller, resend.key, resend.line)
        while kept := self._find(place):
            if kept.fingerprint != resend.fingerprint:
                raise IdempotencyError("this Idempotency-Key was used for another request")
            await asyncio.wait((kept.answer,))
            if not kept.answer.cancelled():
                return kept.answer.result(), True
        return await self._work(place, resend.fingerprint, work), False

    def _find(self, place: _Place) -> _Kept | None:
        kept = self._kept.get(place)
        if kept and kept.until_s < monotonic():
            self._drop(place)
            return None
        return kept

    async def _work(self, place: _Place, fingerprint: str, work: Work) -> Answered:
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._kept[place] = _Kept(fingerprint, answer, monotonic() + KEEP_S)
        try:
            given = await work()
        except BaseException:
            self._drop(place)
            answer.cancel()
            raise
        answer.set_result(given)
        self._bytes += len(given.json)
        self._make_room()
        return given

    def _make_room(self) -> None:
        """Drop the oldest finished answers until the rest fits."""
        while self._bytes > self._most_bytes:
            self._drop(next(place for place, kept in self._kept.items() if kept.answer.done()))

    def _drop(self, place: _Place) -> None:
        kept = self._kept.pop(place)
        if kept.answer.done() and not kept.answer.cancelled():
            self._bytes -= len(kept.answer.result().json)
