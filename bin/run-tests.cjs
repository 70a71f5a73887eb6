// `npm test`: every suite with the pinned Node; at the end what failed, what was left out and why, and one line of numbers.
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { stripVTControlCharacters } = require("node:util");

const root = path.join(__dirname, "..");
const node = path.join(root, "node_modules", "node", "bin", "node");
const projects = ["unit", "engines", "scenarios", "containers"];

/** Runs one project; returns its counts. A project that could not run at all counts as one failure. */
function runProject(project, directory) {
  const outputFile = path.join(directory, `${project}.json`);
  const result = spawnSync(
    node,
    [path.join(root, "node_modules", "vitest", "vitest.mjs"), "run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${outputFile}`],
    { cwd: root, stdio: "inherit", env: { ...process.env, PATH: `${path.join(root, "node_modules", ".bin")}${path.delimiter}${process.env.PATH}` } },
  );
  return readCounts(project, outputFile, result.status);
}

function readCounts(project, outputFile, status) {
  let report;
  try {
    report = JSON.parse(fs.readFileSync(outputFile, "utf8"));
  } catch {
    const line = `${project}: the suite could not be run (exit code ${status})`;
    return { project, passed: 0, failed: 1, failures: [line], left: [line] };
  }
  const failures = failedTests(report.testResults);
  // An unhandled error fails the run without failing a test.
  if (failures.length === 0 && status !== 0) failures.push(`${project}: an error outside its tests (exit code ${status})`);
  return { project, passed: report.numPassedTests, failed: failures.length, failures, left: skippedSuites(report.testResults) };
}

/** One line for each test that failed, with the first line of why: a long log is read from its end, and may have lost its beginning. */
function failedTests(files) {
  return files.flatMap((file) => {
    const name = path.relative(root, file.name);
    const failed = file.assertionResults.filter((test) => test.status === "failed");
    // A file that failed to load has no tests of its own.
    if (failed.length === 0 && file.status === "failed") return [`${name}: ${firstLine(file.message)}`];
    return failed.map((test) => `${name} > ${[...test.ancestorTitles, test.title].join(" > ")}: ${firstLine(test.failureMessages[0])}`);
  });
}

/** The first line of a message, without its colours, no longer than a line that somebody reads. */
function firstLine(message) {
  return stripVTControlCharacters(message || "no message").split("\n", 1)[0].slice(0, 400);
}

/** One line for each file with skipped tests: the test's own title says why (an engine that is not there, say). */
function skippedSuites(files) {
  return files.flatMap((file) => {
    const skipped = file.assertionResults.filter((test) => test.status === "skipped" || test.status === "pending" || test.status === "todo");
    if (skipped.length === 0) return [];
    const titles = [...new Set(skipped.map((test) => test.ancestorTitles[0] || test.title))];
    return [`${path.relative(root, file.name)}: ${skipped.length} not run (${titles.join("; ")})`];
  });
}

function main() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "atoll-tests-"));
  try {
    const chosen = process.argv.length > 2 ? process.argv.slice(2) : projects;
    const counts = chosen.map((project) => runProject(project, directory));
    const left = counts.flatMap((count) => count.left);
    const failures = counts.flatMap((count) => count.failures);
    if (failures.length > 0) process.stdout.write(`\nFailed:\n${failures.map((line) => `  ${line}\n`).join("")}`);
    process.stdout.write(left.length === 0 ? "\nNo suite was left out.\n" : `\nLeft out:\n${left.map((line) => `  ${line}\n`).join("")}`);
    const passed = counts.reduce((sum, count) => sum + count.passed, 0);
    const failed = counts.reduce((sum, count) => sum + count.failed, 0);
    const numbers = `${passed} passed, ${failed} failed\n`;
    process.stdout.write(numbers);
    // For whoever has to say it again after npm's own last words.
    if (process.env.ATOLL_TEST_COUNTS) fs.writeFileSync(process.env.ATOLL_TEST_COUNTS, numbers);
    process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

module.exports = { readCounts, skippedSuites };

if (require.main === module) main();
