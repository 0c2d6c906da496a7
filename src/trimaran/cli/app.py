"""The commands and their options. Each body lives in a module of its own and is imported when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from trimaran.cli.output import guarded

__all__ = ["app", "run"]

app = typer.Typer(
    name="trimaran",
    help="One door to many language model providers: the fastest healthy one answers, every attempt is accounted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ROUTE = "Route"
_BILL = "Bill"
_CONFIGURE = "Configure"

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Configuration; without it $TRIMARAN_CONFIG, then ./trimaran.yaml."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for programs.")]
Folder = Annotated[
    str | None, typer.Option("--ledger-dir", "--state", metavar="DIR", help="Folder of journal and ledger.")
]
WithParent = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when standard input ends: the parent has gone.")
]


def run() -> int:
    """The exit status of the command line: 0, 2 for bad input, 1 for anything else."""
    try:
        status = app(prog_name="trimaran", standalone_mode=False)
    except typer.Abort:
        return 130
    except Exception as error:
        # click's own errors about arguments; nothing else leaves a command's body.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", 2))
    # Outside of standalone mode typer.Exit does not arrive here; its status is returned.
    return status if isinstance(status, int) else 0


def _end(status: int) -> None:
    if status:
        raise typer.Exit(status)


def _config_path(path: str | None) -> str | None:
    from trimaran.config import find_file

    return path if path is not None else find_file(os.environ)


def _overrides(**given: object) -> dict[str, object]:
    return {name.replace("__", "."): value for name, value in given.items() if value is not None}


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        from trimaran import __version__

        typer.echo(f"trimaran {__version__}")
        raise typer.Exit


@app.command(rich_help_panel=_ROUTE)
def serve(
    config: ConfigFile = None,
    port: Annotated[int | None, typer.Option(help="TCP port (4000); 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve requests (1).")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of metrics and administration (port + 1).")] = None,
    ledger_dir: Folder = None,
    mock: Annotated[bool, typer.Option("--mock", help="Serve simulated providers: no key, no network.")] = False,
    with_parent: WithParent = False,
) -> None:
    """Run the gateway: one address for the OpenAI and Anthropic SDKs."""
    from trimaran.cli.serve import command as body

    _end(
        guarded(
            lambda: body(
                config=config,
                port=port,
                host=host,
                workers=workers,
                admin_port=admin_port,
                ledger_dir=ledger_dir,
                mock=mock,
                with_parent=with_parent,
            )
        )
    )


@app.command(rich_help_panel=_ROUTE)
def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A public model; by default the only one, or auto.")
    ] = None,
    config: ConfigFile = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Bound on the answer's length.")] = 256,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show how the target was chosen.")] = False,
    as_json: AsJson = False,
    ledger_dir: Folder = None,
    mock: Annotated[bool, typer.Option("--mock", help="Ask simulated providers: no key, no network.")] = False,
) -> None:
    """Ask one question through the router, and see who answered, how fast and at what cost."""
    from trimaran.cli.ask import ask as body

    overrides = _overrides(ledger__dir=ledger_dir)
    _end(
        guarded(
            lambda: body(
                prompt,
                path=_config_path(config),
                overrides=overrides,
                model=model,
                max_tokens=max_tokens,
                stream=stream,
                explain=explain,
                as_json=as_json,
                mock=mock,
            )
        )
    )


@app.command(rich_help_panel=_ROUTE)
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running afterwards, until Ctrl-C.")] = False,
) -> None:
    """See traffic move: simulated providers, the gateway, the real SDKs; no key needed."""
    from trimaran.cli.demo import demo as body

    _end(guarded(lambda: body(keep=keep)))


@app.command(rich_help_panel=_ROUTE)
def mock(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 4010,
    ttft: Annotated[float, typer.Option(help="Seconds to the first token.")] = 0.05,
    tpot: Annotated[float, typer.Option(help="Seconds for each further token.")] = 0.01,
    jitter: Annotated[float, typer.Option(help="Spread of both (sigma of a lognormal).")] = 0.0,
    tokens: Annotated[int, typer.Option(help="Length of the answer.")] = 24,
    fault: Annotated[str, typer.Option(help="What goes wrong; see docs/simulated-providers.md.")] = "none",
    fault_probability: Annotated[float, typer.Option(help="How often, from 0 to 1.")] = 1.0,
    status: Annotated[int, typer.Option(help="HTTP status of the fault 'status'.")] = 503,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    with_parent: WithParent = False,
) -> None:
    """Run a simulated OpenAI, Anthropic, Bedrock and SageMaker API to test against, with faults on demand."""

    def body() -> None:
        from trimaran.cli.children import end_with_parent
        from trimaran.errors import ConfigError
        from trimaran.testing import Behaviour
        from trimaran.testing.serve import run_mock

        if with_parent:
            end_with_parent()
        changes: dict[str, Any] = {"ttft_s": ttft, "tpot_s": tpot, "jitter": jitter, "output_tokens": tokens}
        changes |= {"fault": fault, "fault_probability": fault_probability, "status": status}
        try:
            behaviour = Behaviour(**changes)
        except ValueError as error:
            raise ConfigError(str(error), where="trimaran mock") from error
        run_mock(port, behaviour, behaviour, seed=seed)

    _end(guarded(body))


@app.command(rich_help_panel=_CONFIGURE)
def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check each provider: reachable, key accepted, or what to do. Nothing paid is called."""
    from trimaran.cli.checks import doctor as body

    _end(guarded(lambda: body(_config_path(config), as_json=as_json)))


