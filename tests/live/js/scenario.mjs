// Runs the scenarios that the command line names, and prints what they returned as one line of JSON:
//
//   node FILE SCENARIO              with the model of the SDK's own dialect
//   node FILE A,B,... MODEL,...     each with each model: {"A": {"MODEL": ...}, ...}; one that threw
//                                   is {"threw": ...} and leaves the others alone
import { basename } from "node:path";

export const gateway = process.env.GATEWAY;
export const key = process.env.KEY;

export const weather = {
  name: "get_weather",
  description: "The weather of a city",
  schema: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city"],
  },
};

export const question = "the weather in Oslo?";
export const result = "21 degrees";
export const ask = (content) => [{ role: "user", content }];

// A tool as chat completions describe it, and with them Mistral, Cohere and Ollama.
export const chatTool = { type: "function", function: {
  name: weather.name, description: weather.description, parameters: weather.schema } };

// Who has been told to wait is not asked again before that, so each file has such models of its own.
const self = basename(process.argv[1], ".mjs");

async function eachWithEach(scenarios, names, models) {
  const all = {};
  for (const name of names) {
    all[name] = {};
    for (const model of models) {
      try {
        all[name][model] = await scenarios[name](name === "limit" ? `${self}-limited-${model}` : model);
      } catch (error) {
        all[name][model] = { threw: String(error.stack), body: error.body ?? error.error ?? null };
      }
    }
  }
  return all;
}

export async function run(scenarios) {
  const names = process.argv[2].split(",");
  const models = process.argv[3]?.split(",");
  for (const name of names) {
    if (!scenarios[name]) {
      throw new Error(`no scenario ${name}`);
    }
  }
  console.log(JSON.stringify(models ? await eachWithEach(scenarios, names, models)
    : await scenarios[names[0]]()));
  process.exit(0);
}

// What a call that must fail threw, as plain data.
export async function failure(call) {
  try {
    await call();
  } catch (error) {
    return {
      status: error.status ?? error.statusCode ?? error.status_code
        ?? error.$metadata?.httpStatusCode ?? null,
      message: String(error.message),
      name: error.constructor.name,
      requestId: error.requestID ?? error.request_id ?? null,
      headers: Boolean(error.headers ?? error.responseHeaders),
      retryAfter: error.headers?.get?.("retry-after") ?? null,
    };
  }
  throw new Error("the call succeeded");
}
