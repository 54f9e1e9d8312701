"""Calls as programs with Ollama's chat make them; lines as its clients parse them."""

import re

from .caller import Caller, Tally, in_order, named, options
from .check import between, check, loads, need, shape
from .frames import dump, read_lines

COUNT = between(0, 1 << 60, int)
FRONT = {"model": str, "created_at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
         "message": dict, "done": bool}
END = {"done_reason": {"stop", "length", "load", "unload"}, "prompt_eval_count": COUNT}
MAY = {name: COUNT for name in ("eval_count", "total_duration", "load_duration", "prompt_eval_duration",
                                "eval_duration")}


def message_shape(message, where):
    shape(message, where, {"role": {"assistant"}, "content": str}, {
        "thinking": str, "tool_calls": [{"function": lambda v, w: shape(
            v, w, {"name": str, "arguments": dict}, {"index": int, "description": str})}], "images": [str]}
          if not any("id" in c for c in message.get("tool_calls", [])) else {
        "thinking": str, "tool_calls": [{"id": str, "function": lambda v, w: shape(
            v, w, {"name": str, "arguments": dict}, {"index": int})}], "images": [str]})
    return message


class Ollama(Caller):
    dialect = "ollama.chat"
    stream_type = "application/x-ndjson"
    tells = {"input", "output"}
    finishes = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tools",
                "filter": "stop", "refusal": "stop"}
    spells = {
        "system": "messages", "turns": "messages", "tools": "tools", "tool_results": "messages",
        "image": "images", "result_image": "images", "late_system": "messages.*system", "schema": "format",
        "hard_schema": "format|schema|const|ref", "json": "format", "effort": "think",
        "effort_none": "think", "show_thinking": "think", "stop": "stop", "max_tokens": "num_predict",
        "temperature": "temperature", "hot": "temperature", "top_p": "top_p", "top_k": "top_k",
        "seed": "seed", "presence": "presence_penalty", "frequency": "frequency_penalty",
        "logprobs": "logprobs",
    }

    def target(self, model, stream):
        del model, stream
        return "/api/chat"

    # ---- the request ----

    def body(self, ask, model, stream):
        body = {"model": model, "messages": [m for t in in_order(ask) for m in self.turn(*t)]}
        if ask.system:
            body["messages"].insert(0, {"role": "system", "content": ask.system})
        knobs = options(ask, (
            ("max_tokens", "num_predict"), ("temperature",) * 2, ("top_p",) * 2, ("top_k",) * 2,
            ("seed",) * 2, ("stop",) * 2, ("presence", "presence_penalty"),
            ("frequency", "frequency_penalty")))
        if knobs:
            body["options"] = knobs
        if ask.effort or ask.show_thinking:
            body["think"] = False if ask.effort == "none" else ask.effort or True
        if ask.logprobs:
            body |= {"logprobs": True, "top_logprobs": ask.logprobs}
        if ask.tools:
            body["tools"] = [{"type": "function", "function": {
                "name": t["name"], "description": t["description"], "parameters": t["schema"]}}
                for t in ask.tools]
        if ask.schema or ask.json:
            body["format"] = ask.schema or "json"
        body |= ask.extra
        # It streams unless it is told not to.
        return dump(body if stream else {**body, "stream": False})

    def turn(self, role, parts):
        if parts[0]["kind"] == "raw":
            return [parts[0]["value"]]
        found = [{"role": "tool", "tool_name": p["name"], **named(p, "tool_call_id"),
                  **self.content(p["parts"])} for p in parts if p["kind"] == "result"]
        rest = [p for p in parts if p["kind"] not in ("result", "call")]
        calls = [{**named(p), "function": {"name": p["name"], "arguments": p["args"]}} for p in parts
                 if p["kind"] == "call"]
        if role == "assistant":
            return [{"role": role, **self.content(rest), **({"tool_calls": calls} if calls else {})}]
        return found + ([{"role": role, **self.content(rest)}] if rest else [])

    @staticmethod
    def content(parts):
        images = [p["data"] for p in parts if p["kind"] == "image"]
        text = "\n".join(p["text"] for p in parts if p["kind"] == "text")
        return {"content": text, "images": images} if images else {"content": text}

    # ---- the answer ----

    def whole(self, value):
        shape(value, "body", {**FRONT, **END, "done": {True}}, MAY)
        return self.fold(message_shape(value["message"], "message"), value)

    def fold(self, message, last):
        answer = Tally().answer
        answer.text, answer.thinking = message["content"], message.get("thinking", "")
        answer.calls = [{"id": c.get("id"), "name": c["function"]["name"], "args": c["function"]["arguments"]}
                        for c in message.get("tool_calls", [])]
        word = check(last["done_reason"], "done_reason", {"stop", "length"})
        answer.finish = "tools" if answer.calls and word == "stop" else word
        answer.usage = {"input": last["prompt_eval_count"], "output": last.get("eval_count", 0)}
        answer.raw = message
        return answer

    def events(self, data, clean):
        message, models, answer = {"role": "assistant", "content": ""}, set(), Tally().answer
        for i, value in enumerate(read_lines(data, clean)):
            where = f"line {i}"
            need(not answer.finish and not answer.error, where, "something came behind the last line")
            if "error" in value:
                answer.error = self.problem(value, 0)
                continue
            done = value.get("done")
            shape(value, where, {**FRONT, **(END if done else {})}, MAY if done else {})
            piece = message_shape(value["message"], f"{where}.message")
            models.add(value["model"])
            need(len(models) == 1, where, "another model")
            message["content"] += piece["content"]
            answer.text = message["content"]
            if "thinking" in piece:
                message["thinking"] = message.get("thinking", "") + piece["thinking"]
            if "tool_calls" in piece:
                message.setdefault("tool_calls", []).extend(piece["tool_calls"])
            if done:
                answer = self.fold(message, value)
        need(not clean or answer.finish or answer.error, "stream", "ended without done")
        return answer

    def problem(self, value, status):
        shape(value, "error", {"error": str}, {"code": str})
        return {"status": status, "kind": "error", "message": value["error"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)
