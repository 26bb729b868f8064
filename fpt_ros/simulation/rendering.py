# SPDX-License-Identifier: Apache-2.0
"""Off-screen pictures of a MuJoCo scene: colour, depth, and which body each pixel shows."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

    from fpt_ros.simulation.camera import Camera

NEAR, FAR = 0.05, 12.0
"""Clipping planes in metres; nothing nearer or farther is drawn."""

GEOMETRY_FLAGS = {
    mujoco.mjtRndFlag.mjRND_SEGMENT: 1,
    mujoco.mjtRndFlag.mjRND_IDCOLOR: 1,
    mujoco.mjtRndFlag.mjRND_SHADOW: 0,
    mujoco.mjtRndFlag.mjRND_SKYBOX: 0,
}


def _gl_context(width: int, height: int) -> Any:
    """As MUJOCO_GL has it now; MuJoCo itself reads it when it is first imported, perhaps before
    `fpt_ros.simulation` has set it."""
    library = os.environ.get("MUJOCO_GL", "").lower()
    if library in ("osmesa", "egl"):
        return importlib.import_module(f"mujoco.{library}").GLContext(width, height)
    return mujoco.GLContext(width, height)


class Renderer:
    """Renders one model at one size. Use as a context manager: it holds an OpenGL context.

    The model's render settings are changed to fast ones: small shadow map, no multisampling,
    no reflections (shadows with MuJoCo's defaults take four times as long).
    """

    def __init__(
        self, model: mujoco.MjModel, width: int, height: int, shadow_map: int = 512
    ) -> None:
        self.model, self.width, self.height = model, width, height
        self._set_fast(model, width, height)
        model.vis.quality.shadowsize = shadow_map
        self._gl = _gl_context(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0

    @staticmethod
    def _set_fast(model: mujoco.MjModel, width: int, height: int) -> None:
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.quality.offsamples = 0
        model.vis.map.znear = NEAR / model.stat.extent
        model.vis.map.zfar = FAR / model.stat.extent
        model.mat_reflectance[:] = 0

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.free()
        self._gl.free()

    def colour(self, data: mujoco.MjData, camera: Camera) -> UInt8[np.ndarray, "h w 3"]:
        """RGB picture of the scene as it stands in `data` (after `mj_forward`)."""
        self._update(data, camera)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        picture = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, self._viewport, self._context)
        return picture[::-1]

    def geometry(
        self, data: mujoco.MjData, camera: Camera
    ) -> tuple[Float[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
        """Depth along the camera's axis in metres, and the body of each pixel.

        A pixel that shows nothing has depth FAR and body 0, the world.
        """
        self._update(data, camera)
        before = self._scene.flags.copy()
        for flag, value in GEOMETRY_FLAGS.items():
            self._scene.flags[flag] = value
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        self._scene.flags[:] = before
        colours = np.empty((self.height, self.width, 3), np.uint8)
        nearness = np.empty((self.height, self.width), np.float32)
        mujoco.mjr_readPixels(colours, nearness, self._viewport, self._context)
        depth = NEAR * FAR / (nearness[::-1].astype(np.float64) * (FAR - NEAR) + NEAR)
        return depth, self._bodies(colours[::-1])

    def _update(self, data: mujoco.MjData, camera: Camera) -> None:
        mujoco.mjv_updateScene(
            self.model,
            data,
            self._option,
            None,
            mujoco.MjvCamera(),
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        half = NEAR * np.tan(np.radians(camera.fovy) / 2)
        for view in self._scene.camera:  # two eyes, both at the same place
            view.pos = camera.position
            view.forward, view.up = camera.axes[2], -camera.axes[1]
            view.frustum_center, view.frustum_width = 0.0, 0.0
            view.frustum_bottom, view.frustum_top = -half, half
            view.frustum_near, view.frustum_far = NEAR, FAR
        self._move_headlight(camera)

    def _move_headlight(self, camera: Camera) -> None:
        for light in self._scene.lights[: self._scene.nlight]:
            if light.headlight:
                light.pos, light.dir = camera.position, camera.axes[2]

    def _bodies(self, colours: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
        """The scene draws geom i in the colour of the number i + 1."""
        numbers = colours.astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        body_of = np.zeros(self._scene.ngeom + 1, np.int64)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                body_of[geom.segid + 1] = self.model.geom_bodyid[geom.objid]
        return body_of[numbers]
