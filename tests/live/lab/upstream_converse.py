"""bedrock.converse, as Amazon's runtime answers for Anthropic's models: signed requests, binary streams."""

import hashlib
import hmac
import re
from urllib.parse import quote, unquote

from .check import (at_most, base64_bytes, between, check, is_json, loads, need, non_empty, only, shape, some)
from .form import Ask, signature_of
from .frames import dump, event_frame, exception_frame, pieces
from .upstream import AWS_ACCESS, AWS_SECRET, Provider, header

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
REGION = "us-east-1"
TEXTS = {
    "bad": "Malformed input request: #: extraneous key [foo] is not permitted, please reformat your input",
    "auth": "The security token included in the request is invalid.",
    "rate": "Too many requests, please wait before trying again.",
    "server": "The system encountered an unexpected error during processing. Try your request again.",
    "overloaded": "Bedrock is unable to process your request.",
    "context": "Input is too long for requested model.",
}
KINDS = {"bad": (400, "ValidationException"), "auth": (403, "UnrecognizedClientException"),
         "rate": (429, "ThrottlingException"), "server": (500, "InternalServerException"),
         "overloaded": (503, "ServiceUnavailableException"), "context": (400, "ValidationException")}
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "tools": "tool_use",
          "filter": "content_filtered"}
BLOCKS = ("text", "image", "document", "audio", "toolUse", "toolResult", "reasoningContent", "cachePoint")
CACHE_POINT = {"cachePoint": lambda v, w: shape(v, w, {"type": {"default"}}, {"ttl": {"5m", "1h"}})}


def tool(value, where):
    if only(value, where, ("toolSpec", "cachePoint")) == "cachePoint":
        shape(value, where, CACHE_POINT)
        return
    shape(value["toolSpec"], f"{where}.toolSpec",
          {"name": NAME, "inputSchema": {"json": lambda v, w: need(
              isinstance(v, dict) and v.get("type") == "object", w, "type must be object")}},
          {"description": non_empty, "strict": bool})


def tool_choice(value, where):
    kind = only(value, where, ("auto", "any", "tool"))
    shape(value, where, {kind: {"name": NAME} if kind == "tool" else {}})


def json_text(value, where):
    check(value, where, str)
    loads(value, where)


MEMBERS = {
    "system": [dict], "toolConfig": lambda v, w: shape(v, w, {"tools": some(tool)},
                                                       {"toolChoice": tool_choice}),
    "inferenceConfig": lambda v, w: shape(v, w, {}, {
        "maxTokens": between(1, 1 << 30, int), "temperature": between(0, 1), "topP": between(0, 1),
        "stopSequences": at_most(2500, non_empty)}),
    "additionalModelRequestFields": dict, "additionalModelResponseFieldPaths": [str],
    "guardrailConfig": dict, "promptVariables": dict, "requestMetadata": dict,
    "performanceConfig": {"latency": {"standard", "optimized"}},
    "serviceTier": {"type": {"default", "priority", "flex", "reserved"}},
    "outputConfig": {"textFormat": {"type": {"json_schema"}, "structure": {"jsonSchema": lambda v, w: shape(
        v, w, {"schema": json_text}, {"name": str, "description": str})}}},
}


