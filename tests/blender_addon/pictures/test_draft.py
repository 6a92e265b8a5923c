"""A draft becomes its file in one step, or leaves no trace, also where nobody has it in hand when a program ends."""

from pathlib import Path

import pytest

from blender_addon.pictures.draft import Draft, ImageFileError, discard_all


def test_drafts_in_nobodys_hand_are_removed_before_a_program_ends(tmp_path: Path) -> None:
    """As after a Ctrl-C that comes when a draft was made and nothing yet would discard it."""
    drafts = [Draft(tmp_path / name, durable=False) for name in ("a.png", "b.png")]
    for draft in drafts:
        draft.write(b"half")
    whole = Draft(tmp_path / "whole.png", durable=False)
    whole.write(b"whole")
    whole.publish()
    assert len(list(tmp_path.iterdir())) == 3
    discard_all()
    assert [path.name for path in tmp_path.iterdir()] == ["whole.png"]
    for draft in drafts:
        draft.discard()
    discard_all()
    assert (tmp_path / "whole.png").read_bytes() == b"whole"


def test_a_draft_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="There is no folder"):
        Draft(tmp_path / "none" / "a.png", durable=False)
    (tmp_path / "none").mkdir()
    discard_all()
    assert list((tmp_path / "none").iterdir()) == []
