"""The local store of models: one folder a model, named by its digest.

`model.json` and `weights.bin` are the proof model, `header.bin` is what a verifier holds,
`about.json` has the names and scales. The folder of a model whose weights are hidden is for its
owner alone; its secrets are in `hiding`. Files are written whole or not at all. Loading compares
the model with its header, so that a damaged folder is an error and not another model.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import platformdirs

from maxwell.errors import ProofError, choices_hint
from maxwell.proofs.importer import Network
from maxwell.proofs.model import ProofModel
from maxwell.proofs.openings import FileOpenings
from maxwell.proofs.profiles import profile_of
from maxwell.proofs.quantise import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maxwell.proofs.hidden import Hidden

DATA_VARIABLE: Final = "MAXWELL_DATA_DIR"
PREFIX_MIN: Final = 8
"""Hexadecimal digits of a digest that a person may shorten it to, as long as it is unique."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
FORMAT: Final = "maxwell-stored-model/1"


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the store knows of a model besides the model itself."""

    format: str
    name: str
    operations: tuple[str, ...]
    input_grid: Grid
    output_grid: Grid
    output_shape: tuple[int, ...]
    source_sha256: str
    calibration: str
    hiding: bool
    macs: int


class ModelStore:
    """Models by digest.

    Args:
        folder: where they are; `$MAXWELL_DATA_DIR/models` or the user's data folder when None.
    """

    def __init__(
        self, folder: Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        variables = os.environ if environ is None else environ
        given = variables.get(DATA_VARIABLE, "")
        root = Path(given) if given else Path(platformdirs.user_data_dir("maxwell"))
        self.folder = root / "models" if folder is None else folder

    def add(
        self,
        network: Network,
        header: bytes,
        digest: str,
        *,
        hiding: bool,
        hidden: Hidden | None = None,
    ) -> Path:
        """Writes a model; one that is there already stays as it is.

        Args:
            network: the model.
            header: of its (current) commitment.
            digest: its name.
            hiding: whether its proofs hide the weights.
            hidden: its secret and count, if they are to be kept.

        Raises:
            ProofError: MX1715 when the folder cannot be written.
        """
        assert _DIGEST.fullmatch(digest)
        target = self.folder / digest
        if target.is_dir():
            return target
        model = network.proof_model
        about = About(
            format=FORMAT,
            name=network.name,
            operations=network.operations,
            input_grid=network.input_grid,
            output_grid=network.output_grid,
            output_shape=network.output_shape,
            source_sha256=network.source_sha256,
            calibration=network.calibration,
            hiding=hiding,
            macs=model.macs(),
        )
        files = {
            "model.json": model.to_json().encode(),
            "weights.bin": model.weight_bytes(),
            "header.bin": header,
            "about.json": msgspec.json.format(msgspec.json.encode(about), indent=2),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as made:
                whole = Path(made) / "model"
                whole.mkdir(mode=0o700 if hiding else 0o777)
                for name, data in files.items():
                    (whole / name).write_bytes(data)
                if hidden is not None:
                    hidden.save(whole, header)
                whole.rename(target)
        except OSError as error:
            if target.is_dir():  # another process was first
                return target
            raise ProofError(
                f"cannot write {target}: {error.strerror or error}",
                code="MX1715",
                hint=f"{DATA_VARIABLE} names another folder",
            ) from error
        return target

    def digests(self) -> list[str]:
        """Returns the digests of all models, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p.name for p in self.folder.iterdir() if _DIGEST.fullmatch(p.name))

    def find(self, word: str) -> str:
        """Returns the digest that a word means: a digest, its unique beginning, or a name.

        Raises:
            ProofError: MX1707 when none or several fit.
        """
        known = self.digests()
        lowered = word.lower()
        if lowered in known:
            return lowered
        fits = [d for d in known if len(lowered) >= PREFIX_MIN and d.startswith(lowered)]
        if not fits:
            names = {d: self.about(d).name for d in known}
            # Who writes a whole digest pins a model; names are whatever their file says.
            if not _DIGEST.fullmatch(lowered):
                fits = [digest for digest, name in names.items() if name == word]
            if not fits:
                raise ProofError(
                    f"no model {word!r} in {self.folder}",
                    code="MX1707",
                    hint=choices_hint(word, names.values())
                    if names
                    else "`maxwell model register m.onnx` adds one",
                )
        if len(fits) > 1:
            raise ProofError(
                f"{len(fits)} models fit {word!r}",
                code="MX1707",
                hint="give more of the digest: " + ", ".join(digest[:16] for digest in fits[:8]),
            )
        return fits[0]

    def find_source(
        self, source_sha256: str, *, hiding: bool = False, security: int = 0
    ) -> str | None:
        """Returns the newest model that was made of a file with this hash, or None.

        Args:
            source_sha256: the hash.
            hiding: only those whose weights are hidden.
            security: only those of at least so many bits.
        """
        abouts = {digest: self.about(digest) for digest in self.digests()}
        found = [
            ((self.folder / digest).stat().st_mtime_ns, digest)
            for digest, about in abouts.items()
            if about.source_sha256 == source_sha256
            and (about.hiding or not hiding)
            and (not security or self.security(digest) >= security)
        ]
        return max(found)[1] if found else None

    def security(self, digest: str) -> int:
        """Returns the bits of a model's proofs; what is stored under 128 is never proved at 100.

        Raises:
            ProofError: MX1715 when the header is damaged.
        """
        try:
            return profile_of(self.header(digest)).security
        except ProofError as error:
            raise self._damaged(digest, error.message) from error

    def about(self, digest: str) -> About:
        """Returns what is known of a model.

        Raises:
            ProofError: MX1707 when it is not here, MX1715 when the file is damaged.
        """
        try:
            about = msgspec.json.decode(self._read(digest, "about.json"), type=About)
        except msgspec.MsgspecError as error:
            raise self._damaged(digest, str(error)) from error
        if about.format != FORMAT:
            raise self._damaged(digest, f"format {about.format!r}")
        return about

    def header(self, digest: str) -> bytes:
        """Returns what a verifier holds."""
        return self._read(digest, "header.bin")

    def openings(self, digest: str) -> FileOpenings | None:
        """Returns the count of a model whose weights are hidden and whose secret is here."""
        from maxwell.proofs.hidden import FOLDER, Hidden

        if not (self.folder / digest / FOLDER).is_dir():
            return None
        hidden, _ = Hidden.load(self.folder / digest)
        assert isinstance(hidden.openings, FileOpenings)
        return hidden.openings

    def load(self, digest: str) -> Network:
        """Returns a model.

        Raises:
            ProofError: MX1707 when it is not here, MX1715 when it does not fit its header.
        """
        about = self.about(digest)
        try:
            text = self._read(digest, "model.json").decode()
            model = ProofModel.from_json(text, self._read(digest, "weights.bin"))
        except (UnicodeDecodeError, ProofError) as error:
            raise self._damaged(digest, str(error)) from error
        if not self.header(digest).endswith(model.architecture()):
            raise self._damaged(digest, "the model is not the one of its header")
        return Network(
            about.name,
            model,
            about.operations,
            about.input_grid,
            about.output_grid,
            about.output_shape,
            about.source_sha256,
            about.calibration,
        )

    def _read(self, digest: str, name: str) -> bytes:
        path = self.folder / digest / name
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise ProofError(f"no {path}", code="MX1707") from error
        except OSError as error:
            raise self._damaged(digest, error.strerror or str(error)) from error

    def _damaged(self, digest: str, why: str) -> ProofError:
        return ProofError(
            f"model {digest[:16]}… in {self.folder} is damaged: {why}",
            code="MX1715",
            hint="remove its folder and register the model again",
        )
