"""Calls as programs with Cohere's chat, version 2, make them; events as its SDKs parse them."""

import re

from .caller import Caller, Tally, arguments, options
from .check import between, check, loads, need, shape
from .frames import dump, read_sse

COUNT = between(0, 1 << 40, float)
REASONS = {"COMPLETE": "stop", "STOP_SEQUENCE": "sequence", "MAX_TOKENS": "length", "TOOL_CALL": "tools",
           "ERROR": "filter"}
CALL = {"id": re.compile(".+"), "type": {"function"}, "function": {"name": str, "arguments": str}}
BILLED = {"billed_units": lambda v, w: shape(v, w, {}, {"input_tokens": COUNT, "output_tokens": COUNT}),
          "cached_tokens": COUNT}


def usage(value, where):
    shape(value, where, {"tokens": lambda v, w: shape(
        v, w, {"input_tokens": COUNT}, {"output_tokens": COUNT})}, BILLED)
    return {"input": value["tokens"]["input_tokens"], "output": value["tokens"].get("output_tokens", 0),
            "cache_read": value.get("cached_tokens", 0)}


def content_part(value, where):
    kind = check(isinstance(value, dict) and value.get("type"), where, {"text", "thinking"})
    shape(value, where, {"type": str, kind: str})


class Cohere(Caller):
    dialect = "cohere.chat"
    tells = {"input", "output", "cache_read"}
    finishes = {"stop": "stop", "sequence": "sequence", "length": "length", "tools": "tools",
                "filter": "filter", "refusal": "filter"}
    spells = {
        "system": "messages", "turns": "messages", "tools": "tools", "tool_results": "messages",
        "image": "image_url", "image_url": "image_url", "late_system": "messages.*system",
        "schema": "response_format", "hard_schema": "response_format|schema|const|ref",
        "json": "response_format", "choice_any": "tool_choice", "choice_none": "tool_choice",
        "tool_strict": "strict_tools", "budget": "thinking", "effort_none": "thinking",
        "stop": "stop_sequences", "max_tokens": "max_tokens", "temperature": "temperature",
        "hot": "temperature", "top_p": r"\bp\b", "top_k": r"\bk\b", "seed": "seed",
        "presence": "presence_penalty", "frequency": "frequency_penalty", "logprobs": "logprobs",
    }

    def target(self, model, stream):
        del model, stream
        return "/v2/chat"

    # ---- the request ----

    def body(self, ask, model, stream):
        body = {"model": model, "stream": stream, "messages": [m for t in ask.turns for m in self.turn(*t)]}
        if ask.system:
            body["messages"].insert(0, {"role": "system", "content": ask.system})
        body |= options(ask, (
            ("max_tokens",) * 2, ("temperature",) * 2, ("top_p", "p"), ("top_k", "k"), ("seed",) * 2,
            ("stop", "stop_sequences"), ("presence", "presence_penalty"), ("frequency", "frequency_penalty")))
        if ask.logprobs:
            body["logprobs"] = True
        if ask.effort:
            budget = {"token_budget": ask.effort[1]} if isinstance(ask.effort, tuple) else {}
            body["thinking"] = {"type": "disabled" if ask.effort == "none" else "enabled", **budget}
        if ask.tools:
            body["tools"] = [{"type": "function", "function": {
                "name": t["name"], "description": t["description"], "parameters": t["schema"]}}
                for t in ask.tools]
            if any(t.get("strict") for t in ask.tools):
                body["strict_tools"] = True
        if ask.choice in ("any", "none"):
            body["tool_choice"] = {"any": "REQUIRED", "none": "NONE"}[ask.choice]
        if ask.schema:
            body["response_format"] = {"type": "json_object", "json_schema": ask.schema}
        elif ask.json:
            body["response_format"] = {"type": "json_object"}
        return dump(body | ask.extra)

    def turn(self, role, parts):
        if parts[0]["kind"] == "raw":
            return [parts[0]["value"]]
        if role == "assistant":
            text = "".join(p["text"] for p in parts if p["kind"] == "text")
            calls = [{"id": p["id"], "type": "function", "function": {
                "name": p["name"], "arguments": dump(p["args"]).decode()}} for p in parts
                if p["kind"] == "call"]
            return [{"role": role, "tool_calls": calls, "tool_plan": text} if calls else
                    {"role": role, "content": text}]
        found = [{"role": "tool", "tool_call_id": p["id"], "content": [
            {"type": "document", "document": {"data": q["text"]}} for q in p["parts"]]}
            for p in parts if p["kind"] == "result"]
        rest = [p for p in parts if p["kind"] != "result"]
        if len(rest) == 1 and rest[0]["kind"] == "text":
            return [*found, {"role": role, "content": rest[0]["text"]}]
        return [*found, {"role": role, "content": [self.part(p) for p in rest]}] if rest else found

    @staticmethod
    def part(part):
        if part["kind"] == "text":
            return {"type": "text", "text": part["text"]}
        return {"type": "image_url", "image_url": {
            "url": part.get("url") or f"data:{part['media']};base64,{part['data']}"}}

    # ---- the answer ----

    def whole(self, value):
        shape(value, "body", {"id": str, "finish_reason": set(REASONS), "message": dict, "usage": usage},
              {"logprobs": list})
        message = shape(value["message"], "message", {"role": {"assistant"}}, {
            "content": [content_part], "tool_plan": str, "tool_calls": [CALL], "citations": list})
        return self.fold(message, value["finish_reason"], usage(value["usage"], "usage"))

    def fold(self, message, reason, told):
        answer = Tally().answer
        answer.text = message.get("tool_plan", "")
        for part in message.get("content", []):
            answer.text += part.get("text", "")
            answer.thinking += part.get("thinking", "")
        answer.calls = [{"id": c["id"], "name": c["function"]["name"],
                         "args": arguments(c["function"]["arguments"], "arguments")}
                        for c in message.get("tool_calls", [])]
        answer.finish, answer.usage = REASONS[reason], told
        need((answer.finish == "tools") == bool(answer.calls) or answer.finish == "length", "finish_reason",
             f"{reason} with {len(answer.calls)} calls")
        answer.raw = {k: v for k, v in message.items() if v}
        return answer

    def events(self, data, clean):
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        state, answer = "before", Tally().answer
        for i, (name, text) in enumerate(read_sse(data, clean)):
            value = loads(text, f"event {i}")
            where = f"event {i} ({name})"
            need(value.get("type") == name, where, f"typed {value.get('type')}")
            need(state != "over", where, "something came behind the last event")
            need((name == "message-start") == (state == "before"), where, f"while {state}")
            if name == "message-start":
                shape(value, where, {"type": str, "id": str, "delta": {"message": lambda v, w: shape(
                    v, w, {"role": {"assistant"}}, {"content": list, "tool_plan": str, "tool_calls": list,
                                                    "citations": list})}})
                state = "between"
            elif name == "message-end":
                need(state == "between" or not clean or "error" in value["delta"], where, f"while {state}")
                delta = shape(value, where, {"type": str, "delta": dict}, {"id": str})["delta"]
                shape(delta, where, {"finish_reason": set(REASONS)}, {"usage": usage, "error": str})
                state = "over"
                if "usage" not in delta:  # with it, the answer is whole: a filter stopped it
                    need(delta["finish_reason"] == "ERROR", where, "an error, and all is well")
                    need("error" in delta, where, "lacks usage")
                    answer.error = {"status": 0, "kind": "ERROR", "message": delta["error"]}
                else:
                    answer = self.fold(message, delta["finish_reason"], usage(delta["usage"], where))
            else:
                state = self.step(message, state, name, value, where)
                answer.text = "".join(p.get("text", "") for p in message["content"])
        need(not clean or state == "over", "stream", f"ended while {state}")
        return answer

    @staticmethod
    def step(message, state, name, value, where):
        content, calls = message["content"], message["tool_calls"]
        if name == "tool-plan-delta":
            need(state == "between", where, f"while {state}")
            shape(value, where, {"type": str, "delta": {"message": {"tool_plan": str}}})
            message["tool_plan"] += value["delta"]["message"]["tool_plan"]
        elif name == "content-start":
            need(state == "between", where, f"while {state}")
            shape(value, where, {"type": str, "index": {len(content)},
                                 "delta": {"message": {"content": content_part}}})
            content.append(dict(value["delta"]["message"]["content"]))
            return "in content"
        elif name == "content-delta":
            need(state == "in content", where, f"while {state}")
            kind = content[-1]["type"]
            shape(value, where, {"type": str, "index": {len(content) - 1},
                                 "delta": {"message": {"content": {kind: str}}}})
            content[-1][kind] += value["delta"]["message"]["content"][kind]
        elif name == "content-end":
            need(state == "in content", where, f"while {state}")
            shape(value, where, {"type": str, "index": {len(content) - 1}})
            return "between"
        elif name == "tool-call-start":
            need(state == "between", where, f"while {state}")
            shape(value, where, {"type": str, "index": {len(calls)},
                                 "delta": {"message": {"tool_calls": CALL}}})
            calls.append(value["delta"]["message"]["tool_calls"])
            return "in a call"
        elif name == "tool-call-delta":
            need(state == "in a call", where, f"while {state}")
            shape(value, where, {"type": str, "index": {len(calls) - 1},
                                 "delta": {"message": {"tool_calls": {"function": {"arguments": str}}}}})
            calls[-1]["function"]["arguments"] += \
                value["delta"]["message"]["tool_calls"]["function"]["arguments"]
        else:
            need(name == "tool-call-end" and state == "in a call", where, f"{name} while {state}")
            shape(value, where, {"type": str, "index": {len(calls) - 1}})
            return "between"
        return state

    def problem(self, value, status):
        shape(value, "error", {"message": str}, {"id": str, "code": str})
        return {"status": status, "kind": "error", "message": value["message"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)
