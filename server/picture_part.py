"""A part of a picture as a person writes it: left, top, width and height."""

Part = tuple[float, float, float, float]


def part_of(text: str) -> Part:
    """`x,y,w,h` as fractions of the picture, from 0 to 1, or in percent (`70%,0,30%,10%`): as fractions. Raises
    ValueError with a sentence.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        values = [float(part[:-1]) / 100 if part.endswith("%") else float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != 4 or not all(0 <= value <= 1 for value in values) or not values[2] or not values[3]:
        raise ValueError(
            f"{text[:40]!r} is not x,y,w,h: left, top, width and height as fractions of the picture, such as "
            "0.05,0.05,0.06,0.25."
        )
    x, y, width, height = values
    return x, y, width, height
