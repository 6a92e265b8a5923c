"""Scenes of the harness: undo, Edit Mode, saving, other files and workspaces, and quitting in the midst of a job."""

import time
from pathlib import Path
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    LARGE,
    TASK,
    Desk,
    Lacking,
    Steps,
    addon,
    ask_for,
    ask_status,
    begin,
    cube,
    generate,
    is_assigned,
    leftovers,
    new_file,
    of_ours,
    report_of_cancelling,
    running_operators,
    session,
    settings,
    shown,
    until,
    write_fact,
)


def scene_workspace() -> Steps:
    """Another workspace is chosen while a job runs; the status bar of the first is empty afterwards."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 15)
    yield from until(lambda: task.state == "running", "pixels")
    said = sorted(addon("loop.status_bar")._said_in)
    first = desk.window.workspace
    desk.window.workspace = next(each for each in bpy.data.workspaces if each != first)
    yield 4 * DRAWN_S
    task.cancel()
    yield from until(lambda: not running_operators(), "the end", 10)
    yield DRAWN_S
    left = sorted(addon("loop.status_bar")._said_in)
    bpy.context.window_manager.windows[0].workspace = first
    yield 4 * DRAWN_S
    return {"said": said, "first": first.name, "left": left}


def scene_undo() -> Steps:
    """Ctrl+Z takes the texture away in one step, Ctrl+Shift+Z brings it back."""
    desk = yield from new_file()
    before = cube().active_material.name
    task, _ = yield from generate(desk, 1024, 5)
    yield from until(lambda: is_assigned(task), "the texture")
    yield DRAWN_S
    after = [cube().active_material.name, shown(cube())]
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: not shown(cube()), "no texture", 10)
    undone = cube().active_material.name
    seed = settings().seed
    yield from desk.press("Z", ctrl=True, shift=True)
    yield from until(lambda: shown(cube()), "the texture again", 10)
    image = next(iter(addon("material.materials").images_of(cube().active_material).values()))
    return {
        "before": before,
        "after": after,
        "undone": undone,
        "seed": seed,
        "redone": [cube().active_material.name, shown(cube())],
        "pixels": len(image.pixels) // image.channels,
        "differs": len(set(image.pixels[:300])) > 3,
    }


def scene_undo_set() -> Steps:
    """A set of maps at 1K takes the place of one at 512; undone, and done again."""
    desk = yield from new_file()
    found = [model.name for model in session().catalogue.models if len(model.maps) > 1]
    if not found:
        raise Lacking("no model here paints several maps")
    settings().model = found[0]
    told = {}
    for side, name in ((512, "small"), (1024, "large")):
        task, _ = yield from generate(desk, side, 5)
        yield from until(lambda task=task: is_assigned(task), "the texture")
        yield DRAWN_S
        told[name] = _set_of(cube().active_material)
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: _set_of(cube().active_material)["sizes"] == [512], "the smaller one", 10)
    told["undone"] = _set_of(cube().active_material)
    yield from desk.press("Z", ctrl=True, shift=True)
    yield from until(lambda: _set_of(cube().active_material)["sizes"] == [1024], "the larger one", 10)
    told["redone"] = _set_of(cube().active_material)
    return told


def _set_of(material: Any) -> dict[str, Any]:
    tree = material.node_tree
    images = addon("material.materials").images_of(material)
    return {
        "nodes": sorted(node.name for node in tree.nodes),
        "links": sorted([each.from_node.name, each.to_node.name, each.to_socket.identifier] for each in tree.links),
        "maps": sorted(images),
        "sizes": sorted({image.size[0] for image in images.values()}),
        "has_pixels": all(image.has_data or len(image.pixels) for image in images.values()),
        "method": material.displacement_method,
        "images": len(of_ours()["images"]),
    }


def scene_undo_under_way() -> Steps:
    """Ctrl+Z while a job runs: what the artist did before is undone, and the texture still comes, or says why not."""
    told: dict[str, Any] = {}
    desk = yield from new_file()
    ask_for(4096, 6)
    cube().location.x = 3
    bpy.ops.ed.undo_push(message="Move")
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(cube()), "the preview")
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: cube().location.x == 0, "the cube where it was", 10)
    told["ended_when_undone"] = task.ended
    yield from until(lambda: is_assigned(task), "the texture")
    told["moved"] = {"state": task.state, "shown": shown(cube()), "x": cube().location.x, **of_ours()}
    yield DRAWN_S
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: not shown(cube()), "no texture", 10)
    told["undone"] = {"material": cube().active_material.name, "x": cube().location.x}

    desk = yield from new_file()
    ask_for(4096, 7)
    with desk.override():
        bpy.ops.mesh.primitive_plane_add("EXEC_DEFAULT", True)
    yield DRAWN_S
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(bpy.data.objects["Plane"]), "the preview")
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: "Plane" not in bpy.data.objects, "no plane", 10)
    yield from until(lambda: is_assigned(task), "the end")
    yield 0.5
    told["gone"] = {"state": task.state, "message": task.message, "operators": running_operators(), **of_ours()}
    return told


def scene_edit_mode() -> Steps:
    """The artist is in Edit Mode when preview and texture come, leaves it, and undoes all of it."""
    desk = yield from new_file()
    ask_for(2048, 12)
    place = yield from desk.find("texserver.generate")
    with desk.override():
        bpy.ops.object.mode_set("EXEC_DEFAULT", True, mode="EDIT")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(cube()), "the preview")
    with desk.override():
        bpy.ops.mesh.subdivide("EXEC_DEFAULT", True)
    yield from until(lambda: is_assigned(task), "the texture")
    told: dict[str, Any] = {"state": task.state, "mode": cube().mode, "shown": shown(cube())}
    with desk.override():
        bpy.ops.mesh.subdivide("EXEC_DEFAULT", True)
        bpy.ops.object.mode_set("EXEC_DEFAULT", True, mode="OBJECT")
    told["kept"] = shown(cube())
    seen = []
    for _ in range(8):
        yield from desk.press("Z", ctrl=True)
        yield DRAWN_S
        seen.append([cube().mode, shown(cube())])
    told["undone"] = seen
    for _ in range(8):
        yield from desk.press("Z", ctrl=True, shift=True)
        yield DRAWN_S
    told["redone"] = [cube().mode, shown(cube())]
    return told


def scene_save() -> Steps:
    """A file saved while a job runs holds no preview, and the preview is there again afterwards."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 13)
    preview = yield from until(lambda: shown(cube()), "the preview")
    path = str(Path(bpy.app.tempdir, "saved.blend"))
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    with bpy.data.libraries.load(path) as (saved, _):
        told: dict[str, Any] = {"materials": list(saved.materials), "images": list(saved.images)}
    told["preview"] = preview
    told["again"] = yield from until(lambda: shown(cube()), "the preview again", 10)
    task.cancel()
    yield from until(lambda: is_assigned(task), "the end", 10)
    return told


