// The Vercel AI SDK with its OpenAI, OpenAI-compatible, Anthropic and Google providers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, jsonSchema, streamText, tool } from "ai";

import { failure, gateway, key, run, weather } from "./scenario.mjs";

const openai = createOpenAI({ baseURL: `${gateway}/v1`, apiKey: key });
const compatible = createOpenAICompatible({
  name: "accord", baseURL: `${gateway}/v1`, apiKey: key, includeUsage: true });
// Without /v1 in its base this provider posts to /messages, which must work too.
const anthropicBare = createAnthropic({ baseURL: gateway, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${gateway}/v1`, apiKey: key });
const google = createGoogleGenerativeAI({ baseURL: `${gateway}/v1beta`, apiKey: key });

const chosen = {
  chat: openai.chat("m"), responses: openai("m"), compatible: compatible("m"),
  anthropic: anthropic("claude-m"), "anthropic-bare": anthropicBare("claude-m"),
  google: google("gemini-m"),
};

async function both(model) {
  const answer = await generateText({ model, prompt: "hello" });
  const streamed = streamText({ model, prompt: "hello" });
  let text = "";
  for await (const part of streamed.textStream) {
    text += part;
  }
  return { text: answer.text, streamed: text, finish: await streamed.finishReason,
    usage: (await streamed.usage).outputTokens };
}

await run({
  ...Object.fromEntries(Object.entries(chosen).map(([name, model]) => [name, () => both(model)])),
  async tool() {
    const answer = await generateText({
      model: chosen.chat, prompt: "the weather in Oslo?",
      tools: { get_weather: tool({
        description: weather.description, inputSchema: jsonSchema(weather.schema) }) },
    });
    return { name: answer.toolCalls[0].toolName, arguments: answer.toolCalls[0].input };
  },
  async embeddings() {
    const answer = await embed({ model: openai.textEmbeddingModel("m"), value: "hello" });
    return { vector: answer.embedding };
  },
  async error() {
    return failure(() => generateText({ model: chosen.chat, prompt: "too long" }));
  },
  async retry() {
    const answer = await generateText({ model: chosen.chat, prompt: "busy once vercel" });
    return { text: answer.text };
  },
});
