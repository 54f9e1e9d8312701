"""anthropic.messages, as Anthropic's own."""

import re

from .check import (Fault, base64_bytes, between, check, loads, need, non_empty, object_schema, shape,
                    some)
from .form import Ask, signature_of
from .frames import dump, pieces, sse
from .upstream import RETRY_AFTER, SECRET, Provider, header

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CACHE = {"cache_control": lambda v, w: shape(v, w, {"type": {"ephemeral"}}, {"ttl": {"5m", "1h"}})}
MEDIA = {"image/png", "image/jpeg", "image/gif", "image/webp"}
TEXTS = {
    "bad": "messages.0.foo: Extra inputs are not permitted",
    "auth": "invalid x-api-key",
    "rate": "This request would exceed your organization's rate limit of 5 requests per minute",
    "server": "Internal server error", "overloaded": "Overloaded",
    "context": "prompt is too long: 210000 tokens > 200000 maximum",
}
KINDS = {"bad": (400, "invalid_request_error"), "auth": (401, "authentication_error"),
         "rate": (429, "rate_limit_error"), "server": (500, "api_error"),
         "overloaded": (529, "overloaded_error"), "context": (400, "invalid_request_error")}
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "tools": "tool_use",
          "refusal": "refusal", "filter": "refusal"}


def tool(value, where):
    shape(value, where, {"name": NAME, "input_schema": object_schema},
          {"description": str, "strict": bool, "type": {"custom"}, **CACHE})


def thinking(value, where):
    kind = isinstance(value, dict) and value.get("type")
    if kind == "enabled":
        shape(value, where, {"type": str, "budget_tokens": between(1024, 1 << 30, int)},
              {"display": {"summarized", "omitted"}})
    elif kind == "adaptive":
        shape(value, where, {"type": str}, {"display": {"summarized", "omitted"}})
    else:
        shape(value, where, {"type": {"disabled"}})


def tool_choice(value, where):
    off = {"disable_parallel_tool_use": bool}
    kind = isinstance(value, dict) and value.get("type")
    if kind == "tool":
        shape(value, where, {"type": str, "name": NAME}, off)
    else:
        shape(value, where, {"type": {"auto", "any", "none"}}, {} if kind == "none" else off)


MEMBERS = {
    "system": (str, some(dict)), "metadata": {"user_id": str}, "stop_sequences": [non_empty],
    "stream": bool, "temperature": between(0, 1), "top_k": between(0, 1 << 30, int),
    "top_p": between(0, 1), "tools": [tool], "tool_choice": tool_choice, "thinking": thinking,
    "service_tier": {"auto", "standard_only"},
    "output_config": lambda v, w: shape(v, w, {}, {
        "effort": {"low", "medium", "high", "xhigh", "max"},
        "format": {"type": {"json_schema"}, "schema": dict}}), **CACHE,
}


