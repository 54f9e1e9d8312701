"""openai.chat, as a server that is compatible with OpenAI's: strict, with reasoning_content."""

import re

from .check import (at_most, between, check, loads, need, non_empty, object_schema, shape,
                    some, strict_schema)
from .form import Ask
from .frames import dump, pieces, sse
from .upstream import RETRY_AFTER, Provider, bearer

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ID = re.compile(r"[^\s]{1,40}")
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
TEXTS = {
    "bad": "Unrecognized request argument supplied: foo",
    "auth": "Incorrect API key provided: sk-lab. You can find your API key at the console.",
    "rate": "Rate limit reached for upstream-chat: Limit 3, Used 3. Please try again in 7s.",
    "server": "The server had an error while processing your request. Sorry about that!",
    "overloaded": "The engine is currently overloaded, please try again later",
    "context": "This model's maximum context length is 128000 tokens. However, your messages resulted in "
               "131072 tokens. Please reduce the length of the messages.",
}
KINDS = {
    "bad": (400, "invalid_request_error", None), "auth": (401, "invalid_request_error", "invalid_api_key"),
    "rate": (429, "requests", "rate_limit_exceeded"), "server": (500, "server_error", None),
    "overloaded": (503, "server_error", "overloaded"),
    "context": (400, "invalid_request_error", "context_length_exceeded"),
}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tool_calls",
          "filter": "content_filter", "refusal": "stop"}

TEXT_PART = {"type": {"text"}, "text": str}


def image_url(value, where):
    shape(value, where, {"url": re.compile(r"(https?://.+|data:image/[a-z]+;base64,[A-Za-z0-9+/=]+)")},
          {"detail": {"auto", "low", "high"}})


def tool(value, where):
    shape(value, where, {"type": {"function"}, "function": function})


def function(value, where):
    shape(value, where, {"name": NAME}, {"description": str, "parameters": object_schema,
                                         "strict": (bool, None)})
    if value.get("strict"):
        strict_schema(value["parameters"], f"{where}.parameters")


def tool_choice(value, where):
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        shape(value, where, {"type": {"allowed_tools"}, "allowed_tools": {
            "mode": {"auto", "required"}, "tools": some(dict)}})
    else:
        check(value, where, ({"none", "auto", "required"},
                             {"type": {"function"}, "function": {"name": NAME}}))


def response_format(value, where):
    kind = isinstance(value, dict) and value.get("type")
    if kind != "json_schema":
        shape(value, where, {"type": {"text", "json_object"}})
        return
    shape(value, where, {"type": str, "json_schema": dict})
    inner = shape(value["json_schema"], f"{where}.json_schema", {"name": NAME, "schema": dict},
                  {"description": str, "strict": (bool, None)})
    if inner.get("strict"):
        strict_schema(inner["schema"], f"{where}.json_schema.schema")


MEMBERS = {
    "max_tokens": between(1, 1 << 30, int), "max_completion_tokens": between(1, 1 << 30, int),
    "temperature": between(0, 2), "top_p": between(0, 1), "n": between(1, 128, int), "seed": int,
    "presence_penalty": between(-2, 2), "frequency_penalty": between(-2, 2),
    "stop": (None, str, at_most(4, str)), "logprobs": bool, "top_logprobs": between(0, 20, int),
    "logit_bias": dict, "user": str, "safety_identifier": str, "metadata": dict, "store": bool,
    "stream": bool, "stream_options": {"include_usage": bool}, "tools": some(tool),
    "tool_choice": tool_choice, "parallel_tool_calls": bool, "response_format": response_format,
    "reasoning_effort": EFFORTS, "verbosity": {"low", "medium", "high"}, "service_tier": str,
    "prompt_cache_key": str, "modalities": [str], "prediction": dict,
    # Of servers that are like OpenAI's: vLLM, llama.cpp, Groq.
    "top_k": int, "min_p": between(0, 1),
}


