"""Goal: a hiding commitment is never opened more often than it may be. Method: the count in its
file, by several processes at once, by processes that are killed, with files gone or cut."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maxwell.errors import ProofError
from maxwell.proofs.openings import FileOpenings, MemoryOpenings, proofs_left

SPEND = """
import sys
from pathlib import Path
from maxwell.errors import ProofError
from maxwell.proofs.openings import FileOpenings

openings = FileOpenings(Path(sys.argv[1]), int(sys.argv[2]))
spent = 0
for _ in range(int(sys.argv[3])):
    try:
        openings.spend(reserve=1)
    except ProofError as error:
        assert error.code == "MX1716", error
    else:
        spent += 1
print(spent, flush=True)
if len(sys.argv) > 4:
    sys.stdin.read()
"""


def spender(path: Path, total: int, tries: int, *more: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", SPEND, str(path), str(total), str(tries), *more]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_one_more_than_allowed_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "openings"
    openings = MemoryOpenings(4) if kind == "memory" else FileOpenings.create(path, 4)
    assert (openings.used(), proofs_left(openings)) == (0, 2)
    for _ in range(3):
        openings.spend(reserve=1)
    with pytest.raises(ProofError, match="opened 3 times of 4, and the rest is kept") as caught:
        openings.spend(reserve=1)
    assert caught.value.code == "MX1716"
    assert "model refresh" in str(caught.value.hint)
    openings.spend(reserve=0)
    assert (openings.used(), proofs_left(openings)) == (4, 0)
    with pytest.raises(ProofError, match=r"opened 4 times of 4$") as caught:
        openings.spend(reserve=0)
    assert "register the model again" in str(caught.value.hint)
    assert "model refresh" not in str(caught.value.hint)
    assert openings.used() == 4


def test_processes_at_once_share_one_count(tmp_path: Path) -> None:
    path = tmp_path / "openings"
    FileOpenings.create(path, 61)
    processes = [spender(path, 61, 30) for _ in range(3)]
    spent = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(spent) == 60
    assert FileOpenings(path, 61).used() == 60


def test_what_was_counted_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "openings"
    FileOpenings.create(path, 10)
    process = spender(path, 10, 4, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "4\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert FileOpenings(path, 10).used() == 4


def test_a_count_that_is_gone_is_no_new_count(tmp_path: Path) -> None:
    path = tmp_path / "openings"
    FileOpenings.create(path, 4)
    path.unlink()
    for attempt in (FileOpenings(path, 4).used, lambda: FileOpenings(path, 4).spend(reserve=1)):
        with pytest.raises(ProofError) as caught:
            attempt()
        assert caught.value.code == "MX1715"
    assert not path.exists()
    FileOpenings.create(path, 4, used=2)
    with pytest.raises(FileExistsError):
        FileOpenings.create(path, 4)
    assert FileOpenings(path, 4).used() == 2


def test_a_file_of_anything_counts_by_its_length(tmp_path: Path) -> None:
    """Whatever a crash left in it, each byte is an opening; too many are as good as all."""
    path = tmp_path / "openings"
    path.write_bytes(b"\0x\xff")
    openings = FileOpenings(path, 5)
    assert openings.used() == 3
    openings.spend(reserve=1)
    path.write_bytes(b"." * 100)
    assert proofs_left(openings) == 0
    with pytest.raises(ProofError, match="opened 100 times of 5"):
        openings.spend(reserve=0)
