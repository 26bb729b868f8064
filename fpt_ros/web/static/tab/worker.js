// SPDX-License-Identifier: Apache-2.0
// The worker of the page without a server: opens pictures and answers requests, see ../tab_engine.js.

import { Model } from "./model.js";
import { TabPicture } from "./picture.js";
import { plan } from "./plan.js";
import { Turns } from "./turns.js";
import { makeView, squareOf } from "./view.js";

const loading = Model.load();
const turns = new Turns();
let picture = null;
let image = 0;

const answers = {
  /** The model's description, once it is loaded. */
  async *hello() {
    return { description: (await loading).description };
  },
  async *open({ width, height, pixels, embedded }) {
    const model = await loading;
    const view = makeView(width, height);
    const tensors = embedded
      ? await model.embedded(new URL(embedded))
      : await model.embed(squareOf({ data: pixels, width }, view, model.size));
    picture = new TabPicture(model, view, tensors);
    return { image: ++image };
  },
  predict: (question) => picture.predict(question),
  field: (question) => picture.field(question),
  sample: (question) => picture.sample(question),
  plan: (wish) => plan(picture, wish),
};

onmessage = async ({ data: { id, kind, ...question } }) => {
  try {
    const asks = "image" in question;
    if (asks && question.image !== image) throw new Error("This picture is not open any more.");
    postMessage({ id, answer: await turns.ask(kind, answers[kind](question), question.points?.length ?? 0) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
