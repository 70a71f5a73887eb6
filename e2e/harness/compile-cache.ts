import { join } from "node:path";

/** Where programs that tests and the bench start keep compiled code: the launcher's place (bin/atoll.cjs). */
export const compileCache = join(import.meta.dirname, "../../node_modules/.cache/atoll-compile");
