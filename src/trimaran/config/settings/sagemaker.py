"""Endpoints of one's own (SageMaker, Vertex AI): what answers behind each, and what it costs by the hour.

Names follow AWS's own rules, so that a name that AWS would refuse is refused here, with its line.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import OneOf, count, name, text
from trimaran.config.setting import Group, Setting
from trimaran.config.settings.capacity import HourlyConfig

__all__ = ["CONTAINERS", "ENDPOINT_NAME", "EndpointCapacityConfig", "EndpointConfig"]

ENDPOINT_NAME = r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}"
"""``EndpointName`` and ``VariantName`` in botocore 1.44.8, ``data/sagemaker/2017-07-24/service-2.json``."""
_COMPONENT_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_TARGET_MODEL = r"[\x21-\x7e][\x20-\x7e]{0,1023}"
_INSTANCE_TYPE = r"ml\.[a-z0-9-]{1,20}\.[a-z0-9-]{1,20}|[a-z][a-z0-9]{1,5}-[a-z0-9-]{3,30}"
"""SageMaker's, and Google's machine types: ``g2-standard-12``."""
_SERVED_NAME = r"[A-Za-z0-9/@][A-Za-z0-9._:/@+-]{0,199}"

CONTAINERS = ("vllm", "lmi", "tgi", "neuron", "garden", "jumpstart", "triton", "tensor")


class EndpointCapacityConfig(HourlyConfig, frozen=True, kw_only=True):
    """The instances behind an endpoint, which cost by the hour whether it is asked or not."""

    instance_type: Annotated[
        str,
        Setting(
            kind=name(
                _INSTANCE_TYPE,
                expected="an instance type of SageMaker's, which begins with ml., or a machine type of Google's",
                example="ml.g5.12xlarge",
            ),
            what="What one instance is.",
            why="It is written to the ledger with the price.",
            reason="the price is that of an instance, whichever it is",
            default="none",
        ),
    ] = ""
    instances: Annotated[
        int,
        Setting(
            kind=count(0, 100_000, example="2"),
            what="How many instances stand behind it; SageMaker says how many there are.",
            why="They cost by the hour, busy or idle.",
            reason="one instance is the least that answers",
        ),
    ] = 1


class EndpointConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of SageMaker, or one model on it."""

    container: Annotated[
        str,
        Setting(
            kind=OneOf(CONTAINERS, what="container", example="vllm"),
            what="What answers: `vllm`, `lmi`, `tgi`, `neuron` and `garden` (what Model Garden of Vertex AI deploys) take "
            "conversations in OpenAI's form, `jumpstart` takes one prompt (`inputs`), `triton` takes tensors in KServe's form, "
            "`tensor` whatever its clients send it.",
            why="It decides what is sent and how the answer is read.",
            reason="most language models are served in OpenAI's form",
        ),
    ] = "vllm"
    endpoint: Annotated[
        str,
        Setting(
            kind=name(ENDPOINT_NAME, expected="the name of an endpoint", example="shared-g5"),
            what="The endpoint's name at SageMaker, where several models of it are listed here; on Vertex AI its number.",
            why="Inference components share an endpoint, and each is a target of its own; a number says nothing to people.",
            reason="most endpoints serve one model",
            default="the name that it is listed under",
        ),
    ] = ""
    inference_component: Annotated[
        str,
        Setting(
            kind=name(_COMPONENT_NAME, expected="the name of an inference component", example="llama-70b-component"),
            what="The inference component that answers.",
            why="An endpoint that hosts inference components answers to nobody who names none.",
            reason="most endpoints host one model without components",
            default="none",
        ),
    ] = ""
    variant: Annotated[
        str,
        Setting(
            kind=name(ENDPOINT_NAME, expected="the name of a production variant", example="AllTraffic"),
            what="The production variant that answers.",
            why="A new variant can be compared with an old one as a target of its own.",
            reason="SageMaker divides the traffic by the variants' weights",
            default="by weight",
        ),
    ] = ""
    target_model: Annotated[
        str,
        Setting(
            kind=name(_TARGET_MODEL, expected="the archive of a model", example="llama-de.tar.gz"),
            what="The model of a multi-model endpoint that answers.",
            why="A multi-model endpoint answers to nobody who names none.",
            reason="most endpoints serve one model",
            default="none",
        ),
    ] = ""
    model: Annotated[
        str,
        Setting(
            kind=name(
                _SERVED_NAME, expected="the name under which the container serves the model", example="/opt/ml/model"
            ),
            what="The model's name that the body must carry.",
            why="Some containers refuse a request with another name than theirs, or without one.",
            reason="a container with one model takes a request without a name",
            default="left out of the body",
        ),
    ] = ""
    base_model: Annotated[
        str,
        Setting(
            kind=text(200, expected="the name of a base model", example="llama-3.1-70b"),
            what="The network itself.",
            why="It says what the model can do; for `jumpstart` also how the turns of a conversation are told apart in a prompt.",
            reason="an endpoint's name says nothing about its model",
            default="unknown",
        ),
    ] = ""
    dedicated_dns: Annotated[
        str,
        Setting(
            kind=name(
                r"[a-z0-9][a-z0-9.-]{3,250}",
                expected="a host name",
                example="1234567890123456789.us-central1-123456789012.prediction.vertexai.goog",
            ),
            what="The DNS name of a dedicated endpoint (Vertex AI only).",
            why="A dedicated endpoint answers under no other name.",
            reason="shared endpoints answer under their region's name",
            default="none: it is a shared one",
        ),
    ] = ""
    capacity: Annotated[
        EndpointCapacityConfig | None,
        Setting(
            kind=Group(
                EndpointCapacityConfig,
                expected="the instances of an endpoint",
                example="capacity: {instance_type: ml.g5.12xlarge, instances: 2, hourly: 7.09 USD}",
            ),
            what="What stands behind it and costs by the hour.",
            why="`trimaran spend` then divides the cost among the requests, and shows what was idle.",
            reason="a price is never guessed; without it the cost of its requests is unknown, not free",
            default="none: the cost is unknown",
        ),
    ] = None
