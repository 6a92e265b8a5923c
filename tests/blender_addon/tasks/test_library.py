"""The files of an asset library: what is listed, which models have changed, catalogues of ours and of others."""

from pathlib import Path

import pytest

from blender_addon.tasks.catalogue import ListedModel
from blender_addon.tasks.library import (
    CATALOGUES,
    LISTED,
    MAKES,
    TEXTURES,
    Library,
    LibraryEntry,
    LibraryError,
    catalogue_id,
    file_of,
)

TEXELS = {"brick": 512.0, "moss": 1024.0}


def model(name: str = "brick", *, sha256: str = "a" * 64, category: str = "Masonry") -> ListedModel:
    return ListedModel(name=name, state="ready", sha256=sha256, category=category)


def entry(name: str = "brick", *, sha256: str = "a" * 64, side: int = 1024, category: str = "Masonry") -> LibraryEntry:
    return LibraryEntry(
        model=name,
        sha256=sha256,
        side=side,
        texels_per_metre=TEXELS[name],
        category=category,
        makes=MAKES,
        file=file_of(name),
        textures=(f"{name}-{sha256[:8]}-basecolor.png",),
    )


def publish(folder: Path, *entries: LibraryEntry) -> Library:
    """As the task does: the files, then their entries."""
    library = Library(folder)
    library.look()
    (folder / TEXTURES).mkdir(parents=True, exist_ok=True)
    for each in entries:
        (folder / each.file).write_bytes(b"BLENDER")
        for name in each.textures:
            (folder / TEXTURES / name).write_bytes(b"PNG")
        library.add(each)
    return library


def again(folder: Path) -> Library:
    library = Library(folder)
    library.look()
    return library


def test_what_is_listed_is_read_again(tmp_path: Path) -> None:
    publish(tmp_path, entry(), entry("moss", category="Ground"))
    assert again(tmp_path).entries == {"brick": entry(), "moss": entry("moss", category="Ground")}


@pytest.mark.parametrize(
    "now",
    [
        model(sha256="b" * 64),
        model(category="Walls"),
        model("moss"),
    ],
    ids=["trained again", "of another kind", "new"],
)
def test_a_model_that_is_new_or_has_changed_is_to_be_published(tmp_path: Path, now: ListedModel) -> None:
    library = publish(tmp_path, entry())
    assert library.changed([model(), now], 1024, TEXELS) == [now]


def test_another_size_another_scale_and_a_missing_file_change_it_too(tmp_path: Path) -> None:
    library = publish(tmp_path, entry())
    assert library.changed([model()], 1024, TEXELS) == []
    assert library.changed([model()], 2048, TEXELS) == [model()]
    assert library.changed([model()], 1024, {"brick": 300.0}) == [model()]
    (tmp_path / file_of("brick")).unlink()
    assert library.changed([model()], 1024, TEXELS) == [model()]


def test_files_that_are_replaced_are_removed_and_no_others(tmp_path: Path) -> None:
    publish(tmp_path, entry(), entry("moss"))
    (tmp_path / TEXTURES / "mine.png").write_bytes(b"")
    publish(tmp_path, entry(sha256="b" * 64))
    names = {path.name for path in (tmp_path / TEXTURES).iterdir()}
    assert names == {"mine.png", "brick-bbbbbbbb-basecolor.png", "moss-aaaaaaaa-basecolor.png"}
    library = again(tmp_path)
    library.drop(library.gone([model()]))
    assert {path.name for path in tmp_path.glob("*.blend")} == {"brick.blend"}
    assert {path.name for path in (tmp_path / TEXTURES).iterdir()} == {"mine.png", "brick-bbbbbbbb-basecolor.png"}


def test_catalogues_of_others_stay_and_ours_go_with_their_last_model(tmp_path: Path) -> None:
    other = "01234567-0123-0123-0123-0123456789ab:Mine/Wood:Mine-Wood"
    (tmp_path / CATALOGUES).write_text(f"# Mine.\n\nVERSION 1\n\n{other}\n")
    library = publish(tmp_path, entry(), entry("moss", category="Ground: wet / dry"))
    lines = (tmp_path / CATALOGUES).read_text().splitlines()
    assert lines[:5] == ["# Mine.", "", "VERSION 1", "", other]
    assert lines[5:] == [
        f"{catalogue_id('Ground: wet / dry')}:Texserver/Ground wet dry:Texserver-Ground wet dry",
        f"{catalogue_id('Masonry')}:Texserver/Masonry:Texserver-Masonry",
    ]
    library.drop([library.entries["moss"]])
    assert (tmp_path / CATALOGUES).read_text().splitlines()[5:] == lines[6:]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2, "entries": []}', '{"format": 1, "entries": [{}]}'])
def test_a_list_that_cannot_be_read_is_reported_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / LISTED).write_text(content)
    with pytest.raises(LibraryError, match="Choose another folder"):
        again(tmp_path)
    assert (tmp_path / LISTED).read_text() == content


def test_a_list_cannot_name_files_outside_of_the_library(tmp_path: Path) -> None:
    publish(tmp_path, entry())
    text = (tmp_path / LISTED).read_text()
    (tmp_path / LISTED).write_text(text.replace("brick.blend", "../brick.blend"))
    with pytest.raises(LibraryError):
        again(tmp_path)


def test_models_whose_names_differ_have_files_that_differ_everywhere() -> None:
    names = ["brick", "Brick", "brick wall", "brick_wall", "con", "x" * 100, "x" * 101, "ä"]
    files = [file_of(name) for name in names]
    assert len({each.lower() for each in files}) == len(names)
    assert "con.blend" not in files, "a device on Windows"
    assert all(each.isascii() and len(each) < 80 for each in files)
