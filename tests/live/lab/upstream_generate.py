"""gemini.generate, as Google's Generative Language API: older models, whose calls have no ids."""

import re

from .check import (at_most, base64_bytes, between, check, is_json, loads, need, only, shape, some)
from .form import Ask, signature_of
from .frames import dump, pieces, sse
from .upstream import RETRY_AFTER, SECRET, Provider, header

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
TEXTS = {
    "bad": "Invalid JSON payload received. Unknown name \"foo\": Cannot find field.",
    "auth": "API key not valid. Please pass a valid API key.",
    "rate": "You exceeded your current quota. Please retry in 7s.",
    "server": "An internal error has occurred. Please retry.",
    "overloaded": "The model is overloaded. Please try again later.",
    "context": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
}
KINDS = {"bad": (400, "INVALID_ARGUMENT"), "auth": (400, "INVALID_ARGUMENT"),
         "rate": (429, "RESOURCE_EXHAUSTED"), "server": (500, "INTERNAL"),
         "overloaded": (503, "UNAVAILABLE"), "context": (400, "INVALID_ARGUMENT")}
FINISH = {"stop": "STOP", "sequence": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "filter": "SAFETY"}
UNION = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}


def count(value, where):
    """int64 fields may be texts in JSON."""
    check(value, where, (int, re.compile(r"\d+")))


def open_api(value, where):
    """google's Schema: a subset of OpenAPI 3.0."""
    shape(value, where, {}, {
        "type": str, "format": str, "title": str, "description": str, "nullable": bool,
        "enum": [str], "maxItems": count, "minItems": count, "properties": dict, "required": [str],
        "minProperties": count, "maxProperties": count, "minLength": count, "maxLength": count,
        "pattern": str, "example": is_json, "anyOf": some(open_api), "propertyOrdering": [str],
        "default": is_json, "items": open_api, "minimum": float, "maximum": float})
    need("type" in value or "anyOf" in value, where, "schema didn't specify the schema type field")
    if "type" in value:
        kind = check(value["type"].upper(), f"{where}.type", TYPES)
        need(kind != "ARRAY" or "items" in value, f"{where}.items", "missing field")
        need("enum" not in value or kind == "STRING", f"{where}.enum", "only allowed for STRING type")
        need("format" not in value or value["format"] in
             {"STRING": {"enum", "date-time"}, "NUMBER": {"float", "double"},
              "INTEGER": {"int32", "int64"}}.get(kind, ()), f"{where}.format",
             "only 'enum' and 'date-time' are supported for STRING type")
        need(kind != "OBJECT" or "properties" not in value or value["properties"], f"{where}.properties",
             "should be non-empty for OBJECT type")
    for name, inner in value.get("properties", {}).items():
        open_api(inner, f"{where}.properties.{name}")
    for name in value.get("required", []):
        need(name in value.get("properties", {}), f"{where}.required", f"property is not defined: {name}")


JSON_SCHEMA = {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
               "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
               "additionalProperties", "required", "propertyOrdering", "const", "default"}


def json_schema(value, where):
    """responseJsonSchema: the members that are supported; a $ref stands alone."""
    check(value, where, (dict, bool))
    if isinstance(value, bool):
        return
    for name, inner in value.items():
        need(name in JSON_SCHEMA, f"{where}.{name}", "keyword is not supported")
        if name in ("properties", "$defs"):
            for key, one in inner.items():
                json_schema(one, f"{where}.{name}.{key}")
        elif name == "items":
            json_schema(inner, f"{where}.{name}")
        elif name in ("anyOf", "oneOf", "prefixItems"):
            for k, one in enumerate(inner):
                json_schema(one, f"{where}.{name}[{k}]")


def function(value, where):
    shape(value, where, {"name": NAME}, {"description": str, "parameters": open_api, "behavior": str,
                                         "parametersJsonSchema": dict, "response": open_api})
    need(not ("parameters" in value and "parametersJsonSchema" in value), where, "both kinds of schema")


