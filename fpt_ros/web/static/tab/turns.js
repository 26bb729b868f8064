// SPDX-License-Identifier: Apache-2.0
// Requests in turns, one step of one at a time: the newest of each kind, kinds by turns.

/** Kinds that a newer request stops; of the others, one that was begun is finished, unless the newer
 *  one is smaller: the page asks about few points while something is dragged. */
const LONG = new Set(["sample", "plan"]);

export class Turns {
  #waiting = new Map(); // kind: job
  #begun = new Map(); // kind: job, whoever is next first
  #running = false;

  /** @param {string} kind @param {AsyncGenerator} steps whose value is the answer
   *  @param {number} size points that it asks about
   *  @returns {Promise<object|null>} null if a newer request replaced it */
  ask(kind, steps, size) {
    return new Promise((resolve, reject) => {
      this.#waiting.get(kind)?.resolve(null);
      this.#waiting.set(kind, { steps, size, resolve, reject, milliseconds: 0 });
      if (!this.#running) this.#run();
    });
  }

  async #run() {
    this.#running = true;
    while (this.#waiting.size || this.#begun.size) {
      await newMessages();
      this.#beginWaiting();
      const [kind, job] = this.#begun.entries().next().value;
      this.#begun.delete(kind);
      if (!(await advanced(job))) this.#begun.set(kind, job);
    }
    this.#running = false;
  }

  #beginWaiting() {
    for (const [kind, job] of this.#waiting) {
      const begun = this.#begun.get(kind);
      if (begun && !LONG.has(kind) && job.size >= begun.size) continue;
      begun?.resolve(null);
      this.#begun.delete(kind);
      this.#begun.set(kind, job);
      this.#waiting.delete(kind);
    }
  }
}

/** Take one step of a job. @returns {Promise<boolean>} whether it has ended */
async function advanced(job) {
  const begin = performance.now();
  try {
    const { done, value } = await job.steps.next();
    job.milliseconds += performance.now() - begin;
    if (done) job.resolve({ ...value, milliseconds: job.milliseconds });
    return done;
  } catch (error) {
    job.reject(error);
    return true;
  }
}

const channel = new MessageChannel();

/** Let in the messages that have arrived: this one stands behind them. */
function newMessages() {
  return new Promise((resolve) => {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });
}
