"""Facts about the queue: whoever was given least is next, whatever the others have waiting."""

import random

from server.front.fair_queue import FairQueue


def served(queue: FairQueue[str, str], turns: int, cost: int = 1) -> list[str]:
    """Serve whole jobs, `turns` of them, each of this cost."""
    result = []
    for _ in range(turns):
        found = queue.first()
        if found is None:
            break
        client, job = found
        queue.charge(client, cost)
        queue.remove(client, job)
        result.append(job)
    return result


def test_jobs_of_one_client_come_in_their_order() -> None:
    queue = FairQueue[str, str]()
    for number in range(5):
        queue.push("a", f"a{number}")
    assert served(queue, 9) == ["a0", "a1", "a2", "a3", "a4"]
    assert len(queue) == 0


def test_a_client_with_two_hundred_jobs_lets_one_with_ten_through() -> None:
    """Of the second one's jobs none waits for more than one of the first's."""
    queue = FairQueue[str, str]()
    for number in range(200):
        queue.push("a", f"a{number}")
    served(queue, 50)
    for number in range(10):
        queue.push("b", f"b{number}")
    order = served(queue, 20)
    assert [job for job in order if job[0] == "b"] == [f"b{number}" for number in range(10)]
    assert "aa" not in "".join(job[0] for job in order)


def test_large_jobs_are_charged_for() -> None:
    queue = FairQueue[str, str]()
    for number in range(30):
        queue.push("large", f"L{number}")
        queue.push("small", f"s{number}")
    pixels = {"L": 4, "s": 1}
    given = {"L": 0, "s": 0}
    for _ in range(30):
        client, job = queue.first() or ("", "")
        queue.charge(client, pixels[job[0]])
        given[job[0]] += pixels[job[0]]
        queue.remove(client, job)
    assert abs(given["L"] - given["s"]) <= 4


def test_a_pause_earns_no_credit() -> None:
    queue = FairQueue[str, str]()
    for number in range(100):
        queue.push("a", f"a{number}")
    served(queue, 60)
    for number in range(40):
        queue.push("late", f"l{number}")
    assert 9 <= sum(job[0] == "l" for job in served(queue, 20)) <= 11


def test_clients_that_are_not_ready_are_passed_over() -> None:
    queue = FairQueue[str, str]()
    queue.push("a", "a0")
    queue.push("b", "b0")
    assert queue.first(lambda client, job: (client, job) == ("b", "b0")) == ("b", "b0")
    assert queue.first(lambda client, job: False) is None


def test_removing_and_forgetting_leave_the_others() -> None:
    queue = FairQueue[str, str]()
    for client in "abc":
        queue.push(client, client)
    queue.remove("a", "a")
    queue.remove("a", "a")  # once more changes nothing
    queue.forget("b")
    assert list(queue) == ["c"]


def test_everything_is_served_whatever_the_order() -> None:
    chance = random.Random(5)
    queue, pushed, got = FairQueue[int, int](), 0, []
    for _ in range(2000):
        if chance.random() < 0.6:
            queue.push(chance.randrange(7), pushed)
            pushed += 1
        elif (found := queue.first()) is not None:
            queue.charge(found[0], chance.randrange(1, 9))
            queue.remove(*found)
            got.append(found[1])
    while (found := queue.first()) is not None:
        queue.remove(*found)
        got.append(found[1])
    assert sorted(got) == list(range(pushed))
