"""Starts the node fpt, and rviz with it if asked: ros2 launch fpt_ros fpt.launch.py --show-args

Values come from the parameters file; an argument given here wins over it.
"""

from ament_index_python.packages import get_package_share_path
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

CONFIG = get_package_share_path("fpt_ros") / "config"
FROM_FILE = ""
# Arguments that are parameters of the node, with their types.
PARAMETERS = {
    "checkpoint": str,
    "device": str,
    "image_transport": str,
    "autostart": bool,
    "use_sim_time": bool,
}


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "params_file",
                default_value=str(CONFIG / "fpt.yaml"),
                description="Parameters of the node (YAML); config/fpt.yaml explains each",
            ),
            DeclareLaunchArgument(
                "namespace",
                default_value="",
                description="Namespace of the node, one for each camera",
            ),
            DeclareLaunchArgument(
                "image",
                default_value="image",
                description="Image topic; with image_transport compressed without /compressed",
            ),
            DeclareLaunchArgument(
                "image_transport",
                default_value=FROM_FILE,
                choices=[FROM_FILE, "raw", "compressed"],
                description="How images arrive; empty: as the parameters file says",
            ),
            DeclareLaunchArgument(
                "checkpoint",
                default_value=FROM_FILE,
                description="Weights: embedded, hub:OWNER/NAME[@REVISION]/FILE or a path; "
                "empty: as the parameters file says",
            ),
            DeclareLaunchArgument(
                "device",
                default_value=FROM_FILE,
                description="auto, cpu, cuda or cuda:N; empty: as the parameters file says",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="true",
                choices=["true", "false"],
                description="Whether the node configures and activates itself; "
                "false where a lifecycle manager does",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                choices=["true", "false"],
                description="Whether time comes from /clock (recordings, simulators)",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                choices=["debug", "info", "warn", "error", "fatal"],
                description="What the node logs",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="Whether to show image, overlay and markers in rviz",
            ),
            OpaqueFunction(function=_start_node),
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz",
                namespace=LaunchConfiguration("namespace"),
                arguments=["--display-config", str(CONFIG / "fpt.rviz")],
                remappings=[("image", LaunchConfiguration("image"))],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )


def _start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node with the parameters file and those arguments over it that were given."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in PARAMETERS.items()
        if LaunchConfiguration(name).perform(context) != FROM_FILE
    }
    return [
        LifecycleNode(
            package="fpt_ros",
            executable="fpt_node",
            name="fpt",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), given],
            remappings=[("image", LaunchConfiguration("image"))],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            output="screen",
            emulate_tty=True,
        )
    ]
