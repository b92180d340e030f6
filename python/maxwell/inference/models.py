"""The models of a run: loaded, registered, and laid where the prover finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from maxwell.errors import ConfigError, ProofError
from maxwell.inference.costs import Shapes
from maxwell.inference.memory import BASE_BYTES, MEMORY_BYTES_MAX, job_bytes, registered_bytes
from maxwell.proofs.arrays import load_array
from maxwell.proofs.importer import Network, load_onnx
from maxwell.proofs.openings import TOTAL_DEFAULT
from maxwell.proofs.profiles import SECURITY_DEFAULT
from maxwell.proofs.proof import Model
from maxwell.proofs.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from maxwell.config.records import ModelConfig


class RunModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that guests may have run."""

    name: str
    digest: str
    hiding: bool
    batch_max: int
    shapes: Shapes
    network: Network
    openings: int = 0
    """Of a commitment, when it hides its weights."""
    security: int = SECURITY_DEFAULT
    """Bits of its proofs."""
    job_bytes_max: int = MEMORY_BYTES_MAX
    """What a job of it may take of the prover's memory."""


def load_models(
    configs: Iterable[ModelConfig],
    base_dir: Path,
    folder: Path,
    *,
    bytes_max: int = MEMORY_BYTES_MAX,
) -> Mapping[str, RunModel]:
    """Loads the models of a fleet and puts them into a store of the run.

    Args:
        configs: the fleet's models.
        base_dir: folder that relative paths start from.
        folder: the run's own store.
        bytes_max: of the prover's memory.

    Returns:
        Models by name.

    Raises:
        ProofError: as `load_onnx`, and MX1707 when the local store has no such digest.
        ConfigError: MX1731 when the model that was loaded has another digest than the fleet says,
            MX1732 when the models are more than the prover's memory holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = ModelStore(folder)
    local = ModelStore()
    models: dict[str, RunModel] = {}
    room = bytes_max - BASE_BYTES
    for config in configs:
        model, taken = _load(config, base_dir, local, room)
        room -= taken
        if config.digest and config.digest != model.digest:
            raise ConfigError(
                f"model {config.name!r}: {config.onnx or 'what was found'} has digest "
                f"{model.digest}, not {config.digest}",
                code="MX1731",
                hint="the file has changed, or the digest is another model's; `maxwell model "
                "register` prints it",
            )
        if config.onnx:
            model.save(store)
        elif not (folder / model.digest).exists():
            # Not a copy: whoever opens hidden weights counts in one place.
            (folder / model.digest).symlink_to((local.folder / model.digest).absolute())
        models[config.name] = RunModel(
            name=config.name,
            digest=model.digest,
            hiding=model.hiding,
            batch_max=config.batch_max,
            shapes=Shapes.of(model.network.proof_model),
            network=model.network,
            openings=model.openings,
            security=model.security,
        )
    return {
        name: msgspec.structs.replace(model, job_bytes_max=room) for name, model in models.items()
    }


def _load(config: ModelConfig, base_dir: Path, local: ModelStore, room: int) -> tuple[Model, int]:
    """Loads a model and registers it if it fits; returns what it takes of the prover's memory."""
    try:
        if not config.onnx:
            digest = local.find(config.digest)
            hidden = local.openings(digest)
            openings = 0 if hidden is None else hidden.total
            taken = _check_room(config, local.load(digest), openings, local.security(digest), room)
            return Model.stored(digest, local), taken
        calibration = None
        if config.calibration:
            calibration = load_array(base_dir / config.calibration).astype(np.float64)
        network = load_onnx(base_dir / config.onnx, calibration=calibration)
        openings = TOTAL_DEFAULT if config.hiding else 0
        taken = _check_room(config, network, openings, config.security, room)
        return Model(network, hiding=config.hiding, security=config.security), taken
    except ProofError as error:
        raise ProofError(
            f"model {config.name!r}: {error.message}", code=error.code, hint=error.hint
        ) from error


def _check_room(
    config: ModelConfig, network: Network, openings: int, security: int, room: int
) -> int:
    model = network.proof_model
    taken = registered_bytes(model, openings=openings, security=security)
    # With one inference, or nothing of it could be proved.
    needed = taken + job_bytes(model, 1, openings=openings, security=security)
    if needed > room:
        raise ConfigError(
            f"model {config.name!r}: it takes up to {needed >> 20:,} MiB of memory, and "
            f"{max(0, room) >> 20:,} MiB of the prover's are left",
            code="MX1732",
            hint="use a smaller model, fewer openings, or a machine with more memory",
        )
    return taken
