import { runTasks, type Task } from "./lifecycle.ts";
import { until, type Watched } from "./watched.ts";

/** Runs `task` until `watched` has a value that satisfies `isOver`, it fails or `signal` aborts; what fails is thrown. */
export async function runUntil<T>(watched: Watched<T>, isOver: (value: T) => boolean, task: Task, signal: AbortSignal): Promise<void> {
  const ended = new AbortController();
  const noticing: Task = async (inner) => {
    await until(watched, isOver, inner);
    ended.abort();
  };
  await runTasks([noticing, task], AbortSignal.any([signal, ended.signal]));
}

/** Runs `task` for as long as `condition` holds, and again each time that it holds anew; what fails is thrown. Ends when `signal` aborts. */
export function runWhile(condition: Watched<boolean>, task: Task): Task {
  return async (signal) => {
    while (!signal.aborted) {
      await until(condition, (holds) => holds, signal);
      await runUntil(condition, (holds) => !holds, task, signal);
    }
  };
}
