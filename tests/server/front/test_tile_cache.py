"""Facts about the cache of tiles: bounded by bytes, the least recently used goes first."""

from server.front.tile_cache import TileCache, TileKey
from server.model.torus import Size, Window


def key(seed: int) -> TileKey:
    return TileKey("00", seed, Size(64, 64), Window(0, 0, 64, 64), (8,))


def planes(size: int, value: int = 0) -> tuple[memoryview, ...]:
    return (memoryview(bytes([value]) * size),)


def test_what_was_put_is_found_and_counted() -> None:
    cache = TileCache(1000)
    assert cache.get(key(1)) is None
    cache.put(key(1), planes(10, 7))
    kept = cache.get(key(1))
    assert kept is not None
    assert kept.planes == planes(10, 7)
    assert (len(cache), cache.bytes, cache.hits) == (1, 10, 1)


def test_the_least_recently_used_is_dropped_first() -> None:
    cache = TileCache(100)
    for seed in range(4):
        cache.put(key(seed), planes(30))
        cache.get(key(0))
    assert [seed for seed in range(4) if cache.get(key(seed))] == [0, 2, 3]
    assert cache.bytes == 90


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = TileCache(100)
    cache.put(key(1), planes(50))
    cache.put(key(2), planes(101))
    assert cache.get(key(1)) is not None
    assert cache.get(key(2)) is None


def test_the_same_tile_again_costs_nothing() -> None:
    cache = TileCache(100)
    for _ in range(5):
        cache.put(key(1), planes(60))
    assert (cache.bytes, len(cache)) == (60, 1)


def test_every_part_of_the_key_tells_tiles_apart() -> None:
    cache = TileCache(1000)
    cache.put(key(1), planes(10))
    size, tile = Size(64, 64), Window(0, 0, 64, 64)
    others = [
        TileKey("11", 1, size, tile, (8,)),
        TileKey("00", 2, size, tile, (8,)),
        TileKey("00", 1, Size(64, 65), tile, (8,)),
        TileKey("00", 1, size, Window(0, 1, 64, 64), (8,)),
        TileKey("00", 1, size, tile, (16,)),
    ]
    assert [cache.get(other) for other in others] == [None] * 5


def test_the_tiles_of_one_worker_can_be_dropped() -> None:
    cache = TileCache(100)
    for seed, painter in enumerate(("a", "b", "a")):
        cache.put(key(seed), planes(30), painter)
    assert cache.drop_all_of("a") == 2
    assert (len(cache), cache.bytes) == (1, 30)
    assert cache.get(key(1)) is not None
