// The official @anthropic-ai/sdk package.
import Anthropic from "@anthropic-ai/sdk";

import { ask, failure, gateway, key, question, result, run, weather } from "./scenario.mjs";

const client = new Anthropic({ baseURL: gateway, apiKey: key });
const hasty = client.withOptions({ maxRetries: 0 });
const tools = [{ name: weather.name, description: weather.description,
  input_schema: weather.schema }];
const own = "claude-m";
const base = { max_tokens: 100 };

async function toolLoop(model, askFirst) {
  const messages = ask(question);
  const first = await askFirst({ ...base, model, messages, tools });
  const use = first.content.find((block) => block.type === "tool_use");
  messages.push({ role: "assistant", content: first.content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: result }] });
  const second = await client.messages.create({ ...base, model, messages, tools });
  return { name: use.name, arguments: use.input, stop: first.stop_reason,
    text: second.content[0].text };
}

await run({
  async chat(model = own) {
    const answer = await client.messages.create({ ...base, model, messages: ask("hello") });
    return { text: answer.content[0].text, stop: answer.stop_reason, usage: answer.usage,
      requestId: answer._request_id };
  },
  async stream(model = own) {
    const stream = client.messages.stream({ ...base, model, messages: ask("hello") });
    let text = "";
    stream.on("text", (delta) => { text += delta; });
    const final = await stream.finalMessage();
    return { text, final: final.content[0].text, stop: final.stop_reason, usage: final.usage };
  },
  async tool(model = own) {
    return toolLoop(model, (body) => client.messages.create(body));
  },
  async toolStream(model = own) {
    return toolLoop(model, (body) => client.messages.stream(body).finalMessage());
  },
  async models() {
    const names = [];
    for await (const entry of client.models.list()) {
      names.push([entry.id, entry.display_name]);
    }
    return { names };
  },
  async error(model = own) {
    return failure(() => client.messages.create({ ...base, model, messages: ask("too long") }));
  },
  async limit(model = own) {
    return failure(() => hasty.messages.create({ ...base, model, messages: ask("too many") }));
  },
  async taken(team) { // the platform's API, with the retries of the SDK
    const platform = new Anthropic({ baseURL: gateway, apiKey: null, authToken: key });
    return failure(() => platform.post("/api/v1/teams", { body: { id: team, name: team } }));
  },
  async badKey() {
    const wrong = new Anthropic({ baseURL: gateway, apiKey: "sk-accord-wrong-key-000" });
    return failure(() => wrong.messages.create({ ...base, model: own, messages: ask("hello") }));
  },
  async retry() {
    const answer = await client.messages.create({
      ...base, model: own, messages: ask("busy once anthropic-js") });
    return { text: answer.content[0].text };
  },
});
