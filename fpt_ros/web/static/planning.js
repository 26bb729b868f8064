// SPDX-License-Identifier: Apache-2.0
// A plan: the person marks what should move where, what must stay and where one may touch; the
// engine finds pushes.

import { timed } from "./asking.js";
import { change, onChange, state } from "./state.js";

const TOLERANCE = 0.02; // of the picture's width
const REACH = 2; // times the longest goal

/** @param {HTMLElement} section @param {import("./engine.js").Engine} engine */
export function showPlanning(section, engine) {
  const find = section.querySelector("#find");
  const list = section.querySelector("ol");

  for (const radio of section.querySelectorAll("input[name=tool]")) {
    radio.addEventListener("change", () => change({ tool: radio.value }));
  }
  find.addEventListener("click", async () => {
    find.disabled = true;
    change({ message: "", plans: null });
    await plan(engine);
    find.disabled = state.goals.length === 0;
  });
  onChange((names) => {
    if (names.has("goals")) find.disabled = state.goals.length === 0;
    if (names.has("tool")) section.querySelector(`[value=${state.tool}]`).checked = true;
    if (names.has("plans") || names.has("plan")) fill(list);
  });
}

async function plan(engine) {
  const { picture, goals, stay, touch } = state;
  const longest = Math.max(...goals.map(([, , dx, dy]) => Math.hypot(dx, dy)));
  const wish = {
    points: goals.map(([x, y]) => [x, y]),
    goals: goals.map(([, , dx, dy]) => [dx, dy]),
    stay,
    touch,
    reach: Math.max(REACH * longest, 0.05 * picture.width),
    tolerance: TOLERANCE * picture.width,
  };
  const ask = ({ image, cameraMoving }) => engine.plan({ ...wish, image, cameraMoving });
  const plans = await timed("plan", ask);
  if (!plans) return;
  change({ plans, plan: 0 });
  if (plans.pokes.length) take(0);
}

/** Make a plan's push the one that is shown. */
function take(index) {
  const { plans, goals } = state;
  change({ pokes: [plans.pokes[index]], plan: index, query: goals[0].slice(0, 2), hover: null, poked: true, tool: "poke" });
}

function fill(list) {
  list.replaceChildren();
  const { plans } = state;
  if (!plans) return;
  plans.reasons.forEach((reason, i) => {
    const item = document.createElement("li");
    if (i < plans.pokes.length) {
      const button = document.createElement("button");
      button.textContent = chances(plans.chances[i]);
      button.setAttribute("aria-pressed", String(i === state.plan));
      button.addEventListener("click", () => take(i));
      item.append(button);
    }
    if (reason) {
      const textContent = `Will hardly work: ${reason}`;
      item.append(Object.assign(document.createElement("p"), { textContent }));
    }
    list.append(item);
  });
}

/** How probable it is that each goal is reached and each point stays. */
function chances(each) {
  const percent = (values) => values.map((value) => `${Math.round(100 * value)}\u00a0%`).join(", ");
  const reached = percent(each.slice(0, state.goals.length));
  const stays = percent(each.slice(state.goals.length));
  return `Goal reached: ${reached}${stays && `; stays: ${stays}`}`;
}
