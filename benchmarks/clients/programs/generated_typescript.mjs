// The client that @hey-api/openapi-ts makes of our OpenAPI document, in TypeScript: type-checked, bundled and run.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const [kind, url, file] = process.argv.slice(2);
if (kind !== "form" && kind !== "large") process.exit(3); // it makes a form of the operation
const base = url.replace(/\/predict$/, "");
const home = process.env.OPENAPI_TS;
const text = await (await fetch(base + "/docs/openapi.json")).text();
const folder = join(home, "generated-" + createHash("sha256").update(text).digest("hex").slice(0, 16));

const MAIN = `import { predictPredict } from "./client/sdk.gen";

export async function send(baseUrl: string, file: File): Promise<[string, number]> {
  const { data, error, response } = await predictPredict({ baseUrl, body: { file } });
  const label: string | null | undefined = data?.label;
  return [JSON.stringify(label ? data : error), response?.status ?? 0];
}
`;

async function generate() {
  await mkdir(home, { recursive: true });
  const work = await mkdtemp(join(home, "making-"));
  const run = (name, ...options) =>
    execFileSync(join(home, "node_modules", ".bin", name), options, { cwd: work, stdio: ["ignore", "ignore", 2] });
  await writeFile(join(work, "openapi.json"), text);
  await writeFile(join(work, "main.ts"), MAIN);
  run("openapi-ts", "-i", "openapi.json", "-o", "client", "-c", "@hey-api/client-fetch", "--silent");
  run("tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext",
      "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", "main.ts"); // prettier-ignore
  run("esbuild", "main.ts", "--bundle", "--format=esm", "--platform=node", "--outfile=main.mjs", "--log-level=error");
  await rename(work, folder);
}

if (!existsSync(folder)) await generate();
const { send } = await import(join(folder, "main.mjs"));
const photo = new File([await readFile(file)], "photo.jpg", { type: "image/jpeg" });
const [body, status] = await send(base, photo);
console.log(body);
console.log(status);
