"""The run folder: names stay inside it, strangers' files survive, output is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.errors import ConfigError
from maxwell.observe.folder import RunFolder, file_name, latest_run_folder, next_run_folder
from maxwell.observe.output import OPEN_FILES_MAX, OutputFiles


@given(name=st.text(min_size=1, max_size=40))
def test_any_name_is_a_file_inside_the_folder(name: str) -> None:
    safe = file_name(name)
    assert safe == Path(safe).name
    assert safe not in {"", ".", ".."}
    assert safe.isascii()


@given(first=st.text(max_size=12), second=st.text(max_size=12))
def test_different_names_are_different_files(first: str, second: str) -> None:
    assert (file_name(first) == file_name(second)) == (first == second)


def test_a_run_replaces_an_earlier_run_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    for file in (folder.report, folder.receipts, folder.summary):
        file.write_text("old")
    (folder.output / "a.stdout").write_text("old")
    folder.create()
    assert not any(f.exists() for f in (folder.report, folder.receipts, folder.summary))
    assert list(folder.output.iterdir()) == []
    (folder.path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"not a run folder: .* holds 'thesis.tex'"):
        folder.create()
    assert (folder.path / "thesis.tex").read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write a run folder"):
        RunFolder(tmp_path / "file" / "run").create()


def test_a_read_only_file_system_is_a_config_error() -> None:
    """Nobody, not even root, makes folders in `/proc`."""
    with pytest.raises(ConfigError, match="cannot write a run folder: /proc/maxwell-run"):
        RunFolder(Path("/proc/maxwell-run")).create()


def test_runs_are_numbered_and_the_newest_is_found(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = next_run_folder(tmp_path, "fleet")
        assert folder.path.name == f"fleet-{number}"
        folder.create()
        folder.report.write_text("{}")
        os.utime(folder.report, (number, number))
    assert latest_run_folder(tmp_path).path.name == "fleet-2"


def test_runs_that_start_together_get_folders_of_their_own(tmp_path: Path) -> None:
    """Eight threads ask at the same moment, ten times each: nobody shares a folder."""

    def ask(number: int) -> RunFolder:
        del number
        return next_run_folder(tmp_path / "runs", "demo")

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(ask, range(80)))
    names = [folder.path.name for folder in folders]
    assert sorted(names) == sorted({f"demo-{number}" for number in range(1, 81)})
    assert all(folder.path.is_dir() for folder in folders)


def test_a_folder_that_another_run_writes_is_refused(tmp_path: Path) -> None:
    """The other run is another process: it is refused while ours holds it, and not after."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom maxwell.observe.folder import RunFolder\n"
        "from maxwell.errors import ConfigError\n"
        "try:\n    RunFolder(Path(sys.argv[1])).create()\n"
        "except ConfigError as error:\n    print(error.code, error)\n"
        "else:\n    print('free')\n"
    )

    def other() -> str:
        command = [sys.executable, "-c", code, str(tmp_path / "run")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    ours = RunFolder(tmp_path / "run")
    ours.create()
    (ours.output / "a.stdout").write_text("ours")
    assert other() == f"MX1018 another run is writing to {tmp_path / 'run'}"
    assert (ours.output / "a.stdout").read_text() == "ours"
    ours.release()
    assert other() == "free"


def test_a_name_of_any_kind_gives_a_plain_folder(tmp_path: Path) -> None:
    assert next_run_folder(tmp_path, "my fleet").path.name == "my-fleet-1"
    assert next_run_folder(tmp_path, "../x").path.parent == tmp_path


def test_an_earlier_run_is_named_before_it_is_replaced(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.earlier_run_ns() is None
    folder.create()
    assert folder.earlier_run_ns() is None
    folder.report.write_text("{}")
    os.utime(folder.report, ns=(5_000_000_000, 5_000_000_000))
    assert folder.earlier_run_ns() == 5_000_000_000


def test_no_run_at_all_names_the_remedy(tmp_path: Path) -> None:
    for parent in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="no run: ") as error:
            latest_run_folder(parent)
        assert "--run DIR" in (error.value.hint or "")


def folder_at(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create()
    return folder


def test_output_goes_to_one_file_a_stream(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "run")
    outputs = OutputFiles(folder)
    outputs.write("a", "stdout", b"one\n")
    outputs.write("a", "stderr", b"two\n")
    outputs.write("a", "stdout", b"three\n")
    outputs.close()
    assert folder.output_file("a", "stdout").read_bytes() == b"one\nthree\n"
    assert folder.output_file("a", "stderr").read_bytes() == b"two\n"
    assert outputs.warnings() == ()


@given(chunks=st.lists(st.binary(max_size=30), max_size=12), limit=st.integers(1, 100))
def test_output_is_bounded_and_what_is_lost_is_counted(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    folder = folder_at(tmp_path_factory.getbasetemp() / "bounded")
    outputs = OutputFiles(folder, stream_bytes_max=limit)
    for chunk in chunks:
        outputs.write("a", "stdout", chunk)
    outputs.close()
    whole = b"".join(chunks)
    path = folder.output_file("a", "stdout")
    kept = path.read_bytes() if path.exists() else b""
    lost = max(len(whole) - limit, 0)
    assert kept.startswith(whole[:limit])
    assert outputs.lost() == ({("a", "stdout"): lost} if lost else {})
    assert kept[len(whole[:limit]) :] == (
        f"\n[maxwell: {lost:,} bytes lost]\n".encode() if lost else b""
    )


def test_bytes_that_the_cell_dropped_are_counted_too(tmp_path: Path) -> None:
    outputs = OutputFiles(folder_at(tmp_path / "run"))
    outputs.write("a", "stdout", b"x", 1_000)
    outputs.close()
    assert outputs.warnings() == ("1000 B of guests' output were dropped: a",)


def test_a_disk_that_fails_loses_output_and_not_the_run(tmp_path: Path) -> None:
    """The file's place is taken by a link to `/dev/full`, which answers ENOSPC to each write."""
    folder = folder_at(tmp_path / "run")
    folder.output_file("a", "stdout").symlink_to("/dev/full")
    outputs = OutputFiles(folder)
    outputs.write("a", "stdout", b"12345")
    outputs.close()
    assert outputs.lost() == {("a", "stdout"): 5}


def test_many_streams_share_few_descriptors(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "run")
    outputs = OutputFiles(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for round_number in range(2):
        for index in range(3 * OPEN_FILES_MAX):
            outputs.write(f"p{index}", "stdout", f"{round_number}\n".encode())
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + OPEN_FILES_MAX
    outputs.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert folder.output_file("p0", "stdout").read_bytes() == b"0\n1\n"
