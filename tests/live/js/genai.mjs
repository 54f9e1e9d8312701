// The official @google/genai package. It retries nothing by itself.
import { GoogleGenAI } from "@google/genai";

import { failure, gateway, key, run, weather } from "./scenario.mjs";

const client = (apiKey) => new GoogleGenAI({
  apiKey, httpOptions: { baseUrl: gateway, apiVersion: "v1beta" } });
const models = client(key).models;
const model = "gemini-m";
const config = { tools: [{ functionDeclarations: [{
  name: weather.name, description: weather.description,
  parametersJsonSchema: weather.schema }] }] };

await run({
  async chat() {
    const answer = await models.generateContent({ model, contents: "hello" });
    return { text: answer.text, usage: answer.usageMetadata };
  },
  async stream() {
    let text = "";
    let finish = null;
    for await (const part of await models.generateContentStream({ model, contents: "hello" })) {
      text += part.text ?? "";
      finish = part.candidates?.[0]?.finishReason ?? finish;
    }
    return { text, finish };
  },
  async tool() {
    const contents = [{ role: "user", parts: [{ text: "the weather in Oslo?" }] }];
    const first = await models.generateContent({ model, contents, config });
    const call = first.functionCalls[0];
    contents.push(first.candidates[0].content, { role: "user", parts: [
      { functionResponse: { name: call.name, response: { result: "21 degrees" } } }] });
    const second = await models.generateContent({ model, contents, config });
    return { name: call.name, arguments: call.args, text: second.text };
  },
  async embeddings() {
    const answer = await models.embedContent({ model, contents: "hello" });
    return { vector: answer.embeddings[0].values };
  },
  async models() {
    const names = [];
    for await (const entry of await models.list()) {
      names.push(entry.name);
    }
    return { names };
  },
  async error() {
    return failure(() => models.generateContent({ model, contents: "too long" }));
  },
  async badKey() {
    return failure(() => client("sk-accord-wrong-key-000").models.generateContent({
      model, contents: "hello" }));
  },
});
