"""The models of a run: loaded, registered, and laid where the prover finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from maxwell.errors import ConfigError, ProofError
from maxwell.inference.costs import Shapes
from maxwell.proofs.arrays import load_array
from maxwell.proofs.importer import Network, load_onnx
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


def load_models(
    configs: Iterable[ModelConfig], base_dir: Path, folder: Path
) -> Mapping[str, RunModel]:
    """Loads the models of a fleet and puts them into a store of the run.

    Args:
        configs: the fleet's models.
        base_dir: folder that relative paths start from.
        folder: the run's own store.

    Returns:
        Models by name.

    Raises:
        ProofError: as `load_onnx`, and MX1707 when the local store has no such digest.
        ConfigError: MX1731 when the model that was loaded has another digest than the fleet says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = ModelStore(folder)
    local = ModelStore()
    models: dict[str, RunModel] = {}
    for config in configs:
        model = _load(config, base_dir, local)
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
        )
    return models


def _load(config: ModelConfig, base_dir: Path, local: ModelStore) -> Model:
    try:
        if not config.onnx:
            return Model.stored(local.find(config.digest), local)
        calibration = None
        if config.calibration:
            calibration = load_array(base_dir / config.calibration).astype(np.float64)
        network = load_onnx(base_dir / config.onnx, calibration=calibration)
        return Model(network, hiding=config.hiding, security=config.security)
    except ProofError as error:
        raise ProofError(
            f"model {config.name!r}: {error.message}", code=error.code, hint=error.hint
        ) from error
