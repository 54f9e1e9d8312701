"""openai.responses, as OpenAI's own: stateless here, so reasoning comes back with its encrypted content."""

import re

from .check import (between, check, loads, need, object_schema, shape, some, strict_schema)
from .form import Ask, signature_of
from .frames import dump, pieces, sse
from .upstream import Provider, bearer
from .upstream_chat import KINDS, NAME, RETRY_AFTER, TEXTS

ID = re.compile(r"[^\s]{1,64}")
DATA = re.compile(r"(https?://.+|data:[a-z/+.-]+;base64,[A-Za-z0-9+/=]+)")
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}


def function_tool(value, where):
    shape(value, where, {"type": {"function"}, "name": NAME, "parameters": (object_schema, None),
                         "strict": (bool, None)}, {"description": (str, None)})
    if value["strict"]:
        strict_schema(value["parameters"], f"{where}.parameters")


def text_format(value, where):
    kind = isinstance(value, dict) and value.get("type")
    if kind != "json_schema":
        shape(value, where, {"type": {"text", "json_object"}})
        return
    shape(value, where, {"type": str, "name": NAME, "schema": dict},
          {"description": (str, None), "strict": (bool, None)})
    if value.get("strict"):
        strict_schema(value["schema"], f"{where}.schema")


def tool_choice(value, where):
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        shape(value, where, {"type": str, "mode": {"auto", "required"}, "tools": some(dict)})
    else:
        check(value, where, ({"none", "auto", "required"}, {"type": {"function"}, "name": NAME}))


MEMBERS = {
    "instructions": str, "max_output_tokens": between(16, 1 << 30, int), "temperature": between(0, 2),
    "top_p": between(0, 1), "top_logprobs": between(0, 20, int), "metadata": dict, "store": bool,
    "stream": bool, "stream_options": {"include_obfuscation": bool}, "tools": some(function_tool),
    "tool_choice": tool_choice, "parallel_tool_calls": bool, "service_tier": str,
    "prompt_cache_key": str, "safety_identifier": str, "user": str, "truncation": {"auto", "disabled"},
    "include": [{"reasoning.encrypted_content", "message.output_text.logprobs"}],
}
TEXT_MEMBERS = {"format": text_format, "verbosity": {"low", "medium", "high"}}
REASONING_MEMBERS = {"effort": EFFORTS, "summary": {"auto", "concise", "detailed"}}


