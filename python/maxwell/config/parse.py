"""From a fleet file to a `FleetConfig`: read, check, expand.

Defaults that depend on other keys, in one place:

- `account` of a process: an account with the process's own name, holding the process's funds.
- `funds` of an account: the sum of its processes' funds.
- `funds` of a process: 20 J; where its account's funds are given, an equal share (rounded down)
  of what the account's other processes leave.
- `budget` without `power`: what the file hands out, opening funds and escrows, and nothing more.
- `cells`: one for each processor that this process may use; 1 in deterministic mode, whose result
  must not depend on the machine.
"""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

import msgspec

from maxwell.config.check import CELLS_MAX, check_fleet
from maxwell.config.dirs import read_dirs
from maxwell.config.heat import HEAT_KEYS, read_heat
from maxwell.config.models import read_model
from maxwell.config.records import (
    FUNDS_UJ_DEFAULT,
    MEMORY_MAX_BYTES_DEFAULT,
    QUANTUM_FUEL_DEFAULT,
    RESERVE_PPM_DEFAULT,
    SLICE_QUANTA_DEFAULT,
    TEMPERATURE_LOG2_DEFAULT,
    URGENCY_MILLIS_DEFAULT,
    AccountConfig,
    FleetConfig,
    NodeConfig,
    ProcessConfig,
    RewardConfig,
    SponsorConfig,
)
from maxwell.config.requests import read_request
from maxwell.config.table import Source, Table
from maxwell.errors import ConfigError
from maxwell.market.proof_options import is_proof, parse_proof
from maxwell.market.question_options import is_question, parse_question
from maxwell.market.resolvers import check_resolver

FILE_BYTES_MAX: Final = 4 << 20
"""4 MiB: a fleet of 4,096 processes with a kilobyte each."""
PROCESSES_MAX: Final = 4_096
COUNT_MAX: Final = 1_024

_TOP = ("node", "heat", "account", "sponsor", "reward", "request", "model", "process")
_NODE = (
    "cells",
    "power",
    "budget",
    "duration",
    "seed",
    "temperature_log2",
    "deterministic",
    "reserve_ppm",
    "core_power",
    "idle_power",
    "quantum_fuel",
    "slice_quanta",
    "quality_bits_per_joule",
)
_ACCOUNT = ("name", "funds", "income_share")
_SPONSOR = ("name", "escrow")
_REWARD = ("sponsor", "name", "resolver", "pays")
_REQUEST = (
    "name",
    "url",
    "methods",
    "price",
    "price_per_kib",
    "timeout",
    "request_max",
    "answer_max",
    "local",
    "secret_headers",
)
_MODEL = ("name", "onnx", "digest", "calibration", "batch_max", "hiding", "security")
_PROCESS = (
    "name",
    "account",
    "module",
    "args",
    "env",
    "dirs",
    "funds",
    "urgency",
    "bid_ppm",
    "horizon",
    "rewards",
    "requests",
    "models",
    "memory_max",
    "count",
    "start_after",
    "deadline",
    "top_up",
)


def load_fleet(
    path: Path | str, *, node_overrides: Mapping[str, object] | None = None
) -> FleetConfig:
    """Reads, checks and expands a fleet file.

    Args:
        path: a TOML file of at most 4 MiB.
        node_overrides: values for keys of `[node]` that take the place of the file's, such as
            `{"power": "12 W"}` from the command line. Overriding `power` drops the file's `budget`
            and the other way round.

    Returns:
        The fleet; each process has `count` 1.

    Raises:
        ConfigError: MX1001 to MX1015, with the file, the line where known, table, key and a hint.
    """
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            # A pipe may never end and a device never does.
            raise ConfigError(
                f"not a regular file: {file}",
                code="MX1002",
                hint="give the path of a fleet file, such as fleet.toml",
            )
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(
                f"{file}: larger than {FILE_BYTES_MAX >> 20} MiB",
                code="MX1002",
                hint="for many equal processes use count",
            )
        text = file.read_bytes().decode()
    except OSError as error:
        raise ConfigError(
            f"cannot read fleet file: {file}: {error.strerror or error}",
            code="MX1002",
            hint="give the path of a fleet file, such as fleet.toml",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: not UTF-8 at byte {error.start}",
            code="MX1002",
            hint="a fleet file is TOML, a text",
        ) from error
    try:
        # Ratios stay exact decimals; no float enters the configuration of money.
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError, ArithmeticError) as error:
        raise ConfigError(
            f"{file}: not valid TOML: {error}",
            code="MX1002",
            hint='a table is [[process]], a key is name = "text"; see docs/reference/fleet-file.md',
        ) from error
    return parse_fleet(
        data,
        file.resolve().parent,
        source=Source(str(file), text),
        node_overrides=node_overrides,
    )


