"""The kernel: metered sandboxes, cells, purses in shared memory. See `crates/python`.

Everything here is a thin conversion of `crates/kernel`; policy lives in Python. Errors are
`KernelError` with `args == (kind, message)`; kinds are `invalid_module`, `unknown_import`,
`over_limit`, `engine`, `io`, `protocol`, `setup`, `trapped` and `bug`.

Proof of inference is a conversion of `crates/proofs`; its errors are `ProofFailure` with
`args == (kind, message)`; kinds are `invalid_model`, `invalid_data`, `rejected`, `budget_spent` and
`bug`. Tensors cross as little-endian int16, batch first, row-major.
"""

import builtins
from os import PathLike
from typing import Final, final

__all__ = [
    "ENGINE_VERSION",
    "HOST_BYTE_FUEL",
    "HOST_CALL_FUEL",
    "PRICE_TABLE_VERSION",
    "KernelError",
    "Measurement",
    "ModuleInfo",
    "ProofFailure",
    "ProofModel",
    "SecretVector",
    "Slot",
    "Slots",
    "admit",
    "inspect",
    "measure",
    "proof_commit_input",
    "proof_digest",
    "proof_prove_hidden_input",
    "proof_verify",
    "proof_verify_hidden_input",
    "proof_verify_link",
    "run_cell",
]

ENGINE_VERSION: Final[str]
PRICE_TABLE_VERSION: Final[int]
HOST_CALL_FUEL: Final[int]
"""Fuel of any host call, besides its bytes."""
HOST_BYTE_FUEL: Final[int]
"""Fuel of each byte that a host call moves."""

class KernelError(Exception):
    """An error of the kernel; `args` is `(kind, message)`."""

@final
class ModuleInfo:
    """What admission learnt about a module."""

    @property
    def module_bytes(self) -> int: ...
    @property
    def functions(self) -> int: ...
    @property
    def function_bytes_max(self) -> int: ...
    @property
    def memory_bytes_min(self) -> int: ...
    @property
    def memory_bytes_max(self) -> int | None: ...
    @property
    def has_start(self) -> bool: ...
    @property
    def imports(self) -> list[str]: ...
    @property
    def counted(self) -> list[str]: ...
    @property
    def artifact_bytes(self) -> int: ...
    @property
    def cached(self) -> bool: ...

