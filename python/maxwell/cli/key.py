"""`maxwell key`: the public key that this node signs its receipts with."""

from __future__ import annotations

import click

from maxwell.cli.settings import Settings, common_options


@click.command()
@click.option("--json", is_flag=True, help="Print as JSON, with the path of the private key.")
@common_options
@click.pass_obj
def command(settings: Settings, *, json: bool) -> int:
    """Print the public key that this node signs with.

    Makes the key when there is none yet. Give it to whoever is to audit your runs, by a way that
    they trust: `maxwell audit DIR --key KEY`.
    """
    from maxwell.token.key import key_path, node_signer, text_of

    del settings
    path = key_path()
    public_key = text_of(node_signer(path).public_key)
    if json:
        import msgspec

        fields = {"schema": "maxwell.key/1", "public_key": public_key, "path": str(path)}
        click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=2).decode())
    else:
        click.echo(public_key)
    return 0
