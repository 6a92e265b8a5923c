"""Scene of the harness: from the zip to a textured object, each action of the artist counted, nothing installed."""

import time
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    MODULE,
    TASK,
    Desk,
    Steps,
    addon,
    cube,
    image_of,
    is_assigned,
    running_operators,
    session,
    take,
    until,
)

SET_UP_WITHIN_S = 900.0
LEARNED_WITHIN_S = 600.0
TAB_STEP = 12  # pixels: less than a tab is high


def scene_from_zip() -> Steps:
    """Drop, confirm, N, the tab, Set Up Server, Generate. The wheels come from a folder in place of the network."""
    actions: list[str] = []
    desk, began = Desk(), time.monotonic()
    told: dict[str, Any] = {}

    with desk.override():  # what Blender calls for a file that is dropped onto its window
        bpy.ops.extensions.package_install_files("INVOKE_DEFAULT", url=TASK["zips"][0])
    actions.append("drop the zip")
    yield 4 * DRAWN_S
    yield from take("zip-dropped")
    yield from desk.press("RET")
    actions.append("confirm")
    yield from until(lambda: MODULE in bpy.context.preferences.addons, "the extension", 60)
    told["installed_s"] = round(time.monotonic() - began)
    chosen = addon("panel.preferences").get()
    chosen.setup_wheels, chosen.setup_folder = TASK["wheels"], TASK["server_folder"]
    yield 2 * DRAWN_S

    yield from desk.press("N")
    actions.append("N")
    yield 4 * DRAWN_S
    yield from choose_tab(desk)
    actions.append("the tab")
    yield 4 * DRAWN_S
    yield from take("zip-without-server")

    yield from desk.click("texserver.setup_server")
    actions.append("Set Up Server")
    setup, server = addon("tasks.state").installation(), addon("tasks.state").local_server()
    yield 4.0
    yield from take("zip-setting-up")
    yield from until(lambda: not setup.busy, "a server", SET_UP_WITHIN_S)
    told["setup"] = [setup.state, setup.message]
    told["set_up_s"] = round(time.monotonic() - began)
    yield from until(lambda: server.state != "starting", "its start", 120)
    told["server"] = [server.state, server.message]
    yield from until(lambda: session().catalogue.ready("texture"), "the first material", LEARNED_WITHIN_S)
    told["first_model"] = session().catalogue.ready("texture")[0].name
    told["first_model_s"] = round(time.monotonic() - began)
    yield 4 * DRAWN_S
    yield from take("zip-first-material")

    yield from desk.click("texserver.generate")
    actions.append("Generate")
    task = yield from until(lambda: session().tasks and session().tasks[-1], "a job", 20)
    yield from until(lambda: is_assigned(task), "the texture", LEARNED_WITHIN_S)
    told |= {"state": task.state, "message": task.message, "textured_s": round(time.monotonic() - began)}
    image = image_of(cube())
    told["image"] = [image.name, *image.size] if image else None
    told["maps"] = sorted(addon("material.materials").images_of(cube().active_material))
    desk.area.spaces.active.shading.type = "MATERIAL"
    yield 30.0  # without a GPU it takes half a minute until there are shaders
    yield from take("zip-textured")
    told |= {"actions": actions, "operators": running_operators()}
    bpy.ops.texserver.stop_server()
    yield from until(lambda: server._process is None, "the end of the server", 30)
    return told


def choose_tab(desk: Desk) -> Steps:
    """Click the sidebar's tab of ours; an artist reads where it is, and here others are clicked before it is found."""
    region = desk.region("UI")
    x = region.x + region.width - 10
    for y in range(region.y + region.height - 20, region.y, -TAB_STEP):
        yield from desk.press_at(x, y)
        yield DRAWN_S
        if region.active_panel_category == "Texserver":
            return
    raise AssertionError("the sidebar has no tab Texserver")