def verify_signature(request):
    """Signature version 4, by Amazon's description of it."""
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, ?"
                         r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
                         header(request, "authorization"))
    need(found, "authorization", f"is no signature: {header(request, 'authorization')[:80]!r}")
    access, day, region, names, signature = found.groups()
    need((access, region) == (AWS_ACCESS, REGION), "authorization", f"is of {access} in {region}")
    names = names.split(";")
    need("host" in names and names == sorted(names), "authorization", f"signed are {names}")
    when = header(request, "x-amz-date")
    need(when.startswith(day), "x-amz-date", "is of another day than the scope")
    path, _, query = request.target.partition("?")
    payload = hashlib.sha256(request.body).hexdigest()
    # Outside of S3 each segment of the path, escaped already, is escaped again.
    canonical = "\n".join(["POST", quote(path, safe="/-_.~"), query,
                           *[f"{n}:{' '.join(header(request, n).split())}" for n in names], "",
                           ";".join(names), payload])
    scope = f"{day}/{region}/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{AWS_SECRET}".encode()
    for part in (day, region, "bedrock", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    need(key.hex() == signature, "authorization", "The request signature we calculated does not match the "
         f"signature you provided. The canonical string should have been {canonical!r}")


class Converse(Provider):
    dialect = "bedrock.converse"
    model = "anthropic.upstream-converse-v1:0"
    signs = True
    tells = {"input", "output", "cache_read"}
    finishes = {"stop", "sequence", "length", "tools", "filter"}
    stream_type = "application/vnd.amazon.eventstream"

    def shows(self, ask):
        return ask.extra["thinks"]

    def matches(self, path):
        return path.startswith("/model/")

    def read(self, request):
        verify_signature(request)
        _, _, model, verb = request.path.split("/")
        need(unquote(model) == self.model, "path", f"unknown model {model}")
        check(verb, "path", {"converse", "converse-stream"})
        body = loads(request.body)
        shape(body, "body", {"messages": some(dict)}, MEMBERS)
        ask = Ask(stream=verb == "converse-stream")
        for k, block in enumerate(body.get("system", [])):
            if only(block, f"system[{k}]", ("text", "cachePoint")) == "text":
                shape(block, f"system[{k}]", {"text": non_empty})
                ask.system += block["text"]
            else:
                shape(block, f"system[{k}]", CACHE_POINT)
                ask.cache_marks += 1
        for i, message in enumerate(body["messages"]):
            where = f"messages[{i}]"
            role = shape(message, where, {"role": {"user", "assistant"}, "content": some(dict)})["role"]
            need(role == ("assistant" if i % 2 else "user"), where,
                 "A conversation must alternate between user and assistant roles, the user's first")
            ask.turns.append((role, [p for k, b in enumerate(message["content"]) for p in
                                     self.block(b, role, f"{where}.content[{k}]", ask)]))
        self.judge_results(ask)
        self.read_options(ask, body)
        return ask

    @staticmethod
    def judge_results(ask):
        before, names = [], {}
        for i, (role, parts) in enumerate(ask.turns):
            results = [p for p in parts if p["kind"] == "result"]
            if role == "user":
                need(sorted(r["id"] for r in results) == sorted(before), f"messages[{i}]",
                     f"Expected toolResult blocks for the following Ids: {before}")
                need(all(p["kind"] == "result" for p in parts[:len(results)]), f"messages[{i}]",
                     "toolResult blocks must come first")
            for result in results:
                result["name"] = names[result["id"]]
            before = [p["id"] for p in parts if p["kind"] == "call"]
            names.update({p["id"]: p["name"] for p in parts if p["kind"] == "call"})
        need(not before, "messages", "toolUse without toolResult")

    def block(self, block, role, where, ask):
        kind = only(block, where, BLOCKS)
        shape(block, where, {kind: is_json})
        value, at = block[kind], f"{where}.{kind}"
        if kind == "cachePoint":
            shape(block, where, CACHE_POINT)
            ask.cache_marks += 1
            return []
        if kind in ("toolUse", "reasoningContent"):
            need(role == "assistant", where, f"{kind} belongs to the assistant")
        if kind == "toolUse":
            shape(value, at, {"toolUseId": NAME, "name": NAME, "input": dict})
            return [{"kind": "call", "id": value["toolUseId"], "name": value["name"],
                     "args": value["input"]}]
        if kind == "reasoningContent":
            if only(value, at, ("reasoningText", "redactedContent")) == "redactedContent":
                return [{"kind": "thinking", "text": "",
                         "signature": self.own_signature(value["redactedContent"], at)}]
            shape(value["reasoningText"], at, {"text": str, "signature": str})
            text = value["reasoningText"]
            return [{"kind": "thinking", "text": text["text"],
                     "signature": self.own_signature(text["signature"], at)}]
        if kind == "toolResult":
            need(role == "user", where, "a toolResult belongs to the user")
            shape(value, at, {"toolUseId": NAME, "content": [dict]}, {"status": {"success", "error"}})
            return [{"kind": "result", "id": value["toolUseId"],
                     "error": value.get("status") == "error",
                     "parts": [p for k, b in enumerate(value["content"]) for p in
                               self.media(b, f"{at}.content[{k}]", ("text", "json", "image", "document"))]}]
        need(kind != "document" or role == "user", where, "a document belongs to the user")
        return self.media(block, where, ("text", "image", "document", "audio"))

    @staticmethod
    def media(block, where, kinds):
        kind = only(block, where, kinds)
        shape(block, where, {kind: is_json})
        value, at = block[kind], f"{where}.{kind}"
        if kind == "text":
            non_empty(value, at)
            return [{"kind": "text", "text": value}]
        if kind == "json":
            return [{"kind": "text", "text": dump(value).decode()}]
        source = {"bytes": base64_bytes}
        if kind == "image":
            shape(value, at, {"format": {"png", "jpeg", "gif", "webp"}, "source": source})
            return [{"kind": "image", "media": f"image/{value['format']}", "data": value["source"]["bytes"]}]
        if kind == "audio":
            shape(value, at, {"format": {"mp3", "wav", "flac", "ogg", "opus", "aac"}, "source": source})
            return [{"kind": "audio", "format": value["format"], "data": value["source"]["bytes"]}]
        shape(value, at, {"format": {"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"},
                          "name": re.compile(r"[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*"),
                          "source": source})
        return [{"kind": "document", "media": f"application/{value['format']}", "title": value["name"],
                 "data": value["source"]["bytes"]}]

    @staticmethod
    def read_options(ask, body):
        config = body.get("toolConfig", {})
        specs = [t["toolSpec"] for t in config.get("tools", []) if "toolSpec" in t]
        ask.cache_marks += len(config.get("tools", [])) - len(specs)
        ask.tools = [{"name": t["name"], "description": t.get("description", ""),
                      "schema": t["inputSchema"]["json"], "strict": t.get("strict")} for t in specs]
        need(ask.tools or not ask.parts("call"), "toolConfig", "must be defined when using toolUse and "
             "toolResult content blocks")
        for role, parts in ask.turns:
            kinds = {p["kind"] for p in parts}
            need(not ("document" in kinds and "text" not in kinds and role == "user"), "messages",
                 "A text block must be included when a document block is present")
        choice = config.get("toolChoice", {})
        ask.choice = f"tool:{choice['tool']['name']}" if "tool" in choice else next(iter(choice), None)
        infer = body.get("inferenceConfig", {})
        for here, there in (("max_tokens", "maxTokens"), ("temperature",) * 2, ("top_p", "topP")):
            setattr(ask, here, infer.get(there))
        ask.stop = infer.get("stopSequences", [])
        # What goes to Anthropic's model as it stands.
        more = shape(body.get("additionalModelRequestFields", {}), "additionalModelRequestFields", {}, {
            "top_k": int, "thinking": dict, "anthropic_beta": list, "output_config": dict,
            "reasoning_config": dict})
        ask.top_k = more.get("top_k")
        think = more.get("thinking", more.get("reasoning_config", {}))
        ask.extra["thinks"] = on = think.get("type") in ("enabled", "adaptive")
        if on:
            ask.effort = more.get("output_config", {}).get("effort", ("budget", think.get("budget_tokens")))
            budget = think.get("budget_tokens", 1024)
            need(1024 <= budget < infer.get("maxTokens", 1 << 30), "thinking", f"a budget of {budget}")
            need(ask.temperature in (None, 1) and ask.top_k is None, "temperature",
                 "may only be set to 1 when thinking is enabled")
            need("any" not in choice and "tool" not in choice, "toolChoice",
                 "Thinking may not be enabled when tool_choice forces tool use.")
            if ask.last_results():
                need(ask.turns[-2][1][0]["kind"] == "thinking", "messages",
                     "Expected `thinking` or `redacted_thinking`, but found `tool_use`")
        elif think:
            ask.effort = "none"
        form = body.get("outputConfig", {}).get("textFormat", {})
        ask.schema = loads(form["structure"]["jsonSchema"]["schema"]) if form else None
        ask.metadata = body.get("requestMetadata")
        ask.end_user = (ask.metadata or {}).get("user_id")
        ask.tier = body.get("serviceTier", {}).get("type")

    # ---- answers ----

    @staticmethod
    def usage(plan):
        return {"inputTokens": plan.input - plan.cache_read, "outputTokens": plan.output,
                "totalTokens": plan.input + plan.output, "cacheReadInputTokens": plan.cache_read,
                "cacheWriteInputTokens": 0}

    @staticmethod
    def calls(plan):
        return [{"toolUseId": f"tooluse_{'Zt5' * 6}{i:03d}", "name": name, "input": args}
                for i, (name, args) in enumerate(plan.calls)]

    @staticmethod
    def thought(plan, ask):
        return {"text": plan.thinking, "signature": signature_of("bedrock.converse")} \
            if plan.thinking and ask.extra["thinks"] else None

    def whole(self, plan, ask):
        content = []
        if self.thought(plan, ask):
            content.append({"reasoningContent": {"reasoningText": self.thought(plan, ask)}})
        if plan.text:
            content.append({"text": plan.text})
        content += [{"toolUse": call} for call in self.calls(plan)]
        return dump({"metrics": {"latencyMs": 812}, "output": {"message": {
            "role": "assistant", "content": content}}, "stopReason": FINISH[plan.finish],
            "usage": self.usage(plan)})

    def stream(self, plan, ask):
        events = []

        def tell(kind, **more):
            events.append(event_frame(kind, {**more, "p": "abcdefghij"[:len(events) % 10]}))
        tell("messageStart", role="assistant")
        at = 0
        thought = self.thought(plan, ask)
        if thought:
            for piece in pieces(thought["text"], 9):
                tell("contentBlockDelta", contentBlockIndex=at, delta={"reasoningContent": {"text": piece}})
            tell("contentBlockDelta", contentBlockIndex=at,
                 delta={"reasoningContent": {"signature": thought["signature"]}})
            tell("contentBlockStop", contentBlockIndex=at)
            at += 1
        if plan.text:
            for piece in pieces(plan.text, 1000 if len(plan.text) > 9999 else 6):
                tell("contentBlockDelta", contentBlockIndex=at, delta={"text": piece})
            tell("contentBlockStop", contentBlockIndex=at)
            at += 1
        for call in self.calls(plan):
            tell("contentBlockStart", contentBlockIndex=at,
                 start={"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}})
            text = dump(call["input"]).decode() if call["input"] else ""
            for piece in pieces(text, 7):
                tell("contentBlockDelta", contentBlockIndex=at, delta={"toolUse": {"input": piece}})
            tell("contentBlockStop", contentBlockIndex=at)
            at += 1
        tell("messageStop", stopReason=FINISH[plan.finish])
        tell("metadata", usage=self.usage(plan), metrics={"latencyMs": 812})
        return events

    def error(self, kind, message=""):
        status, name = KINDS[kind]
        return status, dump({"message": message or TEXTS[kind]}), [
            ("x-amzn-ErrorType", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/")]

    def broken(self, before):
        del before
        return [exception_frame("modelStreamErrorException", "The model's stream broke.")]
