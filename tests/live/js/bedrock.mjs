// The official @aws-sdk/client-bedrock-runtime package. It signs; the key of the gateway is its
// access key id. Left alone it speaks HTTP/2 only, which the gateway does not: hence the handler.
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, InvokeModelCommand }
  from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";

import { failure, gateway, key, question, result, run, weather } from "./scenario.mjs";

const client = (accessKeyId) => new BedrockRuntimeClient({
  region: "us-east-1", endpoint: gateway, maxAttempts: 1, requestHandler: new NodeHttpHandler(),
  credentials: { accessKeyId, secretAccessKey: "unused" } });
const bedrock = client(key);
const own = "bedrock-m";
const said = (text) => [{ role: "user", content: [{ text }] }];
const toolConfig = { tools: [{ toolSpec: {
  name: weather.name, description: weather.description, inputSchema: { json: weather.schema } } }] };

const converse = (body) => bedrock.send(new ConverseCommand(body));

// The message that the events of a stream make.
async function streamed(body) {
  const answer = await bedrock.send(new ConverseStreamCommand(body));
  const content = [];
  let stop = null;
  for await (const event of answer.stream) {
    const at = event.contentBlockDelta?.contentBlockIndex;
    if (event.contentBlockStart) {
      content[event.contentBlockStart.contentBlockIndex] =
        { toolUse: { ...event.contentBlockStart.start.toolUse, input: "" } };
    } else if (event.contentBlockDelta?.delta.toolUse) {
      content[at].toolUse.input += event.contentBlockDelta.delta.toolUse.input;
    } else if (event.contentBlockDelta) {
      content[at] = { text: (content[at]?.text ?? "") + event.contentBlockDelta.delta.text };
    }
    stop = event.messageStop?.stopReason ?? stop;
  }
  for (const { toolUse } of content.filter((block) => block.toolUse)) {
    toolUse.input = JSON.parse(toolUse.input);
  }
  return { stopReason: stop, output: { message: { role: "assistant", content } } };
}

async function toolLoop(modelId, askFirst) {
  const messages = said(question);
  const first = await askFirst({ modelId, messages, toolConfig });
  const { message } = first.output;
  const { toolUse } = message.content.find((block) => block.toolUse);
  messages.push(message, { role: "user", content: [
    { toolResult: { toolUseId: toolUse.toolUseId, content: [{ text: result }] } }] });
  const second = await converse({ modelId, messages, toolConfig });
  return { name: toolUse.name, arguments: toolUse.input, stop: first.stopReason,
    text: second.output.message.content[0].text };
}

const plain = ({ output, stopReason }) => ({ text: output.message.content[0].text, stop: stopReason });

await run({
  async chat(modelId = own) {
    return plain(await converse({ modelId, messages: said("hello") }));
  },
  async stream(modelId = own) {
    return plain(await streamed({ modelId, messages: said("hello") }));
  },
  async tool(modelId = own) {
    return toolLoop(modelId, converse);
  },
  async toolStream(modelId = own) {
    return toolLoop(modelId, streamed);
  },
  async error(modelId = own) {
    return failure(() => converse({ modelId, messages: said("too long") }));
  },
  async limit(modelId = own) {
    return failure(() => converse({ modelId, messages: said("too many") }));
  },
  async embeddings(modelId = own) {
    const answer = await bedrock.send(new InvokeModelCommand({
      modelId, contentType: "application/json", body: JSON.stringify({ inputText: "hello" }) }));
    return { vector: JSON.parse(new TextDecoder().decode(answer.body)).embedding };
  },
  async badKey(modelId = own) {
    return failure(() => client("sk-accord-wrong-key-000").send(new ConverseCommand({
      modelId, messages: said("hello") })));
  },
});
