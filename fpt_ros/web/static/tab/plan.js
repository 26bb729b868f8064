// SPDX-License-Identifier: Apache-2.0
// A simple search for pokes: places that would move if the goals were reached, pushed about as they
// would move, then varied. (The library's planner, fpt_ros/planning, searches longer and knows more
// limits.)

import { mean, mixtureAt } from "../mixture.js";
import { probabilityWithin } from "./integrals.js";
import { normals, uniform } from "./random.js";

const PLACES = 256; // that are asked whether they would move
const CANDIDATES = 48; // of a round
const ROUNDS = 4;
const PARENTS = 6;
const PLANS = 3;
const STUCK = 4; // price of a place that stays while the goals are reached, in tolerances
const FLOOR = 0.05; // a plan whose success is less probable will hardly work
const NOTHING = "no poke was found that is within reach and where one may touch";

/** @param {import("./picture.js").TabPicture} picture @param {import("../engine.js").Wish} wish */
export async function* plan(picture, wish) {
  const random = uniform(1);
  const wanted = wish.points.map((point, i) => [...point, ...wish.goals[i]]);
  const targets = [...wanted, ...wish.stay.map((point) => [...point, 0, 0])];
  const places = await movingPlaces(picture, wish, targets);
  if (!places.length) return { pokes: [], chances: [], reasons: [NOTHING] };
  let pokes = wanted.filter((poke) => allowed(picture, wish, poke));
  while (pokes.length < 2 * CANDIDATES) pokes.push(firstPoke(places, wish, random));
  let tried = [];
  for (let round = 0; round < ROUNDS; round++) {
    yield;
    tried = best([...tried, ...(await outcomes(picture, wish, targets, pokes, places))], PARENTS, wish.tolerance / 2);
    const deviation = 0.12 * wish.reach * 0.6 ** round;
    pokes = Array.from({ length: CANDIDATES }, (_, i) => varied(tried[i % tried.length].poke, deviation, random));
    pokes = pokes.filter((poke) => allowed(picture, wish, poke));
    if (!pokes.length) break;
  }
  const plans = best(tried, PLANS, wish.tolerance);
  return {
    pokes: plans.map(({ poke }) => poke),
    chances: plans.map(({ chances }) => chances),
    reasons: plans.map(({ chances }) => reason(Math.min(...chances))),
  };
}

function reason(chance) {
  return chance < FLOOR ? `the chance of success is ${Math.round(100 * chance)} %` : "";
}

/** Where one may touch and what would move if the goals were reached: with its mean motion then,
 *  and how probable it is that it moves at all, likely ones first. */
async function movingPlaces(picture, wish, targets) {
  const { width, height } = picture.view;
  const step = Math.sqrt((width * height) / PLACES);
  const places = wish.points.map((point) => [...point]);
  for (let y = step / 2; y < height - 1; y += step) {
    for (let x = step / 2; x < width - 1; x += step) places.push([x, y]);
  }
  for (const [x, y] of wish.touch) places.push([x, y]);
  const open = places.filter((place) => touchable(picture, wish, place)).slice(0, 2 * PLACES);
  if (!open.length) return [];
  const mixtures = await picture.ask([targets], [open], wish.cameraMoving);
  return open
    .map((place, i) => {
      const mixture = mixtureAt(mixtures, i);
      return { place, motion: mean(mixture), moving: picture.moving(mixture) };
    })
    .sort((a, b) => b.moving - a.moving);
}

/** A likely place, pushed about as it would move. */
function firstPoke(places, { reach }, random) {
  const { place, motion } = places[Math.floor(places.length * random() ** 3)];
  const scale = 0.5 + 1.1 * random();
  const poke = varied([...place, scale * motion[0], scale * motion[1]], 0, random);
  const long = Math.hypot(poke[2], poke[3]) / reach;
  return long > 1 ? [...place, poke[2] / long, poke[3] / long] : poke;
}

function varied(poke, deviation, random) {
  const shifts = [...normals(random), ...normals(random)];
  return poke.map((value, i) => value + deviation * shifts[i]);
}

/** What pokes do: each with its chances, and its price in tolerances, the lower the better. */
async function outcomes(picture, wish, targets, pokes, places) {
  const points = targets.map(([x, y]) => [x, y]);
  const found = await picture.ask(pokes.map((poke) => [poke]), pokes.map(() => points), wish.cameraMoving);
  return pokes.map((poke, i) => {
    const chances = [];
    let error = 0;
    targets.forEach(([, , dx, dy], j) => {
      const mixture = mixtureAt(found, i * targets.length + j);
      chances.push(probabilityWithin(mixture, [dx, dy], wish.tolerance));
      error += meanSquare(mixture, dx, dy);
    });
    const distance = Math.sqrt(error / targets.length) / wish.tolerance;
    return { poke, chances, price: distance + STUCK * (1 - nearest(places, poke).moving) };
  });
}

/** The mean square distance of the displacement from (dx, dy). */
function meanSquare({ weights, means, covariances }, dx, dy) {
  return weights.reduce((sum, weight, k) => {
    const [xx, , yy] = covariances[k];
    return sum + weight * ((means[k][0] - dx) ** 2 + (means[k][1] - dy) ** 2 + xx + yy);
  }, 0);
}

function nearest(places, [x, y]) {
  const far = ({ place }) => (place[0] - x) ** 2 + (place[1] - y) ** 2;
  return places.reduce((near, other) => (far(other) < far(near) ? other : near));
}

/** The best few that are further apart than `apart` in place or displacement. */
function best(tried, count, apart) {
  const chosen = [];
  for (const one of tried.toSorted((a, b) => a.price - b.price)) {
    if (chosen.length === count) break;
    if (chosen.every((other) => distance(other.poke, one.poke) > apart)) chosen.push(one);
  }
  return chosen;
}

function distance(a, b) {
  return Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), Math.hypot(a[2] - b[2], a[3] - b[3]));
}

function allowed(picture, wish, poke) {
  return Math.hypot(poke[2], poke[3]) <= wish.reach && touchable(picture, wish, poke);
}

/** Whether a place is on the picture, and in a disc where one may touch, if there are such. */
function touchable({ view }, { touch }, [x, y]) {
  if (x < 0 || y < 0 || x > view.width - 1 || y > view.height - 1) return false;
  return !touch.length || touch.some(([u, v, radius]) => Math.hypot(x - u, y - v) <= radius);
}
