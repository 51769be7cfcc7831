"use strict";

// The page of the API, drawn from its OpenAPI description.

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function table(rows) {
  const made = element("table");
  for (const [name, ...texts] of rows) {
    const line = element("tr");
    line.append(element("th"), ...texts.map((text) => element("td", text)));
    line.firstChild.append(element("code", name));
    made.append(line);
  }
  return made;
}

function resolve(api, schema) {
  const reference = schema && schema.$ref;
  return reference ? api.components.schemas[reference.split("/").pop()] : schema || {};
}

function type(api, schema) {
  if (schema.$ref) return resolve(api, schema).title || schema.$ref.split("/").pop();
  if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => type(api, one)))].join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${type(api, schema.items || {})}`;
  if (schema.format === "binary") return "file";
  return schema.type || "any";
}

function members(api, schema) {
  const required = new Set(schema.required || []);
  return Object.entries(schema.properties || {}).map(([name, one]) => [
    name,
    type(api, one),
    required.has(name) ? "required" : one.default === undefined || one.default === null ? "" : `default ${one.default}`,
    one.description || "",
  ]);
}

function route(api, path, method, operation) {
  const box = element("section", "", "route");
  const head = element("h3");
  head.append(element("span", method.toUpperCase(), "method"), element("code", path));
  if (operation.security) head.append(element("span", " needs a key", "soft"));
  box.append(head, element("p", operation.description || operation.summary || ""));
  for (const [kind, body] of Object.entries((operation.requestBody || {}).content || {})) {
    box.append(element("h4", `request, ${kind}`), table(members(api, resolve(api, body.schema))));
  }
  for (const [status, answer] of Object.entries(operation.responses || {})) {
    if (status === "200") {
      for (const [kind, body] of Object.entries(answer.content || {})) {
        const schema = resolve(api, body.schema);
        box.append(element("h4", `answer, ${kind}`));
        const rows = members(api, schema);
        box.append(rows.length ? table(rows) : element("p", schema.description || type(api, schema)));
      }
    }
  }
  const errors = Object.entries(operation.responses || {}).filter(([status]) => status !== "200");
  if (errors.length) {
    const folded = element("details");
    folded.append(element("summary", "errors: JSON with a stable code and a message"));
    const lines = errors.flatMap(([status, answer]) =>
      answer.description.split("; `").map((text) => {
        const [code, ...meaning] = text.replaceAll("`", "").split(": ");
        return [status, code, meaning.join(": ")];
      }),
    );
    folded.append(table(lines));
    box.append(folded);
  }
  return box;
}

async function draw() {
  const main = document.getElementById("routes");
  const api = await (await fetch("openapi.json")).json();
  const boxes = Object.entries(api.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => route(api, path, method, operation)),
  );
  main.replaceChildren(...boxes);
}

draw();
