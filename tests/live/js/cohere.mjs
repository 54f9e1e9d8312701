// The official cohere-ai package.
import { CohereClientV2 } from "cohere-ai";

import { ask, chatTool, failure, gateway, key, question, result, run } from "./scenario.mjs";

const client = (token) => new CohereClientV2({ token, environment: gateway });
const cohere = client(key);
const once = { maxRetries: 0 };
const own = "cohere-m";
const tools = [chatTool];

// The message that the events of a stream make.
async function streamed(body) {
  const message = { role: "assistant", text: "", toolCalls: [] };
  let finish = null;
  for await (const event of await cohere.chatStream(body)) {
    if (event.type === "content-delta") {
      message.text += event.delta.message.content.text;
    } else if (event.type === "tool-call-start") {
      message.toolCalls[event.index] = event.delta.message.toolCalls;
    } else if (event.type === "tool-call-delta") {
      message.toolCalls[event.index].function.arguments +=
        event.delta.message.toolCalls.function.arguments;
    } else if (event.type === "message-end") {
      finish = event.delta.finishReason;
    }
  }
  return { message, finish };
}

async function toolLoop(model, askFirst) {
  const messages = ask(question);
  const { message, finish } = await askFirst({ model, messages, tools });
  const [call] = message.toolCalls;
  messages.push({ role: "assistant", toolCalls: message.toolCalls },
    { role: "tool", toolCallId: call.id, content: result });
  const second = await cohere.chat({ model, messages, tools });
  return { name: call.function.name, arguments: JSON.parse(call.function.arguments),
    stop: finish, text: second.message.content[0].text };
}

await run({
  async chat(model = own) {
    const answer = await cohere.chat({ model, messages: ask("hello") });
    return { text: answer.message.content[0].text, finish: answer.finishReason };
  },
  async stream(model = own) {
    const { message, finish } = await streamed({ model, messages: ask("hello") });
    return { text: message.text, finish };
  },
  async tool(model = own) {
    return toolLoop(model, async (body) => {
      const answer = await cohere.chat(body);
      return { message: answer.message, finish: answer.finishReason };
    });
  },
  async toolStream(model = own) {
    return toolLoop(model, streamed);
  },
  async error(model = own) {
    return failure(() => cohere.chat({ model, messages: ask("too long") }));
  },
  async limit(model = own) {
    return failure(() => cohere.chat({ model, messages: ask("too many") }, once));
  },
  async embeddings(model = own) {
    const answer = await cohere.embed({
      model, texts: ["hello"], inputType: "search_query", embeddingTypes: ["float"] });
    return { vector: answer.embeddings.float[0] };
  },
  async badKey(model = own) {
    return failure(() => client("sk-accord-wrong-key-000").chat({
      model, messages: ask("hello") }));
  },
});
