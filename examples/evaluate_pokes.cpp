// SPDX-FileCopyrightText: 2026 fpt_ros maintainers
// SPDX-License-Identifier: Apache-2.0
// Where to push so that a point of the image moves as wanted? Asks ~/evaluate_pokes about places
// in a ring around the point, each pushed the wanted way, and prints the best.
//
//   ros2 run fpt_ros evaluate_pokes 320 240 40 0    (point x, y and wanted motion dx, dy in pixels)

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fpt_ros/srv/evaluate_pokes.hpp>
#include <rclcpp/rclcpp.hpp>

using fpt_ros::srv::EvaluatePokes;
using std::chrono_literals::operator""s;

constexpr int PLACES = 16;
constexpr double RADIUS = 20.0;  // pixels

// One candidate for each place, with one poke of the same displacement.
std::vector<fpt_ros::msg::PokeArray> ring(float x, float y, float dx, float dy)
{
  std::vector<fpt_ros::msg::PokeArray> candidates(PLACES);
  for (int i = 0; i < PLACES; ++i) {
    const double angle = 2.0 * M_PI * i / PLACES;
    fpt_ros::msg::Poke poke;
    poke.x = static_cast<float>(x + RADIUS * std::cos(angle));
    poke.y = static_cast<float>(y + RADIUS * std::sin(angle));
    poke.dx = dx;
    poke.dy = dy;
    candidates[i].pokes.push_back(poke);
  }
  return candidates;
}

// The answer, or null once the reason is logged.
EvaluatePokes::Response::SharedPtr ask(
  const rclcpp::Node::SharedPtr & node, const EvaluatePokes::Request::SharedPtr & request)
{
  auto client = node->create_client<EvaluatePokes>("fpt/evaluate_pokes");
  if (!client->wait_for_service(10s)) {
    RCLCPP_ERROR(
      node->get_logger(), "nobody offers %s: is the node running?", client->get_service_name());
    return nullptr;
  }
  auto future = client->async_send_request(request);
  if (rclcpp::spin_until_future_complete(node, future, 30s) != rclcpp::FutureReturnCode::SUCCESS) {
    RCLCPP_ERROR(node->get_logger(), "no answer from %s", client->get_service_name());
    return nullptr;
  }
  const auto answer = future.get();
  if (answer->error_code != 0) {  // a value of fpt_ros/msg/ErrorCode
    RCLCPP_ERROR(node->get_logger(), "%s", answer->error_msg.c_str());
    return nullptr;
  }
  return answer;
}

int main(int argc, char ** argv)
{
  const auto arguments = rclcpp::init_and_remove_ros_arguments(argc, argv);
  float x, y, dx, dy;
  std::string numbers;
  for (size_t i = 1; i < arguments.size(); ++i) {
    numbers += arguments[i] + " ";
  }
  if (std::sscanf(numbers.c_str(), "%f %f %f %f", &x, &y, &dx, &dy) != 4) {
    std::fprintf(stderr, "usage: evaluate_pokes x y dx dy [--ros-args ...]\n");
    return 2;
  }

  auto request = std::make_shared<EvaluatePokes::Request>();  // zero stamp: the newest image
  request->candidates = ring(x, y, dx, dy);
  request->x = {x};
  request->y = {y};
  request->goal_dx = {dx};
  request->goal_dy = {dy};
  request->tolerance = 10.0f;

  auto node = std::make_shared<rclcpp::Node>("evaluate_pokes");
  const auto answer = ask(node, request);
  if (!answer) {
    return 1;
  }
  // probability and expected_error are [candidates, points], row by row; here of one point.
  for (int i = 0; i < PLACES; ++i) {
    const auto & poke = request->candidates[i].pokes[0];
    std::printf(
      "%c push at (%.1f, %.1f): probability %.3f, expected error %.2f px\n",
      i == answer->best ? '*' : ' ', poke.x, poke.y,
      answer->probability[i], answer->expected_error[i]);
  }
  rclcpp::shutdown();
  return 0;
}
