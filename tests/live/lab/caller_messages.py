"""Calls as programs with Anthropic's Messages make them; events as its SDKs and Claude Code parse them."""

import re

from .caller import Caller, Tally, arguments, options, plus
from .check import between, check, is_json, loads, need, shape
from .frames import dump, read_sse

COUNT = between(0, 1 << 40, int)
STOPS = {"end_turn": "stop", "max_tokens": "length", "stop_sequence": "sequence", "tool_use": "tools",
         "refusal": "refusal", "model_context_window_exceeded": "length"}
BLOCKS = {
    "text": ({"text": str}, {"citations": (None, list)}),
    "thinking": ({"thinking": str, "signature": str}, {}),
    "redacted_thinking": ({"data": str}, {}),
    "tool_use": ({"id": re.compile("[a-zA-Z0-9_-]{1,64}"), "name": str, "input": dict}, {"caller": is_json}),
}
TOLD = {"cache_creation_input_tokens": (COUNT, None), "cache_read_input_tokens": (COUNT, None),
        "cache_creation": (dict, None), "service_tier": (str, None), "server_tool_use": (dict, None),
        "inference_geo": (str, None),
        "output_tokens_details": lambda v, w: check(v, w, (None, {"thinking_tokens": COUNT}))}


def block_shape(block, where):
    kind = check(block.get("type"), f"{where}.type", set(BLOCKS))
    must, may = BLOCKS[kind]
    return shape(block, where, {"type": str, **must}, may)


def usage(value, where, delta=False):
    must = {"output_tokens": COUNT} if delta else {"input_tokens": COUNT, "output_tokens": COUNT}
    shape(value, where, must, {**TOLD, "input_tokens": (COUNT, None)} if delta else TOLD)
    return {k: v for k, v in value.items() if v is not None}


def normal(told):
    return {"input": plus(told["input_tokens"], told.get("cache_read_input_tokens"),
                          told.get("cache_creation_input_tokens")),
            "output": told["output_tokens"], "cache_read": told.get("cache_read_input_tokens", 0),
            "reasoning": told.get("output_tokens_details", {}).get("thinking_tokens", 0)}


