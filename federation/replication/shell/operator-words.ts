import type { AtollError } from "#federation/runtime/errors.ts";

interface Word {
  readonly epoch: number | undefined;
  readonly done: PromiseWithResolvers<number>;
}

/** What operators say about withdrawals that are held back: each word waits, is taken, and is answered once what it did is durable. */
export class OperatorWords {
  #waiting: Word[] = [];
  #taken: { readonly word: Word; readonly count: number }[] = [];

  /** Answers how many objects went by it. */
  async say(epoch: number | undefined): Promise<number> {
    const word: Word = { epoch, done: Promise.withResolvers<number>() };
    this.#waiting.push(word);
    return await word.done.promise;
  }

  /** Has `letGo` carry out those that wait; it answers how many objects went. False when there are none. */
  take(letGo: (epoch: number | undefined) => number): boolean {
    const words = this.#waiting;
    this.#waiting = [];
    for (const word of words) this.#taken.push({ word, count: letGo(word.epoch) });
    return words.length > 0;
  }

  /** What was taken is durable. */
  answer(): void {
    const taken = this.#taken;
    this.#taken = [];
    for (const { word, count } of taken) word.done.resolve(count);
  }

  /** Nothing more will become of any of them. */
  refuse(error: AtollError): void {
    for (const { done } of [...this.#waiting, ...this.#taken.map(({ word }) => word)]) done.reject(error);
  }
}
