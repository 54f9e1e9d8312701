// The outside upstream: @copilotkit/aimock, answering by the last user message. It accepts one
// credential only (the argument), prints {"url": ...} and ends when its standard input does.
import { LLMock } from "@copilotkit/aimock";

const usage = {
  prompt_tokens: 11, completion_tokens: 5, total_tokens: 16,
  input_tokens: 11, output_tokens: 5,
  promptTokenCount: 11, candidatesTokenCount: 5, totalTokenCount: 16,
};
const failedOnce = new Set();

function textOf(message) {
  if (typeof message.content === "string") {
    return message.content;
  }
  return (message.content ?? []).map((part) => part.text ?? "").join(" ");
}

// The call by which an agent writes a file, with whichever tool it has for that.
function writes(path, tools) {
  const names = tools.map((tool) => tool.function?.name ?? tool.name);
  const content = "made by a tool \u2713\n";
  const command = `printf '%s\\n' 'made by a tool \u2713' > ${path}`;
  const ways = {
    Write: { file_path: path, content },
    write: { filePath: path, content },
    write_file: { file_path: path, content },
    exec_command: { cmd: command },
    shell_command: { command },
    shell: { command: ["sh", "-c", command] },
  };
  const name = Object.keys(ways).find((way) => names.includes(way)) ?? `none of ${names}`;
  return { name, arguments: JSON.stringify(ways[name] ?? {}) };
}

function answer(request) {
  const messages = request.messages ?? [];
  const lastUser = messages.findLastIndex((message) => message.role === "user");
  const asked = lastUser < 0 ? "" : textOf(messages[lastUser]);
  const afterwards = messages.slice(lastUser + 1);
  if (afterwards.some((message) => message.role === "tool")) {
    return { content: "It is 21 degrees in Oslo.", usage };
  }
  const file = /write the file (\S+?\.txt)/.exec(asked);
  if (file) {
    return { toolCalls: [writes(file[1], request.tools ?? [])], usage };
  }
  if (asked.includes("weather")) {
    return { toolCalls: [{ name: "get_weather", arguments: '{"city":"Oslo","days":2}' }], usage };
  }
  if (asked.includes("too long")) {
    return { status: 400, error: {
      message: "prompt is too long: 210000 tokens > 200000 maximum",
      type: "invalid_request_error", code: "context_length_exceeded" } };
  }
  if (asked.includes("too many")) {
    return { status: 429, retryAfter: 7, error: {
      message: "slow down, please", type: "rate_limit_error", code: "rate_limit_exceeded" } };
  }
  // "busy once NAME" fails the first time each name is seen.
  const busy = /busy once (\S+)/.exec(asked);
  if (busy && !failedOnce.has(busy[1])) {
    failedOnce.add(busy[1]);
    return { status: 500, error: { message: "try again", type: "server_error" } };
  }
  return { content: "Bonjour \u00e9l\u00e8ve \u{1F600}, says the mock.", usage };
}

const mock = new LLMock({
  port: 0, host: "127.0.0.1", logLevel: "silent", auth: { apiKeys: [process.argv[2]] },
});
mock.onEmbedding(/./, { embedding: [0.25, -0.5, 1] });
mock.on({ predicate: () => true }, answer, { chunkSize: 7 });
await mock.start();
console.log(JSON.stringify({ url: mock.url }));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
