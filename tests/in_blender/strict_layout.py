"""A layout that draws nothing, writes down what it was given, and refuses whatever Blender's own would not know.

Blender has no layout without a window, and its own forgives much: an icon or a property that is not there makes a
warning in a terminal that nobody looks at. So every call is held to what Blender says of itself (its RNA).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import bpy

_LAYOUT = bpy.types.UILayout.bl_rna
_MAKES_A_LAYOUT = {"row", "column", "box", "split", "column_flow", "grid_flow", "menu_pie"}


@dataclass
class Drawn:
    """One thing in a panel."""

    kind: str  # the function of the layout
    text: str = ""
    icon: str = ""
    name: str = ""  # of the property or the operator
    given: dict[str, Any] = field(default_factory=dict)


class StrictLayout:
    """Stands in for bpy.types.UILayout."""

    def __init__(self, drawn: "list[Drawn] | None" = None) -> None:
        object.__setattr__(self, "drawn", [] if drawn is None else drawn)

    def __setattr__(self, name: str, value: Any) -> None:
        _check(_LAYOUT.properties, name, value)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        assert name in _LAYOUT.functions, f"a layout has no {name}"
        parameters = _LAYOUT.functions[name].parameters
        order = [each.identifier for each in parameters if not each.is_output]

        def call(*positional: Any, **named: Any) -> Any:
            given = dict(zip(order, positional, strict=False)) | named
            assert len(positional) <= len(order)
            for key, value in given.items():
                _check(parameters, key, value)
            missing = [each.identifier for each in parameters if each.is_required and each.identifier not in given]
            assert [each for each in missing if not parameters[each].is_output] == [], f"{name} needs {missing}"
            return self._draw(name, given)

        return call

    def _draw(self, kind: str, given: dict[str, Any]) -> Any:
        one = Drawn(kind, given.get("text", ""), given.get("icon", ""))
        self.drawn.append(one)
        if kind in ("prop", "prop_enum", "template_icon_view"):
            one.name = given["property"]
            if kind == "prop_enum":
                assert given["value"] in given["data"].bl_rna.properties[one.name].enum_items
                one.given["value"] = given["value"]
            _check_property(given["data"], one.name, expand=given.get("expand", False))
        elif kind == "operator":
            one.name = given["operator"]
            return _Button(one)
        elif kind == "operator_menu_enum":
            one.name = given["operator"]
            assert given["property"] in _Button(one)._rna.properties
        elif kind == "menu":
            one.name = given["menu"]
            assert hasattr(bpy.types, one.name), f"there is no menu {one.name}"
        elif kind in _MAKES_A_LAYOUT:
            return StrictLayout(self.drawn)
        else:
            assert kind in ("label", "separator", "progress", "template_icon"), f"{kind} is not known to this test"
            assert kind != "progress" or 0 <= given["factor"] <= 1
        return None


class _Button:
    """What `operator` returns: takes the operator's properties."""

    def __init__(self, drawn: Drawn) -> None:
        module, _, name = drawn.name.partition(".")
        operator = getattr(getattr(bpy.ops, module), name)
        object.__setattr__(self, "_rna", operator.get_rna_type())  # KeyError where there is none
        object.__setattr__(self, "_drawn", drawn)

    def __setattr__(self, name: str, value: Any) -> None:
        _check(self._rna.properties, name, value)
        self._drawn.given[name] = value


def _check_property(data: Any, name: str, *, expand: bool) -> None:
    assert name in data.bl_rna.properties, f"{data} has no {name}"
    getattr(data, name)
    assert not expand or data.bl_rna.properties[name].type == "ENUM"


_TYPES: dict[str, tuple[type, ...]] = {
    "BOOLEAN": (bool,),
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "ENUM": (str,),
}


def _check(properties: Any, name: str, value: Any) -> None:
    """That there is such a property or parameter, and that it takes this value."""
    assert name in properties, f"{name} is not known there"
    rna = properties[name]
    if name == "text_ctxt" or rna.type not in _TYPES:
        return
    assert isinstance(value, _TYPES[rna.type]), f"{name} is a {rna.type}, not {value!r}"
    assert rna.type != "INT" or rna.hard_min <= value <= rna.hard_max, f"{name} cannot be {value}"
    if rna.type == "ENUM" and rna.enum_items:
        assert value in rna.enum_items, f"{name} has no {value!r}"


def draw(owner: Any, context: Any) -> list[Drawn]:
    """What the draw() of a panel's class, or of preferences, puts into its layout."""
    layout = StrictLayout()
    if isinstance(owner, type):
        owner.draw(SimpleNamespace(layout=layout), context)
    else:
        members = {each.identifier: getattr(owner, each.identifier) for each in owner.bl_rna.properties}
        stand_in = _Preferences(members, owner.bl_rna, layout)
        type(owner).draw(stand_in, context)
    return layout.drawn


class _Preferences(SimpleNamespace):
    """Preferences whose layout is ours."""

    def __init__(self, members: dict[str, Any], rna: Any, layout: StrictLayout) -> None:
        super().__init__(**members)
        self.bl_rna, self.layout = rna, layout


def texts(drawn: list[Drawn]) -> str:
    """All that can be read, in one line."""
    return " ".join(_read(drawn))


def _read(drawn: list[Drawn]) -> Iterator[str]:
    for each in drawn:
        if each.text:
            yield each.text


def names(drawn: list[Drawn]) -> set[str]:
    """All properties and operators."""
    return {each.name for each in drawn if each.name}
