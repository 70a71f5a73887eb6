import { runTasks, type Task } from "./lifecycle.ts";
import { until, type Watched } from "./watched.ts";

/** Runs `task` for as long as `condition` holds, and again each time that it holds anew; what fails is thrown. Ends when `signal` aborts. */
export function runWhile(condition: Watched<boolean>, task: Task): Task {
  return async (signal) => {
    while (!signal.aborted) {
      await until(condition, (holds) => holds, signal);
      const ended = new AbortController();
      const noticing: Task = async (inner) => {
        await until(condition, (holds) => !holds, inner);
        ended.abort();
      };
      await runTasks([noticing, task], AbortSignal.any([signal, ended.signal]));
    }
  };
}