def scene_new_file() -> Steps:
    """File > New while a job runs: it ends, and the next file works as ever."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 8)
    yield from until(lambda: task.state == "running" and shown(cube()), "pixels")
    counted = yield from ask_status()
    desk = yield from new_file()
    yield 0.6
    report = yield from report_of_cancelling(counted)
    told = {
        "state": task.state,
        "message": task.message,
        "leftovers": leftovers(),
        "operators": running_operators(),
        "cancelled": report["cancelled"],
        "cube": shown(cube()),
        **of_ours(),
    }
    task, _ = yield from generate(desk, 512, 9)
    yield from until(lambda: is_assigned(task), "a texture in the new file")
    told["next"] = {"state": task.state, "shown": shown(cube())}
    return told


def scene_quit() -> Steps:
    """Start Local Server, a job, and Blender's own way out in the midst of it."""
    chosen = addon("panel.preferences").get()
    chosen.server_command, chosen.models_folder = TASK["server_command"], TASK["models"]
    bpy.ops.wm.read_homefile()
    yield DRAWN_S
    desk = Desk()
    yield from desk.open_tab()
    yield from until(lambda: session().connection.state == "failed-for-now", "no server, in words", 20)
    yield 3 * DRAWN_S
    yield from desk.click("texserver.start_server")
    server = addon("tasks.state").local_server()
    yield from until(lambda: server.state == "running", "the local server")
    yield from until(lambda: session().connection.state == "ready" and session().catalogue.settled, "its models")
    settings().model = TASK["model"]
    yield 2 * DRAWN_S
    task, _ = yield from generate(desk, LARGE, 11)
    yield from until(lambda: task.state == "running" and shown(cube()), "pixels")
    told = {
        "server": server._process.pid,
        "state": task.state,
        "drafts": leftovers(),
        "folder": str(session().folder),
        "temporary": bpy.app.tempdir,
    }
    write_fact("quit", {**told, "at": time.monotonic()})
    bpy.ops.wm.quit_blender()
    yield 60.0


def scene_quit_idle() -> Steps:
    """The same way out with nothing going on, for comparison."""
    yield from new_file()
    write_fact("quit_idle", {"at": time.monotonic()})
    bpy.ops.wm.quit_blender()
    yield 60.0
