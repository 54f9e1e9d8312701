// The official openai package: chat completions, and responses.
import OpenAI from "openai";

import { ask, chatTool, failure, gateway, key, question, result, run, weather }
  from "./scenario.mjs";

const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: key });
const hasty = client.withOptions({ maxRetries: 0 });
const tools = [chatTool];
const responseTools = [{ type: "function", name: weather.name, description: weather.description,
  parameters: weather.schema, strict: false }];

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

async function toolLoop(model, askFirst) {
  const messages = ask(question);
  const first = await askFirst({ model, messages, tools });
  const call = first.choices[0].message.tool_calls[0];
  messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: result });
  const second = await client.chat.completions.create({ model, messages, tools });
  return { name: call.function.name, arguments: JSON.parse(call.function.arguments),
    stop: first.choices[0].finish_reason, text: second.choices[0].message.content };
}

async function responsesLoop(model, askFirst) {
  const input = ask(question);
  const first = await askFirst({ model, input, tools: responseTools });
  const call = first.output.find((item) => item.type === "function_call");
  input.push(...first.output,
    { type: "function_call_output", call_id: call.call_id, output: result });
  const second = await client.responses.create({ model, input, tools: responseTools });
  return { name: call.name, arguments: JSON.parse(call.arguments), stop: first.status,
    text: second.output_text };
}

await run({
  async chat(model = "m") {
    const answer = await client.chat.completions.create({ model, messages: ask("hello") });
    return { text: answer.choices[0].message.content, usage: answer.usage,
      finish: answer.choices[0].finish_reason, requestId: answer._request_id };
  },
  async stream(model = "m") {
    return collect(await client.chat.completions.create({
      model, messages: ask("hello"), stream: true }));
  },
  async streamWithUsage(model = "m") {
    return collect(await client.chat.completions.create({
      model, messages: ask("hello"), stream: true, stream_options: { include_usage: true } }));
  },
  async tool(model = "m") {
    return toolLoop(model, (body) => client.chat.completions.create(body));
  },
  async toolStream(model = "m") {
    return toolLoop(model, (body) => client.chat.completions.stream(body).finalChatCompletion());
  },
  async responses(model = "m") {
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
  async responsesTool(model = "m") {
    return responsesLoop(model, (body) => client.responses.create(body));
  },
  async responsesToolStream(model = "m") {
    return responsesLoop(model, (body) => client.responses.stream(body).finalResponse());
  },
  async conversation(model = "m") {
    const patient = client.withOptions({ maxRetries: 5 });
    return { id: (await patient.responses.create({ model, input: "hi", conversation: "conv_1" })).id };
  },
  async taken(team) { // the platform's API, with the retries of the SDK
    const platform = client.withOptions({ baseURL: gateway });
    return failure(() => platform.post("/api/v1/teams", { body: { id: team, name: team } }));
  },
  async embeddings(model = "m") {
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
  async error(model = "m") {
    return failure(() => client.chat.completions.create({ model, messages: ask("too long") }));
  },
  async limit(model = "m") {
    return failure(() => hasty.chat.completions.create({ model, messages: ask("too many") }));
  },
  async responsesError(model = "m") {
    return failure(() => client.responses.create({ model, input: "too long" }));
  },
  async badKey() {
    const wrong = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "sk-accord-wrong-key-000" });
    return failure(() => wrong.chat.completions.create({ model: "m", messages: ask("hello") }));
  },
  async retry() {
    const answer = await client.chat.completions.create({
      model: "m", messages: ask("busy once openai-js") });
    return { text: answer.choices[0].message.content };
  },
});
