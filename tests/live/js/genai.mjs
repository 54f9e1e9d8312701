// The official @google/genai package. It retries nothing by itself.
import { GoogleGenAI } from "@google/genai";

import { failure, gateway, key, question, result, run, weather } from "./scenario.mjs";

const client = (apiKey) => new GoogleGenAI({
  apiKey, httpOptions: { baseUrl: gateway, apiVersion: "v1beta" } });
const models = client(key).models;
const own = "gemini-m";
const config = { tools: [{ functionDeclarations: [{
  name: weather.name, description: weather.description,
  parametersJsonSchema: weather.schema }] }] };

async function toolLoop(model, askFirst) {
  const contents = [{ role: "user", parts: [{ text: question }] }];
  const first = await askFirst({ model, contents, config });
  const call = first.functionCalls[0];
  contents.push(first.candidates[0].content, { role: "user", parts: [
    { functionResponse: { name: call.name, response: { result } } }] });
  const second = await models.generateContent({ model, contents, config });
  return { name: call.name, arguments: call.args, text: second.text };
}

await run({
  async chat(model = own) {
    const answer = await models.generateContent({ model, contents: "hello" });
    return { text: answer.text, finish: answer.candidates[0].finishReason,
      usage: answer.usageMetadata };
  },
  async stream(model = own) {
    let text = "";
    let finish = null;
    for await (const part of await models.generateContentStream({ model, contents: "hello" })) {
      text += part.text ?? "";
      finish = part.candidates?.[0]?.finishReason ?? finish;
    }
    return { text, finish };
  },
  async tool(model = own) {
    return toolLoop(model, (body) => models.generateContent(body));
  },
  async toolStream(model = own) {
    return toolLoop(model, async (body) => {
      for await (const part of await models.generateContentStream(body)) {
        if (part.functionCalls) {
          return part;
        }
      }
      throw new Error("no call in the stream");
    });
  },
  async embeddings(model = own) {
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
  async error(model = own) {
    return failure(() => models.generateContent({ model, contents: "too long" }));
  },
  async limit(model = own) {
    return failure(() => models.generateContent({ model, contents: "too many" }));
  },
  async badKey() {
    return failure(() => client("sk-accord-wrong-key-000").models.generateContent({
      model: own, contents: "hello" }));
  },
});