@app.command(rich_help_panel=_CONFIGURE)
def init(
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    path: Annotated[Path, typer.Argument(help="Where to write.")] = Path("trimaran.yaml"),
) -> None:
    """Write a commented trimaran.yaml for the credentials that are in the environment."""
    from trimaran.cli.checks import init as body

    _end(guarded(lambda: body(path, force=force)))


@app.command(rich_help_panel=_CONFIGURE)
def env(
    config: ConfigFile = None, port: Annotated[int | None, typer.Option(help="The gateway's port.")] = None
) -> None:
    """Print the exports that point the vendors' SDKs at the gateway: eval "$(trimaran env)"."""
    from trimaran.cli.checks import env as body

    _end(guarded(lambda: body(_config_path(config), _overrides(server__port=port))))


@app.command(rich_help_panel=_CONFIGURE)
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check the configuration and show what it serves, without starting anything."""
    from trimaran.cli.checks import check as body

    _end(guarded(lambda: body(_config_path(config), as_json=as_json)))


@app.command(rich_help_panel=_BILL)
def spend(
    by: Annotated[
        str,
        typer.Option(
            help="provider, model, target, tenant, key, tag:NAME, service_tier, pool, platform, region, "
            "purchase_option, hour, day, week, month or total; several with commas between them."
        ),
    ] = "provider",
    since: Annotated[str | None, typer.Option(help="From when: 7d, 24h, today, 2026-11-24.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, exclusive.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    key: Annotated[str | None, typer.Option(help="Of this key only.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this public model only.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="With this tag only; repeatable.")] = None,
    config: ConfigFile = None,
    ledger_dir: Folder = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values for spreadsheets.")] = False,
    focus: Annotated[
        bool, typer.Option("--focus", help="Rows by day as CSV with the columns of FOCUS 1.2; --by plays no part.")
    ] = False,
    simulated: Annotated[bool, typer.Option("--simulated", help="With --focus: what is simulated instead.")] = False,
) -> None:
    """What was spent, by whom and for what, with failures, idle capacity and latencies."""
    from trimaran.cli.bill import spend as body

    forms = [name for name, wanted in (("json", as_json), ("csv", as_csv), ("focus", focus)) if wanted]
    if len(forms) > 1:
        raise typer.BadParameter("choose one of --json, --csv and --focus")
    _end(
        guarded(
            lambda: body(
                _config_path(config),
                _overrides(ledger__dir=ledger_dir),
                by=by,
                since=since,
                until=until,
                tenant=tenant,
                key=key,
                model=model,
                tags=tag or (),
                form=forms[0] if forms else "table",
                simulated=simulated,
            )
        )
    )


ledger = typer.Typer(no_args_is_help=True, help="Explain one request, or show how the ledger is.")
app.add_typer(ledger, name="ledger", rich_help_panel=_BILL)


@ledger.command("explain")
def ledger_explain(
    request: Annotated[str, typer.Argument(help="The x-trimaran-request-id of an answer; ID-2 is its second attempt.")],
    config: ConfigFile = None,
    ledger_dir: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Explain one request: its attempts, reasons, timings and costs, line by line."""
    from trimaran.cli.bill import explain as body

    overrides = _overrides(ledger__dir=ledger_dir)
    _end(guarded(lambda: body(_config_path(config), overrides, request, as_json=as_json)))


