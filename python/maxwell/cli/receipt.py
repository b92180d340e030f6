"""`maxwell receipt`: verify a receipt file or a receipt on its own, show one, export one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from maxwell.cli.console import print_data, print_note
from maxwell.cli.settings import Settings, common_options
from maxwell.observe.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maxwell.observe.decimals import JsonValue
    from maxwell.token.receipt import Receipt

SINGLE_BYTES_MAX: Final = 1 << 20
"""A receipt on its own takes about 800 bytes."""
_NS: Final = 1_000_000_000


@click.group(subcommand_metavar="verify|show ...")
@common_options
def command() -> None:
    """Verify, show and export receipts.

    A run leaves `receipts.cbor` in its folder: for each process and settlement epoch what it had
    used and paid, signed by the node. The format is documented under "Receipts".
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", metavar="KEY", help="The node's public key, as `maxwell key` prints it.")
@click.option("--json", is_flag=True, help="Print what was found as JSON.")
@common_options
@click.pass_obj
def verify(settings: Settings, *, file: Path, key: str | None, json: bool) -> int:
    """Verify a receipt file, or one receipt that was exported.

    Exits with 1 and names the first violation when it does not verify. `maxwell audit` also
    compares a run's report and events with its receipts.
    """
    from maxwell.token.key import read_public_key, text_of

    public_key = None if key is None else read_public_key(key)
    found: dict[str, JsonValue]
    path = _file(file)
    single = _read_single(path)
    if single is not None:
        from maxwell.token.single import verify_single

        one = verify_single(single, key=public_key, what=str(path))
        found = {"receipts": 1, "key": text_of(one.opening.public_key), **_plain(one.receipt)}
        text = f"receipt {one.receipt.number} of {one.receipt.identity.name!r} verifies"
    else:
        from maxwell.token.store import read_file
        from maxwell.token.verify import Verifier

        state = Verifier(key=public_key, what=str(path)).read(read_file(path))
        found = {
            "receipts": state.receipts,
            "key": text_of(state.opening.public_key),
            "batches": state.batches,
            "processes": [*sorted({chain.name for chain in state.chains.values()})],
        }
        text = (
            f"{state.receipts:,} receipts of {len(state.chains):,} processes verify, until "
            f"{state.t_ns / _NS:g} s"
        )
    if json:
        _echo_json({"schema": "maxwell.receipt/1", "ok": True, "pinned": key is not None, **found})
        return 0
    print_data(text)
    if not settings.quiet:
        trust = "the one that was given" if key else "found in the file; pin it with --key"
        print_note(f"key: {found['key']} ({trust})")
    return 0


@command.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE|DIR")
@click.argument("process", required=False)
@click.option("--number", type=click.IntRange(0), metavar="N", help="Which; the last by default.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Export it.")
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def show(
    settings: Settings,
    *,
    file: Path,
    process: str | None,
    number: int | None,
    out: Path | None,
    json: bool,
) -> int:
    """Show a process's receipt, or the processes of a file; verifies nothing.

    With --out it writes the receipt with its proof of inclusion, which `maxwell receipt verify`
    takes on its own.
    """
    from maxwell.errors import ConfigError
    from maxwell.token.single import find_receipt, receipts_in
    from maxwell.token.store import read_file

    path = _file(file)
    if process is None:
        if number is not None or out is not None:
            raise ConfigError("--number and --out need a process", hint="name it after the file")
        found = receipts_in(read_file(path), what=str(path))
        last = {receipt.identity.process: receipt for receipt, _ in found}
        _show_all(list(last.values()), json=json)
        return 0
    receipt, single = find_receipt(read_file(path), process, number, what=str(path))
    if out is not None:
        try:
            out.write_bytes(single)
        except OSError as error:
            raise ConfigError(
                f"cannot write {out}: {error.strerror}", hint="choose another file with `--out`"
            ) from error
        if not settings.quiet:
            print_note(f"receipt {receipt.number} of {process!r}: {out}")
    if json:
        _echo_json({"schema": "maxwell.receipt/1", **_plain(receipt)})
    elif out is None:
        _show_one(receipt)
    return 0


def _file(path: Path) -> Path:
    """Returns the receipt file of a folder, or the file itself."""
    return RunFolder(path).receipts if path.is_dir() else path


def _read_single(path: Path) -> bytes | None:
    """Returns the bytes of a receipt on its own; None for a receipt file.

    Raises:
        ConfigError: MX1002 when it cannot be read.
    """
    from maxwell.token.single import is_single
    from maxwell.token.store import read_file

    data = read_file(path)
    return data[:SINGLE_BYTES_MAX] if is_single(data) else None


def _show_all(receipts: list[Receipt], *, json: bool) -> None:
    from rich.table import Table

    from maxwell.units import format_energy

    if json:
        rows: list[JsonValue] = [_plain(receipt) for receipt in receipts]
        _echo_json({"schema": "maxwell.receipts/1", "last": rows})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("process", "receipts", "until", "ended", "energy", "burned", "balance"):
        table.add_column(title, justify="left" if title in {"process", "ended"} else "right")
    for receipt in receipts:
        table.add_row(
            receipt.identity.name,
            str(receipt.number + 1),
            f"{receipt.to_ns / _NS:.1f} s",
            receipt.ending or "",
            format_energy(receipt.energy("energy_uj")),
            format_energy(receipt.credits("burned")),
            format_energy(receipt.credits("balance")),
        )
    print_data(table)


def _show_one(receipt: Receipt) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for key, value in _plain(receipt).items():
        if isinstance(value, dict):
            for name, figure in value.items():
                table.add_row(key, name, str(figure))
        else:
            table.add_row(key, "", "" if value is None else str(value))
    print_data(table)


def _plain(receipt: Receipt) -> dict[str, JsonValue]:
    """Returns a receipt as JSON data: integers with a unit are decimal strings."""
    from maxwell.observe.decimals import to_json
    from maxwell.token.registry import BY_KEY

    identity = receipt.identity
    fields: dict[str, object] = {
        "process": identity.name,
        "account": identity.account,
        "number": receipt.number,
        "from_ns": receipt.from_ns,
        "to_ns": receipt.to_ns,
        "ending": receipt.ending,
        "module_digest": f"sha256:{identity.module_digest.hex()}",
        "engine": identity.engine,
        "price_table": identity.price_table,
        "previous": receipt.previous.hex(),
    }
    for key, values in receipt.figures.items():
        component = BY_KEY.get(key)
        names = {f.key: f.name for f in component.fields} if component else {}
        fields[component.name if component else str(key)] = {
            names.get(number, str(number)): value for number, value in values.items()
        }
    plain = to_json(fields)
    assert isinstance(plain, dict)
    return plain


def _echo_json(fields: Mapping[str, JsonValue]) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=2).decode())
