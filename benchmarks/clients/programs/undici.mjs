// undici's request, from the package installed beside this run (UNDICI names its folder).
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const { request, FormData } = createRequire(process.env.UNDICI + "/")("undici");
const [kind, url, file] = process.argv.slice(2);
const data = await readFile(file);
const headers = { "content-type": "image/jpeg" };
let options;
if (kind === "raw" || kind === "large") options = { body: data, headers };
else if (kind === "chunked") options = { body: Readable.from([data.subarray(0, 1000), data.subarray(1000)]), headers };
else if (kind === "form") {
  const body = new FormData();
  body.append("file", new Blob([data], { type: "image/jpeg" }), "photo.jpg");
  options = { body };
} else process.exit(3);
const answer = await request(url, { method: "POST", ...options });
console.log(await answer.body.text());
console.log(answer.statusCode);
