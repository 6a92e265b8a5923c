"""Facts about the queue: whoever was given least is next, whatever the others have waiting."""

import random
from collections.abc import Callable

from server.front.fair_queue import FairQueue


def of_client(job: str) -> tuple[str, ...]:
    """A job's first letter names its client."""
    return (job[0],)


def served(
    queue: FairQueue[str], turns: int, cost: int = 1, paths: Callable[[str], tuple[str, ...]] = of_client
) -> list[str]:
    """Serve whole jobs, `turns` of them, each of this cost."""
    result = []
    for _ in range(turns):
        found = queue.first()
        if found is None:
            break
        path = paths(found)
        queue.charge(path, cost)
        queue.remove(path, found)
        result.append(found)
    return result


def test_jobs_of_one_client_come_in_their_order() -> None:
    queue = FairQueue[str]()
    for number in range(5):
        queue.push(("a",), f"a{number}")
    assert served(queue, 9) == ["a0", "a1", "a2", "a3", "a4"]
    assert len(queue) == 0


def test_a_client_with_two_hundred_jobs_lets_one_with_ten_through() -> None:
    """Of the second one's jobs none waits for more than one of the first's."""
    queue = FairQueue[str]()
    for number in range(200):
        queue.push(("a",), f"a{number}")
    served(queue, 50)
    for number in range(10):
        queue.push(("b",), f"b{number}")
    order = served(queue, 20)
    assert [job for job in order if job[0] == "b"] == [f"b{number}" for number in range(10)]
    letters = "".join(job[0] for job in order)
    assert "aa" not in letters[: letters.rindex("b")]


def test_large_jobs_are_charged_for() -> None:
    queue = FairQueue[str]()
    for number in range(30):
        queue.push(("L",), f"L{number}")
        queue.push(("s",), f"s{number}")
    pixels = {"L": 4, "s": 1}
    given = {"L": 0, "s": 0}
    for _ in range(30):
        job = queue.first() or ""
        queue.charge(of_client(job), pixels[job[0]])
        given[job[0]] += pixels[job[0]]
        queue.remove(of_client(job), job)
    assert abs(given["L"] - given["s"]) <= 4


def test_a_pause_earns_no_credit() -> None:
    queue = FairQueue[str]()
    for number in range(100):
        queue.push(("a",), f"a{number}")
    served(queue, 60)
    for number in range(40):
        queue.push(("l",), f"l{number}")
    assert 9 <= sum(job[0] == "l" for job in served(queue, 20)) <= 11


def test_clients_that_are_not_ready_are_passed_over() -> None:
    queue = FairQueue[str]()
    queue.push(("a",), "a0")
    queue.push(("b",), "b0")
    assert queue.first(lambda job: job == "b0") == "b0"
    assert queue.first(lambda job: False) is None


def test_removing_and_forgetting_leave_the_others() -> None:
    queue = FairQueue[str]()
    for client in "abc":
        queue.push((client,), client)
    queue.remove(("a",), "a")
    queue.remove(("a",), "a")  # once more changes nothing
    queue.remove(("nobody",), "a")
    queue.forget(("a",))
    assert list(queue) == ["b", "c"]
    assert len(queue) == 2


def test_everything_is_served_whatever_the_order() -> None:
    chance = random.Random(5)
    queue, got = FairQueue[int](), []
    paths: list[tuple[int, int, int]] = []
    for _ in range(2000):
        if chance.random() < 0.6:
            paths.append((chance.randrange(2), chance.randrange(3), chance.randrange(7)))
            queue.push(paths[-1], len(paths) - 1)
        elif (found := queue.first()) is not None:
            queue.charge(paths[found], chance.randrange(1, 9))
            queue.remove(paths[found], found)
            queue.forget(paths[chance.randrange(len(paths))])
            got.append(found)
        assert len(queue) == len(list(queue)) == len(paths) - len(got)
    while (found := queue.first()) is not None:
        queue.remove(paths[found], found)
        got.append(found)
    assert sorted(got) == list(range(len(paths)))


def test_many_connections_of_one_key_get_no_more_than_one() -> None:
    """Two keys share alike, whatever the number of clients that each has."""

    def path(job: str) -> tuple[str, ...]:
        key, client, _ = job.split()
        return key, client

    queue = FairQueue[str]()
    jobs = [f"many {client} {number}" for client in range(64) for number in range(5)]
    jobs += [f"one 0 {number}" for number in range(50)]
    random.Random(3).shuffle(jobs)
    for job in jobs:
        queue.push(path(job), job)
    order = served(queue, 100, paths=path)
    assert 49 <= sum(job.startswith("one") for job in order) <= 51
    clients = [job.split()[1] for job in order if job.startswith("many")]
    assert len(set(clients)) == len(clients)


def test_who_comes_back_goes_before_those_who_have_waited_all_along() -> None:
    """However many they are: what it waits for is what is being served already."""
    queue = FairQueue[str]()
    for letter in "abcdefgh":
        for number in range(50):
            queue.push((letter,), f"{letter}{number}")
    for turn in range(5):
        served(queue, 40)
        queue.push(("z",), f"z{turn}")
        assert served(queue, 1) == [f"z{turn}"]


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    queue = FairQueue[str]()
    for number in range(1000):
        path = ("key", f"machine {number % 50}", f"client {number}")
        queue.push(path, "job")
        queue.charge(path, 1)
        queue.remove(path, "job")
        queue.forget(path)
    assert len(queue._root.charged) == 1
    assert sum(len(level.charged) for level in queue._root.levels["key"].levels.values()) <= 50
