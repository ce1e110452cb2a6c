// Parses the Mermaid diagrams that it is given as JSON, and prints for each what is wrong, or null.
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");
const wrong = [];
for (const diagram of JSON.parse(process.argv[2])) {
  wrong.push(await mermaid.parse(diagram).then(() => null, (error) => String(error.message ?? error)));
}
console.log(JSON.stringify({ wrong }));
