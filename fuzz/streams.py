"""Answers of targets, whole and streamed, through every pair of dialects. Only an attempt's error may come out."""

from __future__ import annotations

from random import Random

import msgspec

from fuzz.mutate import bend_bytes, bend_json, pieces
from fuzz.seeds import ANSWERS, CHAT, EMBEDDING, REQUESTS, STREAMS, TARGETS
from trimaran.errors import AttemptError
from trimaran.types import Target
from trimaran.wire import DIALECTS, Translation, translate

__all__ = ["run_answer", "run_stream"]

_ENVELOPES = {
    (name, stream): DIALECTS[name].read(msgspec.json.encode({**REQUESTS[name][0], "stream": stream}))
    for name in CHAT
    for stream in (False, True)
}


def _translation(random: Random, target: Target, *, stream: bool) -> Translation:
    client = random.choice(CHAT)
    return translate(DIALECTS[client], _ENVELOPES[client, stream], target)


def run_stream(random: Random) -> str:
    """One stream; how it ended."""
    target = random.choice(TARGETS)
    translation = _translation(random, target, stream=True)
    relay = translation.relay(created_s=1)
    data = random.choice(STREAMS[translation.dialect.name])
    data = _bent_events(random, data) if random.random() < 0.6 else bend_bytes(random, data)
    out = 0
    try:
        for piece in pieces(random, data):
            out += len(relay.feed(piece))
        if not relay.complete:
            out += len(relay.finish())
    except AttemptError as error:
        return type(error).__name__
    assert relay.complete
    assert relay.feed(data) == b""
    # A stream that grows on its way without end would be a way to eat the gateway's memory.
    assert out < 100 * len(data) + 10_000, f"{out} bytes out of {len(data)}"
    return "whole"


def _bent_events(random: Random, data: bytes) -> bytes:
    """The stream with one event's JSON bent, or events in another order, twice, or missing."""
    events = data.split(b"\n\n")
    place = random.randrange(len(events))
    match random.randrange(5):
        case 0:
            del events[place]
        case 1:
            events.insert(random.randrange(len(events)), events[place])
        case _:
            head, mark, body = events[place].partition(b"data: ")
            try:
                value = msgspec.json.decode(body)
            except msgspec.MsgspecError:
                events[place] = bend_bytes(random, events[place])
            else:
                events[place] = head + mark + bend_json(random, value)
    return b"\n\n".join(events)


def run_answer(random: Random) -> str:
    """One whole answer, or a refusal's body."""
    target = random.choice(TARGETS)
    if random.random() < 0.1:
        body = bend_json(random, EMBEDDING)
        dialect = DIALECTS["openai.embeddings"]
        try:
            dialect.inspect(body)
        except AttemptError as error:
            return type(error).__name__
        return "whole"
    translation = _translation(random, target, stream=False)
    body = bend_json(random, random.choice(ANSWERS[translation.dialect.name]))
    if random.random() < 0.3:
        body = bend_bytes(random, body)
    if random.random() < 0.1:
        status = random.randrange(300, 600)
        error = translation.dialect.read_error(status, bend_bytes(random, b"12"), "application/json", body)
        translation.client.write_error(error, "r")
        return type(error).__name__
    try:
        translation.answer(body, created_s=1)
    except AttemptError as error:
        return type(error).__name__
    return "whole"
