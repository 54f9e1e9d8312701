"""Calls as programs with OpenAI's chat completions make them; answers as its SDKs parse them."""

import re

from .caller import Caller, Tally, arguments, only_texts, options
from .check import between, check, loads, need, shape
from .frames import dump, read_sse

COUNT = between(0, 1 << 40, int)
FINISH = {"stop", "length", "tool_calls", "content_filter"}
WORDS = {"stop": "stop", "length": "length", "tool_calls": "tools", "content_filter": "filter"}
DETAILS = [lambda v, w: shape(v, w, {"type": {"reasoning.text", "reasoning.encrypted", "reasoning.summary"}},
                              {"text": str, "signature": str, "data": str, "format": str, "id": str,
                               "summary": str, "index": int})]
EXTRA = {"google": {"thought_signature": str}}
USAGE_IN = lambda v, w: shape(v, w, {"cached_tokens": COUNT}, {"audio_tokens": COUNT,
                                                               "cache_write_tokens": COUNT})
USAGE_OUT = lambda v, w: shape(v, w, {"reasoning_tokens": COUNT}, {
    "audio_tokens": COUNT, "accepted_prediction_tokens": COUNT, "rejected_prediction_tokens": COUNT})
FRONT = {"id": re.compile("chatcmpl-.+"), "object": str, "created": between(1, 1 << 40, int), "model": str,
         "choices": [dict]}
MORE = {"service_tier": (str, None), "system_fingerprint": (str, None)}


