"""cohere.chat, version 2 of Cohere's API."""

import re

from .check import at_most, between, check, loads, need, non_empty, object_schema, shape, some
from .form import Ask
from .frames import dump, pieces, sse
from .upstream import Provider, bearer
from .upstream_chat import image_url

TEXTS = {
    "bad": "invalid request: unknown field: parameter 'foo' is not a valid field",
    "auth": "invalid api token", "rate": "Please wait and try again later",
    "server": "internal server error", "overloaded": "Please wait and try again later",
    "context": "too many tokens: size limit exceeded by 1234 tokens. Try using shorter or fewer inputs",
}
STATUS = {"bad": 400, "auth": 401, "rate": 429, "server": 500, "overloaded": 503, "context": 400}
FINISH = {"stop": "COMPLETE", "sequence": "STOP_SEQUENCE", "length": "MAX_TOKENS", "tools": "TOOL_CALL"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TEXT_PART = {"type": {"text"}, "text": non_empty}


def function_tool(value, where):
    shape(value, where, {"type": {"function"}, "function": lambda v, w: shape(
        v, w, {"name": NAME, "parameters": object_schema}, {"description": str})})


def response_format(value, where):
    shape(value, where, {"type": {"text", "json_object"}}, {"json_schema": dict})
    need(value["type"] == "json_object" or "json_schema" not in value, where, "a schema needs json_object")


MEMBERS = {
    "stream": bool, "tools": [function_tool], "strict_tools": bool, "documents": list,
    "citation_options": dict, "response_format": response_format,
    "safety_mode": {"CONTEXTUAL", "STRICT", "OFF"}, "max_tokens": between(1, 1 << 30, int),
    "stop_sequences": at_most(5, str), "temperature": between(0, 100),
    "seed": between(0, (1 << 64) - 1, int), "frequency_penalty": between(0, 1),
    "presence_penalty": between(0, 1), "k": between(0, 500, int), "p": between(0.01, 0.99),
    "logprobs": bool, "tool_choice": {"REQUIRED", "NONE"}, "priority": int,
    "thinking": lambda v, w: shape(v, w, {"type": {"enabled", "disabled"}},
                                   {"token_budget": between(1, 1 << 30, int)}),
}


class Cohere(Provider):
    dialect = "cohere.chat"
    model = "upstream-cohere"
    tells = {"input", "output", "cache_read"}
    finishes = {"stop", "sequence", "length", "tools"}

    def shows(self, ask):
        return ask.extra["thinks"]

    def matches(self, path):
        return path == "/v2/chat"

    def read(self, request):
        bearer(request)
        body = loads(request.body)
        shape(body, "body", {"model": {self.model}, "messages": some(dict)}, MEMBERS)
        ask = Ask(stream=body.get("stream", False))
        open_calls, known = [], {}
        for i, message in enumerate(body["messages"]):
            where = f"messages[{i}]"
            role = check(message.get("role"), f"{where}.role", {"system", "user", "assistant", "tool"})
            if role == "tool":
                need(message.get("tool_call_id") in open_calls, where, "tool_call_id answers no open call")
                open_calls.remove(message["tool_call_id"])
                self.result(ask, message, where, known)
                continue
            need(not open_calls, where, f"tool calls without results: {open_calls}")
            if role == "assistant":
                open_calls = self.assistant(ask, message, where, known)
            else:
                self.said(ask, role, message, where)
        need(not open_calls, "messages", f"tool calls without results: {open_calls}")
        need(ask.turns and ask.turns[-1][0] == "user", "messages", "must end with the user or a result")
        self.read_options(ask, body)
        return ask

    @staticmethod
    def said(ask, role, message, where):
        shape(message, where, {"role": str, "content": (non_empty, some(dict))})
        parts = message["content"]
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        found = []
        for k, part in enumerate(parts):
            at = f"{where}.content[{k}]"
            kind = check(part.get("type"), at, {"text", "image_url"} if role == "user" else {"text"})
            if kind == "text":
                shape(part, at, TEXT_PART)
                found.append({"kind": "text", "text": part["text"]})
            else:
                shape(part, at, {"type": str, "image_url": image_url})
                url = part["image_url"]["url"]
                found.append({"kind": "image", "url": url} if not url.startswith("data:") else
                             {"kind": "image", "media": url[5:url.index(";")], "data": url.partition(",")[2]})
        if role == "user":
            ask.user(*found)
        elif ask.turns:
            ask.turns.append(("system", found))
        else:
            ask.system += "".join(p["text"] for p in found)

    @staticmethod
    def assistant(ask, message, where, known):
        shape(message, where, {"role": str}, {"content": (non_empty, some(dict)), "tool_calls": some(dict),
                                              "tool_plan": str, "citations": list})
        parts, ids = [], []
        content = message.get("content", [])
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for k, part in enumerate(content):
            at = f"{where}.content[{k}]"
            if check(part.get("type"), at, {"text", "thinking"}) == "text":
                shape(part, at, TEXT_PART)
                parts.append({"kind": "text", "text": part["text"]})
            else:
                shape(part, at, {"type": str, "thinking": non_empty})
                parts.append({"kind": "thinking", "text": part["thinking"]})
        if message.get("tool_plan"):
            parts.append({"kind": "text", "text": message["tool_plan"]})
        for k, call in enumerate(message.get("tool_calls", [])):
            at = f"{where}.tool_calls[{k}]"
            shape(call, at, {"id": non_empty, "type": {"function"},
                             "function": {"name": NAME, "arguments": str}})
            args = check(loads(call["function"]["arguments"], at), at, dict)
            parts.append({"kind": "call", "id": call["id"], "name": call["function"]["name"], "args": args})
            need(call["id"] not in ids, at, "the id stands there twice")
            ids.append(call["id"])
            known[call["id"]] = call["function"]["name"]
        need(parts, where, "an assistant's message needs content or tool_calls")
        ask.assistant(*parts)
        return ids

    @staticmethod
    def result(ask, message, where, known):
        shape(message, where, {"role": str, "tool_call_id": str, "content": (non_empty, some(dict))})
        content = message["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        parts = []
        for k, part in enumerate(content):
            at = f"{where}.content[{k}]"
            if check(part.get("type"), at, {"text", "document"}) == "text":
                shape(part, at, TEXT_PART)
                parts.append({"kind": "text", "text": part["text"]})
            else:
                shape(part, at, {"type": str, "document": lambda v, w: shape(
                    v, w, {"data": (str, dict)}, {"id": str})})
                data = part["document"]["data"]
                parts.append({"kind": "text", "text": data if isinstance(data, str) else
                              str(data.get("data", data.get("text", dump(data).decode())))})
        if ask.turns[-1][0] != "user":
            ask.user()
        ask.turns[-1][1].append({"kind": "result", "id": message["tool_call_id"],
                                 "name": known[message["tool_call_id"]], "error": False, "parts": parts})

    @staticmethod
    def read_options(ask, body):
        ask.tools = [{"name": t["function"]["name"], "description": t["function"].get("description", ""),
                      "schema": t["function"]["parameters"], "strict": body.get("strict_tools")}
                     for t in body.get("tools", [])]
        need(ask.tools or "tool_choice" not in body, "tool_choice", "only with tools")
        ask.choice = {"REQUIRED": "any", "NONE": "none"}.get(body.get("tool_choice"))
        form = body.get("response_format", {})
        need(not (ask.tools and form.get("type") == "json_object"), "response_format",
             "json_object is not supported together with tools")
        ask.schema = form.get("json_schema")
        ask.json = form.get("type") == "json_object" and not ask.schema
        think = body.get("thinking", {})
        ask.effort = ("none" if think.get("type") == "disabled" else
                      ("budget", think["token_budget"]) if "token_budget" in think else
                      "on" if think else None)
        ask.extra["thinks"] = think.get("type") != "disabled"
        ask.stop = body.get("stop_sequences", [])
        ask.logprobs = body.get("logprobs")
        for here, there in (("max_tokens",) * 2, ("temperature",) * 2, ("top_p", "p"), ("top_k", "k"),
                            ("seed",) * 2, ("presence", "presence_penalty"),
                            ("frequency", "frequency_penalty"), ("tier", "priority")):
            setattr(ask, here, body.get(there))

    # ---- answers ----

    @staticmethod
    def usage(plan):
        return {"billed_units": {"input_tokens": plan.input - 5, "output_tokens": plan.output},
                "tokens": {"input_tokens": plan.input, "output_tokens": plan.output},
                "cached_tokens": plan.cache_read}

    @staticmethod
    def calls(plan):
        return [{"id": f"{name}_k3v9qz{i:02d}", "type": "function",
                 "function": {"name": name, "arguments": dump(args).decode()}}
                for i, (name, args) in enumerate(plan.calls)]

    @staticmethod
    def content(plan, ask):
        found = []
        if plan.thinking and ask.extra["thinks"]:
            found.append({"type": "thinking", "thinking": plan.thinking})
        if plan.text and not plan.calls:
            found.append({"type": "text", "text": plan.text})
        return found

    def whole(self, plan, ask):
        message = {"role": "assistant"}
        if plan.calls:
            message["tool_plan"] = plan.text
            message["tool_calls"] = self.calls(plan)
        content = self.content(plan, ask)
        if content:
            message["content"] = content
        return dump({"id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4", "finish_reason": FINISH[plan.finish],
                     "message": message, "usage": self.usage(plan)})

    def stream(self, plan, ask):
        events = []

        def tell(kind, **more):
            events.append(sse({"type": kind, **more}, kind))
        tell("message-start", id="c14c80c3-18eb-4519-9460-6c92edd8cfb4", delta={"message": {
            "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}})
        for at, part in enumerate(self.content(plan, ask)):
            kind = part["type"]
            tell("content-start", index=at, delta={"message": {"content": {"type": kind, kind: ""}}})
            for piece in pieces(part[kind], 1000 if len(part[kind]) > 9999 else 6):
                tell("content-delta", index=at, delta={"message": {"content": {kind: piece}}})
            tell("content-end", index=at)
        if plan.calls:
            for piece in pieces(plan.text, 5):
                if piece:
                    tell("tool-plan-delta", delta={"message": {"tool_plan": piece}})
        for at, call in enumerate(self.calls(plan)):
            start = {**call, "function": {**call["function"], "arguments": ""}}
            tell("tool-call-start", index=at, delta={"message": {"tool_calls": start}})
            for piece in pieces(call["function"]["arguments"], 5):
                tell("tool-call-delta", index=at,
                     delta={"message": {"tool_calls": {"function": {"arguments": piece}}}})
            tell("tool-call-end", index=at)
        tell("message-end", delta={"finish_reason": FINISH[plan.finish], "usage": self.usage(plan)})
        return events

    def error(self, kind, message=""):
        return STATUS[kind], dump({"id": "8f3a", "message": message or TEXTS[kind]}), []

    def broken(self, before):
        del before
        return [sse({"type": "message-end", "delta": {
            "finish_reason": "ERROR", "error": "internal server error"}}, "message-end")]
