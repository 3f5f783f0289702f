"""`tocsin receiver …`: who is told, and what they did not get.

Flows in: addresses, folders and their settings. Flows out: rows that the notifier reads with every alert. Stops before
delivery.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Data, Json, open_database, open_stack
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from alerts.telling.kinds.kind import Kind

receiver = typer.Typer(no_args_is_help=True, help="Who is told: webhooks, e-mail, chat, feeds, files, the terminal.")
Name = Annotated[str, typer.Argument(help="Your name for it.")]
SecretFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="File with the key that signs a webhook (else one is made)."),
]
MAIL, CHAT, FEEDS = "Options of email", "Options of apprise", "Options of atom and stac"


def _of(panel: str, words: str, *names: str) -> object:
    """An option that only some kinds have."""
    return typer.Option(*names, help=words, rich_help_panel=panel)


@receiver.command("add", epilog="Example: tocsin receiver add duty webhook https://example.org/hook")
def add(
    name: Name,
    kind: Annotated[str, typer.Argument(help="webhook, email, apprise, cap, geojson, atom, stac or terminal.")],
    target: Annotated[
        list[str] | None,
        typer.Argument(
            help="Its address or folder: URL of a webhook, mail addresses, Apprise addresses, a folder for cap,"
            " geojson, atom and stac; nothing for terminal."
        ),
    ] = None,
    secret_file: SecretFile = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let a webhook or Apprise lead to a private or loopback address.")
    ] = False,
    sender: Annotated[str | None, _of(MAIL, "Address that letters come from.", "--from")] = None,
    server: Annotated[str | None, _of(MAIL, "Mail server, HOST or HOST:PORT.")] = None,
    security: Annotated[str | None, _of(MAIL, "starttls (default), tls or none.")] = None,
    user: Annotated[str | None, _of(MAIL, "User at the mail server.")] = None,
    password_env: Annotated[
        str | None, _of(MAIL, "Variable of the notifier's environment that holds the password.")
    ] = None,
    password_file: Annotated[Path | None, _of(MAIL, "File that holds the password, read at every attempt.")] = None,
    ca_file: Annotated[Path | None, _of(MAIL, "Certificates to trust instead of the system's, PEM.")] = None,
    url_file: Annotated[
        Path | None,
        _of(CHAT, "File with Apprise addresses, one a line: keeps them out of the shell's history."),
    ] = None,
    newest: Annotated[int | None, _of(FEEDS, "Incidents that an Atom feed keeps (100).")] = None,
    base_url: Annotated[str | None, _of(FEEDS, "Where the folder can be read on the web.")] = None,
    title: Annotated[str | None, _of(FEEDS, "Title of the feed or collection.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell somebody more about every alert from now on; tocsin receiver kinds shows the ways.

    As soon as one receiver is added, the terminal and the data folder are told only if they are added too.
    """
    from alerts.telling import receivers
    from alerts.telling.kinds.registry import KINDS

    given: dict[str, object] = {
        "from": sender,
        "server": server,
        "security": security,
        "user": user,
        "password_env": password_env,
        "password_file": password_file and str(password_file),
        "ca_file": ca_file and str(ca_file),
        "newest": newest,
        "base_url": base_url,
        "title": title,
        "allow_private": allow_private or None,
        "secret": secret_file and _read(secret_file).strip(),
    }
    targets = list(target or [])
    if url_file:
        lines = [line.strip() for line in _read(url_file).splitlines()]
        targets += [line for line in lines if line and not line.startswith("#")]
    settings = {option: value for option, value in given.items() if value is not None}
    if targets and kind in KINDS:
        settings |= _target(KINDS[kind], targets)
    added = receivers.add(open_database(open_stack(data)), name, kind, **settings)
    made = {"secret": added.secret} if added.secret and not secret_file else {}
    if as_json:
        print_json(added.shown() | made)
        return
    say(f"receiver {name}: {kind} {_where(added.shown())}".rstrip())
    if made:
        say(f"its signing key, shown only now: {added.secret}")
    note(f"try it: tocsin receiver test {name}")


@receiver.command("kinds")
def kinds(as_json: Json = False) -> None:
    """Show the ways of telling somebody, and their settings."""
    from alerts.telling.kinds.registry import KINDS, options

    if as_json:
        print_json(
            [
                {"kind": each.name, "about": each.about, "target": each.target or None, "settings": options(each)}
                for each in KINDS.values()
            ]
        )
        return
    rows = [(each.name, each.about, each.target or None, ", ".join(options(each))) for each in KINDS.values()]
    table("Kinds", ("kind", "what it is", "first", "settings"), rows, "none")


