// The official ollama package. It retries nothing by itself.
import { Ollama } from "ollama";

import { ask, chatTool, failure, gateway, key, question, result, run } from "./scenario.mjs";

const client = (bearer) => new Ollama({
  host: gateway, headers: { Authorization: `Bearer ${bearer}` } });
const ollama = client(key);
const own = "ollama-m";
const tools = [chatTool];

async function streamed(call) {
  const seen = { text: "", calls: [], finish: null };
  for await (const part of await call) {
    seen.text += part.message?.content ?? part.response ?? "";
    seen.calls.push(...part.message?.tool_calls ?? []);
    seen.finish = part.done ? part.done_reason : null;
  }
  return seen;
}

async function toolLoop(model, askFirst) {
  const messages = ask(question);
  const [call] = await askFirst({ model, messages, tools });
  messages.push({ role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", tool_name: call.function.name, content: result });
  const second = await ollama.chat({ model, messages, tools });
  return { name: call.function.name, arguments: call.function.arguments,
    text: second.message.content };
}

await run({
  async chat(model = own) {
    const answer = await ollama.chat({ model, messages: ask("hello") });
    return { text: answer.message.content, finish: answer.done_reason };
  },
  async stream(model = own) {
    const { text, finish } = await streamed(ollama.chat({
      model, messages: ask("hello"), stream: true }));
    return { text, finish };
  },
  async generate(model = own) {
    const answer = await ollama.generate({ model, prompt: "hello" });
    const { text } = await streamed(ollama.generate({ model, prompt: "hello", stream: true }));
    return { text: answer.response, streamed: text };
  },
  async tool(model = own) {
    return toolLoop(model, async (body) => (await ollama.chat(body)).message.tool_calls);
  },
  async toolStream(model = own) {
    return toolLoop(model, async (body) =>
      (await streamed(ollama.chat({ ...body, stream: true }))).calls);
  },
  async error(model = own) {
    return failure(() => ollama.chat({ model, messages: ask("too long") }));
  },
  async limit(model = own) {
    return failure(() => ollama.chat({ model, messages: ask("too many") }));
  },
  async embeddings(model = own) {
    const answer = await ollama.embed({ model, input: "hello" });
    return { vector: answer.embeddings[0] };
  },
  async badKey(model = own) {
    return failure(() => client("sk-accord-wrong-key-000").chat({
      model, messages: ask("hello") }));
  },
});
