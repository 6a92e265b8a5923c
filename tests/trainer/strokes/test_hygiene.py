"""Facts about what of a picture is no painting."""

import numpy as np
import torch

from trainer.strokes.hygiene import Rectangle, left_out, within_frame


def painting(height: int = 200, width: int = 300) -> torch.Tensor:
    noise = np.random.default_rng(3).integers(0, 256, (3, height // 4, width // 4))
    return torch.from_numpy(noise.repeat(4, 1).repeat(4, 2)).to(torch.uint8)


def test_a_plain_frame_is_left_out_and_a_painting_without_one_is_not_cropped() -> None:
    pixels = painting()
    assert within_frame(pixels) == Rectangle(0, 0, 200, 300)
    pixels[:, :12] = 240
    pixels[:, :, -20:] = 30
    found = within_frame(pixels)
    assert 12 <= found.top <= 20
    assert found.left == 0
    assert found.top + found.height == 200
    assert 260 < found.width <= 280


def test_a_part_that_is_left_out_is_told_in_fractions_of_the_whole_picture() -> None:
    part = left_out("0.1,25%,0.2,0.5")
    assert part.moved(200, 300, Rectangle(10, 6, 180, 290)) == Rectangle(40, 24, 100, 60)
    of_one = left_out("some/wave=1.jpg=0.1,25%,0.2,0.5")
    assert (of_one.picture, str(of_one)) == ("wave=1.jpg", "0.1,0.25,0.2,0.5")
