from pathlib import Path

import pytest

from training.data.whole_folder import whole_folder
from training.errors import TrainingError


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "out") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    assert (tmp_path / "a" / "out" / "file").read_text() == "x"


def test_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "out") as folder:
        folder.mkdir()
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="exists already"), whole_folder(tmp_path):
        pass
