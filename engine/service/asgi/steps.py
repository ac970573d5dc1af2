"""A unary call without a task of its own: begun by its request, gone on with by what it waits for.

Of what a call costs the event loop a task is a good part: the task itself, a turn of the loop before its first step, and a coroutine each
for all that lies between the server and the servicer.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from engine.service.asgi.call import DONE, START, Call, Event


class Started:
    """Stands where a server expects the task of a call, and tells it nothing: whatever becomes of the call is told to its caller."""

    def add_done_callback(self, callback: Any) -> None:
        """Nothing to tell."""


STARTED = Started()


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **given: Any) -> Any:
    """A factory of tasks, for an event loop whose server wants one for each call: a call that has started needs none."""
    return coroutine if coroutine is STARTED else asyncio.Task(coroutine, loop=loop, **given)


class SteppedCall(Call):
    """``begin`` instead of ``answer``, where ``receive`` gives a future and ``send`` acts when it is called, as with pyvoy.

    What goes well takes two callbacks. For all else there is a task after all, in which the call ends as any other does.
    """

    _serving: Coroutine[Any, Any, Any] | None = None
    _waits: "asyncio.Future[Any] | None" = None
    _is_cancelled = False
    _has_task = False

    def begin(self, handler: Any) -> None:
        """Answer the call by a unary ``grpc.RpcMethodHandler`` whose servicer does not ask for its task."""
        self._begin(handler)
        coming: Any = self._receive()
        if isinstance(coming, asyncio.Future):
            coming.add_done_callback(self._hear)
        else:  # the request ended with its headers
            self._go_on(self._answer_late(coming))

    def _hear(self, coming: "asyncio.Future[Event]") -> None:
        """The request has come."""
        if self._has_task:
            return  # its deadline was first
        try:
            event = coming.result()
            message = self._whole(event)
            if message is None:
                self._go_on(self._answer_to(event))
                return
            handler = self._handler
            self._serving = handler.unary_unary(handler.request_deserializer(message), self)
        except BaseException as error:  # noqa: BLE001 - told to the caller
            self._go_on(_raised(error))
        else:
            self._step()

    def _step(self, _: Any = None) -> None:
        """Let the servicer go on until it waits for something."""
        serving: Any = self._serving
        try:
            if self._is_cancelled:
                self._is_cancelled = False
                waits = serving.throw(asyncio.CancelledError())
            else:
                waits = serving.send(None)
            self._waits = waits
            if waits is None:  # for its turn
                asyncio.get_running_loop().call_soon(self._step)
            else:
                # Until somebody has said that he waits for it a future does not know whether it was meant to be waited for.
                waits._asyncio_future_blocking = False  # noqa: SLF001
                waits.add_done_callback(self._step)
        except StopIteration as done:
            self._finish(done.value)
        except BaseException as error:  # noqa: BLE001 - told to the caller
            self._go_on(_raised(error))

    def _finish(self, response: Any) -> None:
        if not self._is_plain():
            self._go_on(self._respond(response))
            return
        try:
            content = self._framed(self._handler.response_serializer(response))
        except Exception as error:  # noqa: BLE001 - told to the caller
            self._go_on(_raised(error))
            return
        send: Any = self._send
        send(START)
        send({"type": "http.response.body", "body": content, "more_body": False})
        send(DONE)
        self._leave()

    def _go_on(self, answering: Coroutine[Any, Any, None]) -> None:
        self._serving = self._waits = None
        self._has_task = True
        self._kept = asyncio.get_running_loop().create_task(self._finish_late(answering))

    async def _finish_late(self, answering: Coroutine[Any, Any, None]) -> None:
        if self._is_cancelled:  # before this task began
            answering.close()
            answering = _raised(asyncio.CancelledError())
        await self._settle(answering)

    async def _answer_late(self, coming: Any) -> None:
        await self._answer_to(await coming)

    async def _answer_to(self, event: Event) -> None:
        request = self._handler.request_deserializer(await self._only(event))
        await self._respond(await self._handler.unary_unary(request, self))

    def _give_up(self) -> None:
        if self._task is not None or self._ended:
            super()._give_up()
        elif self._has_task:
            self._is_cancelled = True
        elif self._serving is None:
            self._go_on(_raised(asyncio.CancelledError()))
        elif self._waits is None or not self._waits.cancel():
            self._is_cancelled = True


async def _raised(error: BaseException) -> None:
    raise error
