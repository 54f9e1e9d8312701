// The official openai package.
import OpenAI from "openai";

import { failure, gateway, key, run, weather } from "./scenario.mjs";

const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: key });
const model = "m";
const ask = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: {
  name: weather.name, description: weather.description, parameters: weather.schema } }];

async function collect(stream) {
  const seen = { text: "", finish: null, usage: null, chunks: 0 };
  for await (const chunk of stream) {
    seen.chunks += 1;
    seen.text += chunk.choices[0]?.delta?.content ?? "";
    seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish;
    seen.usage = chunk.usage ?? seen.usage;
  }
  return seen;
}

await run({
  async chat() {
    const answer = await client.chat.completions.create({ model, messages: ask("hello") });
    return { text: answer.choices[0].message.content, usage: answer.usage,
      requestId: answer._request_id };
  },
  async stream() {
    return collect(await client.chat.completions.create({
      model, messages: ask("hello"), stream: true }));
  },
  async streamWithUsage() {
    return collect(await client.chat.completions.create({
      model, messages: ask("hello"), stream: true, stream_options: { include_usage: true } }));
  },
  async tool() {
    const messages = ask("the weather in Oslo?");
    const first = await client.chat.completions.create({ model, messages, tools });
    const call = first.choices[0].message.tool_calls[0];
    messages.push(first.choices[0].message,
      { role: "tool", tool_call_id: call.id, content: "21 degrees" });
    const second = await client.chat.completions.create({ model, messages, tools });
    return { name: call.function.name, arguments: JSON.parse(call.function.arguments),
      text: second.choices[0].message.content };
  },
  async responses() {
    const answer = await client.responses.create({ model, input: "hello" });
    const streamed = await client.responses.create({ model, input: "hello", stream: true });
    let text = "";
    let last = null;
    for await (const event of streamed) {
      text += event.type === "response.output_text.delta" ? event.delta : "";
      last = event.type;
    }
    return { text: answer.output_text, streamed: text, last };
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model, input: "hello" });
    return { vector: answer.data[0].embedding };
  },
  async models() {
    const ids = [];
    for await (const entry of client.models.list()) {
      ids.push(entry.id);
    }
    return { ids };
  },
  async error() {
    return failure(() => client.chat.completions.create({ model, messages: ask("too long") }));
  },
  async badKey() {
    const wrong = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "sk-accord-wrong-key-000" });
    return failure(() => wrong.chat.completions.create({ model, messages: ask("hello") }));
  },
  async retry() {
    const answer = await client.chat.completions.create({
      model, messages: ask("busy once openai-js") });
    return { text: answer.choices[0].message.content };
  },
});
