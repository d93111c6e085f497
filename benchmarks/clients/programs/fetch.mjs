// Node's fetch.
import { readFile } from "node:fs/promises";

const [kind, url, file] = process.argv.slice(2);
const data = await readFile(file);
const headers = { "content-type": "image/jpeg" };
let options;
if (kind === "raw" || kind === "large") options = { body: data, headers };
else if (kind === "chunked") {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(data.subarray(0, 1000));
      controller.enqueue(data.subarray(1000));
      controller.close();
    },
  });
  options = { body, headers, duplex: "half" };
} else if (kind === "form") {
  const body = new FormData();
  body.append("file", new Blob([data], { type: "image/jpeg" }), "photo.jpg");
  options = { body };
} else process.exit(3);
const answer = await fetch(url, { method: "POST", ...options });
console.log(await answer.text());
console.log(answer.status);