CONFIG = {
    "stopSequences": at_most(5, str), "responseMimeType": {"text/plain", "application/json"},
    "responseSchema": open_api, "responseJsonSchema": json_schema, "responseModalities": [str],
    "candidateCount": between(1, 8, int), "maxOutputTokens": between(1, 1 << 30, int),
    "temperature": between(0, 2), "topP": between(0, 1), "topK": between(1, 1 << 30, int), "seed": int,
    "presencePenalty": between(-2, 2), "frequencyPenalty": between(-2, 2), "responseLogprobs": bool,
    "logprobs": between(0, 20, int), "mediaResolution": str,
    "thinkingConfig": lambda v, w: shape(v, w, {}, {
        "includeThoughts": bool, "thinkingBudget": between(-1, 32768, int),
        "thinkingLevel": {"MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high"}}),
}
MEMBERS = {
    "systemInstruction": dict, "tools": [dict], "safetySettings": [dict], "cachedContent": str,
    "generationConfig": lambda v, w: shape(v, w, {}, CONFIG), "labels": dict, "serviceTier": str,
    "toolConfig": {"functionCallingConfig": lambda v, w: shape(v, w, {}, {
        "mode": {"AUTO", "ANY", "NONE", "VALIDATED"}, "allowedFunctionNames": some(NAME)})},
}