@receiver.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show who is told; keys and passwords are masked."""
    from alerts.telling import receivers

    stack = open_stack(data)
    found = [one.shown() for one in receivers.list_receivers(open_database(stack), stack.data)]
    if as_json:
        print_json(found)
        return
    table("Receivers", ("name", "kind", "target"), [(r["name"], r["kind"], _where(r)) for r in found], "none")


@receiver.command("test")
def test(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Send a marked test message once, from here, and say what became of it."""
    from alerts.settings import NotifierSettings
    from alerts.telling import receivers
    from alerts.telling.notify import send_test

    stack = open_stack(data)
    found = receivers.find(open_database(stack), stack.data, name)
    send_test(found, NotifierSettings())
    print_json({"receiver": name, "taken": True}) if as_json else say(f"receiver {name} has taken a test message")


@receiver.command("rotate")
def rotate(
    name: Name,
    secret_file: SecretFile = None,
    finish: Annotated[bool, typer.Option("--finish", help="Second step: the old key no longer signs.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Instead of the second step: the new key no longer signs.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change a webhook's key in two steps: first both sign, then only the new one."""
    from alerts.telling import receivers

    if finish + undo + bool(secret_file) > 1:
        raise UsageError("give --finish, --undo or --secret-file, not several of them")
    secret = _read(secret_file).strip() if secret_file else ""
    changed = receivers.rotate(open_database(open_stack(data)), name, secret, finish=finish, undo=undo)
    made = {} if secret_file or finish or undo else {"secret": changed.secret}
    if as_json:
        print_json(changed.shown() | made)
        return
    if finish or undo:
        say(f"receiver {name}: only the {'new' if finish else 'old'} key signs now")
        return
    say(f"receiver {name}: both keys sign from now on")
    if made:
        say(f"its new signing key, shown only now: {changed.secret}")
    note(f"when its receiver knows the new key: tocsin receiver rotate {name} --finish")


@receiver.command("refused")
def refused(
    name: Annotated[str | None, typer.Argument(help="Only recipients of this receiver.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show mailboxes that refused a message for good, also where others of the same receiver took it."""
    from alerts.telling.recipients import list_refusals

    found = list_refusals(open_database(open_stack(data)), name)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(one.refused_at, one.receiver, one.recipient, str(one.delivery_id)[:8], one.why) for one in found]
    table("Refused for good", ("at", "receiver", "recipient", "delivery", "why"), rows, "none")


@receiver.command("remove")
def remove(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Tell it no more; what was on its way to it is given up."""
    from alerts.telling import receivers

    receivers.remove(open_database(open_stack(data)), name)
    print_json({"removed": name}) if as_json else say(f"receiver {name} removed")


@receiver.command("redrive", epilog="Example: tocsin receiver redrive duty")
def redrive(
    name: Annotated[str | None, typer.Argument(help="Only to this receiver; else to all.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Attempt again what was given up after the last attempt (`tocsin alerts failed` lists it)."""
    from alerts.telling import deliveries, receivers
    from schemas.errors import NotFound

    stack = open_stack(data)
    engine = open_database(stack)
    if name is not None and name not in [one.name for one in receivers.list_receivers(engine, stack.data)]:
        raise NotFound(f"no receiver {name!r}: `tocsin receiver list` shows them")
    count = deliveries.redeliver(engine, receiver=name)
    print_json({"redelivered": count}) if as_json else say(f"{count} due again: the notifier attempts them")


def _target(kind: type[Kind], targets: list[str]) -> dict[str, object]:
    """The setting that stands on the command line without an option.

    Raises:
        UsageError: the kind has none, or takes only one.
    """
    if not kind.target:
        raise UsageError(f"a receiver of kind {kind.name} has no address or folder: leave out {' '.join(targets)!r}")
    if isinstance(kind.model_fields[kind.target].default, tuple):
        return {kind.target: tuple(targets)}
    if len(targets) > 1:
        raise UsageError(f"a receiver of kind {kind.name} has one {kind.target}, not {len(targets)}")
    return {kind.target: targets[0]}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"file {path} cannot be read as text: {error}") from error


def _where(shown: dict[str, object]) -> str:
    """The address or folder of a receiver as `shown` has it."""
    for field in ("url", "folder", "to", "urls", "why"):
        if value := shown.get(field):
            return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return ""


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(receiver, name="receiver")
