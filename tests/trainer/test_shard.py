"""Which swatches one task of a batch makes."""

from pathlib import Path

import pytest

from trainer.shard import Shard, read_list
from trainer.swatch.swatch import UnusableSwatch


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_shards_have_each_item_once_and_about_as_many_as_another(count: int) -> None:
    shares = [Shard(number, count).of(range(13)) for number in range(1, count + 1)]
    assert sorted(each for share in shares for each in share) == list(range(13))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_shard_is_read_from_its_two_numbers() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert str(Shard.parse("03/16")) == "3/16"


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "1.5/4", "²/4", "1 /4"])
def test_what_is_no_shard_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--shard .* is not .*\.?$"):
        Shard.parse(text)


def test_a_list_names_swatches_from_its_own_folder_on(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(
        "\ufeffrust.jpg\r\n\r\n  Grès rosé.jpg\n".encode() + str(tmp_path / "a b").encode()
    )
    assert read_list(tmp_path / "list.txt") == (tmp_path / "rust.jpg", tmp_path / "Grès rosé.jpg", tmp_path / "a b")


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    for name in ("missing.txt", "picture.png", "."):
        with pytest.raises(UnusableSwatch, match=r"^The list .* cannot be read: .*\. Name a text file"):
            read_list(tmp_path / name)
