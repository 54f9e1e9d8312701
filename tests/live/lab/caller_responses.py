"""Calls as programs with OpenAI's Responses make them; events as its SDKs and Codex parse them."""

import re

from .caller import Caller, Tally, arguments, options
from .check import between, check, is_json, loads, need, shape
from .frames import dump, read_sse

COUNT = between(0, 1 << 40, int)
OUTPUT_TEXT = lambda v, w: shape(v, w, {"type": {"output_text"}, "text": str, "annotations": list},
                                 {"logprobs": list})
CONTENT = (OUTPUT_TEXT, {"type": {"refusal"}, "refusal": str})
STATUS = {"in_progress", "completed", "incomplete"}
RESPONSE = {
    "id": re.compile("resp_.+"), "object": {"response"}, "created_at": float,
    "status": {"in_progress", "completed", "incomplete", "failed", "queued"}, "error": (None, dict),
    "incomplete_details": (None, {"reason": {"max_output_tokens", "content_filter"}}),
    "instructions": is_json, "model": str, "output": [dict], "parallel_tool_calls": bool,
    "temperature": (float, None), "tool_choice": (str, dict), "tools": list, "top_p": (float, None),
    "metadata": (dict, None),
}
MAY = {name: is_json for name in (
    "max_output_tokens", "previous_response_id", "reasoning", "store", "text", "truncation", "usage", "user",
    "background", "service_tier", "prompt_cache_key", "safety_identifier", "max_tool_calls", "completed_at",
    "top_logprobs", "conversation", "prompt_cache_retention", "presence_penalty", "frequency_penalty")}


def item_shape(item, where):
    kind = check(item.get("type"), f"{where}.type", {"message", "function_call", "reasoning"})
    if kind == "message":
        shape(item, where, {"type": str, "id": re.compile(".{1,64}"), "role": {"assistant"},
                            "status": STATUS, "content": [CONTENT]}, {"phase": is_json})
    elif kind == "function_call":
        shape(item, where, {"type": str, "call_id": re.compile(".{1,64}"), "name": str, "arguments": str},
              {"id": re.compile(".{1,64}"), "status": STATUS})
    else:
        shape(item, where, {"type": str, "id": re.compile(".{1,64}"),
                            "summary": [{"type": {"summary_text"}, "text": str}]},
              {"content": [{"type": {"reasoning_text"}, "text": str}], "encrypted_content": (str, None),
               "status": (None, STATUS)})
    return item


def usage(value, where):
    shape(value, where, {"input_tokens": COUNT, "input_tokens_details": lambda v, w: shape(
        v, w, {"cached_tokens": COUNT}, {"cache_write_tokens": COUNT}), "output_tokens": COUNT,
        "output_tokens_details": {"reasoning_tokens": COUNT}, "total_tokens": COUNT})
    need(value["total_tokens"] == value["input_tokens"] + value["output_tokens"], where, "total")
    return {"input": value["input_tokens"], "output": value["output_tokens"],
            "cache_read": value["input_tokens_details"]["cached_tokens"],
            "reasoning": value["output_tokens_details"]["reasoning_tokens"]}