class Messages(Provider):
    dialect = "anthropic.messages"
    model = "upstream-messages"
    signs = True
    finishes = {"stop", "sequence", "length", "tools", "refusal"}

    def shows(self, ask):
        return ask.extra["thinks"]

    def matches(self, path):
        return path == "/v1/messages"

    def read(self, request):
        if SECRET not in (header(request, "x-api-key"), header(request, "authorization")[7:]):
            raise Fault("x-api-key", "must be the secret")
        need(header(request, "anthropic-version") == "2023-06-01", "anthropic-version", "is required")
        body = loads(request.body)
        shape(body, "body", {"model": {self.model}, "messages": some(dict),
                             "max_tokens": between(1, 1 << 30, int)}, MEMBERS)
        ask = Ask(stream=body.get("stream", False))
        system = body.get("system", "")
        if not isinstance(system, str):
            for k, block in enumerate(system):
                shape(block, f"system[{k}]", {"type": {"text"}, "text": non_empty}, CACHE)
            ask.cache_marks += sum("cache_control" in b for b in system)
            system = "".join(b["text"] for b in system)
        ask.system = system
        self.read_messages(ask, body["messages"])
        self.read_options(ask, body)
        return ask

    def read_messages(self, ask, messages):
        need(messages[0].get("role") == "user", "messages[0]", "first message must use the user role")
        for i, message in enumerate(messages):
            where = f"messages[{i}]"
            shape(message, where, {"role": {"user", "assistant"}, "content": (str, [dict])})
            content = message["content"]
            last = i == len(messages) - 1
            need(content or last and message["role"] == "assistant", where, "must have non-empty content")
            if isinstance(content, str):
                content = [{"type": "text", "text": content}]
            parts = [self.block(b, message["role"], f"{where}.content[{k}]", ask)
                     for k, b in enumerate(content)]
            # The API merges turns of one role.
            if ask.turns and ask.turns[-1][0] == message["role"]:
                ask.turns[-1][1].extend(parts)
            else:
                ask.turns.append((message["role"], parts))
        self.judge_turns(ask)

    @staticmethod
    def judge_turns(ask):
        names = {}
        for i, (role, parts) in enumerate(ask.turns):
            calls = [p["id"] for p in parts if p["kind"] == "call"]
            names.update({p["id"]: p["name"] for p in parts if p["kind"] == "call"})
            if calls:
                need(len(set(calls)) == len(calls), f"turn {i}", "`tool_use` ids must be unique")
                need(i + 1 < len(ask.turns), f"turn {i}", "`tool_use` without `tool_result`")
                got = [p["id"] for p in ask.turns[i + 1][1] if p["kind"] == "result"]
                need(sorted(got) == sorted(calls), f"turn {i + 1}",
                     f"`tool_use` ids were found without `tool_result` blocks immediately after: {calls}")
                front = ask.turns[i + 1][1][:len(calls)]
                need(all(p["kind"] == "result" for p in front), f"turn {i + 1}",
                     "tool_result blocks must come first")
            elif role == "user" and i:
                before = [p["id"] for p in ask.turns[i - 1][1] if p["kind"] == "call"]
                got = [p["id"] for p in parts if p["kind"] == "result"]
                need(sorted(before) == sorted(got), f"turn {i}", f"unexpected `tool_use_id` {got}")
            elif role == "user":
                need(not [p for p in parts if p["kind"] == "result"], "turn 0", "a result without a call")
            for part in parts:
                if part["kind"] == "result":
                    part["name"] = names.get(part["id"])

    def block(self, block, role, where, ask):
        kinds = ({"text", "tool_use", "thinking", "redacted_thinking"} if role == "assistant"
                 else {"text", "image", "document", "tool_result"})
        kind = check(block.get("type"), f"{where}.type", kinds)
        ask.cache_marks += "cache_control" in block
        if kind == "text":
            shape(block, where, {"type": str, "text": non_empty}, {**CACHE, "citations": (None, list)})
            return {"kind": "text", "text": block["text"]}
        if kind == "tool_use":
            shape(block, where, {"type": str, "id": ID, "name": NAME, "input": dict}, CACHE)
            return {"kind": "call", "id": block["id"], "name": block["name"], "args": block["input"]}
        if kind == "thinking":
            shape(block, where, {"type": str, "thinking": str, "signature": str})
            return {"kind": "thinking", "text": block["thinking"],
                    "signature": self.own_signature(block["signature"], f"{where}.signature")}
        if kind == "redacted_thinking":
            shape(block, where, {"type": str, "data": str})
            return {"kind": "thinking", "text": "",
                    "signature": self.own_signature(block["data"], f"{where}.data")}
        if kind == "tool_result":
            shape(block, where, {"type": str, "tool_use_id": ID},
                  {"content": (str, [dict]), "is_error": bool, **CACHE})
            inner = block.get("content", [])
            if isinstance(inner, str):
                inner = [{"type": "text", "text": inner}] if inner else []
            return {"kind": "result", "id": block["tool_use_id"], "error": block.get("is_error", False),
                    "parts": [self.media(b, f"{where}.content[{k}]") for k, b in enumerate(inner)]}
        return self.media(block, where)

    @staticmethod
    def media(block, where):
        kind = check(block.get("type"), f"{where}.type", {"text", "image", "document"})
        if kind == "text":
            shape(block, where, {"type": str, "text": non_empty}, CACHE)
            return {"kind": "text", "text": block["text"]}
        shape(block, where, {"type": str, "source": dict},
              {**CACHE, **({"title": str, "context": str, "citations": dict} if kind == "document" else {})})
        source, at = block["source"], f"{where}.source"
        if source.get("type") == "url":
            shape(source, at, {"type": str, "url": re.compile("https?://.+")})
            return {"kind": kind, "url": source["url"]}
        if kind == "document" and source.get("type") == "text":
            shape(source, at, {"type": str, "media_type": {"text/plain"}, "data": str})
            return {"kind": kind, "text": source["data"], "title": block.get("title", "")}
        shape(source, at, {"type": {"base64"}, "data": base64_bytes,
                           "media_type": MEDIA if kind == "image" else {"application/pdf"}})
        return {"kind": kind, "media": source["media_type"], "data": source["data"],
                "title": block.get("title", "")}

    @staticmethod
    def read_options(ask, body):
        ask.tools = [{"name": t["name"], "description": t.get("description", ""), "schema": t["input_schema"],
                      "strict": t.get("strict")} for t in body.get("tools", [])]
        ask.cache_marks += sum("cache_control" in t for t in body.get("tools", []))
        need(ask.cache_marks <= 4, "cache_control", "A maximum of 4 blocks with cache_control")
        need(len({t["name"] for t in ask.tools}) == len(ask.tools), "tools", "names must be unique")
        choice = body.get("tool_choice", {})
        need(ask.tools or not choice, "tool_choice", "may only be specified while providing tools")
        need(ask.tools or not ask.parts("call"), "tools", "Requests which include `tool_use` or "
             "`tool_result` blocks must define tools")
        ask.choice = f"tool:{choice['name']}" if "name" in choice else choice.get("type")
        if "disable_parallel_tool_use" in choice:
            ask.parallel = not choice["disable_parallel_tool_use"]
        think, config = body.get("thinking", {}), body.get("output_config", {})
        ask.extra["thinks"] = on = think.get("type") in ("enabled", "adaptive")
        ask.effort = config.get("effort", ("budget", think.get("budget_tokens")) if on else
                                "none" if think else None)
        ask.show_thinking = think.get("display") != "omitted" if on else None
        if on:
            need(think.get("budget_tokens", 0) < body["max_tokens"], "max_tokens",
                 "must be greater than thinking.budget_tokens")
            need(body.get("temperature", 1) == 1 and "top_k" not in body, "temperature",
                 "may only be set to 1 when thinking is enabled; top_k must be unset")
            need(body.get("top_p", 1) >= 0.95, "top_p", "must be >= 0.95 when thinking is enabled")
            need(choice.get("type") not in ("any", "tool"), "tool_choice",
                 "Thinking may not be enabled when tool_choice forces tool use")
            need(ask.turns[-1][0] == "user", "messages", "no prefill with thinking")
            if ask.last_results():
                first = ask.turns[-2][1][0]["kind"]
                need(first == "thinking", f"turn {len(ask.turns) - 2}",
                     f"Expected `thinking` or `redacted_thinking`, but found `{first}`")
        ask.schema = config.get("format", {}).get("schema")
        ask.stop = body.get("stop_sequences", [])
        ask.end_user = body.get("metadata", {}).get("user_id")
        for here, there in (("max_tokens",) * 2, ("temperature",) * 2, ("top_p",) * 2, ("top_k",) * 2,
                            ("tier", "service_tier")):
            setattr(ask, here, body.get(there))

    # ---- answers ----

    @staticmethod
    def blocks(plan, ask):
        found = []
        if plan.thinking and ask.extra["thinks"]:
            found.append({"type": "thinking", "thinking": plan.thinking,
                          "signature": signature_of("anthropic.messages")})
        if plan.text:
            found.append({"type": "text", "text": plan.text})
        found += [{"type": "tool_use", "id": f"toolu_01{'Lx9' * 6}{i:04d}", "name": name, "input": args}
                  for i, (name, args) in enumerate(plan.calls)]
        return found

    @staticmethod
    def usage(plan):
        return {"input_tokens": plan.input - plan.cache_read, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": plan.cache_read,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": plan.output, "service_tier": "standard",
                "output_tokens_details": {"thinking_tokens": plan.reasoning}}

    @staticmethod
    def ending(plan, ask):
        stopped = ask.stop[0] if plan.finish == "sequence" else None
        return {"stop_reason": FINISH[plan.finish], "stop_sequence": stopped}

    def front(self):
        return {"id": "msg_01Lab", "type": "message", "role": "assistant", "model": "upstream-messages-4"}

    def whole(self, plan, ask):
        return dump({**self.front(), "content": self.blocks(plan, ask), **self.ending(plan, ask),
                     "usage": self.usage(plan)})

    def stream(self, plan, ask):
        events = []

        def tell(kind, **more):
            events.append(sse({"type": kind, **more}, kind))
        usage = self.usage(plan)
        begun = {k: v for k, v in usage.items() if k != "output_tokens_details"}
        tell("message_start", message={**self.front(), "content": [], "stop_reason": None,
                                       "stop_sequence": None, "usage": {**begun, "output_tokens": 1}})
        for at, block in enumerate(self.blocks(plan, ask)):
            self.tell_block(tell, at, block)
            if at == 0:
                tell("ping")
        tell("message_delta", delta=self.ending(plan, ask),
             usage={k: v for k, v in usage.items() if k not in ("service_tier", "cache_creation")})
        tell("message_stop")
        return events

    @staticmethod
    def tell_block(tell, at, block):
        def delta(**more):
            tell("content_block_delta", index=at, delta=more)
        if block["type"] == "tool_use":
            tell("content_block_start", index=at, content_block={**block, "input": {}})
            # A call without arguments streams one empty piece.
            text = dump(block["input"]).decode() if block["input"] else ""
            for piece in ["", *(p for p in pieces(text, 7) if p)]:
                delta(type="input_json_delta", partial_json=piece)
        elif block["type"] == "thinking":
            tell("content_block_start", index=at, content_block={"type": "thinking", "thinking": "",
                                                                 "signature": ""})
            for piece in pieces(block["thinking"], 9):
                delta(type="thinking_delta", thinking=piece)
            delta(type="signature_delta", signature=block["signature"])
        else:
            tell("content_block_start", index=at, content_block={"type": "text", "text": ""})
            for piece in pieces(block["text"], 1000 if len(block["text"]) > 9999 else 6):
                delta(type="text_delta", text=piece)
        tell("content_block_stop", index=at)

    def error(self, kind, message=""):
        status, name = KINDS[kind]
        body = dump({"type": "error", "error": {"type": name, "message": message or TEXTS[kind]},
                     "request_id": "req_011Lab"})
        return status, body, [("retry-after", RETRY_AFTER)] if kind == "rate" else []

    def broken(self, before):
        del before
        return [sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"},
                     "request_id": "req_011Lab"}, "error")]