class Responses(Provider):
    dialect = "openai.responses"
    model = "upstream-responses"
    signs = True
    finishes = {"stop", "length", "tools", "filter", "refusal"}

    def shows(self, ask):
        return bool(ask.show_thinking)

    def matches(self, path):
        return path == "/v1/responses"

    def read(self, request):
        bearer(request)
        body = loads(request.body)
        may = {**MEMBERS, "text": lambda v, w: shape(v, w, {}, TEXT_MEMBERS),
               "reasoning": lambda v, w: shape(v, w, {}, REASONING_MEMBERS)}
        shape(body, "body", {"model": {self.model}, "input": (str, some(dict))}, may)
        ask = Ask(stream=body.get("stream", False), system=body.get("instructions", ""))
        items = body["input"]
        self.read_items(ask, [{"role": "user", "content": items}] if isinstance(items, str) else items)
        self.read_options(ask, body)
        return ask

    def read_items(self, ask, items):
        known, answered, thinking = {}, set(), False
        for i, item in enumerate(items):
            where = f"input[{i}]"
            kind = item.get("type", "message")
            if kind == "message":
                self.message(ask, item, where)
            elif kind == "function_call":
                shape(item, where, {"type": str, "call_id": ID, "name": NAME, "arguments": str},
                      {"id": re.compile("fc_.{1,61}"), "status": {"completed"}})
                args = check(loads(item["arguments"], f"{where}.arguments"), where, dict)
                need(item["call_id"] not in known, where, "the call_id stands there twice")
                known[item["call_id"]] = item["name"]
                self.assistant_part(ask, {"kind": "call", "id": item["call_id"], "name": item["name"],
                                          "args": args})
            elif kind == "function_call_output":
                shape(item, where, {"type": str, "call_id": ID, "output": (str, some(dict))},
                      {"id": str, "status": {"completed"}})
                need(item["call_id"] in known, where, f"No tool call found for {item['call_id']}")
                answered.add(item["call_id"])
                self.user_part(ask, {"kind": "result", "id": item["call_id"],
                                     "name": known[item["call_id"]], "error": False,
                                     "parts": self.content(item["output"], f"{where}.output")})
            else:
                check(kind, f"{where}.type", {"reasoning"})
                self.reasoning(ask, item, where)
                thinking = True
                continue
            need(not thinking or kind == "function_call" or item.get("role") == "assistant", where,
                 "a reasoning item was provided without its required following item")
            thinking = False
        need(not thinking, "input", "a reasoning item was provided without its required following item")
        need(set(known) == answered, "input",
             f"No tool output found for function call {set(known) - answered}")

    def message(self, ask, item, where):
        role = check(item.get("role"), f"{where}.role", {"user", "assistant", "system", "developer"})
        shape(item, where, {"role": str, "content": (str, some(dict))},
              {"type": {"message"}, "id": re.compile("msg_.{1,60}"), "status": {"completed", "incomplete"},
               "phase": str})
        parts = self.content(item["content"], f"{where}.content", role == "assistant")
        if role in ("system", "developer"):
            if ask.turns:
                ask.turns.append(("system", parts))
            else:
                ask.system += "".join(p["text"] for p in parts)
            return
        for part in parts:
            (self.assistant_part if role == "assistant" else self.user_part)(ask, part)

    def reasoning(self, ask, item, where):
        shape(item, where, {"type": str, "summary": [{"type": {"summary_text"}, "text": str}]},
              {"id": re.compile("rs_.{1,61}"), "encrypted_content": (str, None), "status": str,
               "content": [{"type": {"reasoning_text"}, "text": str}]})
        need(item.get("encrypted_content"), where,
             f"Item {item.get('id')} not found. Items are not persisted when store is false")
        self.own_signature(item["encrypted_content"], f"{where}.encrypted_content")
        self.assistant_part(ask, {"kind": "thinking", "text": "".join(s["text"] for s in item["summary"]),
                                  "signature": item["encrypted_content"]})

    @staticmethod
    def assistant_part(ask, part):
        if not ask.turns or ask.turns[-1][0] != "assistant":
            ask.assistant()
        ask.turns[-1][1].append(part)

    @staticmethod
    def user_part(ask, part):
        if not ask.turns or ask.turns[-1][0] != "user":
            ask.user()
        ask.turns[-1][1].append(part)

    @staticmethod
    def content(content, where, assistant=False):
        if isinstance(content, str):
            return [{"kind": "text", "text": content}]
        parts = []
        for k, part in enumerate(content):
            at = f"{where}[{k}]"
            kind = check(part.get("type"), f"{at}.type", {"output_text", "refusal"} if assistant else
                         {"input_text", "input_image", "input_file", "input_audio"})
            if kind in ("input_text", "output_text"):
                shape(part, at, {"type": str, "text": str}, {"annotations": list, "logprobs": list})
                parts.append({"kind": "text", "text": part["text"]})
            elif kind == "refusal":
                shape(part, at, {"type": str, "refusal": str})
                parts.append({"kind": "refusal", "text": part["refusal"]})
            elif kind == "input_image":
                shape(part, at, {"type": str, "image_url": DATA}, {"detail": {"auto", "low", "high"}})
                url = part["image_url"]
                if url.startswith("data:"):
                    parts.append({"kind": "image", "media": url[5:url.index(";")],
                                  "data": url.partition(",")[2]})
                else:
                    parts.append({"kind": "image", "url": url})
            elif kind == "input_audio":
                shape(part, at, {"type": str, "input_audio": {"data": str, "format": {"wav", "mp3"}}})
                parts.append({"kind": "audio", **part["input_audio"]})
            else:
                shape(part, at, {"type": str}, {"file_data": DATA, "filename": str, "file_url": str,
                                                "file_id": str})
                data = part.get("file_data", "data:;base64,")
                parts.append({"kind": "document", "data": data.partition(",")[2],
                              "media": data[5:].split(";")[0], "title": part.get("filename", "")})
        return parts

    @staticmethod
    def read_options(ask, body):
        ask.tools = [{"name": t["name"], "description": t.get("description") or "",
                      "schema": t["parameters"], "strict": t["strict"]} for t in body.get("tools", [])]
        need(ask.tools or "tool_choice" not in body, "tool_choice", "only allowed with tools")
        choice = body.get("tool_choice")
        if isinstance(choice, dict):
            ask.choice = f"tool:{choice['name']}" if "name" in choice else "among"
        else:
            ask.choice = {"required": "any"}.get(choice, choice)
        text, reasoning = body.get("text", {}), body.get("reasoning", {})
        form = text.get("format", {})
        ask.schema, ask.json = form.get("schema"), form.get("type") == "json_object"
        ask.effort, ask.show_thinking = reasoning.get("effort"), "summary" in reasoning or None
        ask.verbosity = text.get("verbosity")
        for here, there in (("max_tokens", "max_output_tokens"), ("temperature",) * 2, ("top_p",) * 2,
                            ("logprobs", "top_logprobs"), ("parallel", "parallel_tool_calls"),
                            ("metadata",) * 2, ("tier", "service_tier"),
                            ("cache_key", "prompt_cache_key"), ("store",) * 2):
            setattr(ask, here, body.get(there))
        ask.end_user = body.get("safety_identifier", body.get("user"))
        ask.extra["encrypted"] = "reasoning.encrypted_content" in body.get("include", [])

    # ---- answers ----

    @staticmethod
    def items(plan, ask):
        """The finished output items."""
        found = []
        if plan.thinking:
            summary = [{"type": "summary_text", "text": plan.thinking}] if ask.show_thinking else []
            found.append({"id": "rs_lab0", "type": "reasoning", "summary": summary})
            if plan.signed and ask.extra["encrypted"]:
                found[-1]["encrypted_content"] = signature_of("openai.responses")
        if plan.text:
            part = ({"type": "refusal", "refusal": plan.text} if plan.finish == "refusal" else
                    {"type": "output_text", "text": plan.text, "annotations": [], "logprobs": []})
            found.append({"id": "msg_lab1", "type": "message", "role": "assistant", "content": [part],
                          "status": "completed" if plan.finish in ("stop", "tools", "refusal", "sequence")
                          else "incomplete"})
        for i, (name, args) in enumerate(plan.calls):
            found.append({"id": f"fc_lab{i}", "type": "function_call", "status": "completed",
                          "call_id": f"call_{'Rq7' * 7}{i:03d}", "name": name,
                          "arguments": dump(args).decode()})
        return found

    @staticmethod
    def response(plan, output, status):
        ended = status not in ("in_progress",)
        reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(plan.finish)
        usage = {"input_tokens": plan.input, "input_tokens_details": {"cached_tokens": plan.cache_read},
                 "output_tokens": plan.output,
                 "output_tokens_details": {"reasoning_tokens": plan.reasoning},
                 "total_tokens": plan.input + plan.output}
        return {"id": "resp_lab", "object": "response", "created_at": 1790000000, "status": status,
                "error": None, "incomplete_details": {"reason": reason} if reason and ended else None,
                "instructions": None, "max_output_tokens": None, "model": "upstream-responses-0807",
                "output": output, "parallel_tool_calls": True, "previous_response_id": None,
                "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": 1.0,
                "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
                "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage if ended else None,
                "user": None, "metadata": {}}

    @staticmethod
    def status(plan):
        return "incomplete" if plan.finish in ("length", "filter") else "completed"

    def whole(self, plan, ask):
        return dump(self.response(plan, self.items(plan, ask), self.status(plan)))

    def stream(self, plan, ask):
        events = []

        def tell(kind, **more):
            events.append(sse({"type": kind, "sequence_number": len(events), **more}, kind))
        tell("response.created", response=self.response(plan, [], "in_progress"))
        tell("response.in_progress", response=self.response(plan, [], "in_progress"))
        items = self.items(plan, ask)
        for at, item in enumerate(items):
            {"reasoning": self.tell_reasoning, "message": self.tell_message,
             "function_call": self.tell_call}[item["type"]](tell, at, item)
        kind = self.status(plan)
        tell(f"response.{kind}", response=self.response(plan, items, kind))
        return events

    @staticmethod
    def tell_reasoning(tell, at, item):
        place = {"item_id": item["id"], "output_index": at, "summary_index": 0}
        tell("response.output_item.added", output_index=at, item={**item, "summary": []})
        for part in item["summary"]:
            tell("response.reasoning_summary_part.added", **place, part={**part, "text": ""})
            for piece in pieces(part["text"], 8):
                tell("response.reasoning_summary_text.delta", **place, delta=piece, obfuscation="aZ")
            tell("response.reasoning_summary_text.done", **place, text=part["text"])
            tell("response.reasoning_summary_part.done", **place, part=part)
        tell("response.output_item.done", output_index=at, item=item)

    @staticmethod
    def tell_message(tell, at, item):
        part = item["content"][0]
        member = "refusal" if part["type"] == "refusal" else "text"
        kind = "response.refusal" if member == "refusal" else "response.output_text"
        place = {"item_id": item["id"], "output_index": at, "content_index": 0}
        more = {} if member == "refusal" else {"logprobs": []}
        tell("response.output_item.added", output_index=at,
             item={**item, "content": [], "status": "in_progress"})
        tell("response.content_part.added", **place, part={**part, member: ""})
        size = 1000 if len(part[member]) > 9999 else 6
        for piece in pieces(part[member], size):
            tell(f"{kind}.delta", **place, delta=piece, **more)
        tell(f"{kind}.done", **place, **{member: part[member]}, **more)
        tell("response.content_part.done", **place, part=part)
        tell("response.output_item.done", output_index=at, item=item)

    @staticmethod
    def tell_call(tell, at, item):
        place = {"item_id": item["id"], "output_index": at}
        tell("response.output_item.added", output_index=at,
             item={**item, "arguments": "", "status": "in_progress"})
        for piece in pieces(item["arguments"], 5):
            tell("response.function_call_arguments.delta", **place, delta=piece)
        tell("response.function_call_arguments.done", **place, arguments=item["arguments"],
             name=item["name"])
        tell("response.output_item.done", output_index=at, item=item)

    def error(self, kind, message=""):
        status, name, code = KINDS[kind]
        body = dump({"error": {"message": message or TEXTS[kind], "type": name, "param": None, "code": code}})
        return status, body, [("Retry-After", RETRY_AFTER)] if kind == "rate" else []

    def broken(self, before):
        return [sse({"type": "error", "sequence_number": len(before), "code": "server_error",
                     "message": TEXTS["server"], "param": None}, "error")]
