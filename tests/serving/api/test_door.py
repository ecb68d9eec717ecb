"""The door's memory: who comes together is looked up once, and nothing of before a change is remembered."""

import asyncio
import threading
from typing import Any, cast

import pytest

from serving.api.door import UsersDoor
from serving.api.problems import ApiError
from serving.api.security import Credentials, Principal
from serving.users.errors import not_signed_in
from tests.serving.api.apps import principal

KEY = Credentials("a key", None)


class Slow(UsersDoor):
    """Looks up when it is let."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None))
        self.may = threading.Event()
        self.answers: list[Principal | None] = []
        self.asked = 0

    def _look_up(self, credentials: Credentials) -> Principal:
        self.asked += 1
        answer = self.answers.pop(0)
        assert self.may.wait(30)
        if answer is None:
            raise not_signed_in("nobody")
        return answer


async def _begun(door: Slow, asked: int) -> None:
    async with asyncio.timeout(30):
        while door.asked < asked:  # noqa: ASYNC110 - a thread has no event of the loop's
            await asyncio.sleep(0.001)


def test_who_comes_together_is_looked_up_once() -> None:
    async def work() -> None:
        door = Slow()
        door.answers = [principal()]
        asking = [asyncio.create_task(door.principal(KEY)) for _ in range(20)]
        await _begun(door, 1)
        asking.pop().cancel()
        door.may.set()
        found = await asyncio.gather(*asking)
        assert found == [principal()] * 19
        assert await door.principal(KEY) == principal()
        assert door.asked == 1

    asyncio.run(work())


def test_all_are_refused_who_came_together_and_the_next_is_looked_up() -> None:
    async def work() -> None:
        door = Slow()
        door.answers = [None, principal()]
        asking = [asyncio.create_task(door.principal(KEY)) for _ in range(3)]
        await _begun(door, 1)
        door.may.set()
        for one in asking:
            with pytest.raises(ApiError, match="nobody"):
                await one
        assert await door.principal(KEY) == principal()

    asyncio.run(work())


def test_what_was_looked_up_before_a_change_is_neither_remembered_nor_waited_for() -> None:
    async def work() -> None:
        door = Slow()
        door.answers = [principal(), principal(user="changed")]
        before = asyncio.create_task(door.principal(KEY))
        await _begun(door, 1)
        door.forget()
        behind = asyncio.create_task(door.principal(KEY))
        await _begun(door, 2)
        door.may.set()
        assert await before == principal()
        assert (await behind).user == "changed"
        assert (await door.principal(KEY)).user == "changed"

    asyncio.run(work())