def parse_fleet(
    data: Mapping[str, object],
    base_dir: Path,
    *,
    source: Source | None = None,
    node_overrides: Mapping[str, object] | None = None,
    cpus: int | None = None,
) -> FleetConfig:
    """Checks and expands a fleet given as plain data.

    Args:
        data: the tables of a fleet file, see docs/reference.
        base_dir: folder that relative paths start from.
        source: for messages; the word `fleet` when None.
        node_overrides: as for `load_fleet`.
        cpus: processors that cells may be pinned to; this process's own when None.

    Raises:
        ConfigError: MX1001 to MX1015.
    """
    where = source or Source("fleet")
    top = Table(data, source=where, path="fleet", known=_TOP)
    processors = len(os.sched_getaffinity(0)) if cpus is None else cpus
    node_data = dict(_table(top, "node"))
    for key, value in (node_overrides or {}).items():
        if key == "power":
            node_data.pop("budget", None)
        if key == "budget":
            node_data.pop("power", None)
        node_data[key] = value
    node = parse_node(
        node_data, source=where, overridden=frozenset(node_overrides or ()), cpus=processors
    )
    process_tables = _tables(top, "process", _PROCESS, where)
    if not process_tables:
        top.fail(
            None,
            "no process",
            code="MX1003",
            hint='add a [[process]] table with a name and a module = "x.wasm"',
        )
    account_tables = _tables(top, "account", _ACCOUNT, where)
    sponsors = tuple(_sponsor(t) for t in _tables(top, "sponsor", _SPONSOR, where))
    rewards = tuple(_reward(t) for t in _tables(top, "reward", _REWARD, where, open_keys=True))
    requests = tuple(read_request(t) for t in _tables(top, "request", _REQUEST, where))
    models = tuple(read_model(t) for t in _tables(top, "model", _MODEL, where))
    heat = None
    if top.has("heat"):
        table = Table(_table(top, "heat"), source=where, path="heat", known=HEAT_KEYS)
        heat = read_heat(table, base_dir)
    drafts = [d for t in process_tables for d in _process(t, base_dir)]
    if len(drafts) > PROCESSES_MAX:
        top.fail(
            None,
            f"{len(drafts)} processes",
            code="MX1006",
            hint=f"at most {PROCESSES_MAX} processes on a node",
        )
    accounts, processes = _fund([_account(t) for t in account_tables], drafts, top)
    fleet = FleetConfig(
        node=node,
        accounts=tuple(accounts),
        sponsors=sponsors,
        rewards=rewards,
        requests=requests,
        models=models,
        heat=heat,
        processes=tuple(processes),
        base_dir=base_dir,
    )
    if node.power_mw is None and node.budget_uj is None:
        covering = fleet.opening_uj + fleet.escrows_uj
        fleet = msgspec.structs.replace(
            fleet, node=msgspec.structs.replace(node, budget_uj=covering)
        )
    check_fleet(fleet, cpus=processors, where=where.name)
    return fleet


def parse_node(
    data: Mapping[str, object],
    *,
    source: Source,
    overridden: Collection[str] = (),
    cpus: int | None = None,
) -> NodeConfig:
    """Checks the table `[node]` alone; what depends on the other tables is left to `check_fleet`.

    Args:
        data: the table.
        source: for messages.
        overridden: keys whose values came from the command line, for messages.
        cpus: processors that cells may be pinned to; this process's own when None.

    Raises:
        ConfigError: MX1001 to MX1009.
    """
    processors = len(os.sched_getaffinity(0)) if cpus is None else cpus
    table = Table(data, source=source, path="node", known=_NODE, overridden=overridden)
    return _node(table, processors)


