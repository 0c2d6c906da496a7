"""What Bedrock's dialects share: the model in the path, credentials, refusals, and how a wrong member is reported."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote

import msgspec

from trimaran.testing.aws import AwsAccount, AwsRefusal, aws_fault, aws_head, error_body, signed_region
from trimaran.testing.bedrock_models import SOURCE, BedrockModels, Served, refused, unknown_model
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Refusal, Reply

__all__ = ["BedrockDialect", "blank", "decode", "decode_base64", "decode_body", "malformed", "model_error", "violation"]

_T = TypeVar("_T")
_ACTIONS = {
    b"converse": "bedrock:InvokeModel",
    b"invoke": "bedrock:InvokeModel",
    b"converse-stream": "bedrock:InvokeModelWithResponseStream",
    b"invoke-with-response-stream": "bedrock:InvokeModelWithResponseStream",
    b"count-tokens": "bedrock:CountTokens",
}
_BOUND = re.compile(
    r"Expected `(?:str|array|object|int|float)`(?P<length> of length)? (?P<sign>>=|<=) (?P<limit>[\d.]+)"
)


class BedrockDialect:
    """Everything but reading and writing. Subclasses set ``name`` and ``operations``: the last part of their paths, and
    whether it streams."""

    name = ""
    path = b""
    operations: ClassVar[dict[bytes, bool]] = {}

    def __init__(self, account: AwsAccount, models: BedrockModels) -> None:
        self.head = aws_head(self.name)
        self._account = account
        self._models = models

    def serves(self, method: bytes, path: bytes) -> bool:
        """``POST /model/{id}/{operation}``."""
        parts = path.split(b"/")
        return method == b"POST" and len(parts) == 4 and parts[1] == b"model" and parts[3] in self.operations

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A signature for ``bedrock``, or an API key; and a policy that allows the action."""
        self._account.admit(request, "bedrock", keys)
        self._account.allow(_ACTIONS[_split(request)[1]])

    def model(self, request: Request, *, counting: bool = False) -> tuple[str, bool, Served]:
        """The model's id as it was asked for, whether the answer streams, and what serves it; ``counting``: nothing is run."""
        model_id, operation = _split(request)
        served = self._models.serve(model_id, signed_region(request.headers, self._account), counting=counting)
        return model_id, self.operations[operation], served

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model and context length."""
        if models is not None and prompt.model not in models and prompt.request.served.base not in models:
            raise unknown_model()
        if prompt.input_tokens > context_tokens:
            if prompt.request.served.family in ("claude", ""):
                raise model_error(f"prompt is too long: {prompt.input_tokens} tokens > {context_tokens} maximum")
            raise refused("Input is too long for requested model.")

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """See :class:`~trimaran.testing.dialect.Dialect`."""
        return compose(prompt, behaviour, name)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"message": …}``."""
        return error_body(refusal)

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual exception of a status."""
        return aws_fault(status, code, message, SOURCE)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here; see :mod:`~trimaran.testing.bedrock_control`."""
        return None


def model_error(message: str) -> AwsRefusal:
    """What the model's own API says, in Converse's words."""
    return refused(f"The model returned the following errors: {message}")


def violation(where: str, constraint: str, value: str = "") -> AwsRefusal:
    """A member that breaks a constraint of the service's model."""
    return refused(
        f"1 validation error detected: Value {value + ' ' if value else ''}at '{where}' failed to satisfy constraint: "
        f"Member must {constraint}"
    )


def decode(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a request. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400) naming the member."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _worded(str(error)) from None
    except msgspec.DecodeError as error:
        raise AwsRefusal(400, "SerializationException", f"The body is not valid JSON: {error}", source=SOURCE) from None


def decode_base64(data: str, where: str) -> bytes:
    """The bytes of a blob. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400) for none."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise AwsRefusal(400, "SerializationException", f"{where}: not base64", source=SOURCE) from None
    if not raw:
        raise violation(where, "have length greater than or equal to 1")
    return raw


def decode_body(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a model's own body. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400) in InvokeModel's words."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        place = "#" + "".join(f"/{part}" for part in re.split(r"[.\[\]]+", where.rstrip("`")) if part)
        if "missing required field `" in what:
            raise malformed(f"{place}: required key [{what.split('`')[1]}] not found") from None
        if "unknown field `" in what:
            raise malformed(f"{place}: extraneous key [{what.split('`')[1]}] is not permitted") from None
        raise malformed(f"{place}: {what}") from None
    except msgspec.DecodeError as error:
        raise malformed(f"#: not valid JSON: {error}") from None


def malformed(why: str) -> AwsRefusal:
    """A body that breaks the model's own schema."""
    return refused(f"Malformed input request: {why}, please reformat your input and try again.")


def _worded(text: str) -> AwsRefusal:
    """msgspec's message in AWS's words: members of lists are counted from 1 and called ``member``."""
    what, _, where = text.partition(" - at `$.")
    path = re.sub(r"\[(\d+)\]", lambda found: f".{int(found[1]) + 1}.member", where.rstrip("`"))
    dot = "." if path else ""
    if "missing required field `" in what:
        return violation(f"{path}{dot}{what.split('`')[1]}", "not be null", "null")
    if "unknown field `" in what:
        return refused(f"The member '{path}{dot}{what.split('`')[1]}' is not known.")
    if what.startswith("Invalid enum value"):
        return violation(path, "satisfy enum value set", what.removeprefix("Invalid enum value "))
    if (bound := _BOUND.match(what)) is not None:
        kind = "length" if bound["length"] else "value"
        side = "greater" if bound["sign"] == ">=" else "less"
        return violation(path, f"have {kind} {side} than or equal to {bound['limit']}")
    if "matching regex" in what:
        return violation(path, f"satisfy regular expression pattern: {what.partition('regex ')[2]}")
    return AwsRefusal(400, "SerializationException", f"{path or 'body'}: {what}", source=SOURCE)


def _split(request: Request) -> tuple[str, bytes]:
    """Model id and operation of a path that :meth:`BedrockDialect.serves` took."""
    parts = request.target.partition(b"?")[0].split(b"/")
    return unquote(parts[2].decode("latin-1")), parts[3]


def blank(value: Any) -> bool:
    """Whether a text has nothing but white space."""
    return not isinstance(value, str) or not value.strip()