class Messages(Caller):
    dialect = "anthropic.messages"
    keeps = True
    finishes = {"stop": "stop", "sequence": "sequence", "length": "length", "tools": "tools",
                "filter": "refusal", "refusal": "refusal"}
    spells = {
        "system": "system", "turns": "messages", "tools": "tools", "tool_results": "messages",
        "image": "image", "image_url": "image|url", "document": "document",
        "result_image": "image|tool_result", "result_error": "is_error", "tool_strict": "strict",
        "schema": "output_config|format", "hard_schema": "output_config|format|schema|const|ref",
        "choice_any": "tool_choice", "choice_none": "tool_choice", "choice_tool": "tool_choice",
        "parallel_off": "disable_parallel_tool_use", "budget": "thinking", "effort": "effort",
        "effort_none": "thinking", "stop": "stop_sequences", "max_tokens": "max_tokens",
        "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "end_user": "metadata|user_id",
        "tier": "service_tier", "cache_marks": "cache_control",
    }

    def target(self, model, stream):
        del model, stream
        return "/v1/messages"

    def headers(self, place, target, body):
        del target, body
        return [("x-api-key", place.key), ("anthropic-version", "2023-06-01")]

    # ---- the request ----

    def body(self, ask, model, stream):
        body = {"model": model, "max_tokens": ask.max_tokens or 8192,
                "messages": [self.turn(*t) for t in ask.turns]}
        mark = {"cache_control": {"type": "ephemeral"}} if ask.cache_marks else {}
        if ask.system:
            body["system"] = [{"type": "text", "text": ask.system, **mark}] if mark else ask.system
        body |= options(ask, (("temperature",) * 2, ("top_p",) * 2, ("top_k",) * 2,
                              ("stop", "stop_sequences"), ("tier", "service_tier")))
        if ask.end_user:
            body["metadata"] = {"user_id": ask.end_user}
        if ask.tools:
            body["tools"] = [{"name": t["name"], "description": t["description"], "input_schema": t["schema"],
                              **({"strict": True} if t.get("strict") else {})} for t in ask.tools]
        if ask.choice or ask.parallel is not None:
            choice = ask.choice or "auto"
            body["tool_choice"] = {"type": choice} if not choice.startswith("tool:") else \
                {"type": "tool", "name": choice[5:]}
            if ask.parallel is not None:
                body["tool_choice"]["disable_parallel_tool_use"] = not ask.parallel
        self.think(ask, body)
        if ask.schema:
            body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": ask.schema}
        body |= ask.extra
        return dump({**body, "stream": True} if stream else body)

    @staticmethod
    def think(ask, body):
        if ask.effort == "none":
            body["thinking"] = {"type": "disabled"}
        elif isinstance(ask.effort, tuple) or ask.show_thinking:
            budget = ask.effort[1] if isinstance(ask.effort, tuple) else 2048
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        elif ask.effort:
            body["output_config"] = {"effort": ask.effort}

    def turn(self, role, parts):
        if parts[0]["kind"] == "raw":
            return {"role": role, "content": parts[0]["value"]}
        if role == "user" and len(parts) == 1 and parts[0]["kind"] == "text":
            return {"role": role, "content": parts[0]["text"]}
        return {"role": role, "content": [self.part(p) for p in parts]}

    def part(self, part):
        kind = part["kind"]
        if kind == "text":
            return {"type": "text", "text": part["text"]}
        if kind == "call":
            return {"type": "tool_use", "id": part["id"], "name": part["name"], "input": part["args"]}
        if kind == "result":
            content = part["parts"][0]["text"] if len(part["parts"]) == 1 else \
                [self.part(p) for p in part["parts"]]
            return {"type": "tool_result", "tool_use_id": part["id"], "content": content,
                    **({"is_error": True} if part["error"] else {})}
        if "url" in part:
            return {"type": kind, "source": {"type": "url", "url": part["url"]}}
        return {"type": kind, "source": {"type": "base64", "media_type": part["media"], "data": part["data"]},
                **({"title": part["title"]} if part.get("title") else {})}

    # ---- the answer ----

    def front(self, value, where, told):
        shape(value, where, {
            "id": re.compile("msg_.+"), "type": {"message"}, "role": {"assistant"}, "model": str,
            "content": [dict], "stop_reason": (None, set(STOPS)), "stop_sequence": (None, str),
            "usage": told}, {"stop_details": (None, dict), "container": None, "context_management": is_json})

    def whole(self, value):
        self.front(value, "body", lambda v, w: usage(v, w))
        for k, block in enumerate(value["content"]):
            block_shape(block, f"content[{k}]")
        return self.fold(value["content"], value, normal(usage(value["usage"], "usage")))

    def fold(self, blocks, ending, told):
        answer = Tally().answer
        answer.usage, answer.raw = told, blocks
        for block in blocks:
            if block["type"] == "text":
                need(block["text"], "content", "an empty text cannot be sent back")
                answer.text += block["text"]
            elif block["type"] == "thinking":
                answer.thinking += block["thinking"]
                answer.signatures += [block["signature"]] if block["signature"] else []
            elif block["type"] == "redacted_thinking":
                answer.signatures.append(block["data"])
            else:
                answer.calls.append({"id": block["id"], "name": block["name"], "args": block["input"]})
        answer.finish = STOPS[check(ending["stop_reason"], "stop_reason", set(STOPS))]
        # Which one it was is not always known.
        need(answer.finish == "sequence" or ending["stop_sequence"] is None, "stop_sequence",
             f"{ending['stop_sequence']} with {ending['stop_reason']}")
        need((answer.finish == "tools") == bool(answer.calls) or answer.finish == "length", "stop_reason",
             f"{answer.finish} with {len(answer.calls)} calls")
        need(len({c["id"] for c in answer.calls}) == len(answer.calls), "tool_use", "ids are not unique")
        return answer

    def events(self, data, clean):
        blocks, state, told, ending, partial = [], "before", {}, None, ""
        answer = Tally().answer
        for i, (name, text) in enumerate(read_sse(data, clean)):
            value = loads(text, f"event {i}")
            where = f"event {i} ({name})"
            need(value.get("type") == name, where, f"typed {value.get('type')}")
            need(state not in ("over", "failed"), where, "something came behind the last event")
            if name == "ping":
                need(state != "before", where, "ahead of message_start")
                continue
            if name == "error":
                answer.error, state = self.problem(value, 0), "failed"
            elif name == "message_start":
                need(state == "before", where, "comes first")
                shape(value, where, {"type": str, "message": dict})
                self.front(value["message"], where, lambda v, w: usage(v, w))
                need(value["message"]["content"] == [] and value["message"]["stop_reason"] is None, where,
                     "begins empty")
                told, state = usage(value["message"]["usage"], where), "between"
            elif name == "content_block_start":
                need(state == "between", where, f"while {state}")
                shape(value, where, {"type": str, "index": {len(blocks)}, "content_block": dict})
                block = block_shape(value["content_block"], where)
                need(not block.get("text") and not block.get("thinking") and not block.get("input"), where,
                     "begins empty")
                blocks.append(dict(block))
                state, partial = "in a block", ""
            elif name == "content_block_delta":
                need(state == "in a block", where, f"while {state}")
                shape(value, where, {"type": str, "index": {len(blocks) - 1}, "delta": dict})
                partial += self.delta(blocks[-1], value["delta"], where)
                answer.text = "".join(b.get("text", "") for b in blocks)
            elif name == "content_block_stop":
                need(state == "in a block", where, f"while {state}")
                shape(value, where, {"type": str, "index": {len(blocks) - 1}})
                if blocks[-1]["type"] == "tool_use":
                    blocks[-1]["input"] = arguments(partial or "{}", where)
                state = "between"
            elif name == "message_delta":
                need(state == "between" and blocks is not None, where, f"while {state}")
                shape(value, where, {"type": str, "delta": lambda v, w: shape(
                    v, w, {"stop_reason": set(STOPS), "stop_sequence": (None, str)},
                    {"stop_details": (None, dict), "container": None}), "usage": dict},
                      {"context_management": is_json})
                told |= usage(value["usage"], where, True)
                ending, state = value["delta"], "ending"
            else:
                need(name == "message_stop" and state == "ending", where, f"while {state}")
                shape(value, where, {"type": str})
                state = "over"
        if state == "over":
            return self.fold(blocks, ending, normal(told))
        need(not clean or state == "failed", "stream", f"ended while {state}")
        return answer

    @staticmethod
    def delta(block, delta, where):
        """Adds to the block; the piece of a call's input is returned."""
        kinds = {"text": {"text_delta", "citations_delta"}, "tool_use": {"input_json_delta"},
                 "thinking": {"thinking_delta", "signature_delta"}, "redacted_thinking": set()}
        kind = check(delta.get("type"), f"{where}.delta.type", kinds[block["type"]])
        member = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature",
                  "input_json_delta": "partial_json"}[kind]
        shape(delta, where, {"type": str, member: str})
        if kind == "input_json_delta":
            return delta["partial_json"]
        need(kind != "signature_delta" or not block["signature"], where, "signed twice")
        block[member] += delta[member]
        return ""

    def problem(self, value, status):
        shape(value, "error", {"type": {"error"}, "error": lambda v, w: shape(
            v, w, {"type": str, "message": str}, {"details": (None, dict)})}, {"request_id": (str, None)})
        return {"status": status, "kind": value["error"]["type"], "message": value["error"]["message"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)