def _table(top: Table, key: str) -> Mapping[str, object]:
    if not top.has(key):
        return {}
    value = top.raw(key)
    if not isinstance(value, Mapping):
        top.fail(None, f"{key!r} must be a table", code="MX1004", hint=f"write [{key}]")
    return cast(Mapping[str, object], value)


def _tables(
    top: Table, key: str, known: Sequence[str], source: Source, *, open_keys: bool = False
) -> list[Table]:
    if not top.has(key):
        return []
    value = top.raw(key)
    items = cast(Sequence[object], value) if isinstance(value, (list, tuple)) else [None]
    tables: list[Table] = []
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            top.fail(
                None, f"{key!r} must be a list of tables", code="MX1004", hint=f"write [[{key}]]"
            )
        tables.append(
            Table(
                cast(Mapping[str, object], item),
                source=source,
                path=key,
                index=index,
                known=known,
                open_keys=open_keys,
            )
        )
    return tables


def _node(table: Table, cpus: int) -> NodeConfig:
    table.exclusive("power", "budget", hint="a run has a power cap or an energy budget; keep one")
    deterministic = table.boolean("deterministic", default=False)
    return NodeConfig(
        cells=table.integer("cells", default=1 if deterministic else cpus, least=1, most=CELLS_MAX),
        power_mw=table.power_mw("power", default=None, least=1),
        budget_uj=table.energy_uj("budget", default=None, least=1),
        duration_ns=table.duration_ns("duration", default=None, least=1),
        seed=table.integer("seed", default=0, least=0, most=2**64 - 1),
        temperature_log2=table.integer(
            "temperature_log2", default=TEMPERATURE_LOG2_DEFAULT, least=0, most=4
        ),
        deterministic=deterministic,
        reserve_ppm=table.integer(
            "reserve_ppm",
            default=RESERVE_PPM_DEFAULT,
            least=RESERVE_PPM_DEFAULT,
            most=1_000 * RESERVE_PPM_DEFAULT,
        ),
        core_power_mw=table.power_mw("core_power", default=None, least=1),
        idle_power_mw=table.power_mw("idle_power", default=None),
        quantum_fuel=table.integer(
            "quantum_fuel", default=QUANTUM_FUEL_DEFAULT, least=10_000, most=100_000_000
        ),
        slice_quanta=table.integer(
            "slice_quanta", default=SLICE_QUANTA_DEFAULT, least=1, most=1_000
        ),
        quality_bits_per_joule=table.integer(
            "quality_bits_per_joule", default=0, least=1, most=10**12
        )
        if table.has("quality_bits_per_joule")
        else None,
    )


class _AccountDraft(msgspec.Struct, frozen=True):
    """An account whose funds may still depend on its processes."""

    name: str
    funds_uj: int | None
    income_share_ppm: int


class _ProcessDraft(msgspec.Struct, frozen=True):
    """A process whose account and funds may still be open."""

    config: ProcessConfig
    table: Table
    funds_given: bool


def _account(table: Table) -> _AccountDraft:
    return _AccountDraft(
        name=table.name(),
        funds_uj=table.energy_uj("funds", default=None),
        income_share_ppm=table.ratio("income_share", default=0, scale=1_000_000),
    )


def _sponsor(table: Table) -> SponsorConfig:
    name = table.name()
    table.required("escrow", example='"30 J"')
    escrow = table.energy_uj("escrow", default=None)
    assert escrow is not None
    return SponsorConfig(name=name, escrow_uj=escrow)


def _reward(table: Table) -> RewardConfig:
    name = table.name()
    table.required("resolver", example='"prime"')
    table.required("pays", example='"5 mJ"')
    sponsor = table.name("sponsor")
    resolver = table.text("resolver", default="")
    pays = table.energy_uj("pays", default=None, least=1)
    assert pays is not None
    options = {
        key: int(v) if isinstance(v, Decimal) and v == int(v) else v
        for key, v in table.rest().items()
    }
    if is_question(resolver):
        parse_question(resolver, options, what=table.what("resolver"))
    elif is_proof(resolver):
        parse_proof(options, what=table.what("resolver"))
    else:
        check_resolver(resolver, options, what=table.what("resolver"))
    return RewardConfig(
        sponsor=sponsor, name=name, resolver=resolver, pays_credits=pays, options=options
    )


