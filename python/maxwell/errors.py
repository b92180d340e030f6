"""The errors of Maxwell: one class a subject, one stable code a cause, one explanation a code.

An error's text says what failed and quotes the value; its `hint` says what to do. A code never
changes its meaning: `maxwell explain MX1301` prints the paragraph of `EXPLANATIONS`.

The hundreds digit is the subject: MX10xx configuration, MX11xx modules, MX12xx guests, MX13xx
ledger and rewards, MX14xx energy, MX15xx auction, MX16xx receipts, MX17xx proofs, MX18xx heat,
MX19xx Maxwell itself (from MX1950 on its experiments).
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class MaxwellError(Exception):
    """The base of every error that Maxwell raises on purpose.

    Attributes:
        code: stable code such as `MX1301`; a key of `EXPLANATIONS`.
        message: what failed and the value, without the hint.
        hint: what to do about it, or None.
    """

    default_code: ClassVar[str] = "MX1900"
    exit_code: ClassVar[int] = 125
    """What the command line exits with, see the table of exit codes in the documentation."""

    code: str
    message: str
    hint: str | None

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        self.code = self.default_code if code is None else code
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return (_rebuild, (type(self), self.message, self.code, self.hint))


def _rebuild(kind: type[MaxwellError], message: str, code: str, hint: str | None) -> MaxwellError:
    return kind(message, code=code, hint=hint)


class ConfigError(MaxwellError):
    """What the user asked for is not possible as written: a file, an option or a value."""

    default_code = "MX1000"
    exit_code = 2


class ModuleError(ConfigError):
    """A module that a fleet names cannot be found."""

    default_code = "MX1100"
    exit_code = 127


class GuestError(MaxwellError):
    """A guest ended without finishing."""

    default_code = "MX1200"
    exit_code = 126


class GuestTrapped(GuestError):
    """The guest executed a trap, such as an access outside its memory."""

    default_code = "MX1201"
    exit_code = 134


class GuestBankrupt(GuestError):
    """The guest's purse could not pay its rent."""

    default_code = "MX1202"
    exit_code = 120


class GuestOutOfMemory(GuestError):
    """The guest hit its memory limit and ended for it."""

    default_code = "MX1203"
    exit_code = 137


class LedgerError(MaxwellError):
    """The ledger refused an entry; nothing was booked."""

    default_code = "MX1300"


class InsufficientEnergy(LedgerError):
    """The paying side holds fewer credits than the entry asks for; nothing was booked."""

    default_code = "MX1301"


class BadReceipt(LedgerError):
    """A receipt, or the folder of a run, does not verify: it is not what its node signed."""

    default_code = "MX1600"
    exit_code = 1


class EnergyError(MaxwellError):
    """Energy could not be measured or modelled as asked."""

    default_code = "MX1400"


class AuctionError(MaxwellError):
    """The auction refused a bid or a configuration."""

    default_code = "MX1500"


class LabError(MaxwellError):
    """An experiment of `maxwell lab` could not be run to its end."""

    default_code = "MX1950"


class ProofError(MaxwellError):
    """A model cannot be proved, or a proof or claim does not hold."""

    default_code = "MX1700"


class HeatError(MaxwellError):
    """A heat node could not start or speak as asked."""

    default_code = "MX1800"


class InternalError(MaxwellError):
    """An invariant of Maxwell broke. This is a bug: please report it with the run's seed."""

    default_code = "MX1900"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        text = message if message.startswith("BUG: ") else f"BUG: {message}"
        super().__init__(
            text, code=code, hint=hint or "please report this with the run's seed and events.jsonl"
        )


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """Returns the one of `known` that `word` was probably meant to be, or None.

    The same letters in another case always count; otherwise `difflib`'s ratio decides (0.6).
    Deterministic: ties go to the first in sorted order.
    """
    candidates = sorted(set(known))
    for candidate in candidates:
        if candidate.casefold() == word.casefold():
            return candidate
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    return close[0] if close else None


def choices_hint(word: str, known: Iterable[str]) -> str:
    """Returns a hint for an unknown `word`: the near miss, else the whole list of `known`."""
    candidates = sorted(set(known))
    close = near_miss(word, candidates)
    if close is not None:
        return f"did you mean {close!r}?"
    if not candidates:
        return "there are none here"
    return "known here: " + ", ".join(candidates)


