"""The contract of ``openai.embeddings``, checked with the ``openai`` SDK."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.openai_session import OpenAIClientSession
from trimaran.testing.contract.suite import Suite, expect

__all__ = ["OPENAI_EMBEDDINGS", "EmbeddingsSession", "check_openai_embeddings"]

_MODEL = "text-embedding-3-small"


class EmbeddingsSession(OpenAIClientSession):
    """Embeddings."""

    def __init__(self, base_url: str, key: str, *, model: str = _MODEL, **options: Any) -> None:
        super().__init__(base_url, key, model=model, **options)

    def create(self, **fields: Any) -> Any:
        """One call."""
        return self.call(self.client.embeddings.create, **{"model": self.model, **fields})

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: class and status, for a 4xx also the code."""
        method = (client or self.client).embeddings.create
        return self.seen_error(method, **{"model": self.model, "input": "Hello", **fields})

    def refusal(self, **fields: Any) -> tuple[Any, None]:
        """The same without the code: OpenAI does not document those of unfit inputs."""
        seen, _ = self.error(**fields)
        seen.pop("code", None)
        return seen, None


OPENAI_EMBEDDINGS: Suite[EmbeddingsSession] = Suite("openai.embeddings")
"""All checks of the dialect. There is no other dialect of embeddings yet, so none is portable."""


def check_openai_embeddings(
    base_url: str,
    key: str,
    *,
    model: str = _MODEL,
    asynchronous: bool = False,
    simulated: bool = True,
    rename: Callable[[str], str] = str,
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`.

    ``simulated`` False leaves out the checks that need failures on demand, and makes the suite fit for a real provider.
    """
    with EmbeddingsSession(base_url, key, model=model, asynchronous=asynchronous, rename=rename) as session:
        return OPENAI_EMBEDDINGS.run(session, simulated=simulated)


def _vectors(answer: Any, count: int) -> tuple[list[list[float]], Any]:
    expect(
        answer.object == "list" and [row.index for row in answer.data] == list(range(count)), "rows in order", answer
    )
    expect(answer.usage.total_tokens == answer.usage.prompt_tokens > 0, "usage of the input", answer.usage)
    vectors = [row.embedding for row in answer.data]
    for vector in vectors:
        expect(math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-3), "length 1", len(vector))
    return vectors, answer


def _gist(vectors: list[list[float]], answer: Any) -> dict[str, Any]:
    return {"vectors": vectors, "input_tokens": answer.usage.prompt_tokens}


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def one_text(session: EmbeddingsSession) -> Any:
    """A text becomes one vector."""
    vectors, answer = _vectors(session.create(input="The boat has three hulls."), 1)
    return _gist(vectors, answer), answer


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def many_texts(session: EmbeddingsSession) -> Any:
    """Several texts become as many vectors, in order; equal texts have equal ones."""
    vectors, answer = _vectors(session.create(input=["one", "two", "one"]), 3)
    near = math.isclose(sum(a * b for a, b in zip(vectors[0], vectors[2], strict=True)), 1.0, abs_tol=1e-3)
    expect(near and vectors[0] != vectors[1], "equal for equal texts only", len(vectors))
    return _gist(vectors, answer), answer


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def tokens(session: EmbeddingsSession) -> Any:
    """Token ids instead of text: one list, or several."""
    single, first = _vectors(session.create(input=[791, 15688]), 1)
    several, second = _vectors(session.create(input=[[791, 15688], [315]]), 2)
    expect(first.usage.prompt_tokens == 2 and second.usage.prompt_tokens == 3, "each id is a token", second.usage)
    return {"single": single, "several": several}, [first, second]


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def encodings(session: EmbeddingsSession) -> Any:
    """Base64 holds the same numbers as the list."""
    listed, answer = _vectors(session.create(input="Same.", encoding_format="float"), 1)
    packed = session.create(input="Same.", encoding_format="base64").data[0].embedding
    numbers = array("f", base64.b64decode(packed)).tolist() if isinstance(packed, str) else packed
    near = all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(listed[0], numbers, strict=True))
    expect(near, "equal numbers", len(numbers))
    return _gist(listed, answer), answer


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def dimensions(session: EmbeddingsSession) -> Any:
    """A shorter vector on demand, of length 1 again."""
    vectors, answer = _vectors(session.create(input="Short.", dimensions=64), 1)
    expect(len(vectors[0]) == 64, "as many numbers as asked for", len(vectors[0]))
    return _gist(vectors, answer), answer


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def empty_input(session: EmbeddingsSession) -> Any:
    """An empty text is a 400."""
    return session.refusal(input="")


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def too_many_inputs(session: EmbeddingsSession) -> Any:
    """More than 2048 inputs are a 400."""
    return session.refusal(input=["x"] * 2_049)


@OPENAI_EMBEDDINGS.check(needs=["embeddings"])
def too_many_dimensions(session: EmbeddingsSession) -> Any:
    """A vector cannot be longer than the model's."""
    return session.refusal(dimensions=100_000)


@OPENAI_EMBEDDINGS.check()
def wrong_key(session: EmbeddingsSession) -> Any:
    """A wrong key is a 401."""
    with session.with_key("sk-wrong") as client:
        return session.error(client)


@OPENAI_EMBEDDINGS.check()
def unknown_model(session: EmbeddingsSession) -> Any:
    """An unknown model is a 404."""
    return session.error(model="missing-model")


@OPENAI_EMBEDDINGS.check(simulated=True)
def rate_limited(session: EmbeddingsSession) -> Any:
    """429 stays 429."""
    return session.error(model=session.named("sim-rate-limited"))


@OPENAI_EMBEDDINGS.check(simulated=True)
def server_error(session: EmbeddingsSession) -> Any:
    """5xx stays in its class."""
    return session.error(model=session.named("sim-server-error"))


@OPENAI_EMBEDDINGS.check(simulated=True)
def timeout(session: EmbeddingsSession) -> Any:
    """The client's own timeout works."""
    with session.impatient() as client:
        return session.error(client, model=session.named("sim-silent"))