@final
class Slot:
    """One process's slot, as last published by its cell; see docs/design/control-plane.md."""

    @property
    def pid(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def purse(self) -> int: ...
    @property
    def escrow(self) -> int: ...
    @property
    def bond(self) -> int: ...
    @property
    def funded(self) -> int: ...
    @property
    def burned(self) -> int: ...
    @property
    def premium(self) -> int: ...
    @property
    def rent(self) -> int: ...
    @property
    def tax(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def returned(self) -> int: ...
    @property
    def stake(self) -> int: ...
    @property
    def staked(self) -> int: ...
    @property
    def energy_uj(self) -> int: ...
    @property
    def uncollected_uj(self) -> int: ...
    @property
    def rent_unpaid(self) -> int: ...
    @property
    def fuel(self) -> int: ...
    @property
    def cpu_ns(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def calls(self) -> int: ...
    @property
    def slices(self) -> int: ...
    @property
    def wins(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def memory_bytes_max(self) -> int: ...
    @property
    def memory_byte_ns(self) -> int: ...
    @property
    def erased_bits(self) -> int: ...
    @property
    def freed_bytes(self) -> int: ...
    @property
    def discarded_bytes(self) -> int: ...
    @property
    def tax_unpaid(self) -> int: ...
    @property
    def bid_ppm(self) -> int: ...
    @property
    def price_ppm(self) -> int: ...
    @property
    def born_ns(self) -> int: ...
    @property
    def died_ns(self) -> int: ...
    @property
    def stdout_bytes(self) -> int: ...
    @property
    def lost_bytes(self) -> int: ...
    @property
    def reports(self) -> int: ...
    @property
    def bankrupt_ns(self) -> int: ...

@final
class Slots:
    """The mapping with all slots of a run; the cells write it, the parent reads it."""

    @staticmethod
    def create(path: str | PathLike[str], capacity: int) -> Slots:
        """Makes the mapping for `capacity` processes and reserves its memory."""

    @staticmethod
    def open(path: str | PathLike[str]) -> Slots:
        """Opens a mapping that `create` made."""

    @property
    def capacity(self) -> int: ...
    def read(self, slot: int) -> Slot:
        """Returns the last whole record of a slot."""

    def read_many(self, slots: list[int]) -> list[Slot]:
        """Returns the last whole records of several slots."""

@final
class Measurement:
    """What a guest used when it ran alone, without a market."""

    @property
    def fuel(self) -> int: ...
    @property
    def wall_ns(self) -> int: ...
    @property
    def cpu_ns(self) -> int: ...
    @property
    def calls(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def memory_bytes_max(self) -> int: ...
    @property
    def freed_bytes(self) -> int: ...
    @property
    def exit(self) -> str: ...
    @property
    def completed(self) -> bool: ...
    @property
    def memory_digest(self) -> int | None: ...
    @property
    def stdout(self) -> builtins.bytes: ...
    @property
    def stderr(self) -> builtins.bytes: ...

def inspect(wasm: bytes) -> ModuleInfo:
    """Checks a module against the limits of admission without compiling it."""

def admit(
    wasm: bytes,
    artifact: str | PathLike[str],
    *,
    cache_dir: str | PathLike[str] | None = None,
    metered: bool = True,
) -> ModuleInfo:
    """Checks and compiles a module and writes the compiled code to `artifact`."""

def run_cell(fd: int) -> None:
    """Runs a cell on the socket `fd`, owned from now on, until the parent stops it or goes away."""

def measure(
    wasm: bytes,
    *,
    args: list[str],
    metered: bool = True,
    dirs: list[tuple[str, str | PathLike[str], bool]] = ...,
    env: list[tuple[str, str]] = ...,
    quantum_fuel: int = 800_000,
    fuel_max: int | None = None,
    store_fuel: int | None = None,
    calls_max: int | None = None,
    wall_ns_max: int | None = None,
    repeat: int = 1,
    digest_memory: bool = False,
    counted: bool = False,
) -> list[Measurement]:
    """Compiles a module once and runs it `repeat` times alone on this thread."""

class ProofFailure(Exception):
    """An error of the proof system; `args` is `(kind, message)`."""

@final
class ProofModel:
    """A registered model with its weights, ready to run and to prove.

    Registering checks every rule of docs/reference/proof-model.md, commits to the weights and is
    deterministic. Holds about 32 bytes per padded weight, and two to four times that when hiding.
    """

    def __new__(
        cls,
        model_json: str,
        weights: bytes,
        *,
        seed: bytes | None = None,
        openings: int = 0,
        opened: int = 0,
        security: int = 100,
    ) -> ProofModel:
        """Registers a model from its JSON form and its weights (little-endian int16, back to back).

        With `seed`, 32 fresh secret bytes, its proofs hide weights and activations; `openings`,
        1 to 256, is how often the weights may be opened, by all objects of one seed together, and
        `opened` how often they were so far.
        `security` is 100 or 128 bits: a false statement is proved once in 2^security at most.

        Raises:
            ProofFailure: `invalid_model`, with the rule that is broken.
        """

    @property
    def digest(self) -> bytes:
        """D_M, 32 bytes: names the model."""

    @property
    def header(self) -> bytes:
        """What a verifier needs of the model; has no weights."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, from the shapes."""

    def run(
        self,
        input: bytes,  # noqa: A002 – the tensor's usual name
        *,
        batch: int = 1,
    ) -> bytes:
        """Runs the model without proving: `batch` output tensors.

        Raises:
            ProofFailure: `invalid_data` when the input does not fit the model.
        """

    def prove(
        self,
        input: bytes,  # noqa: A002 – the tensor's usual name
        *,
        context: bytes,
        batch: int = 1,
    ) -> tuple[bytes, bytes]:
        """Runs the model and proves it, bound to `context`: `(proof, output)`.

        Raises:
            ProofFailure: `invalid_data` when the input does not fit the model, `budget_spent` when
                this object opened its weights as often as it may.
        """

    def link(self, newer: ProofModel) -> bytes:
        """Proves that `newer` is a registration of the same weights; spends an opening of both.

        Raises:
            ProofFailure: `invalid_model` when they differ otherwise or do not hide, `budget_spent`.
        """

@final
class SecretVector:
    """The secret of one matrix of weights, for checking products without multiplying (tier 1)."""

    def __new__(cls, weights: bytes, bias: bytes, seed: bytes) -> SecretVector:
        """Prepares the check of `x · W + bias`: one pass over the weights.

        Args:
            weights: `[K, N]` little-endian int16, row-major.
            bias: N little-endian int64.
            seed: 32 secret random bytes, used for nothing else.

        Raises:
            ProofFailure: `invalid_model` or `invalid_data` for other sizes.
        """

    def holds(self, rows: bytes, sums: bytes) -> bool:
        """Says whether the sums are the products of the rows; a wrong row passes once in 2^63.9.

        Args:
            rows: `[rows, K]` little-endian int16.
            sums: `[rows, N]` little-endian int64, bias included, true ones within ±2^62.
        """

def proof_verify(
    header: bytes,
    proof: bytes,
    *,
    input: bytes,  # noqa: A002 – the tensor's usual name
    output: bytes,
    context: bytes,
    batch: int = 1,
) -> None:
    """Returns when the proof convinces: the model of `header` maps `input` to `output`.

    The caller compares `proof_digest(header)` with the digest it trusts.

    Raises:
        ProofFailure: `rejected` when it does not convince, `invalid_data` or `invalid_model` when
            the statement or the header is not well formed.
    """

def proof_digest(header: bytes) -> bytes:
    """D_M of a header, 32 bytes.

    Raises:
        ProofFailure: `invalid_model` when it is not a header.
    """

def proof_verify_link(old: bytes, new: bytes, proof: bytes) -> None:
    """Returns when the proof convinces that two headers are of the same weights.

    Raises:
        ProofFailure: `rejected` when it does not convince, `invalid_model` when a header is none or
            they differ in more than the weights' commitment.
    """

def proof_prove_hidden_input(
    model: ProofModel,
    input: bytes,  # noqa: A002 – the tensor's usual name
    *,
    context: bytes,
    batch: int = 1,
) -> tuple[bytes, bytes, bytes, bytes]:
    """Runs a model that hides and proves it without telling the input.

    Returns:
        `(proof, output, commitment, seed)`. The seed is secret: what the commitment to the input
        was made with, for `proof_commit_input`; it is used for this proof alone.

    Raises:
        ProofFailure: `invalid_data` when the input does not fit or the model does not hide,
            `budget_spent` when its weights were opened as often as they may.
    """

def proof_verify_hidden_input(
    header: bytes,
    proof: bytes,
    *,
    commitment: bytes,
    output: bytes,
    context: bytes,
    batch: int = 1,
) -> None:
    """Returns when the proof convinces that some input behind `commitment` gives `output`.

    Raises:
        ProofFailure: `rejected` when it does not convince, `invalid_model` when the header is none,
            `invalid_data` when the output or the commitment has another size or the model does not
            hide.
    """

def proof_commit_input(
    header: bytes,
    input: bytes,  # noqa: A002 – the tensor's usual name
    *,
    seed: bytes,
    batch: int = 1,
) -> bytes:
    """Returns the commitment to an input under a seed.

    Raises:
        ProofFailure: `invalid_model` when the header is none, `invalid_data` when input or seed do
            not fit or the model does not hide.
    """
