// Export the results as CSV and JSON files, in the browser.

const COLUMNS = ["name", "bytes", "label", "confidence", "uncertain", "damaged", "correction", "model", "version", "decode_ms", "infer_ms", "total_ms", "at", "refused"];
const UNKNOWN_COLUMNS = ["unknown", "unknown_probability"]; // of models that have this answer

function row(item) {
  return {
    name: item.name,
    bytes: item.bytes,
    label: item.label ?? null,
    confidence: item.confidence ?? null,
    uncertain: item.uncertain ?? null,
    damaged: item.damaged ?? null,
    correction: item.correction || null,
    model: item.model ?? null,
    version: item.version ?? null,
    decode_ms: item.timings?.decode ?? null,
    infer_ms: item.timings?.infer ?? null,
    total_ms: item.timings?.total ?? null,
    at: item.at ?? null,
    refused: item.problem?.kind ?? null,
    unknown: item.unknown ?? null,
    unknown_probability: item.unknownProbability ?? null,
    probabilities: item.probabilities ?? null,
  };
}

function columnsOf(items) {
  return items.some((item) => item.unknownProbability !== undefined) ? [...COLUMNS, ...UNKNOWN_COLUMNS] : COLUMNS;
}

export function csv(items) {
  const columns = columnsOf(items);
  const lines = items.map(row).map((fields) => columns.map((column) => cell(fields[column])).join(","));
  return [columns.join(","), ...lines].join("\r\n") + "\r\n";
}

export function json(items) {
  const columns = [...columnsOf(items), "probabilities"];
  const rows = items.map(row).map((fields) => Object.fromEntries(columns.map((column) => [column, fields[column]])));
  return JSON.stringify(rows, null, 2) + "\n";
}

function cell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet would run it
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