class Responses(Caller):
    dialect = "openai.responses"
    keeps = True
    finishes = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tools",
                "filter": "filter", "refusal": "refusal"}
    spells = {
        "system": "instructions", "turns": "input", "tools": "tools", "tool_results": "input",
        "image": "input_image", "image_url": "input_image", "document": "input_file",
        "result_image": "input_image|output|input", "late_system": "input.*(system|developer)",
        "tool_strict": "strict", "schema": "text", "hard_schema": "text|schema|const|ref", "json": "text",
        "choice_any": "tool_choice", "choice_none": "tool_choice", "choice_tool": "tool_choice",
        "parallel_off": "parallel_tool_calls", "effort": "reasoning", "effort_none": "reasoning",
        "show_thinking": "reasoning", "max_tokens": "max_output_tokens", "temperature": "temperature",
        "hot": "temperature", "top_p": "top_p", "logprobs": "logprobs", "verbosity": "verbosity",
        "end_user": "safety_identifier|user", "metadata": "metadata", "tier": "service_tier",
        "cache_key": "prompt_cache_key", "store": "store",
    }

    def target(self, model, stream):
        del model, stream
        return "/v1/responses"

    # ---- the request ----

    def body(self, ask, model, stream):
        items = [i for t in ask.turns for i in self.turn(*t)]
        body = {"model": model, "input": items, "include": ["reasoning.encrypted_content"]}
        if ask.system:
            body["instructions"] = ask.system
        body |= {"store": False} | options(ask, (
            ("max_tokens", "max_output_tokens"), ("temperature",) * 2, ("top_p",) * 2,
            ("parallel", "parallel_tool_calls"), ("end_user", "safety_identifier"), ("metadata",) * 2,
            ("tier", "service_tier"), ("cache_key", "prompt_cache_key"), ("logprobs", "top_logprobs"),
            ("store",) * 2))
        reasoning = options(ask, (("effort",) * 2,))
        if ask.show_thinking:
            reasoning["summary"] = "auto"
        text = options(ask, (("verbosity",) * 2,))
        if ask.schema:
            text["format"] = {"type": "json_schema", "name": "answer", "strict": True, "schema": ask.schema}
        elif ask.json:
            text["format"] = {"type": "json_object"}
        body |= {k: v for k, v in (("reasoning", reasoning), ("text", text)) if v}
        if ask.tools:
            body["tools"] = [{"type": "function", "name": t["name"], "description": t["description"],
                              "parameters": t["schema"], "strict": bool(t.get("strict"))} for t in ask.tools]
        if ask.choice:
            body["tool_choice"] = {"any": "required"}.get(ask.choice, ask.choice) \
                if not ask.choice.startswith("tool:") else {"type": "function", "name": ask.choice[5:]}
        body |= ask.extra
        return dump({**body, "stream": True} if stream else body)

    def turn(self, role, parts):
        if role == "system":
            return [{"role": "developer", "content": parts[0]["text"]}]
        if parts[0]["kind"] == "raw":
            return parts[0]["value"]
        if role == "assistant":
            found = [{"type": "message", "role": "assistant",
                      "content": [{"type": "output_text", "text": p["text"]}]}
                     for p in parts if p["kind"] == "text"]
            return found + [{"type": "function_call", "call_id": p["id"], "name": p["name"],
                             "arguments": dump(p["args"]).decode()} for p in parts if p["kind"] == "call"]
        found = [{"type": "function_call_output", "call_id": p["id"], "output": self.output(p["parts"])}
                 for p in parts if p["kind"] == "result"]
        rest = [self.part(p) for p in parts if p["kind"] != "result"]
        return found + ([{"role": "user", "content": rest}] if rest else [])

    def output(self, parts):
        if all(p["kind"] == "text" for p in parts):
            return "".join(p["text"] for p in parts)
        return [self.part(p) for p in parts]

    @staticmethod
    def part(part):
        if part["kind"] == "text":
            return {"type": "input_text", "text": part["text"]}
        if part["kind"] == "image":
            return {"type": "input_image", "detail": "auto",
                    "image_url": part.get("url") or f"data:{part['media']};base64,{part['data']}"}
        return {"type": "input_file", "filename": part["title"],
                "file_data": f"data:{part['media']};base64,{part['data']}"}

    # ---- the answer ----

    def whole(self, value):
        return self.fold(value)

    def fold(self, value):
        shape(value, "response", RESPONSE, MAY)
        status = value["status"]
        check(status, "status", {"completed", "incomplete"})
        reason = (value["incomplete_details"] or {}).get("reason")
        need((status == "incomplete") == bool(reason), "incomplete_details", f"{status} and {reason}")
        answer = Tally().answer
        for k, item in enumerate(value["output"]):
            item_shape(item, f"output[{k}]")
            if item["type"] == "message":
                for part in item["content"]:
                    answer.text += part.get("text", "")
                    answer.refusal += part.get("refusal", "")
            elif item["type"] == "function_call":
                answer.calls.append({"id": item["call_id"], "name": item["name"],
                                     "args": arguments(item["arguments"], "arguments")})
            else:
                parts = item.get("content") or item["summary"]
                answer.thinking += "".join(p["text"] for p in parts)
                if item.get("encrypted_content"):
                    answer.signatures.append(item["encrypted_content"])
        ids = [i.get("id", i.get("call_id")) for i in value["output"]]
        need(len(set(ids)) == len(ids), "output", f"ids are not unique: {ids}")
        answer.finish = {"max_output_tokens": "length", "content_filter": "filter"}.get(reason) or (
            "tools" if answer.calls else "refusal" if answer.refusal else "stop")
        answer.usage, answer.raw = usage(value["usage"], "usage"), value["output"]
        return answer

    def events(self, data, clean):
        return Stream(self).read(read_sse(data, clean), clean)

    def problem(self, value, status):
        shape(value, "error", {"error": lambda v, w: shape(
            v, w, {"message": str, "type": str}, {"param": (str, None), "code": (str, None)})})
        return {"status": status, "kind": value["error"]["type"], "message": value["error"]["message"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)


class Stream:
    """The states of one stream: items open and close, each piece adds up to what is told done."""

    def __init__(self, caller):
        self.caller, self.answer, self.final = caller, Tally().answer, None
        self.items, self.open = [], {}  # finished items; the open one by output_index
        self.begun = []

    def read(self, events, clean):
        for i, (name, text) in enumerate(events):
            value = loads(text, f"event {i}")
            need(self.final is None and self.answer.error is None, f"event {i}",
                 "something came behind the last event")
            need(value.get("type") == name, f"event {i}", f"named {name}, typed {value.get('type')}")
            need(value.get("sequence_number") == i, f"event {i}",
                 f"has number {value.get('sequence_number')}")
            handler = HANDLERS.get(name)
            need(handler, f"event {i}", f"unknown: {name}")
            handler(self, value, f"event {i} ({name})")
        if self.final:
            need(not self.open, "stream", f"ended with an open item: {self.open}")
            need(self.final["output"] == self.items, "stream",
                 f"the output differs from its items: {self.final['output']} {self.items}")
            return self.caller.fold(self.final)
        need(not clean or self.answer.error, "stream", "ended without its last event")
        return self.answer

    def created(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "response": dict})
        shape(value["response"], where, RESPONSE, MAY)
        need(value["response"]["status"] == "in_progress" and not value["response"]["output"], where,
             "status")
        need(value["sequence_number"] == (0 if value["type"] == "response.created" else 1), where,
             "comes first")
        self.begun.append(value["response"]["id"])
        need(len(set(self.begun)) == 1, where, "another id")

    def ended(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "response": dict})
        need(len(self.begun) == 2, where, "created and in_progress come first")
        need(value["response"].get("id") == self.begun[0], where, "another id")
        need(value["type"] == f"response.{value['response']['status']}", where, "another status")
        self.final = value["response"]

    def failed(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "response": dict})
        shape(value["response"], where, RESPONSE, MAY)
        need(value["response"]["status"] == "failed", where, "another status")
        error = shape(value["response"]["error"], where, {"code": str, "message": str})
        self.answer.error = {"status": 0, "kind": error["code"], "message": error["message"]}

    def error(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "code": (str, None), "message": str},
              {"param": (str, None), "error": dict})
        self.answer.error = {"status": 0, "kind": value["code"], "message": value["message"]}

    def item_added(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "output_index": int, "item": dict})
        need(value["output_index"] == len(self.items) + len(self.open), where, "indices count up")
        item = item_shape(value["item"], where)
        need(item.get("status", "in_progress") == "in_progress" or item["type"] == "reasoning", where,
             "status")
        need(not item.get("arguments") and not item.get("content") and not item.get("summary"), where,
             "an item begins empty")
        self.open[value["output_index"]] = {"item": item, "parts": [], "text": "", "part": False}

    def place(self, value, where, *more):
        shape(value, where, {"type": str, "sequence_number": int, "output_index": int, "item_id": str,
                             **dict(more)}, {"obfuscation": str})
        state = self.open.get(value["output_index"])
        need(state, where, "of no open item")
        need(value["item_id"] == state["item"].get("id"), where, "another item_id")
        return state

    def item_done(self, value, where):
        shape(value, where, {"type": str, "sequence_number": int, "output_index": int, "item": dict})
        state = self.open.pop(value["output_index"], None)
        need(state and not state["part"], where, "of no open item, or with an open part")
        item = item_shape(value["item"], where)
        need(value["output_index"] == len(self.items), where, "items end in their order")
        need(item.get("id") == state["item"].get("id"), where, "another id")
        if item["type"] == "function_call":
            need(item["arguments"] == state["text"] and item["call_id"] == state["item"]["call_id"], where,
                 "differs from what was streamed")
            need(state.get("told"), where, "without function_call_arguments.done")
        elif item["type"] == "message":
            need([p.get("text", p.get("refusal")) for p in item["content"]] == state["parts"], where,
                 "differs from what was streamed")
        else:
            need([p["text"] for p in (item.get("content") or item["summary"])] == state["parts"], where,
                 "differs from what was streamed")
        self.items.append(item)

    def part_added(self, value, where):
        summary = "summary" in value["type"]
        at = "summary_index" if summary else "content_index"
        state = self.place(value, where, (at, int), ("part", dict))
        need(not state["part"] and value[at] == len(state["parts"]), where, "parts come one by one")
        need(not value["part"].get("text") and not value["part"].get("refusal"), where, "begins empty")
        state["part"], state["text"] = True, ""

    def delta(self, value, where):
        more = [("delta", str)]
        if value["type"] == "response.output_text.delta":
            more.append(("logprobs", list))
        if "function_call" not in value["type"]:
            more.append(("summary_index" if "summary" in value["type"] else "content_index", int))
        state = self.place(value, where, *more)
        need(state["part"] or state["item"]["type"] == "function_call", where, "of no open part")
        if value["type"] == "response.output_text.delta":
            self.answer.text += value["delta"]
        state["text"] += value["delta"]

    def text_done(self, value, where):
        member = "refusal" if "refusal" in value["type"] else "text"
        more = [(member, str), ("summary_index" if "summary" in value["type"] else "content_index", int)]
        if value["type"] == "response.output_text.done":
            more.append(("logprobs", list))
        state = self.place(value, where, *more)
        need(value[member] == state["text"], where, "differs from its pieces")

    def arguments_done(self, value, where):
        state = self.place({k: v for k, v in value.items() if k != "name"}, where, ("arguments", str))
        need(value["arguments"] == state["text"], where, "differs from its pieces")
        state["told"] = True

    def part_done(self, value, where):
        at = "summary_index" if "summary" in value["type"] else "content_index"
        state = self.place(value, where, (at, int), ("part", dict))
        text = value["part"].get("text", value["part"].get("refusal"))
        need(state["part"] and text == state["text"], where, "differs from its pieces")
        state["part"] = False
        state["parts"].append(text)


HANDLERS = {
    "response.created": Stream.created, "response.in_progress": Stream.created,
    "response.completed": Stream.ended, "response.incomplete": Stream.ended,
    "response.failed": Stream.failed, "error": Stream.error,
    "response.output_item.added": Stream.item_added, "response.output_item.done": Stream.item_done,
    "response.content_part.added": Stream.part_added, "response.content_part.done": Stream.part_done,
    "response.reasoning_summary_part.added": Stream.part_added,
    "response.reasoning_summary_part.done": Stream.part_done,
    "response.output_text.delta": Stream.delta, "response.output_text.done": Stream.text_done,
    "response.refusal.delta": Stream.delta, "response.refusal.done": Stream.text_done,
    "response.reasoning_summary_text.delta": Stream.delta,
    "response.reasoning_summary_text.done": Stream.text_done,
    "response.reasoning_text.delta": Stream.delta, "response.reasoning_text.done": Stream.text_done,
    "response.function_call_arguments.delta": Stream.delta,
    "response.function_call_arguments.done": Stream.arguments_done,
}