def usage(value, where):
    shape(value, where, {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
          {"prompt_tokens_details": USAGE_IN, "completion_tokens_details": USAGE_OUT})
    need(value["total_tokens"] == value["prompt_tokens"] + value["completion_tokens"], where, "total")
    cached = value.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    reasoning = value.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    need(cached <= value["prompt_tokens"] and reasoning <= value["completion_tokens"], where, "parts")
    return {"input": value["prompt_tokens"], "output": value["completion_tokens"], "cache_read": cached,
            "reasoning": reasoning}


class Chat(Caller):
    dialect = "openai.chat"
    keeps = True
    finishes = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tools",
                "filter": "filter", "refusal": "filter"}
    spells = {
        "system": "messages", "turns": "messages", "tools": "tools", "tool_results": "messages",
        "image": "image_url", "image_url": "image_url", "document": "file", "audio": "input_audio",
        "late_system": "messages.*(system|developer)", "tool_strict": "strict", "schema": "response_format",
        "hard_schema": "response_format|schema|const|ref", "json": "response_format",
        "choice_any": "tool_choice", "choice_none": "tool_choice", "choice_tool": "tool_choice",
        "parallel_off": "parallel_tool_calls", "effort": "reasoning_effort",
        "effort_none": "reasoning_effort", "stop": "stop", "max_tokens": "max_(completion_)?tokens",
        "temperature": "temperature", "hot": "temperature", "top_p": "top_p", "top_k": "top_k",
        "seed": "seed", "presence": "presence_penalty", "frequency": "frequency_penalty", "n": r"\bn\b",
        "logprobs": "logprobs", "logit_bias": "logit_bias", "verbosity": "verbosity",
        "end_user": "safety_identifier|user", "metadata": "metadata", "tier": "service_tier",
        "cache_key": "prompt_cache_key", "store": "store",
    }

    def target(self, model, stream):
        del model, stream
        return "/v1/chat/completions"

    # ---- the request ----

    def body(self, ask, model, stream):
        body = {"model": model, "messages": [m for t in ask.turns for m in self.turn(*t)]}
        if ask.system:
            body["messages"].insert(0, {"role": "system", "content": ask.system})
        body |= options(ask, (
            ("max_tokens", "max_completion_tokens"), ("temperature",) * 2, ("top_p",) * 2, ("top_k",) * 2,
            ("seed",) * 2, ("presence", "presence_penalty"), ("frequency", "frequency_penalty"), ("n", "n"),
            ("logit_bias",) * 2, ("stop",) * 2, ("parallel", "parallel_tool_calls"),
            ("verbosity",) * 2, ("end_user", "safety_identifier"), ("metadata",) * 2,
            ("tier", "service_tier"), ("cache_key", "prompt_cache_key"), ("store",) * 2))
        if ask.effort:
            body["reasoning_effort"] = ask.effort
        if ask.logprobs:
            body |= {"logprobs": True, "top_logprobs": ask.logprobs}
        if ask.tools:
            body["tools"] = [{"type": "function", "function": {
                "name": t["name"], "description": t["description"], "parameters": t["schema"],
                **({"strict": True} if t.get("strict") else {})}} for t in ask.tools]
        if ask.choice:
            body["tool_choice"] = {"any": "required"}.get(ask.choice, ask.choice) \
                if not ask.choice.startswith("tool:") else \
                {"type": "function", "function": {"name": ask.choice[5:]}}
        if ask.schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {
                "name": "answer", "strict": True, "schema": ask.schema}}
        elif ask.json:
            body["response_format"] = {"type": "json_object"}
        body |= ask.extra
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return dump(body)

    def turn(self, role, parts):
        if role == "assistant":
            return [self.assistant(parts)]
        if role == "system":
            return [{"role": "system", "content": parts[0]["text"]}]
        found = [{"role": "tool", "tool_call_id": p["id"], "content": "".join(q["text"] for q in p["parts"])}
                 for p in parts if p["kind"] == "result"]
        rest = [p for p in parts if p["kind"] != "result"]
        if rest and only_texts(rest) and len(rest) == 1:
            found.append({"role": "user", "content": rest[0]["text"]})
        elif rest:
            found.append({"role": "user", "content": [self.part(p) for p in rest]})
        return found

    @staticmethod
    def part(part):
        if part["kind"] == "text":
            return {"type": "text", "text": part["text"]}
        if part["kind"] == "image":
            url = part.get("url") or f"data:{part['media']};base64,{part['data']}"
            return {"type": "image_url", "image_url": {"url": url}}
        if part["kind"] == "audio":
            return {"type": "input_audio", "input_audio": {"data": part["data"], "format": part["format"]}}
        return {"type": "file", "file": {"filename": part["title"],
                                         "file_data": f"data:{part['media']};base64,{part['data']}"}}

    @staticmethod
    def assistant(parts):
        if parts[0]["kind"] == "raw":
            return parts[0]["value"]
        message = {"role": "assistant",
                   "content": "".join(p["text"] for p in parts if p["kind"] == "text") or None}
        calls = [{"id": p["id"], "type": "function",
                  "function": {"name": p["name"], "arguments": dump(p["args"]).decode()}}
                 for p in parts if p["kind"] == "call"]
        return {**message, "tool_calls": calls} if calls else message

    # ---- the answer ----

    def whole(self, value):
        shape(value, "body", {**FRONT, "object": {"chat.completion"}, "usage": usage}, MORE)
        need(len(value["choices"]) == 1, "choices", "must be one")
        choice = shape(value["choices"][0], "choices[0]", {"index": {0}, "message": dict,
                                                           "finish_reason": FINISH}, {"logprobs": None})
        message = shape(choice["message"], "message", {"role": {"assistant"}, "content": (str, None)}, {
            "refusal": (str, None), "annotations": list, "reasoning_content": str,
            "reasoning_details": DETAILS, "tool_calls": [dict]})
        for k, call in enumerate(message.get("tool_calls", [])):
            shape(call, f"tool_calls[{k}]", {"id": re.compile(".{1,40}"), "type": {"function"},
                                             "function": {"name": str, "arguments": str}},
                  {"extra_content": EXTRA})
        return self.fold(message, choice["finish_reason"], usage(value["usage"], "usage"))

    def fold(self, message, finish, told):
        answer = Tally().answer
        answer.text, answer.refusal = message.get("content") or "", message.get("refusal") or ""
        answer.thinking = message.get("reasoning_content", "")
        answer.calls = [{"id": c["id"], "name": c["function"]["name"],
                         "args": arguments(c["function"]["arguments"], "arguments")}
                        for c in message.get("tool_calls", [])]
        answer.signatures = [d.get("signature") or d.get("data")
                             for d in message.get("reasoning_details", [])]
        answer.signatures += [c["extra_content"]["google"]["thought_signature"]
                              for c in message.get("tool_calls", []) if "extra_content" in c]
        answer.finish, answer.usage, answer.raw = WORDS[finish], told, message
        need((answer.finish == "tools") == bool(answer.calls) or answer.finish == "length", "finish_reason",
             f"is {finish} with {len(answer.calls)} calls")
        need(len({c["id"] for c in answer.calls}) == len(answer.calls), "tool_calls", "ids are not unique")
        return answer

    def events(self, data, clean):
        message, finish, told, fronts, calls = {"role": "assistant", "content": None}, None, None, set(), []
        events = read_sse(data, clean)
        for i, (name, text) in enumerate(events):
            where = f"chunk {i}"
            need(name is None, where, "chunks have no names")
            if text == "[DONE]":
                need(i == len(events) - 1, where, "something came behind [DONE]")
                need(finish, where, "[DONE] without a finish_reason")
                need(told, where, "usage was asked for")
                return self.fold({**message, **({"tool_calls": calls} if calls else {})}, finish, told)
            value = loads(text, where)
            if "error" in value:
                need(i == len(events) - 1, where, "something came behind the error")
                answer = Tally().answer
                answer.text, answer.error = message["content"] or "", self.problem(value, 0)
                return answer
            need(told is None, where, "a chunk behind the one with usage")
            shape(value, where, {**FRONT, "object": {"chat.completion.chunk"}},
                  {**MORE, "usage": (None, usage), "obfuscation": str})
            fronts.add((value["id"], value["created"], value["model"]))
            need(len(fronts) == 1, where, "id, created and model must stay the same")
            if not value["choices"]:
                told = usage(value["usage"], f"{where}.usage")
                need(finish, where, "usage ahead of the finish_reason")
                continue
            need(value.get("usage") is None, where, "usage belongs to the last chunk")
            choice = shape(value["choices"][0], where, {"index": {0}, "delta": dict},
                           {"finish_reason": (None, FINISH), "logprobs": None})
            need(not finish, where, "a choice behind its finish_reason")
            need(("role" in choice["delta"]) == (i == 0), where, "the role comes first, and once")
            self.delta(message, calls, choice["delta"], f"{where}.delta")
            finish = choice.get("finish_reason")
        need(not clean, "stream", "ended without [DONE]")
        answer = Tally().answer
        answer.text = message["content"] or ""
        return answer

    @staticmethod
    def delta(message, calls, delta, where):
        shape(delta, where, {}, {"role": {"assistant"}, "content": (str, None), "refusal": (str, None),
                                 "reasoning_content": str, "reasoning_details": DETAILS,
                                 "tool_calls": [dict]})
        for name in ("content", "refusal", "reasoning_content"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        if "reasoning_details" in delta:
            message.setdefault("reasoning_details", []).extend(delta["reasoning_details"])
        for call in delta.get("tool_calls", []):
            at = check(call.get("index"), f"{where}.index", int)
            need(at <= len(calls), where, "indices must count up")
            if at == len(calls):
                shape(call, where, {"index": int, "id": re.compile(".{1,40}"), "type": {"function"},
                                    "function": {"name": str, "arguments": str}}, {"extra_content": EXTRA})
                calls.append({k: v for k, v in call.items() if k != "index"})
                continue
            shape(call, where, {"index": int}, {"function": {"arguments": str}, "extra_content": EXTRA})
            calls[at]["function"]["arguments"] += call.get("function", {}).get("arguments", "")
            if "extra_content" in call:
                calls[at]["extra_content"] = call["extra_content"]

    def problem(self, value, status):
        shape(value, "error", {"error": lambda v, w: shape(
            v, w, {"message": str, "type": str}, {"param": (str, None), "code": (str, None)})})
        return {"status": status, "kind": value["error"]["type"], "message": value["error"]["message"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)
