/**
 * `node:http` without the browser's names in it. An import statement reads every export, also the getter `WebSocket`, which
 * loads a whole client library: 3 MB of each process (Node 24) that nobody here asks for. Types come from `node:http` as usual.
 */
export const { Agent, createServer, maxHeaderSize, request, STATUS_CODES } = process.getBuiltinModule("node:http");
