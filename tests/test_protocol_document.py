"""Facts about docs/PROTOCOL.md: its examples are what the wire writes and reads, and it names all there is, no more."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import pairing, strict_json, wire
from server.msgpack_codec import CODECS

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "PROTOCOL.md").read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------ examples


@dataclass(frozen=True)
class Example:
    """A block of the document: whose message it is, its op, its frames."""

    side: str
    op: str
    frames: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{self.side} {self.op} {self.frames[0].decode()}"


def examples() -> Iterator[Example]:
    for side, op, block in re.findall(r"^```hex (\w+) (\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        frames: list[bytes] = []
        for line in block.splitlines():
            if line.startswith("frame "):
                assert int(line.removeprefix("frame ")) == len(frames)
                frames.append(b"")
            else:
                data = bytes.fromhex(line[2:49])
                shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
                assert line == f"  {data.hex(' '):47}  {shown}"
                frames[-1] += data
        yield Example(side, op, tuple(frames))


EXAMPLES = list(examples())
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=str)


@every_example
def test_an_example_is_read_and_written_byte_for_byte(example: Example) -> None:
    message: wire.Request | wire.Reply
    if example.side == "request":
        message = wire.parse_request(example.frames, wire.Limits(), CODECS)
    else:
        message = wire.parse_reply(example.frames, CODECS)
    assert message.op == example.op
    letter = wire.letter_of(example.frames, CODECS)
    assert tuple(bytes(frame) for frame in wire.encode(message, letter, CODECS)) == example.frames


def test_the_examples_in_msgpack_say_what_those_in_json_say() -> None:
    said = {
        letter: {
            (example.side, example.op, example.frames[2:], repr(CODECS[letter].loads(example.frames[1])))
            for example in EXAMPLES
            if wire.letter_of(example.frames, CODECS) == letter
        }
        for letter in CODECS
    }
    assert said[wire.MSGPACK] < said[wire.JSON]


def test_the_examples_are_whole_conversations_in_both_letters() -> None:
    shown = {(example.side, example.op) for example in EXAMPLES}
    assert {("request", op) for op in ("hello", "models", "generate", "stylize", "cancel", "train", "job")} <= shown
    assert {("reply", op) for op in ("welcome", "models", "progress", "result", "error", "job")} <= shown
    assert {wire.letter_of(example.frames, CODECS) for example in EXAMPLES} == {wire.JSON, wire.MSGPACK}


def test_the_pairing_line_leads_where_the_document_says() -> None:
    (line,) = re.findall(r"^    (texserver://[^\s]*\d+/\S+)$", TEXT, re.MULTILINE)
    found = pairing.parse_pairing(line)
    assert f"leads to `{found.endpoint}`" in TEXT
    assert found.keys
    options = {row[0]: row[2] for row in table("| option | from |")}
    assert options == {
        "CURVE_SERVERKEY": pairing.z85(found.keys.server).decode(),
        "CURVE_SECRETKEY": pairing.z85(found.keys.client).decode(),
        "CURVE_PUBLICKEY": found.keys.client_public.decode(),
    }
    assert pairing.ENVIRONMENT in TEXT


# -------------------------------------------------------------------------------------------------------------- tables


def table(begins: str, text: str = TEXT) -> list[list[str]]:
    """The cells below the header that begins so, plain; no rows where there is no such table."""
    found = re.search(rf"^{re.escape(begins)}.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    rows = found[1].splitlines() if found else []
    return [[cell.strip().strip("`") for cell in row[1:-1].split("|")] for row in rows]


def section(title: str) -> str:
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def default_of(each: Field[Any]) -> str:
    if each.default is MISSING:
        return "required"
    return json.dumps(list(each.default) if isinstance(each.default, tuple) else each.default)


REPLY_TYPES = (
    *(wire.Welcome, wire.Models, wire.Result, wire.Progress, wire.Status, wire.Error),
    *(wire.Job, wire.Jobs),
)
MESSAGES: dict[str, type[Any]] = {
    **{f"`{op}`": each for op, each in wire.REQUESTS.items()},
    **{f"Reply `{each.op}`": each for each in REPLY_TYPES},
}


@pytest.mark.parametrize("title", MESSAGES)
def test_every_field_is_told_with_its_default_and_no_other(title: str) -> None:
    told = {row[0]: row[3] for row in table("| field | type | range | default |", section(title))}
    there = {
        each.name: default_of(each)
        for each in fields(MESSAGES[title])
        if each.name not in ("id", "content", "carry", "mask")
    }
    assert told == there


def test_every_message_is_told_and_no_other() -> None:
    assert set(re.findall(r"^### (.*)$", TEXT, re.MULTILINE)) == set(MESSAGES)
    assert {each.op for each in REPLY_TYPES} == set(wire.REPLIES)
    assert "`content`" in section("`stylize`")
    assert "`carry`" in section("`stylize`")
    assert "`mask`" in section("`blend`")


def test_buffers_are_told_with_their_fields_and_types() -> None:
    rows = table("| field | type | range | default |", section("Buffers"))
    there = {each.name: default_of(each) for each in fields(wire.Buffer) if each.name != "data"}
    assert {row[0]: row[3] for row in rows} == there
    (dtypes,) = (row[2] for row in rows if row[0] == "dtype")
    assert set(re.findall(r"\w+", dtypes)) == set(wire.ITEM_BYTES)


def test_every_limit_is_told_with_its_default_and_no_other() -> None:
    told = {row[0]: int(row[1]) for row in table("| limit |")}
    assert told == {each.name: each.default for each in fields(wire.Limits)}


def test_every_bound_is_told_with_its_value_and_no_other() -> None:
    told = {row[0]: json.loads(row[1]) for row in table("| bound |")}
    names = {**vars(wire), **vars(strict_json)}
    there = {name: value for name, value in names.items() if re.match(r"(MAX|MIN)_", name)}
    assert told == there


def test_every_error_is_told_and_whether_to_try_again() -> None:
    rows = table("| code |")
    assert [row[0] for row in rows] == list(wire.ERROR_CODES)
    assert {row[0] for row in rows if row[2] == "yes"} == wire.RETRY_HELPS
    assert {row[2] for row in rows} == {"yes", "no"}


def test_every_table_has_cells_as_many_as_its_header() -> None:
    for header, rows in re.findall(r"^(\|.*)\n\|[-|]+\n((?:\|.*\n)*)", TEXT, re.MULTILINE):
        assert {row.count("|") for row in rows.splitlines()} == {header.count("|")}


@pytest.mark.parametrize("state", ["ready", "broken"])
def test_the_models_shown_have_the_keys_told(state: str) -> None:
    told = {row[0]: row[2] for row in table("| key | type | there |")}
    shown = [
        model
        for example in EXAMPLES
        if (example.side, example.op) == ("reply", "models")
        for model in json.loads(example.frames[1])["models"]
        if model["state"] == state
    ]
    assert shown
    for model in shown:
        assert set(model) <= set(told)
        assert {key for key, there in told.items() if there in ("always", state)} <= set(model)


def test_the_links_of_the_contents_lead_to_sections() -> None:
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= titles
    assert titles - {"contents"} <= set(re.findall(r"\]\(#([\w-]+)\)", TEXT))


def test_the_steps_told_are_those_tiles_are_cut_in() -> None:
    from server.model.torus import TILE, Size, canonical_tiles

    assert wire.Limits().tile == TILE
    for side, step in ((2048, 512), (1000, 500), (1025, 342)):
        assert f"{side}" in section("Large textures")
        assert canonical_tiles(Size(side, side)) == (step, step)


def test_the_wire_says_where_its_document_is() -> None:
    assert "docs/PROTOCOL.md" in (inspect.getdoc(wire) or "")


def test_the_status_report_is_described_figure_by_figure(tmp_path: Path) -> None:
    """What the front reports and what the document lists are the same keys."""
    from server.front.front import Front
    from server.front.shelf import Shelf

    front = Front(Shelf(tmp_path), limits=wire.Limits(), cache_bytes=0, watchdog_s=1.0)
    section = TEXT.partition("## The status report")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == list(front.report())
