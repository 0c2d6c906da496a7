"""When tokens come, in virtual time: an hour of streaming takes no time, and each token's moment is exact."""

from __future__ import annotations

import asyncio
import itertools
import math
import statistics

import pytest

from trimaran.testing import Behaviour, run_virtual
from trimaran.testing.answer import Answer, draw
from trimaran.testing.compose import compose
from trimaran.testing.exchange import Prompt
from trimaran.testing.log import LoggedRequest, RequestLog
from trimaran.testing.openai_chat import OpenAIChat


class Wire:
    """A connection that writes down when content was written."""

    def __init__(self, loop):
        self.loop = loop
        self.transport = self
        self.times = []
        self.finished = loop.create_future()

    def write(self, data):
        self.times += [self.loop.time()] * data.count(b'"content":" w')

    def done(self, keep_alive):
        self.finished.set_result(self.loop.time())


def play(stream, n=1, tokens=5, **behaviour):
    """Plays one answer. Gives the times of its tokens and of its end."""
    fixed = Behaviour(text=" w" * tokens, **behaviour)

    async def main():
        loop = asyncio.get_running_loop()
        wire, log = Wire(loop), RequestLog(10, lambda: None)
        row = LoggedRequest(1, "POST", "/", "openai.chat", [], b"", 0.0, stream=stream)
        prompt = Prompt("m", stream=stream)
        dialect, reply = OpenAIChat(), compose(prompt, fixed, "sim")
        fate = draw(fixed, 0, "m", n, 0)
        writer = dialect.writer(prompt, reply, 1)
        Answer(wire, loop, dialect, fixed, fate, reply, writer, "req", True, row, log).start()
        return await wire.finished, wire.times

    return run_virtual(main())


def test_a_stream_keeps_its_pace():
    end, times = play(True, ttft_s=60, tpot_s=600)
    assert times == pytest.approx([60, 660, 1260, 1860, 2460], abs=0.002)
    assert end == pytest.approx(2460, abs=0.002)


def test_a_unary_answer_takes_as_long_as_its_stream():
    end, _ = play(False, ttft_s=60, tpot_s=600)
    assert end == pytest.approx(2460)


@pytest.mark.parametrize("stream", [False, True])
def test_without_a_pace_it_comes_at_once(stream):
    assert play(stream)[0] == 0


def test_slow_first_token_adds_its_delay():
    assert play(True, fault="slow_first_token", ttft_s=1)[1] == pytest.approx([31] * 5, abs=0.002)


def test_jitter_is_lognormal_with_median_one_and_seeded():
    firsts = [play(True, n=n, ttft_s=10, jitter=0.5, tokens=1)[0] for n in range(400)]
    assert statistics.median(firsts) == pytest.approx(10, rel=0.1)
    assert statistics.stdev(math.log(value) for value in firsts) == pytest.approx(0.5, rel=0.15)
    assert play(True, n=7, ttft_s=10, jitter=0.5)[1] == play(True, n=7, ttft_s=10, jitter=0.5)[1]


def test_jitter_moves_every_token():
    _, times = play(True, ttft_s=1, tpot_s=1, jitter=0.5, tokens=50)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len({round(gap, 3) for gap in gaps}) > 40
    assert statistics.median(gaps) == pytest.approx(1, rel=0.3)
