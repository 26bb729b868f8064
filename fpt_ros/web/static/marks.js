// SPDX-License-Identifier: Apache-2.0
// Arrows and rings on the picture. Everything is drawn in pixels of the screen, on `context`.

const BLACK = "rgb(15 20 25 / 0.85)";

/** An arrow with a dark border, so that it shows on any picture. */
export function arrow(context, [x, y], [dx, dy], colour, width) {
  const length = Math.hypot(dx, dy);
  if (length < 1) return;
  const head = Math.min(5 * width, 0.5 * length);
  const [u, v] = [dx / length, dy / length];
  const [tipX, tipY] = [x + dx, y + dy];
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(tipX, tipY);
  for (const side of [1, -1]) {
    context.moveTo(tipX - head * (u - 0.6 * side * v), tipY - head * (v + 0.6 * side * u));
    context.lineTo(tipX, tipY);
  }
  outlined(context, colour, width);
}

export function ring(context, [x, y], radius, colour, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  outlined(context, colour, width);
}

export function dot(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.strokeStyle = BLACK;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

/** A cross in a ring: a point that must stay. */
export function pin(context, [x, y], colour) {
  ring(context, [x, y], 7, colour, 2);
  context.beginPath();
  for (const [u, v] of [[1, 1], [1, -1]]) {
    context.moveTo(x - 4 * u, y - 4 * v);
    context.lineTo(x + 4 * u, y + 4 * v);
  }
  outlined(context, colour, 2);
}

function outlined(context, colour, width) {
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = BLACK;
  context.lineWidth = width + 2.5;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}
