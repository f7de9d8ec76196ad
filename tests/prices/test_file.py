"""Tests the price file on disk: installed whole, and read again after a change."""

import threading
from pathlib import Path

import pytest

from gate.settings import load_settings
from meter.prices import PriceFile, PriceFileError, PriceTable, UnknownModel
from meter.watched_file import install

NOW_MS = 1_790_000_000_000


def priced(nanos: int) -> bytes:
    """Returns a price file in which one input token costs so much."""
    return f"models: {{tiny: [{{per_unit: {{input_tokens: {nanos}e-9}}}}]}}".encode()


def nanos_in(table: PriceTable) -> int:
    return table.find("tiny", NOW_MS).cost({"input_tokens": 1}).amount_nanos


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.yaml"


def test_a_file_that_is_not_there_means_the_built_in_prices_until_it_is(path: Path) -> None:
    file = PriceFile(path)
    with pytest.raises(UnknownModel):
        nanos_in(file.read())
    assert file.read().find("gpt-4o", NOW_MS).model == "openai/gpt-4o"
    assert not file.has_changed()
    path.write_bytes(priced(3))
    assert [file.has_changed(), file.has_changed()] == [False, True]
    assert nanos_in(file.read()) == 3
    assert [file.has_changed(), file.has_changed()] == [False, False]


def test_a_file_is_not_read_while_it_is_still_being_written(path: Path) -> None:
    path.write_bytes(priced(3))
    file = PriceFile(path)
    file.read()
    for length in range(1, 4):
        path.write_bytes(priced(5)[: -10 * length])
        assert not file.has_changed(), "it was another at the last look"
    path.write_bytes(priced(5))
    assert [file.has_changed(), file.has_changed()] == [False, True]
    assert nanos_in(file.read()) == 5


def test_a_wrong_file_is_refused_once_and_its_correction_is_noticed(path: Path) -> None:
    path.write_bytes(priced(3))
    file = PriceFile(path)
    file.read()
    path.write_bytes(b"models: {}")
    assert [file.has_changed(), file.has_changed()] == [False, True]
    with pytest.raises(PriceFileError, match="models"):
        file.read()
    assert [file.has_changed(), file.has_changed()] == [False, False]
    path.write_bytes(priced(7))
    assert [file.has_changed(), file.has_changed()] == [False, True]
    assert nanos_in(file.read()) == 7


def test_a_file_that_vanishes_is_an_error_not_the_built_in_prices(path: Path) -> None:
    path.write_bytes(priced(3))
    file = PriceFile(path)
    file.read()
    path.unlink()
    assert [file.has_changed(), file.has_changed()] == [False, True]
    with pytest.raises(PriceFileError, match="cannot be read: No such file"):
        file.read()
    assert not file.has_changed()
    path.write_bytes(priced(4))
    assert [file.has_changed(), file.has_changed()] == [False, True]
    assert nanos_in(file.read()) == 4


def test_a_reader_finds_the_old_file_or_the_new_one_whole(path: Path) -> None:
    versions = [priced(1) + b"\n" * 500_000, priced(2) + b"\n" * 400_000]
    install(versions[0], path)
    installing = threading.Thread(
        target=lambda: [install(versions[n % 2], path) for n in range(100)]
    )
    installing.start()
    while installing.is_alive():
        assert path.read_bytes() in versions
    installing.join()
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing is left over"


def test_installing_keeps_a_links_and_a_files_mode(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    real.write_bytes(priced(1))
    real.chmod(0o640)
    path.symlink_to(real)
    install(priced(2), path)
    assert path.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (priced(2), 0o640)


def test_what_cannot_be_installed_leaves_the_old_file_and_no_other(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        install(priced(1), path)
    assert list(path.parent.iterdir()) == [path]


def test_the_price_file_is_the_one_that_is_set_or_the_data_directorys(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.delenv("CREDITGATE_PRICES_FILE", raising=False)
    assert load_settings(data_dir="/srv/gate").price_path == Path("/srv/gate/prices.yaml")
    path.touch()
    monkeypatch.setenv("CREDITGATE_PRICES_FILE", str(path))
    assert load_settings(data_dir="/srv/gate").price_path == path