def _process(table: Table, base_dir: Path) -> list[_ProcessDraft]:
    name = table.name()
    table.required("module", example='"x.wasm"')
    table.exclusive("urgency", "bid_ppm", hint="bid by rule (urgency) or by number; keep one")
    count = table.integer("count", default=1, least=1, most=COUNT_MAX)
    funds = table.energy_uj("funds", default=FUNDS_UJ_DEFAULT)
    bid = table.integer("bid_ppm", default=0, least=1, most=2**53) if table.has("bid_ppm") else None
    start_after = table.duration_ns("start_after", default=0)
    module = table.text("module", default="")
    if not module:
        table.fail("module", "module: empty", code="MX1003", hint='such as "x.wasm"')
    assert funds is not None
    assert start_after is not None
    account = table.name("account") if table.has("account") else None
    args, env = table.texts("args"), table.pairs("env")
    drafts: list[_ProcessDraft] = []
    for copy in range(1, count + 1):
        own = name if count == 1 else f"{name}-{copy}"
        config = ProcessConfig(
            name=own,
            account=own if account is None else account,
            module=module,
            args=args,
            env=env,
            dirs=read_dirs(table, base_dir),
            funds_uj=funds,
            urgency_millis=table.ratio("urgency", default=URGENCY_MILLIS_DEFAULT, scale=1_000),
            bid_ppm=bid,
            horizon_uj=table.energy_uj("horizon", default=None, least=1),
            rewards=table.texts("rewards"),
            requests=table.texts("requests"),
            models=table.texts("models"),
            memory_max_bytes=table.memory_bytes(
                "memory_max", default=MEMORY_MAX_BYTES_DEFAULT, least=64 << 10, most=4 << 30
            ),
            count=1,
            start_after_ns=start_after,
            deadline_ns=table.duration_ns("deadline", default=None, least=1),
            top_up=table.boolean("top_up", default=False),
        )
        drafts.append(_ProcessDraft(config, table, table.has("funds")))
    return drafts


def _fund(
    accounts: Sequence[_AccountDraft], drafts: Sequence[_ProcessDraft], top: Table
) -> tuple[list[AccountConfig], list[ProcessConfig]]:
    """Settles the defaults of funds, and adds the accounts that processes bring along."""
    given = {account.name: account for account in accounts}
    if len(given) < len(accounts):
        twice = next(n for n, k in Counter(a.name for a in accounts).items() if k > 1)
        top.fail(None, f"two accounts are named {twice!r}", code="MX1007", hint="rename one")
    processes: list[ProcessConfig] = []
    for draft in drafts:
        account = given.get(draft.config.account)
        if account is not None and not draft.table.has("account"):
            draft.table.fail(
                "name",
                f"an account is named {account.name!r} too",
                code="MX1007",
                hint=f'add account = "{account.name}" to the process, or rename one',
            )
        funds = draft.config.funds_uj
        if account is not None and account.funds_uj is not None and not draft.funds_given:
            funds = _share(account.name, account.funds_uj, drafts)
        processes.append(msgspec.structs.replace(draft.config, funds_uj=funds))
    sums: Counter[str] = Counter()
    for process in processes:
        sums[process.account] += process.funds_uj
    result = [
        AccountConfig(
            name=a.name,
            funds_uj=sums[a.name] if a.funds_uj is None else a.funds_uj,
            income_share_ppm=a.income_share_ppm,
        )
        for a in accounts
    ]
    own = [
        draft.config.name
        for draft in drafts
        if not draft.table.has("account") and draft.config.name not in given
    ]
    result.extend(AccountConfig(name=name, funds_uj=sums[name]) for name in dict.fromkeys(own))
    return result, processes


def _share(account: str, funds_uj: int, drafts: Sequence[_ProcessDraft]) -> int:
    """Returns an equal share of what an account's other processes leave, rounded down."""
    own = [draft for draft in drafts if draft.config.account == account]
    claimed = sum(draft.config.funds_uj for draft in own if draft.funds_given)
    open_count = sum(1 for draft in own if not draft.funds_given)
    assert open_count > 0
    return max(0, funds_uj - claimed) // open_count
