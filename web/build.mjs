// Compiles the console's style into `web/dist/`, in one file without a source map. Run by `make assets`.

import { mkdirSync, writeFileSync } from "node:fs";
import { compile } from "sass";

const web = new URL(".", import.meta.url);
const style = compile(new URL("console.scss", web).pathname, {
  loadPaths: [new URL("../node_modules", web).pathname],
  style: "compressed",
  quietDeps: true,
  charset: false,
});
// GOV.UK's font, crest and crown belong to the United Kingdom's own sites.
const foreign = /GDS Transport|-crest|-crown/i.exec(style.css);
if (foreign) throw new Error(`\`${foreign[0]}\` came into the style; leave that part of GOV.UK Frontend out`);
mkdirSync(new URL("dist", web), { recursive: true });
writeFileSync(new URL("dist/console.css", web), `${style.css}\n`);
