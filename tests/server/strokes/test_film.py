"""Facts about frames of a sequence in a quilted style: strokes move along with the scene, or stay where it stays."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from server.errors import BadRequest
from server.model.torus import Window
from server.network.quilted import QuiltedPicture, Wish, quilted
from server.strokes.canvas import MARGIN
from server.strokes.carry import Carry, light_of
from server.strokes.film import Frame
from server.strokes.following import followed
from server.strokes.motion import estimated
from server.strokes.painter import StyleQuilt
from server.strokes.pieces import ONE, UNIT, layers
from tests.models import blots as drawn
from tests.server.strokes.test_quilted import style as style

WISH = Wish(seed=7, strength=1.0, noise=0.5)
RIGHT = 3  # pixels that the scene moves in a frame


def frame(number: int) -> Tensor:
    """A pan over one scene: (100, 128, 3) uint8, of which a frame is planned at half the size of strokes."""
    return drawn(100, 200, 2)[:, :, RIGHT * number : RIGHT * number + 128].permute(1, 2, 0).contiguous()


def planned(style: StyleQuilt, content: Tensor, before: "QuiltedPicture | None" = None) -> QuiltedPicture:
    statistics, carry = (before.statistics, before.carry) if before else (b"", b"")
    picture = QuiltedPicture(style, content, replace(WISH, stroke=2.0), statistics, carry, sequence=True)
    for _ in picture.planning():
        pass
    return picture


def pixels(picture: QuiltedPicture) -> Tensor:
    return torch.cat(list(picture.bands())).float()


@pytest.fixture(scope="module")
def pan(style: StyleQuilt) -> list[QuiltedPicture]:
    pictures = [planned(style, frame(0))]
    for number in (1, 2):
        pictures.append(planned(style, frame(number), pictures[-1]))
    return pictures


def flicker(one: Tensor, other: Tensor) -> float:
    """What differs once the motion is taken out."""
    return float((one[:, RIGHT:] - other[:, :-RIGHT]).abs().mean())


def test_the_motion_of_a_scene_is_found_to_a_part_of_a_pixel() -> None:
    one, other = (frame(number).permute(2, 0, 1) for number in (0, 1))
    motion = estimated(light_of(one), light_of(other))
    assert motion is not None
    inner = motion[:, 6:-6, 6:-6].double() / UNIT
    assert abs(float(inner[0].median())) < 0.1
    assert abs(float(inner[1].median()) - RIGHT) < 0.1


def test_another_shot_has_no_motion(style: StyleQuilt, pan: list[QuiltedPicture]) -> None:
    other = drawn(100, 128, 9).flip(1)
    other = 255 - (other > 128).to(torch.uint8) * 255
    assert estimated(light_of(frame(0).permute(2, 0, 1)), light_of(other)) is None
    cut = planned(style, other.permute(1, 2, 0).contiguous(), pan[0])
    alone = QuiltedPicture(style, other.permute(1, 2, 0).contiguous(), cut._wish, pan[0].statistics, sequence=True)
    for _ in alone.planning():
        pass
    assert torch.equal(pixels(cut), pixels(alone))


def test_strokes_move_along_with_the_scene(style: StyleQuilt, pan: list[QuiltedPicture]) -> None:
    alone = [pixels(planned(style, frame(number))) for number in (0, 1)]
    carried = [pixels(each) for each in pan]
    by_itself = flicker(*alone)
    assert flicker(carried[0], carried[1]) < 0.4 * by_itself
    assert flicker(carried[1], carried[2]) < 0.4 * by_itself


def test_a_still_scene_keeps_its_strokes(style: StyleQuilt) -> None:
    first = planned(style, frame(0))
    second = planned(style, frame(0), first)
    third = pixels(planned(style, frame(0), second))
    assert float((pixels(second) != third).any(2).float().mean()) < 0.03


def test_pieces_turn_and_grow_with_what_they_paint() -> None:
    """A motion that turns and grows about a point: pieces follow it to a part of a pixel, but for those that are told
    otherwise by a part of their pixels."""
    height, width, grows = 120, 160, torch.tensor([[0.03, -0.05], [0.05, 0.03]], dtype=torch.float64)
    owners = (torch.arange(height)[:, None] // 40 * 4 + torch.arange(width)[None] // 40).int()
    at = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).double() + 0.5
    motion = torch.einsum("ij,jhw->ihw", grows, at - 60.0) * UNIT
    motion[:, 50:58, 60:80] = 9 * UNIT  # something else moves across
    middles = torch.cartesian_prod(torch.arange(20, height, 40), torch.arange(20, width, 40)) * UNIT
    now, maps, seen = followed(owners, motion.round().long(), middles)
    expected = torch.linalg.solve(grows + torch.eye(2).double(), (middles.double() / UNIT - 60.0).T).T + 60
    assert int(seen.min()) > 900
    assert float((now / UNIT - expected).abs().max()) < 0.3
    assert float((maps / ONE - grows - torch.eye(2)).abs().max()) < 0.01


def test_a_frame_goes_on_where_the_one_before_had_only_large_pieces(style: StyleQuilt) -> None:
    """As that of a plain sky."""
    sky = (torch.arange(64)[:, None] + torch.arange(96)).to(torch.uint8)[..., None].repeat(1, 1, 3)
    first = planned(style, sky)
    before = Carry.from_bytes(first.carry, (64, 96), style.architecture)
    assert before
    assert set(before.frame.pieces.numbers.tolist()) == {style.architecture.levels[0]}
    assert torch.equal(pixels(planned(style, sky, first)), pixels(first))


def test_pieces_show_their_places_unchanged(pan: list[QuiltedPicture]) -> None:
    """Nothing wears off: what is carried shows the same place of the painting."""
    before = Frame.of(pan[0]._canvas).pieces  # type: ignore[arg-type]
    canvas = pan[1]._canvas
    assert canvas
    after = canvas.pieces
    carried = after[after.names >= 0]
    assert len(carried) > 0.6 * len(before)
    same = (carried.places == before.places[carried.names]).all(1)
    assert float(same.float().mean()) > 0.9  # the others were exchanged
    height, width = canvas.size
    assert int(canvas.owners[MARGIN : MARGIN + height, MARGIN : MARGIN + width].min()) >= 0


def test_a_window_of_a_frame_is_that_part_of_it_and_threads_change_nothing(
    style: StyleQuilt, pan: list[QuiltedPicture]
) -> None:
    wish, before = pan[1]._wish, torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        part = quilted(
            style,
            frame(1),
            wish,
            statistics=pan[0].statistics,
            carry=pan[0].carry,
            window=Window(11, 37, 60, 71),
        )
    finally:
        torch.set_num_threads(before)
    assert torch.equal(part.float(), pixels(pan[1])[11:71, 37:108])


def test_a_frame_of_another_size_begins_anew(style: StyleQuilt, pan: list[QuiltedPicture]) -> None:
    content = frame(1)[:80]
    wish, statistics = pan[0]._wish, pan[0].statistics
    carried = quilted(style, content, wish, statistics=statistics, carry=pan[0].carry)
    assert torch.equal(carried, quilted(style, content, wish, statistics=statistics))


def broken(data: bytes) -> Iterator[bytes]:
    yield data[:-20]
    yield data[:30]
    yield b"TXFRAME3" + data[8:]
    yield data[:16] + b"\xff\xff\xff\xff" + data[20:]
    yield data[:16] + (3).to_bytes(4, "little") + data[20:]
    yield data[:20] + b"\x05" + data[21:]
    yield data[:24] + bytes(40)


def test_what_is_no_frame_is_refused(style: StyleQuilt, pan: list[QuiltedPicture]) -> None:
    data = pan[0].carry
    assert len(data) < 20_000
    size = pan[0]._plan.shape[1], pan[0]._plan.shape[2]
    found = Carry.from_bytes(data, size, style.architecture)
    assert found
    assert found.to_bytes() == data
    for wrong in broken(data):
        with pytest.raises(BadRequest, match="carry"):
            Carry.from_bytes(wrong, size, style.architecture)
    pieces = found.frame.pieces
    for name, value in (("maps", 2000), ("places", 4000), ("corners", -(2**20))):
        odd = replace(pieces, **{name: torch.full_like(getattr(pieces, name), value)})
        wrong = replace(found, frame=replace(found.frame, pieces=odd)).to_bytes()
        with pytest.raises(BadRequest, match="carry"):
            Carry.from_bytes(wrong, size, style.architecture)


def test_layers_keep_patches_that_touch_apart_and_in_order() -> None:
    corners = torch.tensor([[0, 0], [0, 40], [4, 4], [30, 30], [8, 8], [0, 12]])
    parts = layers(corners, 12)
    at = {int(number): depth for depth, part in enumerate(parts) for number in part}
    assert at[0] < at[2] < at[4]
    assert at[1] == at[3] == 0
    for part in parts:
        away = (corners[part][:, None] - corners[part]).abs().amax(-1) + 99 * torch.eye(len(part), dtype=torch.int64)
        assert int(away.min()) >= 12
