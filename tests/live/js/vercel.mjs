// The Vercel AI SDK with its OpenAI, OpenAI-compatible, Anthropic and Google providers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";

import { failure, gateway, key, question, result, run, weather } from "./scenario.mjs";

const openai = createOpenAI({ baseURL: `${gateway}/v1`, apiKey: key });
const compatible = createOpenAICompatible({
  name: "accord", baseURL: `${gateway}/v1`, apiKey: key, includeUsage: true });
// Without /v1 in its base this provider posts to /messages, which must work too.
const anthropicBare = createAnthropic({ baseURL: gateway, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${gateway}/v1`, apiKey: key });
const google = createGoogleGenerativeAI({ baseURL: `${gateway}/v1beta`, apiKey: key });

const providers = {
  chat: (model = "m") => openai.chat(model), responses: (model = "m") => openai(model),
  compatible: (model = "m") => compatible(model),
  anthropic: (model = "claude-m") => anthropic(model),
  "anthropic-bare": (model = "claude-m") => anthropicBare(model),
  google: (model = "gemini-m") => google(model),
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

// The SDK itself runs the tool and asks again with its result.
function loop(model, seen) {
  return {
    model, prompt: question, stopWhen: isStepCount(2),
    tools: { get_weather: tool({
      description: weather.description, inputSchema: jsonSchema(weather.schema),
      execute: (input) => { seen.push(input); return result; } }) },
  };
}

async function whole(model) {
  const seen = [];
  const answer = await generateText(loop(model, seen));
  return { called: seen, text: answer.text, steps: answer.steps.length };
}

async function streamed(model) {
  const seen = [];
  const answer = streamText({ ...loop(model, seen), onError: ({ error }) => { throw error; } });
  return { called: seen, text: await answer.text, steps: (await answer.steps).length };
}

const scenarios = {};
for (const [name, provide] of Object.entries(providers)) {
  scenarios[name] = (model) => both(provide(model));
  scenarios[`${name}-tool`] = (model) => whole(provide(model));
  scenarios[`${name}-toolStream`] = (model) => streamed(provide(model));
  scenarios[`${name}-error`] = (model) => failure(() =>
    generateText({ model: provide(model), prompt: "too long" }));
}

await run({
  ...scenarios,
  async embeddings(model = "m") {
    const answer = await embed({ model: openai.textEmbeddingModel(model), value: "hello" });
    return { vector: answer.embedding };
  },
  async retry() {
    const answer = await generateText({ model: providers.chat(), prompt: "busy once vercel" });
    return { text: answer.text };
  },
});
