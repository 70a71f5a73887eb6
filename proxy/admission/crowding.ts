/** What times say of those who were there before. */
export type CrowdingVerdict = "waits" | "alone" | "unknown";

/** Numbers in use must differ by so much (standard deviation ÷ mean) to say something. */
const spreadMin = 0.2;
/** A time that grows as the number in use does has an elasticity of 1, one that does not of 0. It is clearly waiting from here to there … */
const waitsMin = 0.6;
const waitsMax = 1.5;
/** … and clearly none below this, each by so many standard errors. */
const aloneMax = 0.35;
const errors = 2;
/**
 * A queue's times lie on a line: the number explains so much of their variance. Of times that jump while the number grows, as
 * when an application becomes slow under load, it explains three quarters at most.
 */
const explainedMin = 0.8;

/**
 * Whether requests wait for each other, from the numbers in use that they were admitted among and from what they took: in a
 * queue before fixed workers who comes among twice as many takes twice as long (Little), and in an application that is merely
 * slow it makes no difference. An experiment that costs nothing, for the numbers differ by themselves while load comes or goes.
 * Least squares; the slope is judged as an elasticity, relative to both means. Pure, O(1), no allocation.
 */
export class Crowding {
  #count = 0;
  #amongSum = 0;
  #time = 0;
  #amongSquares = 0;
  #timeSquares = 0;
  #products = 0;

  /** A request was admitted as the `among`-th in use and took `timeMs`. */
  add(among: number, timeMs: number): void {
    this.#count++;
    this.#amongSum += among;
    this.#time += timeMs;
    this.#amongSquares += among * among;
    this.#timeSquares += timeMs * timeMs;
    this.#products += among * timeMs;
  }

  clear(): void {
    this.#count = 0;
    this.#amongSum = 0;
    this.#time = 0;
    this.#amongSquares = 0;
    this.#timeSquares = 0;
    this.#products = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** Of the numbers in use; NaN without any. */
  get among(): number {
    return this.#amongSum / this.#count;
  }

  /** Of the times; NaN without any. */
  get mean(): number {
    return this.#time / this.#count;
  }

  /** Of the times. */
  get variance(): number {
    const { mean } = this;
    return Math.max(0, this.#timeSquares / this.#count - mean * mean);
  }

  verdict(): CrowdingVerdict {
    const { count, mean: time } = this;
    if (count < 3) return "unknown";
    const among = this.#amongSum / count;
    const amongVariance = this.#amongSquares / count - among * among;
    if (time <= 0 || amongVariance < (spreadMin * among) ** 2) return "unknown";
    const covariance = this.#products / count - among * time;
    const slope = covariance / amongVariance;
    const timeVariance = this.variance;
    const unexplained = Math.max(0, timeVariance - slope * covariance);
    const elasticity = (slope * among) / time;
    const error = (errors * Math.sqrt(unexplained / (amongVariance * (count - 2))) * among) / time;
    if (elasticity + error < aloneMax) return "alone";
    const isLine = unexplained <= (1 - explainedMin) * timeVariance;
    return isLine && elasticity - error > waitsMin && elasticity + error < waitsMax ? "waits" : "unknown";
  }
}