def explain(code: str) -> str:
    """Returns the paragraph that explains a code.

    Args:
        code: such as `MX1301`; case and surrounding spaces do not matter.

    Raises:
        ConfigError: MX1001 when no such code exists.
    """
    key = code.strip().upper()
    if key in EXPLANATIONS:
        return EXPLANATIONS[key]
    raise ConfigError(
        f"unknown error code: {code!r}", code="MX1001", hint=choices_hint(key, EXPLANATIONS)
    )


EXPLANATIONS: Final[dict[str, str]] = {
    "MX1000": (
        "The configuration is not usable as written. The message names the file, the table and the "
        "key. Nothing was started."
    ),
    "MX1001": (
        "A key, a table or a word is not one that Maxwell knows. Unknown keys are refused, since a "
        "misspelt limit that is silently ignored would not limit anything. The hint names the "
        "nearest known word."
    ),
    "MX1002": (
        "The file is missing, unreadable or not valid TOML. The message gives the line and the "
        "column that the TOML parser stopped at."
    ),
    "MX1003": (
        "A key that has no default is missing, for example `module` of a process or `sponsor` of a "
        "reward."
    ),
    "MX1004": (
        "A value has the wrong type: a number where a text with a unit is expected, a text where a "
        "list is expected, and so on. Energies, powers, durations and sizes are texts with a unit, "
        'such as `"5 J"`, `"12 W"`, `"75 s"` and `"64 MiB"`.'
    ),
    "MX1005": (
        "A quantity has no unit, or a unit of another kind. Maxwell refuses bare numbers, because "
        "5 could be joules, millijoules or watt-hours. Units are case-sensitive: `mJ` and `MJ` "
        "differ by nine powers of ten."
    ),
    "MX1006": (
        "A number is outside the range that makes sense for its key: negative, absurdly large, or "
        "finer than the unit that Maxwell counts in (microjoules, milliwatts, nanoseconds, bytes)."
    ),
    "MX1007": (
        "Two tables bear the same name. Accounts, sponsors, rewards and processes are referred to "
        "by name, so that names are unique among their kind, and no sponsor shares a name with an "
        "account. A process with `count = 3` takes the names `name-1`, `name-2` and `name-3`."
    ),
    "MX1008": (
        "A table refers to an account, a sponsor or a reward that the file does not define. The "
        "hint names the nearest one that it does define."
    ),
    "MX1009": (
        "Two keys exclude each other: `power` and `budget` (a run has a power cap or an energy "
        "budget), `urgency` and `bid_ppm` (a process bids by rule or by its own number), "
        "`deterministic` and a real sensor, or a real sensor and the `peak` of a simulated one."
    ),
    "MX1010": (
        "The budget is smaller than what the file hands out at the start. `budget` is minted once "
        "and must cover the opening funds of all accounts and the escrows of all sponsors; the "
        "message gives the sums."
    ),
    "MX1011": (
        "The funds of an account do not cover the opening funds of its processes, and it has no "
        "income that could. Raise the account's `funds`, lower its processes' `funds`, or leave "
        "the account's `funds` out: it is then the sum of its processes' funds."
    ),
    "MX1012": (
        "A reward cannot be resolved as written: its resolver is unknown, an option does not fit "
        "the resolver, its regular expression does not compile or has not exactly one capture "
        "group, its Python function cannot be imported, or the text of its stream cannot be read, "
        "is empty or has a symbol outside its alphabet."
    ),
    "MX1013": (
        "The power cap is not above the node's idle power. The idle draw is paid from the cap "
        "before anything is minted, so that such a cap would mint nothing. Raise `--power`, or "
        "correct `idle_power` when the model's assumption does not fit this machine."
    ),
    "MX1014": (
        "The income shares of the accounts sum to more than 1. A share is the part of the minted "
        "power that an account receives; what no account claims is not minted."
    ),
    "MX1015": (
        "A folder that a process asks for does not exist or is no folder, or its guest path is not "
        "an absolute path or is taken twice. Folders are given as a table "
        '`dirs = {"/work" = "data"}` or as a list `dirs = ["data:/work:ro"]`; host paths are '
        "relative to the fleet file, below the cache folder (`cache:path`) or in an installed "
        "package (`pypi:package/folder`)."
    ),
    "MX1016": (
        "A request rule has a secret header whose value is to come from an environment variable "
        "that is not set. The operator exports it before the run; guests never see the value."
    ),
    "MX1017": (
        "The cache folder, where compiled modules are kept, cannot be written to: its file system "
        "is read-only or full, or a file is in its place. Nothing was started. "
        "`MAXWELL_CACHE_DIR` names another folder; `maxwell doctor` shows which one is used."
    ),
    "MX1018": (
        "Another run is writing to the run folder that was named. Two runs in one folder would "
        "leave a mixture of both; the second is refused and nothing was started. The folder is "
        "free again when the first run has ended, however it ends."
    ),
    "MX1019": (
        "The command line does not parse: an unknown verb or option, a missing argument, or a "
        "value that its option does not take. Nothing was started. `maxwell VERB --help` lists "
        "what there is."
    ),
    "MX1100": (
        "The reference to a module or folder is malformed. It is a path, `pypi:package/path`, "
        "`cache:path` or, for modules, `samples:file.wasm`."
    ),
    "MX1101": (
        "The module's file does not exist or is not a file. Paths are relative to the fleet file, "
        "not to the current folder."
    ),
    "MX1102": (
        "The Python package of a `pypi:` module is neither installed nor in the cache. Maxwell "
        "does not download anything by itself: install the package with pip into the environment "
        "that runs Maxwell, or put the file into the cache folder that the message names."
    ),
    "MX1103": (
        "The package of a `pypi:` module is installed, and no file of it (or more than one) ends "
        "in the given path. The hint lists near misses; give more of the path when several match."
    ),
    "MX1104": "There is no sample of this name in the installed Maxwell.",
    "MX1200": (
        "A guest could not run or did not finish. `outcome` and `reason` in the report say how it "
        "ended; its unspent credits went back to its account."
    ),
    "MX1201": (
        "The guest trapped: unreachable code, an access outside its memory, a division by zero, a "
        "stack overflow. The fault is in the guest, whose sandbox held. The energy until the trap "
        "was charged; the rest of its purse went back to its account."
    ),
    "MX1202": (
        "The guest died of insolvency (apoptosis): its purse could not pay its rent. Give it more "
        "`funds`, let it earn rewards, lower its memory or its bid, or accept that this is the "
        "market's answer. `maxwell why` prints its life."
    ),
    "MX1203": (
        "The guest reached `memory_max`, or could not pay the bond for more memory, and ended "
        "itself when its allocation failed; or its module starts with more memory than "
        "`memory_max` allows, and it was not started."
    ),
    "MX1204": (
        "The file is not a valid WebAssembly module. Compile the guest for wasm32-wasi (WASI "
        "preview 1). Features that Maxwell leaves off (threads, 64-bit memory, the component "
        "model) make a module invalid here too."
    ),
    "MX1205": (
        "The module imports a function that Maxwell does not offer. A guest may use WASI preview 1 "
        "and the `maxwell` module; the message names the import."
    ),
    "MX1206": (
        "The module is beyond a limit of admission: its size, the size of one of its functions, "
        "or the time or memory of compiling it. Limits on functions bound how long a guest can "
        "run between two of the points where it can be stopped."
    ),
    "MX1207": (
        "The module could not be compiled or loaded, for a reason that lies in the engine or the "
        "disk and not in the module's form; the message carries the engine's own words."
    ),
    "MX1300": (
        "The ledger refused an entry: it names an account, a sponsor or a lease that does not "
        "exist, exists already or is closed. Nothing was booked."
    ),
    "MX1301": (
        "The paying side holds fewer credits than the entry needs. No balance ever goes below "
        "zero. Nothing was booked."
    ),
    "MX1302": (
        "The ledger does not balance: minted differs from held + leased + escrowed + burned + "
        "commons + expired. Maxwell stops, since the figures cannot be trusted. This is a bug."
    ),
    "MX1303": (
        "A process's slot breaks its own invariant: what was funded is not what is left plus what "
        "was spent, sent and returned, or metered energy is not burned plus uncollected. This is "
        "a bug, or the shared mapping was damaged."
    ),
    "MX1304": (
        "A process's slot went backwards: a counter that only grows is smaller than at the last "
        "settlement, or the slot holds credits that were never sent to it. This is a bug, or the "
        "shared mapping was damaged."
    ),
    "MX1305": (
        "A sponsor's pattern took too long on a line in deterministic mode. Otherwise such a line "
        "is refused, after a time limit; a deterministic run may not depend on how fast the "
        "machine is, and ends instead. Everything up to then is in the run folder."
    ),
    "MX1400": (
        "Energy could not be measured or modelled as asked: a figure that a model needs is out of "
        "range."
    ),
    "MX1401": (
        "The calibration failed: a kernel reported no fuel or no time, so that no coefficient can "
        "be fitted."
    ),
    "MX1402": (
        "An energy counter of the machine cannot be read. RAPL counters are readable by root only "
        "since 2020 and are hidden in most virtual machines; Maxwell then uses its model and says "
        "so on every figure."
    ),
    "MX1500": "The auction refused a bid or a configuration: a price, rate or temperature is out "
    "of range.",
    "MX1600": (
        "A receipt contradicts itself: its sums do not hold, a figure that only grows went down, "
        "or it names another module or engine than its process. Whoever signed it signed something "
        "false."
    ),
    "MX1601": (
        "The node's key cannot be read or made. It is a PEM file (PKCS #8, Ed25519) that only its "
        "owner may read, `node.key` in the folder that `maxwell key` names; MAXWELL_DATA_DIR moves "
        "that folder. Maxwell never replaces a damaged key by itself: receipts signed with it "
        "could no longer be told from a stranger's."
    ),
    "MX1602": (
        "The bytes are not a receipt file: not deterministic CBOR (RFC 8949, section 4.2.1), "
        "another structure than the documentation gives, beyond its bounds on depth and length, or "
        "followed by further bytes. The message names the offset."
    ),
    "MX1603": (
        "The file is of a version of the format that this Maxwell does not know. Verify it with "
        "the version that wrote it, or a later one."
    ),
    "MX1604": (
        "A signature does not belong to what it signs and the key of the run: the statement was "
        "changed, or another key signed it."
    ),
    "MX1605": (
        "The run was signed with another key than the one given with `--key`. Either the folder is "
        "of another node, or it was made anew with a key of somebody else."
    ),
    "MX1606": (
        "A receipt is not one of those that its batch was signed over: one was changed, removed, "
        "added or put in another place. The message names the process where it can be told."
    ),
    "MX1607": (
        "A process's receipts do not follow each other: each names the hash of the one before, and "
        "one is missing, repeated or from another process."
    ),
    "MX1608": (
        "The batches of a receipt file do not follow each other: each names the hash of the one "
        "before, and one is missing, repeated or out of order."
    ),
    "MX1609": ("A statement or a receipt belongs to another run than the file it is in."),
    "MX1610": (
        "The receipt file ends in the middle of a batch. A run that was killed, or whose disk was "
        "full, leaves such an end; so does cutting the file. Everything before it verifies."
    ),
    "MX1611": (
        "The run's folder has receipts and no signed summary, so that nothing says whether all "
        "receipts are there. A run that was killed has none; what its receipts say holds up to "
        "the time of the last one."
    ),
    "MX1612": (
        "The signed summary and the receipts disagree: on the number of batches or receipts, on "
        "the last receipt of a process, or on a sum; or the credits or joules in it are not "
        "conserved."
    ),
    "MX1613": (
        "`report.json` is not the report that the summary was signed with, or one of its figures "
        "is not what the receipts say. The message names the first such figure."
    ),
    "MX1614": (
        "`events.jsonl` is not the log that the summary was signed with, or one of its events "
        "contradicts the receipts. The message names the first such line."
    ),
    "MX1700": (
        "A model cannot be proved as asked, or a proof or a claim does not hold. The message names "
        "the part at fault."
    ),
    "MX1701": (
        "The model's file cannot be read: it does not exist, is too large, is not ONNX, or was cut "
        "short. Nothing of it was used."
    ),
    "MX1702": (
        "The model uses something that cannot be proved: an operator that Maxwell does not know, "
        "an option of a known one (groups, dilations, transA, a product of two activations), or "
        "an element type. The message names the node. Maxwell never skips or approximates what it "
        "does not know. `docs/how-to/prove-an-inference.md` lists what it does know."
    ),
    "MX1703": (
        "The model is malformed or beyond a limit: shapes that do not fit each other, a tensor "
        "that claims more cells than the file holds, a name that is used before it is made (a "
        "cycle), too many nodes, operations, weights or cells."
    ),
    "MX1704": (
        "The model could leave exact arithmetic for some input: an accumulator times its "
        "multiplier could reach 2^62, or a value could fall outside its table. The bound is "
        "static: it holds for all inputs within range, not only for those that occur. The message "
        "names the node and the figure. Smaller weights, int8 instead of int16, or a larger output "
        "scale help."
    ),
    "MX1705": (
        "The input does not fit the model: another shape, a value outside the input's range, a "
        "batch beyond the limit, or numbers that are not finite."
    ),
    "MX1706": (
        "The proof does not verify: it is damaged, was made for another model, input, output or "
        "context, or is false. Do not use its output."
    ),
    "MX1707": (
        "No model of this name or digest is in the local store. `maxwell model list` shows what "
        "is there; `maxwell model register m.onnx` adds one."
    ),
    "MX1708": (
        "The compiled module of this installation has no prover. Rebuild it with `make native`, or "
        "install a wheel that has one; import, inspection and the reference semantics work "
        "without."
    ),
    "MX1709": (
        "The ONNX file asks for weights in another file. Maxwell reads one file only, so that a "
        "model cannot make it open paths of its author's choice. Save the model with its weights "
        "inside."
    ),
    "MX1710": (
        "A package that proofs need is not installed. It belongs to the extra `proofs`: "
        "`pip install 'maxwell-hypervisor[proofs]'`."
    ),
    "MX1711": (
        "The claim is malformed, not in canonical form, or its signature is not that of the "
        "process that it names. Nothing was accepted."
    ),
    "MX1712": (
        "The claim is about something else than what it was checked against: another process, "
        "nonce, buyer's nonce, model, input or output."
    ),
    "MX1713": "The claim has expired, by the time of the ledger that checks it. Nothing was paid.",
    "MX1714": (
        "This inference was paid for already: its nullifier, which is a hash of model, input and "
        "buyer's nonce, is on record. An inference is paid once, however often it is proved."
    ),
    "MX1715": (
        "A file of the model store is damaged or does not fit its digest. Remove the model's "
        "folder and register the model again."
    ),
    "MX1716": (
        "A commitment that hides weights was opened as often as its randomness allows; one more "
        "proof could tell something about them. `maxwell model refresh DIGEST` commits to the same "
        "weights with new randomness; the digest stays. Two openings are kept for it: a refresh "
        "that fails has spent one. When none is left, or after 1,023 refreshes or 128 MiB of them, "
        "register the model again. More openings a commitment (`register --zk --openings N`) cost "
        "bytes of proof."
    ),
    "MX1717": (
        "An input cannot be hidden, or is hidden. A proof hides its input only if its model hides "
        "its weights (`--zk`), and orders are of inputs that the sponsor gives. What needs the "
        "input of a proof that hides it needs the input and its opening, the secret that the "
        "prover kept."
    ),
    "MX1730": (
        "The node's prover died while it ran, proved or checked an inference, or was given up "
        "after dying too often. The guest got EIO and paid for what was metered; whatever it asks "
        "next is done by a new prover. Its memory is limited; an inference that takes more than "
        "its shapes let expect (MX1732) ends so: lower batch_max of its [[model]]."
    ),
    "MX1731": (
        "A [[model]] or a reward that orders inferences of it does not fit: another digest than "
        "the fleet file names, a tier that the model cannot be proved in, or a larger batch than "
        "it takes."
    ),
    "MX1732": (
        "A model, or an inference of it, is more than the prover's memory: half of the machine's "
        "or the control group's, at most 8 GiB, together with the other models of the run. The "
        "estimate follows from shapes, batch and openings and leaves a margin. Nothing has run."
    ),
    "MX1800": (
        "The heat planes could not do what was asked; the message names the part. Local safety "
        "(power cap, freezing, suspending) does not depend on them."
    ),
    "MX1801": (
        "The UDP address of a heat node cannot be listened on: another program has the port, or "
        "the address is not one of this machine."
    ),
    "MX1802": (
        "A secret of a heat node, its identity or the cluster key, is not a file of 64 "
        "hexadecimal digits."
    ),
    "MX1803": (
        "There is no status of a running heat node at this path, or it is not of this version. "
        "`maxwell heat node --status FILE` writes one each second."
    ),
    "MX1901": (
        "The node could not start or go on for want of something of the operating system: shared "
        "memory for the meters, a process for a cell, a core to pin it to. `maxwell doctor` shows "
        "what this machine offers and lacks."
    ),
    "MX1950": (
        "An experiment needs a package that is not installed. The baselines of `maxwell lab` run "
        "guests on the stock engine, the Python package `wasmtime`, which Maxwell itself does not "
        'use: `pip install "maxwell-hypervisor[lab]"` installs it.'
    ),
    "MX1951": (
        "A process of an experiment could not be started, ended by itself, or got no time. The "
        "message carries its last words. No figure of that side is shown, since it would be wrong."
    ),
    "MX1900": (
        "An invariant of Maxwell broke. This is a bug, not something that you did: please report "
        "it with the run's seed, its fleet file and `events.jsonl`."
    ),
}
"""One paragraph a code. A test checks that every code that the sources raise is here."""
