"""Streams that break and are continued by another target: the client's bytes stay one stream.

The first stream is cut, bent or not; what goes on is bent, too. Only an attempt's error may come out, and where the
first part was not bent and the whole is whole, the client's own reader takes all of it.
"""

from __future__ import annotations

from random import Random

import msgspec

from fuzz.mutate import bend_bytes, bend_json, pieces
from fuzz.seeds import CHAT, REQUESTS, STREAMS
from trimaran.errors import AttemptError, UnsupportedFeature
from trimaran.types import Capabilities, Target
from trimaran.wire import DIALECTS, ChatDialect, StreamRelay, Transcript, continue_translation, translate
from trimaran.wire.fold import fold
from trimaran.wire.sse import EventFramer, parse_event

__all__ = ["run"]

_KNOWN = Capabilities(family="m", has=frozenset({"prefill", "tools"}))
_TARGETS = {
    name: Target(f"t/{name}", "compatible", "m", (name,), "http://127.0.0.1:1", capabilities=_KNOWN) for name in CHAT
}
_GOING_ON = [target for name, target in _TARGETS.items() if name != "openai.responses"]
_PLAIN = {name: streams[0] for name, streams in STREAMS.items()}
"""Of text alone."""


class _Client:
    def __init__(self, dialect: ChatDialect, transcript: Transcript) -> None:
        self.dialect = dialect
        self.transcript = transcript
        self.got = b""

    def read(self, random: Random, relay: StreamRelay, data: bytes, *, whole: bool) -> bool:
        """Feed ``data`` to ``relay``; whether the answer is whole."""
        try:
            for piece in pieces(random, data):
                self._hand(relay.feed(piece))
            if whole and not relay.complete:
                self._hand(relay.finish())
        except AttemptError:
            return False
        return relay.complete

    def _hand(self, data: bytes) -> None:
        self.got += data
        self.transcript.hear(data)

    def check(self) -> None:
        """The whole stream is one that a client takes."""
        decoder = self.dialect.stream_decoder()
        events = []
        for block in EventFramer().push(self.got):
            name, value = parse_event(block)
            if value is not None:
                events += decoder.decode(name, value)
        fold([*events, *decoder.ended()])


def run(random: Random) -> str:
    """One answer of up to four targets; how it ended."""
    name, first = random.choice(CHAT), random.choice(CHAT)
    dialect = DIALECTS[name]
    assert isinstance(dialect, ChatDialect)
    envelope = dialect.read(msgspec.json.encode({**REQUESTS[name][0], "stream": True}))
    client = _Client(dialect, Transcript(dialect, envelope))
    data = random.choice(STREAMS[first]) if random.random() < 0.3 else _PLAIN[first]
    strict = random.random() < 0.5
    if not strict:
        data = bend_bytes(random, data)
    data = data[: _cut(random, data)]
    relay = translate(dialect, envelope, _TARGETS[first]).relay(created_s=1)
    if client.read(random, relay, data, whole=False):
        return "whole at once"
    for number in range(3):
        client.transcript.cut(relay.usage)
        assert bool(client.transcript.why_not) is not client.transcript.possible
        target = random.choice(_GOING_ON)
        try:
            made = continue_translation(dialect, envelope, target, client.transcript)
        except UnsupportedFeature:
            return "impossible" if not number else "broken"
        relay = made.relay()
        data = random.choice(STREAMS[target.dialects[0]])
        if random.random() < 0.7:
            data = _bent(random, data)
        if client.read(random, relay, data, whole=random.random() < 0.8):
            if strict:
                client.check()
            return "whole"
    return "broken"


def _cut(random: Random, data: bytes) -> int:
    """Where the stream breaks: mostly after some text."""
    said = data.find(random.choice((b'"Hel"', b'"lo"')))
    if said >= 0 and random.random() < 0.8:
        return data.find(b"\n\n", said) + 2
    return random.randrange(len(data) + 1)


def _bent(random: Random, data: bytes) -> bytes:
    events = data.split(b"\n\n")
    place = random.randrange(len(events))
    head, mark, body = events[place].partition(b"data: ")
    try:
        events[place] = head + mark + bend_json(random, msgspec.json.decode(body))
    except msgspec.DecodeError:
        return bend_bytes(random, data)
    return b"\n\n".join(events)
