"""The servers under test: Trimaran with everything on, and the peers it is held against.

One class each: is it here, how is it installed, what is its version, how is it started. Each gets the same two upstream
ports, one worker, no access log, and kept-alive connections to the upstream. Peers from PyPI live in virtual
environments of their own below the user's cache directory, never in the project's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import HOST
from bench.wire import API_KEY, MODEL

__all__ = [
    "PEERS",
    "Haproxy",
    "Launch",
    "Litellm",
    "Nginx",
    "Server",
    "SglangRouter",
    "Stage",
    "Translated",
    "Trimaran",
    "cache_home",
]

_ROOT = Path(__file__).resolve().parent.parent


def cache_home() -> Path:
    """Where peers are installed: ``$TRIMARAN_BENCH_HOME``, or ``trimaran-bench`` in the user's cache directory."""
    own = os.environ.get("TRIMARAN_BENCH_HOME")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimaran-bench"


@dataclass(frozen=True)
class Stage:
    """What a server is started against: its own directory and ports, the upstream's ports, the authority to trust."""

    directory: Path
    upstream_ports: tuple[int, ...]
    port: int
    spare_port: int
    tls: bool
    certificate: Path

    @property
    def upstream_urls(self) -> list[str]:
        scheme = "https" if self.tls else "http"
        return [f"{scheme}://{HOST}:{port}" for port in self.upstream_ports]

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """A clean one: no key, proxy or setting of the user's reaches a server."""
        clean = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "SSL_CERT_FILE": str(self.certificate),
            # Bytecode as an installed package has it, without writing into the source tree.
            "PYTHONPYCACHEPREFIX": str(cache_home() / "bytecode"),
        }
        return clean | more


@dataclass(frozen=True)
class Launch:
    argv: list[str]
    ready_path: str
    env: dict[str, str] = field(default_factory=dict)


class Server:
    """One server under test.

    ``exact``: it passes a unary answer byte for byte. ``heavy``: it gets shorter streams. ``puts_off``: it does part of
    a request's work after the answer, in its first process, and is charged for that.
    """

    name = ""
    exact = True
    heavy = False
    puts_off = False

    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        return ""

    def install(self) -> str:
        """Try to make it run here; returns what went wrong, empty when nothing did."""
        return self.missing()

    def version(self) -> str:
        raise NotImplementedError

    def launch(self, stage: Stage) -> Launch:
        raise NotImplementedError


class Trimaran(Server):
    """The gateway from this tree, one worker: key authentication, a budget of money and limits of tokens and requests, two
    priced targets, ``fastest``, journal and metrics."""

    name = "trimaran"
    puts_off = True
    dialect = "openai.chat"
    """What both targets speak; the load speaks ``openai.chat``."""

    def missing(self) -> str:
        found = subprocess.run(
            [sys.executable, "-c", "import trimaran.cli, trimaran.gateway"],
            env=self.python_env(),
            capture_output=True,
            text=True,
        )
        return "" if found.returncode == 0 else f"it does not import: {found.stderr.strip().splitlines()[-1]}"

    @staticmethod
    def python_env() -> dict[str, str]:
        """Environment in which this tree's package is found, installed or not, with bytecode kept."""
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
        return env | {"PYTHONPATH": str(_ROOT / "src"), "PYTHONPYCACHEPREFIX": str(cache_home() / "bytecode")}

    def version(self) -> str:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, check=False
        )
        return asked.stdout.strip() or "not under git"

    def config(self, stage: Stage) -> str:
        first, second = stage.upstream_urls
        return f"""\
models:
  {MODEL}:
    strategy: fastest
    targets: [near/bench-model, far/bench-model]
providers:
  near:
    dialects: [{self.dialect}]
    base_url: {first}/v1
    api_key: ${{BENCH_UPSTREAM_KEY}}
    prices: {{bench-model: {{input: 0.1 USD/1M, output: 0.4 USD/1M}}}}
  far:
    dialects: [{self.dialect}]
    base_url: {second}/v1
    api_key: ${{BENCH_UPSTREAM_KEY}}
    prices: {{bench-model: {{input: 0.1 USD/1M, output: 0.4 USD/1M}}}}
keys:
  bench:
    key: ${{BENCH_CLIENT_KEY}}
    tags: {{team: bench}}
    budget: [100000 USD/month, 1000000M tokens/day]
    rpm: 10000000
"""

    def launch(self, stage: Stage) -> Launch:
        path = stage.directory / "trimaran.yaml"
        path.write_text(self.config(stage))
        argv = [sys.executable, "-m", "trimaran.cli", "serve", "--config", str(path), "--workers", "1"]
        argv += ["--port", str(stage.port), "--admin-port", str(stage.spare_port)]
        argv += ["--state", str(stage.directory / "state")]
        env = {
            "PYTHONPATH": str(_ROOT / "src"),
            "BENCH_UPSTREAM_KEY": "sk-upstream-0123456789abcdef",
            "BENCH_CLIENT_KEY": API_KEY,
        }
        return Launch(argv, "/healthz", env)


class Translated(Trimaran):
    """The same gateway before targets that speak ``anthropic.messages``, so that every answer is translated."""

    name = "translated"
    exact = False
    dialect = "anthropic.messages"