@ledger.command("status")
def ledger_status(config: ConfigFile = None, ledger_dir: Folder = None, as_json: AsJson = False) -> None:
    """Show how the ledger itself is: version, size, what waits in the journal."""
    from trimaran.cli.bill import status as body

    _end(guarded(lambda: body(_config_path(config), _overrides(ledger__dir=ledger_dir), as_json=as_json)))


keys = typer.Typer(no_args_is_help=True, help="Make, rotate and revoke client keys while the gateway runs.")
app.add_typer(keys, name="keys", rich_help_panel=_BILL)

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the key, as the ledger knows it.")]
Expires = Annotated[
    str | None, typer.Option(metavar="WHEN", help="From when on it is refused: 90d, 2027-01-31, 2027-01-31T18:00Z.")
]


@keys.command("create")
def keys_create(
    name: KeyName,
    tenant: Annotated[str | None, typer.Option(help="Who pays (default).")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Groups its spend; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may call (all); repeatable.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="AMOUNT", help="500 USD/month, 2M tokens/day, 10000 requests/day; repeatable."),
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute.")] = None,
    expires: Expires = None,
    config: ConfigFile = None,
    ledger_dir: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, once, on stdout."""
    from trimaran.cli.keys import create as body

    _end(
        guarded(
            lambda: body(
                _config_path(config),
                _overrides(ledger__dir=ledger_dir),
                name,
                tenant=tenant,
                tags=tag or (),
                models=model or (),
                budgets=budget or (),
                rpm=rpm,
                tpm=tpm,
                expires=expires,
                as_json=as_json,
            )
        )
    )


@keys.command("list")
def keys_list(
    history: Annotated[bool, typer.Option("--all", help="Rotated and revoked ones, too.")] = False,
    config: ConfigFile = None,
    ledger_dir: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the keys of the configuration and of the store."""
    from trimaran.cli.keys import show_all as body

    overrides = _overrides(ledger__dir=ledger_dir)
    _end(guarded(lambda: body(_config_path(config), overrides, history=history, as_json=as_json)))


@keys.command("show")
def keys_show(name: KeyName, config: ConfigFile = None, ledger_dir: Folder = None, as_json: AsJson = False) -> None:
    """Show one key with the history of its secrets; never a secret."""
    from trimaran.cli.keys import show as body

    overrides = _overrides(ledger__dir=ledger_dir)
    _end(guarded(lambda: body(_config_path(config), overrides, name, as_json=as_json)))


@keys.command("rotate")
def keys_rotate(
    name: KeyName,
    grace: Annotated[str, typer.Option(metavar="SPAN", help="How long the old secret stays valid: 24h.")] = "0s",
    expires: Expires = None,
    config: ConfigFile = None,
    ledger_dir: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret and print it, once, on stdout."""
    from trimaran.cli.keys import rotate as body

    overrides = _overrides(ledger__dir=ledger_dir)
    path = _config_path(config)
    _end(guarded(lambda: body(path, overrides, name, grace=grace, expires=expires, as_json=as_json)))


@keys.command("revoke")
def keys_revoke(name: KeyName, config: ConfigFile = None, ledger_dir: Folder = None, as_json: AsJson = False) -> None:
    """Refuse a key from now on; answers under way go on to their end."""
    from trimaran.cli.keys import revoke as body

    overrides = _overrides(ledger__dir=ledger_dir)
    _end(guarded(lambda: body(_config_path(config), overrides, name, as_json=as_json)))
