"""Simulated Azure: what of Azure OpenAI, Azure Machine Learning, Entra ID and the Resource Manager hangs on one port."""

from __future__ import annotations

from trimaran.testing.azure import AzureCloud
from trimaran.testing.azure_control import azure_look_ups
from trimaran.testing.azure_ml import AzureML, OnlineEndpoint
from trimaran.testing.azure_ml_scoring import AZURE_ML_DIALECTS, AzureMLScoring
from trimaran.testing.azure_openai import AZURE_OPENAI_DIALECTS, azure_openai_dialects
from trimaran.testing.azure_openai_account import AzureDeployment, AzureOpenAIAccount
from trimaran.testing.dialect import Dialect, LookUp
from trimaran.testing.entra import EntraIdentity
from trimaran.testing.entra_services import entra_services

__all__ = ["AZURE_DIALECTS", "Azure"]

AZURE_DIALECTS = AZURE_OPENAI_DIALECTS + AZURE_ML_DIALECTS


class Azure:
    """The state of the simulated Azure, and what answers for it. ``cloud``, ``openai``, ``ml`` and ``identity`` may be changed while the
    provider runs. By default every deployment exists, under the name of its model, and every online endpoint, which answers as vLLM
    does; but for names that begin with ``missing``."""

    def __init__(
        self,
        cloud: AzureCloud | None = None,
        *,
        openai: AzureOpenAIAccount | None = None,
        ml: AzureML | None = None,
        identity: EntraIdentity | None = None,
    ) -> None:
        parts = [part for part in (openai, ml, identity) if part is not None]
        self.cloud = cloud or (parts[0].cloud if parts else AzureCloud())
        if any(part.cloud is not self.cloud for part in parts):
            raise ValueError("a part belongs to another cloud; make all of them with the same AzureCloud")
        self.openai = openai or AzureOpenAIAccount(self.cloud, template=AzureDeployment(name="any"))
        self.ml = ml or AzureML(self.cloud, template=OnlineEndpoint(name="any"))
        self.identity = identity or EntraIdentity(self.cloud)

    def dialects(self) -> list[Dialect]:
        """What answers a POST to a deployment or an endpoint."""
        return [*azure_openai_dialects(self.openai), AzureMLScoring(self.ml)]

    def look_ups(self, models: tuple[str, ...] | None) -> list[LookUp]:
        """What tells which deployments and endpoints there are, and gives out tokens."""
        return [*azure_look_ups(self.cloud, self.openai, self.ml), *entra_services(self.identity)]
