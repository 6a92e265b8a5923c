"""The operators for the server on this computer: set it up, update and remove it, start and stop it."""

from typing import Any

from bpy.props import BoolProperty

from ..loop import pump
from ..tasks import state
from . import preferences, server_setup
from .operator import FINISHED, Operator, Outcome


class TEXSERVER_OT_setup_server(Operator):
    """Install texserver on this computer, in a folder of its own, and start it. It fetches some hundred MB or more"""

    bl_idname = "texserver.setup_server"
    bl_label = "Set Up Server"

    allow_access: BoolProperty(
        name="Allow Online Access",
        description="Also set Blender's own preference of this name",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def refusal(cls, context: Any) -> str:
        return server_setup.refusal(preferences.get())

    def execute(self, context: Any) -> Outcome:
        if server_setup.needs_access(preferences.get()):
            if not self.allow_access:
                return self.fail(f"{server_setup.NO_ACCESS}.")
            context.preferences.system.use_online_access = True
        setup = state.installation()
        setup.install(server_setup.order_of(preferences.get()))
        if setup.state == "failed":
            return self.fail(setup.message)
        pump.redraw()
        return FINISHED


class TEXSERVER_OT_cancel_setup(Operator):
    """Stop setting the server up, and remove what is there of it"""

    bl_idname = "texserver.cancel_setup"
    bl_label = "Cancel Setup"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not state.installation().busy:
            return "No setup is under way"
        return ""

    def execute(self, context: Any) -> Outcome:
        state.installation().cancel()
        return FINISHED


class TEXSERVER_OT_remove_server(Operator):
    """Stop the server that was set up here, and remove it. Models stay"""

    bl_idname = "texserver.remove_server"
    bl_label = "Remove Server"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if state.installation().busy:
            return "A setup is under way"
        if server_setup.environment_of(preferences.get()) is None:
            return "No server is set up in this folder"
        return ""

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> Outcome:
        state.local_server().stop()
        setup = state.installation()
        setup.remove(server_setup.folder_of(preferences.get()))
        return self.fail(setup.message) if setup.state == "failed" else FINISHED


class TEXSERVER_OT_start_server(Operator):
    """Start texserver on this computer. It stops when Blender quits"""

    bl_idname = "texserver.start_server"
    bl_label = "Start Local Server"

    def execute(self, context: Any) -> Outcome:
        why = server_setup.start(preferences.get())
        return self.fail(why) if why else FINISHED


class TEXSERVER_OT_stop_server(Operator):
    """Stop the server that this Blender started"""

    bl_idname = "texserver.stop_server"
    bl_label = "Stop Local Server"

    def execute(self, context: Any) -> Outcome:
        state.local_server().stop()
        return FINISHED


def start_new_server() -> str:
    """A server was set up: start it, in place of the one that runs. Returns why it is not started, "" if it is."""
    state.local_server().stop()
    state.session().wanted = True
    return server_setup.start(preferences.get())


CLASSES = (
    TEXSERVER_OT_setup_server,
    TEXSERVER_OT_cancel_setup,
    TEXSERVER_OT_remove_server,
    TEXSERVER_OT_start_server,
    TEXSERVER_OT_stop_server,
)
