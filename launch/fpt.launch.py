# SPDX-License-Identifier: Apache-2.0
"""Starts the node fpt, and rviz with it if asked: ros2 launch fpt_ros fpt.launch.py --show-args

An argument that is given wins over the parameters file and over SetParameter; one that is not
given changes nothing.
"""

from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_path,
)
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from fpt_ros.ros.cameras import find_camera
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

NOT_GIVEN = ""
BOOLEANS = ["true", "false", "True", "False"]
# Arguments that are parameters of the node, with their types.
PARAMETERS = {
    "checkpoint": str,
    "device": str,
    "image_transport": str,
    "depth_image_transport": str,
    "autostart": bool,
    "use_sim_time": bool,
}
# Name, default, what it means, and what is allowed where not anything is.
ARGUMENTS = [
    (
        "params_file",
        NOT_GIVEN,
        "Parameters of the node (YAML), for example your copy of config/fpt.yaml, which explains "
        "each; empty: the node's defaults",
        None,
    ),
    ("namespace", NOT_GIVEN, "Namespace of the node, one for each camera", None),
    (
        "image",
        NOT_GIVEN,
        "Image topic; with image_transport compressed without /compressed; empty: that of the one "
        "camera that publishes, else image",
        None,
    ),
    (
        "image_transport",
        NOT_GIVEN,
        "How images arrive; empty: as the parameters file says",
        [NOT_GIVEN, "raw", "compressed"],
    ),
    (
        "depth",
        NOT_GIVEN,
        "Topic of depth images registered to the image, for answers in metres; with "
        "depth_image_transport compressedDepth without /compressedDepth; empty: depth",
        None,
    ),
    (
        "depth_image_transport",
        NOT_GIVEN,
        "How depth arrives; empty: as the parameters file says",
        [NOT_GIVEN, "raw", "compressedDepth"],
    ),
    (
        "checkpoint",
        NOT_GIVEN,
        "Weights: embedded, hub:OWNER/NAME[@REVISION]/FILE or a path; empty: as the parameters "
        "file says",
        None,
    ),
    (
        "device",
        NOT_GIVEN,
        "auto, cpu, cuda or cuda:N; empty: as the parameters file says",
        None,
    ),
    (
        "autostart",
        NOT_GIVEN,
        "Whether the node configures and activates itself, false where a lifecycle manager does; "
        "empty: as the parameters file says, else true",
        [NOT_GIVEN, *BOOLEANS],
    ),
    (
        "use_sim_time",
        NOT_GIVEN,
        "Whether time comes from /clock (recordings, simulators); empty: as the parameters file "
        "says, else false",
        [NOT_GIVEN, *BOOLEANS],
    ),
    (
        "respawn",
        "false",
        "Whether the node is started again two seconds after it died",
        BOOLEANS,
    ),
    (
        "log_level",
        NOT_GIVEN,
        "What the node logs; empty: info and above",
        [NOT_GIVEN, "debug", "info", "warn", "error", "fatal"],
    ),
    ("rviz", "false", "Whether to show picture, pokes and motion in rviz", BOOLEANS),
    (
        "poke",
        NOT_GIVEN,
        "Whether fpt_poke runs, which shows the picture in rviz and makes pokes of what is clicked "
        "there or in rqt; empty: with rviz",
        [NOT_GIVEN, *BOOLEANS],
    ),
]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name, default_value=default, description=text, choices=choices
                )
                for name, default, text, choices in ARGUMENTS
            ),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """All checks come before the first process, so that an error leaves none behind."""
    values = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    with_rviz = values["rviz"].lower() == "true"
    if with_rviz:
        _need_rviz()
    if values["params_file"] != NOT_GIVEN and not Path(values["params_file"]).is_file():
        raise RuntimeError(f"params_file is '{values['params_file']}': there is no such file")
    said, image = _image_topic(context, values)
    started = [_node(values, image)]
    if (values["poke"] or values["rviz"]).lower() == "true":
        started.append(_poke(values, image))
    if with_rviz:
        namespace = context.launch_configurations.get("ros_namespace", "")
        started.append(_rviz(values, image, namespace))
    return [*said, *started]


def _need_rviz() -> None:
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        raise RuntimeError(
            "rviz:=true: rviz2 is not installed: sudo apt install ros-$ROS_DISTRO-rviz2, or launch "
            "without rviz"
        ) from None


def _image_topic(
    context: LaunchContext, values: dict[str, str]
) -> tuple[list[LaunchDescriptionEntity], str]:
    """What to log, and what replaces the topic `image`: as given, or the one camera's."""
    if values["image"] != NOT_GIVEN:
        return [], values["image"]
    if "image" in dict(context.launch_configurations.get("ros_remaps", [])):  # SetRemap
        return [], "image"
    namespace = context.launch_configurations.get("ros_namespace", "") + "/" + values["namespace"]
    try:
        found = find_camera(namespace, values["image_transport"])
    except ValueError as error:
        raise RuntimeError(f"{error}: say which one with image:=TOPIC") from None
    if found is None:
        return [
            LogInfo(msg="no camera found: waiting for the topic image; else image:=TOPIC")
        ], "image"
    return [
        LogInfo(msg=f"images from {found}, the one camera found; another with image:=TOPIC")
    ], found


def _node(values: dict[str, str], image: str) -> LifecycleNode:
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in PARAMETERS.items()
        if values[name] != NOT_GIVEN
    }
    files = [values["params_file"]] if values["params_file"] != NOT_GIVEN else []
    level = ["--log-level", values["log_level"]] if values["log_level"] != NOT_GIVEN else []
    return LifecycleNode(
        package="fpt_ros",
        executable="fpt_node",
        name="fpt",
        namespace=values["namespace"],
        # Later ones win: SetParameter comes after these arguments, then the parameters below.
        arguments=["--ros-args", "-p", "autostart:=true", *level],
        parameters=[*files, given],
        remappings=_remappings(values, image),
        output="screen",
        emulate_tty=True,
        respawn=values["respawn"].lower() == "true",
        respawn_delay=2.0,
    )


def _poke(values: dict[str, str], image: str) -> Node:
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=PARAMETERS[name])
        for name in ("image_transport", "depth_image_transport", "use_sim_time")
        if values[name] != NOT_GIVEN
    }
    files = [values["params_file"]] if values["params_file"] != NOT_GIVEN else []
    return Node(
        package="fpt_ros",
        executable="fpt_poke",
        name="fpt_poke",
        namespace=values["namespace"],
        parameters=[*files, given],
        remappings=_remappings(values, image),
        output="screen",
        emulate_tty=True,
    )


def _remappings(values: dict[str, str], image: str) -> list[tuple[str, str]]:
    depth = [("depth", values["depth"])] if values["depth"] != NOT_GIVEN else []
    return [("image", image), *depth]


def _rviz(values: dict[str, str], image: str, namespace: str) -> Node:
    # The frame that fpt_poke announces: in a namespace, with it before.
    parts = [*namespace.split("/"), *values["namespace"].split("/"), "fpt_view"]
    config = get_package_share_path("fpt_ros") / "config/fpt.rviz"
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=values["namespace"],
        arguments=[
            *("--display-config", str(config)),
            *("--fixed-frame", "/".join(part for part in parts if part)),
        ],
        remappings=[("image", image)],
    )