class Nginx(Server):
    """``proxy_pass`` to an upstream of two with kept-alive connections; response buffering off, as streams need it."""

    name = "nginx"

    def missing(self) -> str:
        return "" if _binary("nginx") else "no nginx binary here (Debian: apt-get install nginx-light)"

    def version(self) -> str:
        asked = subprocess.run([str(_binary("nginx")), "-v"], capture_output=True, text=True, check=False)
        return asked.stderr.strip().rpartition("/")[2]

    def launch(self, stage: Stage) -> Launch:
        here = stage.directory
        servers = " ".join(f"server {HOST}:{port};" for port in stage.upstream_ports)
        scheme = "https" if stage.tls else "http"
        temporary = "".join(
            f"  {kind}_temp_path {here}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        path = here / "nginx.conf"
        path.write_text(
            f"""\
{user}worker_processes 1;
daemon off;
pid {here}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_buffer_size 128k;
{temporary}  upstream bench {{ {servers} keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen {HOST}:{stage.port};
    location = /healthz {{ return 200; }}
    location / {{
      proxy_pass {scheme}://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_trusted_certificate {stage.certificate};
    }}
  }}
}}
"""
        )
        return Launch([str(_binary("nginx")), "-p", str(here), "-c", str(path)], "/healthz")


class Haproxy(Server):
    """A plain HTTP reverse proxy, one thread. Not among the default peers."""

    name = "haproxy"

    def missing(self) -> str:
        return "" if _binary("haproxy") else "no haproxy binary here (Debian: apt-get install haproxy)"

    def version(self) -> str:
        asked = subprocess.run([str(_binary("haproxy")), "-v"], capture_output=True, text=True, check=False)
        return asked.stdout.split()[2] if asked.stdout else "unknown"

    def launch(self, stage: Stage) -> Launch:
        tls = f" ssl verify required ca-file {stage.certificate}" if stage.tls else ""
        servers = "".join(
            f"  server up{number} {HOST}:{port} maxconn 1000{tls}\n" for number, port in enumerate(stage.upstream_ports)
        )
        path = stage.directory / "haproxy.cfg"
        path.write_text(
            f"""\
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  option http-no-delay
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend bench
  bind {HOST}:{stage.port}
  http-request return status 200 if {{ path /healthz }}
  default_backend upstream
backend upstream
  balance roundrobin
{servers}"""
        )
        return Launch([str(_binary("haproxy")), "-db", "-f", str(path)], "/healthz")


class _FromPyPI(Server):
    """A peer with a virtual environment of its own, at a fixed version so that figures can be compared over time."""

    package = ""
    pinned = ""
    _trouble = ""

    @property
    def python(self) -> Path:
        return cache_home() / self.name / "bin" / "python"

    def missing(self) -> str:
        if self.python.exists() and self.version():
            return ""
        return (
            self._trouble
            or f"{self.package}=={self.pinned} is not installed below {cache_home()} (--install-peers does it)"
        )

    def install(self) -> str:
        if not self.missing():
            return ""
        print(f"installing {self.package}=={self.pinned} below {cache_home()} …", file=sys.stderr, flush=True)
        home = self.python.parent.parent
        home.parent.mkdir(parents=True, exist_ok=True)
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(self.python), "-m", "pip", "install", "--quiet", f"{self.package}=={self.pinned}"],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                shutil.rmtree(home, ignore_errors=True)
                last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
                self._trouble = f"it could not be installed: {last}"
                break
        return self.missing()

    def version(self) -> str:
        name = self.package.partition("[")[0]
        ask = f"import importlib.metadata as m; print(m.version({name!r}))"
        asked = subprocess.run([str(self.python), "-c", ask], capture_output=True, text=True, check=False)
        return asked.stdout.strip()


class SglangRouter(_FromPyPI):
    """The router of SGLang (Rust), ``round_robin`` over two workers, logging warnings only."""

    name = "sglang-router"
    package = "sglang-router"
    pinned = "0.3.2"

    def launch(self, stage: Stage) -> Launch:
        argv = [str(self.python), "-m", "sglang_router.launch_router", "--host", HOST, "--port", str(stage.port)]
        argv += ["--prometheus-host", HOST, "--prometheus-port", str(stage.spare_port)]
        argv += ["--policy", "round_robin", "--log-level", "warn", "--request-timeout-secs", "600"]
        if stage.tls:
            argv += ["--ca-cert-paths", str(stage.certificate)]
        argv += ["--worker-urls", *stage.upstream_urls]
        # /health is 200 before it has found its workers.
        return Launch(argv, "/readiness")


class Litellm(_FromPyPI):
    """LiteLLM's proxy, one worker, master key, two deployments of one model, no database."""

    name = "litellm"
    package = "litellm[proxy]"
    pinned = "1.108.7"
    exact = False
    heavy = True

    def launch(self, stage: Stage) -> Launch:
        deployments = [
            {
                "model_name": MODEL,
                "litellm_params": {"model": "openai/bench-model", "api_base": f"{url}/v1", "api_key": "sk-upstream"},
            }
            for url in stage.upstream_urls
        ]
        path = stage.directory / "litellm.yaml"
        # JSON is YAML, and needs no YAML writer.
        path.write_text(json.dumps({"model_list": deployments, "general_settings": {"master_key": API_KEY}}))
        argv = [str(self.python.parent / "litellm"), "--config", str(path), "--host", HOST, "--port", str(stage.port)]
        argv += ["--num_workers", "1", "--telemetry", "False"]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        return Launch(argv, "/health/liveliness", env)


PEERS: dict[str, type[Server]] = {kind.name: kind for kind in (Translated, Nginx, Haproxy, SglangRouter, Litellm)}


def _binary(name: str) -> str | None:
    # Debian keeps servers in sbin, which is not on everyone's path.
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
