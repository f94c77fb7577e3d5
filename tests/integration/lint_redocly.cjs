// Prints what @redocly/openapi-core has against these documents, a line for each finding.
"use strict";

const { createConfig, lint } = require("@redocly/openapi-core");

(async () => {
  const config = await createConfig({ extends: ["recommended"] });
  for (const ref of process.argv.slice(2)) {
    for (const problem of await lint({ ref, config })) {
      console.log(`${ref}: ${problem.severity}: ${problem.ruleId}: ${problem.message} (${problem.location[0]?.pointer})`);
    }
  }
})();
