// LangChain with its OpenAI (chat completions and responses) and Anthropic packages.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";

import { failure, gateway, key, question, result, run, weather } from "./scenario.mjs";

const openai = { apiKey: key, maxRetries: 0, configuration: { baseURL: `${gateway}/v1` } };
const providers = {
  chat: (model = "m") => new ChatOpenAI({ ...openai, model }),
  responses: (model = "m") => new ChatOpenAI({ ...openai, model, useResponsesApi: true }),
  anthropic: (model = "claude-m") => new ChatAnthropic({
    apiKey: key, anthropicApiUrl: gateway, maxRetries: 0, model }),
};
const tool = { name: weather.name, description: weather.description, schema: weather.schema };

// One message of all the pieces of a stream.
async function gathered(stream) {
  let whole = null;
  for await (const piece of await stream) {
    whole = whole ? whole.concat(piece) : piece;
  }
  return whole;
}

async function toolLoop(chat, askFirst) {
  const model = chat.bindTools([tool]);
  const messages = [new HumanMessage(question)];
  const first = await askFirst(model, messages);
  const [call] = first.tool_calls;
  messages.push(first, new ToolMessage({ content: result, tool_call_id: call.id }));
  const second = await model.invoke(messages);
  return { name: call.name, arguments: call.args, text: second.text };
}

const scenarios = {};
for (const [name, provide] of Object.entries(providers)) {
  scenarios[name] = async (model) => {
    const chat = provide(model);
    const answer = await chat.invoke("hello");
    const streamed = await gathered(chat.stream("hello"));
    return { text: answer.text, streamed: streamed.text };
  };
  scenarios[`${name}-tool`] = (model) =>
    toolLoop(provide(model), (chat, messages) => chat.invoke(messages));
  scenarios[`${name}-toolStream`] = (model) =>
    toolLoop(provide(model), (chat, messages) => gathered(chat.stream(messages)));
  scenarios[`${name}-error`] = (model) => failure(() => provide(model).invoke("too long"));
}

await run(scenarios);
