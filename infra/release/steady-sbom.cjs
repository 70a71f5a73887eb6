// Takes the moment and the random number out of a CycloneDX document, so that the same lock file gives the same bytes.
// usage: npm sbom ... | node steady-sbom.cjs
"use strict";
const fs = require("node:fs");

const document = JSON.parse(fs.readFileSync(0, "utf8"));
if (document.bomFormat !== "CycloneDX") throw new Error("steady-sbom: this is no CycloneDX document");
if (document.components.length === 0) throw new Error("steady-sbom: the document names no component");
delete document.serialNumber;
if (document.metadata) document.metadata.timestamp = new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1_000).toISOString();
process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
