// The official @anthropic-ai/sdk package.
import Anthropic from "@anthropic-ai/sdk";

import { failure, gateway, key, run, weather } from "./scenario.mjs";

const client = new Anthropic({ baseURL: gateway, apiKey: key });
const model = "claude-m";
const ask = (content) => [{ role: "user", content }];
const tools = [{ name: weather.name, description: weather.description,
  input_schema: weather.schema }];
const base = { model, max_tokens: 100 };

await run({
  async chat() {
    const answer = await client.messages.create({ ...base, messages: ask("hello") });
    return { text: answer.content[0].text, usage: answer.usage, requestId: answer._request_id };
  },
  async stream() {
    const stream = client.messages.stream({ ...base, messages: ask("hello") });
    let text = "";
    stream.on("text", (delta) => { text += delta; });
    const final = await stream.finalMessage();
    return { text, final: final.content[0].text, stop: final.stop_reason, usage: final.usage };
  },
  async tool() {
    const messages = ask("the weather in Oslo?");
    const first = await client.messages.create({ ...base, messages, tools });
    const use = first.content.find((block) => block.type === "tool_use");
    messages.push({ role: "assistant", content: first.content },
      { role: "user", content: [
        { type: "tool_result", tool_use_id: use.id, content: "21 degrees" }] });
    const second = await client.messages.create({ ...base, messages, tools });
    return { name: use.name, arguments: use.input, text: second.content[0].text };
  },
  async models() {
    const names = [];
    for await (const entry of client.models.list()) {
      names.push([entry.id, entry.display_name]);
    }
    return { names };
  },
  async error() {
    return failure(() => client.messages.create({ ...base, messages: ask("too long") }));
  },
  async badKey() {
    const wrong = new Anthropic({ baseURL: gateway, apiKey: "sk-accord-wrong-key-000" });
    return failure(() => wrong.messages.create({ ...base, messages: ask("hello") }));
  },
  async retry() {
    const answer = await client.messages.create({
      ...base, messages: ask("busy once anthropic-js") });
    return { text: answer.content[0].text };
  },
});