class Generate(Provider):
    dialect = "gemini.generate"
    model = "upstream-generate"
    signs = True
    finishes = {"stop", "length", "tools", "filter"}

    def shows(self, ask):
        return bool(ask.show_thinking)

    def matches(self, path):
        return path.startswith("/v1beta/models/")

    def read(self, request):
        need(header(request, "x-goog-api-key") == SECRET, "x-goog-api-key", "must be the secret")
        verb = request.target.rpartition(":")[2]
        need(request.path.startswith(f"/v1beta/models/{self.model}:"), "path", "unknown model")
        check(verb, "path", {"generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"})
        body = loads(request.body)
        shape(body, "body", {"contents": some(dict)}, MEMBERS)
        ask = Ask(stream=verb.startswith("stream"))
        ask.extra["array"] = "alt=sse" not in verb
        if "systemInstruction" in body:
            shape(body["systemInstruction"], "systemInstruction", {"parts": some({"text": str})},
                  {"role": str})
            ask.system = "".join(p["text"] for p in body["systemInstruction"]["parts"])
        self.read_contents(ask, body["contents"])
        self.read_options(ask, body)
        return ask

    def read_contents(self, ask, contents):
        open_calls = []
        for i, content in enumerate(contents):
            where = f"contents[{i}]"
            shape(content, where, {"parts": some(dict)}, {"role": {"user", "model", "function"}})
            role = "assistant" if content.get("role") == "model" else "user"
            parts = [self.part(p, role, f"{where}.parts[{k}]") for k, p in enumerate(content["parts"])]
            results = [p for p in parts if p["kind"] == "result"]
            need(len(results) == len(open_calls), where, "Please ensure that the number of function response "
                 "parts is equal to the number of function call parts of the function call turn.")
            for call, result in self.pairs(open_calls, results, where):
                result["id"] = call["id"]
            open_calls = [p for p in parts if p["kind"] == "call"]
            need(not open_calls or ask.turns and ask.turns[-1][0] == "user", where, "Please ensure that "
                 "function call turn comes immediately after a user turn or after a function response turn.")
            for k, call in enumerate(open_calls):
                call["id"] = call["id"] or f"turn {i} call {k}"
            ask.turns.append((role, parts))
        need(not open_calls, "contents", "the last turn calls functions")

    @staticmethod
    def pairs(calls, results, where):
        """By id where there is one, else by the name, in order."""
        left, found = list(calls), []
        for result in results:
            mine = [c for c in left if c["name"] == result["name"] and
                    (not result["id"] or c["id"] == result["id"])]
            need(mine, where, f"a response to no call: {result['name']} {result['id']}")
            left.remove(mine[0])
            found.append((mine[0], result))
        return found

    def part(self, part, role, where):
        shape(part, where, {}, {**{name: is_json for name in UNION}, "thought": bool,
                                "thoughtSignature": base64_bytes, "videoMetadata": dict})
        kind = only(part, where, UNION)
        value, at = part[kind], f"{where}.{kind}"
        if "thoughtSignature" in part:
            self.own_signature(part["thoughtSignature"], f"{where}.thoughtSignature")
        signed = {"signature": part.get("thoughtSignature")}
        if kind == "text":
            check(value, at, str)
            return {"kind": "thinking" if part.get("thought") else "text", "text": value, **signed}
        if kind == "inlineData":
            return self.blob(value, at)
        if kind == "fileData":
            shape(value, at, {"fileUri": str}, {"mimeType": str})
            need(value["fileUri"].startswith(("gs://", "https://")), at, "Cannot fetch content from the "
                 "provided URL.")
            return {"kind": "image", "url": value["fileUri"]}
        if kind == "functionCall":
            need(role == "assistant", where, "a functionCall belongs to the model")
            shape(value, at, {"name": NAME}, {"args": dict, "id": str})
            return {"kind": "call", "id": value.get("id"), "name": value["name"],
                    "args": value.get("args", {}), **signed}
        need(role == "user", where, "a functionResponse belongs to the user")
        shape(value, at, {"name": NAME, "response": dict}, {"id": str, "parts": [{"inlineData": dict}]})
        response = value["response"]
        error = set(response) == {"error"}
        text = response.get("result", response.get("output", response.get("error", response)))
        parts = [{"kind": "text", "text": text if isinstance(text, str) else dump(text).decode()}]
        parts += [self.blob(p["inlineData"], at) for p in value.get("parts", [])]
        return {"kind": "result", "id": value.get("id"), "name": value["name"], "error": error,
                "parts": parts}

    @staticmethod
    def blob(value, where):
        shape(value, where, {"mimeType": re.compile("[a-z]+/[a-z0-9.+-]+"), "data": base64_bytes},
              {"displayName": str})
        front, _, back = value["mimeType"].partition("/")
        if front == "audio":
            return {"kind": "audio", "format": back, "data": value["data"]}
        return {"kind": "image" if front == "image" else "document", "media": value["mimeType"],
                "data": value["data"], "title": value.get("displayName", "")}

    @staticmethod
    def read_options(ask, body):
        for k, tool in enumerate(body.get("tools", [])):
            shape(tool, f"tools[{k}]", {"functionDeclarations": some(function)})
            ask.tools += [{"name": f["name"], "description": f.get("description", ""),
                           "schema": f.get("parametersJsonSchema", f.get("parameters"))}
                          for f in tool["functionDeclarations"]]
        calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
        names, mode = calling.get("allowedFunctionNames"), calling.get("mode", "AUTO" if calling else None)
        need(not names or mode in ("ANY", "VALIDATED"), "allowedFunctionNames", "only with mode ANY")
        need(ask.tools or not calling, "toolConfig", "Function calling config is set without any "
             "function_declarations.")
        ask.choice = f"tool:{names[0]}" if names and len(names) == 1 else mode and mode.lower()
        config = body.get("generationConfig", {})
        json = config.get("responseMimeType") == "application/json"
        ask.schema = config.get("responseJsonSchema", config.get("responseSchema"))
        need(json or not ask.schema, "responseMimeType", "must be application/json with a schema")
        ask.json = json and not ask.schema
        think = config.get("thinkingConfig", {})
        need(not {"thinkingBudget", "thinkingLevel"} <= set(think), "thinkingConfig",
             "You can only set only one of thinking budget and thinking level.")
        if think:
            budget = think.get("thinkingBudget")
            ask.effort = think.get("thinkingLevel", "").lower() or (
                None if budget is None else "none" if budget == 0 else ("budget", budget))
            ask.show_thinking = think.get("includeThoughts")
        ask.stop = config.get("stopSequences", [])
        need(config.get("responseLogprobs") or "logprobs" not in config, "logprobs", "only with "
             "responseLogprobs")
        for here, there in (("max_tokens", "maxOutputTokens"), ("temperature",) * 2, ("top_p", "topP"),
                            ("top_k", "topK"), ("seed",) * 2, ("presence", "presencePenalty"),
                            ("frequency", "frequencyPenalty"), ("n", "candidateCount"),
                            ("logprobs",) * 2):
            setattr(ask, here, config.get(there))
        ask.metadata, ask.tier = body.get("labels"), body.get("serviceTier")

    # ---- answers ----

    @staticmethod
    def usage(plan):
        told = {"promptTokenCount": plan.input, "candidatesTokenCount": plan.output - plan.reasoning,
                "totalTokenCount": plan.input + plan.output,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": plan.input}]}
        if plan.cache_read:
            told["cachedContentTokenCount"] = plan.cache_read
        if plan.reasoning:
            told["thoughtsTokenCount"] = plan.reasoning
        return told

    @staticmethod
    def parts(plan, ask):
        """Chunks of parts, as they are streamed. A call comes whole; the first one is signed when there were
        thoughts, else the signature stands on an empty text."""
        signature = signature_of("gemini.generate") if plan.signed else None
        chunks = []
        if plan.thinking and ask.show_thinking:
            chunks += [[{"text": p, "thought": True}] for p in pieces(plan.thinking, 20)]
        if plan.text:
            size = 2000 if len(plan.text) > 9999 else 11
            chunks += [[{"text": p}] for p in pieces(plan.text, size)]
        for i, (name, args) in enumerate(plan.calls):
            part = {"functionCall": {"name": name, "args": args}}
            if signature and i == 0:
                part["thoughtSignature"] = signature
            chunks.append([part])
        if signature and not plan.calls:
            chunks.append([{"text": "", "thoughtSignature": signature}])
        return chunks

    def front(self):
        return {"modelVersion": "upstream-generate-001", "responseId": "Lab0aZ"}

    @staticmethod
    def blocked(plan):
        """Nothing at all was made: there are no candidates."""
        return plan.finish == "filter" and not plan.text

    def whole(self, plan, ask):
        if self.blocked(plan):
            return dump({"promptFeedback": {"blockReason": "SAFETY"}, **self.front(),
                         "usageMetadata": {"promptTokenCount": plan.input, "totalTokenCount": plan.input}})
        joined = []
        for chunk in self.parts(plan, ask):
            for part in chunk:
                last = joined[-1] if joined else {}
                if set(part) - {"thought"} == {"text"} == set(last) - {"thought"} and \
                        part.get("thought") == last.get("thought"):
                    last["text"] += part["text"]
                else:
                    joined.append(dict(part))
        return dump({"candidates": [{"content": {"parts": joined, "role": "model"},
                                     "finishReason": FINISH[plan.finish], "index": 0}],
                     "usageMetadata": self.usage(plan), **self.front()})

    def stream(self, plan, ask):
        if self.blocked(plan):
            chunks = [self.whole(plan, ask)]
        else:
            chunks = []
            usage = self.usage(plan)
            for parts in self.parts(plan, ask):
                content = {"parts": parts, "role": "model"}
                chunks.append(dump({"candidates": [{"content": content, "index": 0}],
                                    "usageMetadata": {
                                        **usage, "candidatesTokenCount": 1,
                                        "totalTokenCount": plan.input + plan.reasoning + 1},
                                    **self.front()}))
            chunks.append(dump({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"},
                                                "finishReason": FINISH[plan.finish], "index": 0}],
                                "usageMetadata": usage, **self.front()}))
        if ask.extra["array"]:
            self.stream_type = "application/json"
            return [b"[" + chunks[0], *[b",\r\n" + c for c in chunks[1:]], b"]"]
        self.stream_type = "text/event-stream"
        return [sse(c, end=b"\r\n") for c in chunks]

    def error(self, kind, message=""):
        status, name = KINDS[kind]
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{RETRY_AFTER}s"}] \
            if kind == "rate" else []
        return status, dump({"error": {"code": status, "message": message or TEXTS[kind], "status": name,
                                       "details": details}}), []

    def broken(self, before):
        del before
        return [sse({"error": {"code": 503, "message": TEXTS["overloaded"], "status": "UNAVAILABLE"}})]
