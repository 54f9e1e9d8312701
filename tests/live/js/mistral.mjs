// The official @mistralai/mistralai package. It retries nothing by itself.
import { Mistral } from "@mistralai/mistralai";

import { ask, chatTool, failure, gateway, key, question, result, run } from "./scenario.mjs";

const client = (apiKey) => new Mistral({ apiKey, serverURL: gateway });
const chat = client(key).chat;
const tools = [chatTool];

async function streamed(body) {
  const seen = { text: "", finish: null, toolCalls: [] };
  for await (const { data } of await chat.stream(body)) {
    const choice = data.choices[0];
    seen.text += choice?.delta.content ?? "";
    seen.finish = choice?.finishReason ?? seen.finish;
    for (const call of choice?.delta.toolCalls ?? []) {
      const known = seen.toolCalls[call.index];
      if (known) {
        known.function.arguments += call.function.arguments;
      } else {
        seen.toolCalls[call.index] = call;
      }
    }
  }
  return seen;
}

async function toolLoop(model, askFirst) {
  const messages = ask(question);
  const first = await askFirst({ model, messages, tools });
  const call = first.toolCalls[0];
  messages.push({ role: "assistant", content: "", toolCalls: first.toolCalls },
    { role: "tool", toolCallId: call.id, name: call.function.name, content: result });
  const second = await chat.complete({ model, messages, tools });
  return { name: call.function.name, arguments: JSON.parse(call.function.arguments),
    stop: first.finish, text: second.choices[0].message.content };
}

await run({
  async chat(model = "m") {
    const answer = await chat.complete({ model, messages: ask("hello") });
    return { text: answer.choices[0].message.content, finish: answer.choices[0].finishReason };
  },
  async stream(model = "m") {
    const { text, finish } = await streamed({ model, messages: ask("hello") });
    return { text, finish };
  },
  async tool(model = "m") {
    return toolLoop(model, async (body) => {
      const [choice] = (await chat.complete(body)).choices;
      return { toolCalls: choice.message.toolCalls, finish: choice.finishReason };
    });
  },
  async toolStream(model = "m") {
    return toolLoop(model, streamed);
  },
  async error(model = "m") {
    return failure(() => chat.complete({ model, messages: ask("too long") }));
  },
  async limit(model = "m") {
    return failure(() => chat.complete({ model, messages: ask("too many") }));
  },
  async embeddings(model = "m") {
    const answer = await client(key).embeddings.create({ model, inputs: ["hello"] });
    return { vector: answer.data[0].embedding };
  },
  async badKey(model = "m") {
    return failure(() => client("sk-accord-wrong-key-000").chat.complete({
      model, messages: ask("hello") }));
  },
});