class Chat(Provider):
    dialect = "openai.chat"
    model = "upstream-chat"
    finishes = {"stop", "length", "tools", "filter", "refusal"}

    def matches(self, path):
        return path == "/v1/chat/completions"

    def read(self, request):
        bearer(request)
        body = loads(request.body)
        shape(body, "body", {"model": {self.model}, "messages": some(dict)}, MEMBERS)
        ask = Ask(stream=body.get("stream", False))
        need(ask.stream or "stream_options" not in body, "stream_options", "only with stream")
        ask.extra["usage"] = body.get("stream_options", {}).get("include_usage", False)
        self.read_messages(ask, body["messages"])
        self.read_options(ask, body)
        return ask

    def read_messages(self, ask, messages):
        open_calls, known = [], {}
        for i, message in enumerate(messages):
            where = f"messages[{i}]"
            role = check(message.get("role"), f"{where}.role",
                         {"developer", "system", "user", "assistant", "tool"})
            if role == "tool":
                shape(message, where, {"role": str, "tool_call_id": ID, "content": (str, [TEXT_PART])},
                      {"name": str})
                need(message["tool_call_id"] in open_calls, where,
                     f"answers no open tool call: {message['tool_call_id']}")
                open_calls.remove(message["tool_call_id"])
                part = {"kind": "result", "id": message["tool_call_id"],
                        "name": known[message["tool_call_id"]], "error": False,
                        "parts": self.texts(message["content"])}
                if ask.turns[-1][0] != "user":
                    ask.user()
                ask.turns[-1][1].append(part)
                continue
            need(not open_calls, where, f"tool calls are not answered: {open_calls}")
            if role in ("system", "developer"):
                shape(message, where, {"role": str, "content": (str, [TEXT_PART])}, {"name": str})
                text = "".join(p["text"] for p in self.texts(message["content"]))
                if ask.turns:
                    ask.turns.append(("system", self.texts(message["content"])))
                else:
                    ask.system += text
            elif role == "user":
                shape(message, where, {"role": str, "content": (str, some(dict))}, {"name": str})
                # A message of the user behind results is one turn with them in the form.
                ask.user(*[self.user_part(p, f"{where}.content[{k}]") for k, p in
                           enumerate(self.listed(message["content"]))])
            else:
                open_calls = self.assistant(ask, message, where, known)
        need(not open_calls, "messages", f"tool calls are not answered: {open_calls}")

    def assistant(self, ask, message, where, known):
        shape(message, where, {"role": str},
              {"content": (str, None, some(dict)), "tool_calls": some(dict), "refusal": (str, None),
               "reasoning_content": str, "name": str, "annotations": list})
        parts = []
        if message.get("reasoning_content"):
            parts.append({"kind": "thinking", "text": message["reasoning_content"]})
        if message.get("content"):
            parts += self.texts(message["content"])
        if message.get("refusal"):
            parts.append({"kind": "refusal", "text": message["refusal"]})
        ids = []
        for k, call in enumerate(message.get("tool_calls", [])):
            at = f"{where}.tool_calls[{k}]"
            shape(call, at, {"id": ID, "type": {"function"}, "function": {"name": NAME, "arguments": str}})
            need(call["id"] not in ids, at, "the id stands there twice")
            args = loads(call["function"]["arguments"], f"{at}.function.arguments")
            check(args, at, dict)
            parts.append({"kind": "call", "id": call["id"], "name": call["function"]["name"], "args": args})
            ids.append(call["id"])
            known[call["id"]] = call["function"]["name"]
        need(parts, where, "an assistant's message needs content or tool_calls")
        ask.assistant(*parts)
        return ids

    @staticmethod
    def listed(content):
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    def texts(self, content):
        return [{"kind": "text", "text": p["text"]} for p in self.listed(content)]

    @staticmethod
    def user_part(part, where):
        kind = check(part.get("type"), f"{where}.type", {"text", "image_url", "input_audio", "file"})
        if kind == "text":
            shape(part, where, TEXT_PART)
            return {"kind": "text", "text": part["text"]}
        if kind == "image_url":
            shape(part, where, {"type": str, "image_url": image_url})
            url = part["image_url"]["url"]
            if url.startswith("data:"):
                return {"kind": "image", "media": url[5:url.index(";")], "data": url.partition(",")[2]}
            return {"kind": "image", "url": url}
        if kind == "input_audio":
            shape(part, where, {"type": str, "input_audio": {"data": non_empty, "format": {"wav", "mp3"}}})
            return {"kind": "audio", **part["input_audio"]}
        file = shape(part, where, {"type": str, "file": dict})["file"]
        shape(file, where, {}, {"file_data": re.compile("data:[a-z/+.-]+;base64,.+"), "filename": str,
                                "file_id": str})
        return {"kind": "document", "data": file.get("file_data", "").partition(",")[2],
                "title": file.get("filename", ""), "media": file.get("file_data", ":;")[5:].split(";")[0]}

    @staticmethod
    def read_options(ask, body):
        ask.tools = [{"name": t["function"]["name"], "description": t["function"].get("description", ""),
                      "schema": t["function"].get("parameters"), "strict": t["function"].get("strict")}
                     for t in body.get("tools", [])]
        need(ask.tools or not {"tool_choice", "parallel_tool_calls"} & set(body), "tools",
             "tool_choice and parallel_tool_calls are only allowed with tools")
        choice = body.get("tool_choice")
        if isinstance(choice, dict):
            ask.choice = f"tool:{choice['function']['name']}" if "function" in choice else "among"
        else:
            ask.choice = {"required": "any"}.get(choice, choice)
        need(body.get("logprobs") or "top_logprobs" not in body, "top_logprobs", "only with logprobs")
        need(not ("max_tokens" in body and "max_completion_tokens" in body), "max_tokens", "both")
        form = body.get("response_format", {})
        ask.schema = form.get("json_schema", {}).get("schema")
        ask.json = form.get("type") == "json_object"
        stop = body.get("stop") or []
        ask.stop = [stop] if isinstance(stop, str) else stop
        ask.max_tokens = body.get("max_completion_tokens", body.get("max_tokens"))
        ask.logprobs = body.get("top_logprobs", True) if body.get("logprobs") else None
        for here, there in (("temperature",) * 2, ("top_p",) * 2, ("top_k",) * 2, ("seed",) * 2,
                            ("presence", "presence_penalty"), ("frequency", "frequency_penalty"),
                            ("n", "n"), ("logit_bias",) * 2, ("parallel", "parallel_tool_calls"),
                            ("effort", "reasoning_effort"), ("verbosity",) * 2, ("metadata",) * 2,
                            ("tier", "service_tier"), ("cache_key", "prompt_cache_key"), ("store",) * 2):
            setattr(ask, here, body.get(there))
        ask.end_user = body.get("safety_identifier", body.get("user"))

    # ---- answers ----

    @staticmethod
    def usage(plan):
        return {"prompt_tokens": plan.input, "completion_tokens": plan.output,
                "total_tokens": plan.input + plan.output,
                "prompt_tokens_details": {"cached_tokens": plan.cache_read, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": plan.reasoning, "audio_tokens": 0,
                                              "accepted_prediction_tokens": 0,
                                              "rejected_prediction_tokens": 0}}

    @staticmethod
    def calls(plan):
        return [{"id": f"call_{'Ab3' * 7}{i:03d}", "type": "function",
                 "function": {"name": name, "arguments": dump(args).decode()}}
                for i, (name, args) in enumerate(plan.calls)]

    def front(self, kind):
        return {"id": "chatcmpl-Bx81Lab", "object": kind, "created": 1790000000,
                "model": "upstream-chat-0613", "service_tier": "default", "system_fingerprint": "fp_lab"}

    def whole(self, plan, ask):
        del ask
        refused = plan.finish == "refusal"
        message = {"role": "assistant", "content": None if refused else plan.text or None,
                   "refusal": plan.text if refused else None, "annotations": []}
        if plan.thinking:
            message["reasoning_content"] = plan.thinking
        if plan.calls:
            message["tool_calls"] = self.calls(plan)
        return dump({**self.front("chat.completion"), "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[plan.finish]}],
            "usage": self.usage(plan)})

    def stream(self, plan, ask):
        front = self.front("chat.completion.chunk")

        def chunk(delta, finish=None):
            more = {"usage": None} if ask.extra["usage"] else {}
            return sse({**front, "choices": [{"index": 0, "delta": delta, "logprobs": None,
                                              "finish_reason": finish}], **more})
        events = [chunk({"role": "assistant", "content": "", "refusal": None})]
        events += [chunk({"reasoning_content": p}) for p in pieces(plan.thinking, 9) if p]
        member = "refusal" if plan.finish == "refusal" else "content"
        events += [chunk({member: p}) for p in pieces(plan.text, 1000 if len(plan.text) > 9999 else 6) if p]
        events += self.call_chunks(plan, chunk)
        events.append(chunk({}, FINISH[plan.finish]))
        if ask.extra["usage"]:
            events.append(sse({**front, "choices": [], "usage": self.usage(plan)}))
        return [*events, b"data: [DONE]\n\n"]

    def call_chunks(self, plan, chunk):
        """The calls begin one by one; then pieces of their arguments come in turn, interleaved."""
        events, rest = [], []
        for i, call in enumerate(self.calls(plan)):
            start = {**call, "function": {**call["function"], "arguments": ""}}
            events.append(chunk({"tool_calls": [{"index": i, **start}]}))
            rest.append(pieces(call["function"]["arguments"], 5))
        while any(rest):
            for i, parts in enumerate(rest):
                if parts:
                    events.append(chunk({"tool_calls": [
                        {"index": i, "function": {"arguments": parts.pop(0)}}]}))
        return events

    def error(self, kind, message=""):
        status, name, code = KINDS[kind]
        body = dump({"error": {"message": message or TEXTS[kind], "type": name, "param": None, "code": code}})
        return status, body, [("Retry-After", RETRY_AFTER)] if kind == "rate" else []

    def broken(self, before):
        del before
        return [sse({"error": {"message": TEXTS["server"], "type": "server_error", "param": None,
                               "code": None}})]
