"""The thread of the model: what is urgent first, what nobody waits for never, and an end in good order."""

import asyncio
import threading

import pytest

from facemotion.ui.worker import Urgency, Worker


def test_the_most_urgent_goes_first_and_in_one_thread():
    done, held = [], threading.Event()

    def work(name):
        done.append((name, threading.current_thread().name))

    async def scenario():
        with Worker() as worker:
            first = asyncio.ensure_future(worker.run(held.wait, Urgency.LOOK))
            await asyncio.sleep(0.05)
            rest = [
                asyncio.ensure_future(worker.run(lambda urgency=urgency: work(urgency.name), urgency))
                for urgency in (Urgency.EXPORT, Urgency.PLAY, Urgency.LOOK)
            ]
            await asyncio.sleep(0.05)
            held.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert done == [("LOOK", "model"), ("PLAY", "model"), ("EXPORT", "model")]


def test_long_work_gives_way_to_what_is_more_urgent():
    order, held = [], threading.Event()

    async def scenario():
        with Worker() as worker:

            def long():
                order.append("begun")
                held.wait()
                worker.give_way(Urgency.EXPORT)
                order.append("ended")

            export = asyncio.ensure_future(worker.run(long, Urgency.EXPORT))
            await asyncio.sleep(0.05)
            look = asyncio.ensure_future(worker.run(lambda: order.append("look"), Urgency.LOOK))
            other = asyncio.ensure_future(worker.run(lambda: order.append("other export"), Urgency.EXPORT))
            await asyncio.sleep(0.05)
            held.set()
            await asyncio.gather(export, look, other)

    asyncio.run(scenario())
    assert order == ["begun", "look", "ended", "other export"]


def test_cancelled_work_is_never_done_and_errors_reach_who_asked():
    done, held = [], threading.Event()

    async def scenario():
        with Worker() as worker:
            first = asyncio.ensure_future(worker.run(held.wait, Urgency.LOOK))
            await asyncio.sleep(0.05)
            cancelled = asyncio.ensure_future(worker.run(lambda: done.append("no"), Urgency.LOOK))
            await asyncio.sleep(0.05)
            cancelled.cancel()
            await asyncio.sleep(0.05)  # the future takes notice in the loop's next round
            held.set()
            await first
            with pytest.raises(ZeroDivisionError):
                await worker.run(lambda: 1 / 0, Urgency.LOOK)

    asyncio.run(scenario())
    assert done == []


def test_who_waits_when_it_ends_does_not_wait_for_ever():
    async def scenario():
        held = threading.Event()
        with Worker() as worker:
            asyncio.get_running_loop().call_later(0.2, held.set)
            first = asyncio.ensure_future(worker.run(lambda: held.wait(1), Urgency.LOOK))
            waiting = asyncio.ensure_future(worker.run(lambda: None, Urgency.PLAY))
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await first

    asyncio.run(scenario())
