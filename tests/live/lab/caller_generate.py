"""Calls as programs with Google's generateContent make them; chunks as its SDKs parse them."""

import re

from .caller import Caller, Tally, in_order, named, options, plus
from .check import base64_bytes, between, check, is_json, loads, need, only, shape
from .frames import dump, read_sse

COUNT = between(0, 1 << 40, int)
REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter", "RECITATION": "filter",
           "PROHIBITED_CONTENT": "filter", "BLOCKLIST": "filter", "OTHER": "filter", "SPII": "filter"}
STATUS = {400: {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}, 401: {"UNAUTHENTICATED"},
          403: {"PERMISSION_DENIED"}, 404: {"NOT_FOUND"}, 409: {"ABORTED"}, 429: {"RESOURCE_EXHAUSTED"},
          500: {"INTERNAL"}, 502: {"UNAVAILABLE", "INTERNAL"}, 503: {"UNAVAILABLE"},
          504: {"DEADLINE_EXCEEDED"}}
UNION = ("text", "functionCall", "inlineData")


def usage(value, where):
    shape(value, where, {"promptTokenCount": COUNT, "totalTokenCount": COUNT}, {
        "candidatesTokenCount": COUNT, "thoughtsTokenCount": COUNT, "cachedContentTokenCount": COUNT,
        "toolUsePromptTokenCount": COUNT, "promptTokensDetails": list, "candidatesTokensDetails": list,
        "cacheTokensDetails": list, "trafficType": str, "serviceTier": str})
    out = plus(value.get("candidatesTokenCount"), value.get("thoughtsTokenCount"))
    full = plus(value["promptTokenCount"], value.get("toolUsePromptTokenCount"))
    need(value["totalTokenCount"] == full + out, where, f"total: {value}")
    need(value.get("cachedContentTokenCount", 0) <= value["promptTokenCount"], where, "cached")
    return {"input": full, "output": out, "cache_read": value.get("cachedContentTokenCount", 0),
            "reasoning": value.get("thoughtsTokenCount", 0)}


class Generate(Caller):
    dialect = "gemini.generate"
    keeps = True
    finishes = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tools",
                "filter": "filter", "refusal": "filter"}
    spells = {
        "system": "systemInstruction", "turns": "contents", "tools": "tools", "tool_results": "contents",
        "image": "inlineData", "document": "inlineData", "audio": "inlineData",
        "schema": "response(Json)?Schema", "json": "responseMimeType",
        "choice_any": "functionCallingConfig",
        "choice_none": "functionCallingConfig",
        "choice_tool": "allowedFunctionNames|functionCallingConfig",
        "budget": "thinking", "effort_none": "thinking", "show_thinking": "includeThoughts|thinking",
        "stop": "stopSequences", "max_tokens": "maxOutputTokens", "temperature": "temperature",
        "hot": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed",
        "presence": "presencePenalty", "frequency": "frequencyPenalty", "n": "candidateCount",
        "logprobs": "(?i)logprobs",
    }

    def target(self, model, stream):
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def headers(self, place, target, body):
        del target, body
        return [("x-goog-api-key", place.key)]

    # ---- the request ----

    def body(self, ask, model, stream):
        del model, stream
        body = {"contents": [self.turn(*t) for t in in_order(ask)]}
        if ask.system:
            body["systemInstruction"] = {"parts": [{"text": ask.system}]}
        config = options(ask, (
            ("max_tokens", "maxOutputTokens"), ("temperature",) * 2, ("top_p", "topP"), ("top_k", "topK"),
            ("seed",) * 2, ("presence", "presencePenalty"), ("frequency", "frequencyPenalty"),
            ("n", "candidateCount"), ("stop", "stopSequences"), ("logprobs",) * 2))
        if ask.logprobs:
            config["responseLogprobs"] = True
        if ask.schema or ask.json:
            config["responseMimeType"] = "application/json"
        if ask.schema:
            config["responseJsonSchema"] = ask.schema
        think = {"includeThoughts": True} if ask.show_thinking else {}
        if isinstance(ask.effort, tuple):
            think["thinkingBudget"] = ask.effort[1]
        elif ask.effort:
            think |= {"thinkingBudget": {"none": 0, "low": 1024, "medium": 2048}.get(ask.effort, 8192)}
        if think:
            config["thinkingConfig"] = think
        if config:
            body["generationConfig"] = config
        if ask.tools:
            # A function without parameters has none: an object without properties is refused.
            body["tools"] = [{"functionDeclarations": [
                {"name": t["name"], "description": t["description"],
                 **({"parameters": t["schema"]} if t["schema"]["properties"] else {})} for t in ask.tools]}]
        if ask.choice:
            name = ask.choice.partition(":")[2]
            body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}
                                  if name else {"mode": ask.choice.upper()}}
        return dump(body | ask.extra)

    def turn(self, role, parts):
        if parts[0]["kind"] == "raw":
            return parts[0]["value"]
        return {"role": "model" if role == "assistant" else "user", "parts": [self.part(p) for p in parts]}

    @staticmethod
    def part(part):
        kind = part["kind"]
        if kind == "text":
            return {"text": part["text"]}
        if kind == "call":
            return {"functionCall": {**named(part), "name": part["name"], "args": part["args"]}}
        if kind == "result":
            text = "".join(p["text"] for p in part["parts"])
            known = named(part)
            return {"functionResponse": {**known, "name": part["name"], "response": {"result": text}}}
        media = f"audio/{part['format']}" if kind == "audio" else part["media"]
        return {"inlineData": {"mimeType": media, "data": part["data"]}}

    # ---- the answer ----

    def chunk(self, value, where):
        """(parts, reason, whether the prompt was blocked)"""
        shape(value, where, {"modelVersion": str, "responseId": str}, {
            "usageMetadata": usage, "candidates": [dict], "promptFeedback": {"blockReason": str},
            "createTime": str})
        if "promptFeedback" in value:
            need(not value.get("candidates"), where, "a blocked prompt has no candidates")
            return [], None, True
        need(len(value["candidates"]) == 1, where, "one candidate")
        candidate = shape(value["candidates"][0], where, {}, {
            "content": dict, "finishReason": set(REASONS), "index": {0}, "safetyRatings": list,
            "finishMessage": str, "citationMetadata": is_json, "avgLogprobs": float})
        content = shape(candidate.get("content", {}), where, {}, {"parts": [dict], "role": {"model"}})
        for k, part in enumerate(content.get("parts", [])):
            at = f"{where}.parts[{k}]"
            shape(part, at, {}, {"text": str, "functionCall": lambda v, w: shape(
                v, w, {"name": str}, {"args": dict, "id": str}), "inlineData": dict, "thought": bool,
                "thoughtSignature": base64_bytes})
            only(part, at, UNION)
        return content.get("parts", []), candidate.get("finishReason"), False

    def whole(self, value):
        parts, reason, blocked = self.chunk(value, "body")
        need("usageMetadata" in value, "body", "lacks usageMetadata")
        return self.fold(parts, reason, blocked, usage(value["usageMetadata"], "usage"))

    def fold(self, parts, reason, blocked, told):
        answer = Tally().answer
        for part in parts:
            if part.get("thoughtSignature"):
                answer.signatures.append(part["thoughtSignature"])
            if "functionCall" in part:
                call = part["functionCall"]
                answer.calls.append({"id": call.get("id"), "name": call["name"],
                                     "args": call.get("args", {})})
            elif "text" in part and part.get("thought"):
                answer.thinking += part["text"]
            else:
                answer.text += part.get("text", "")
        need(blocked or reason, "finishReason", "is missing")
        answer.finish = "filter" if blocked else REASONS[reason]
        if answer.calls and answer.finish == "stop":
            answer.finish = "tools"
        answer.usage = told
        # As google-genai keeps a chat: empty texts stay only when they are signed.
        kept = [p for p in parts if p.get("text") != "" or "thoughtSignature" in p]
        answer.raw = {"role": "model", "parts": kept}
        return answer

    def events(self, data, clean):
        parts, reason, blocked, told, ids = [], None, False, None, set()
        answer = Tally().answer
        for i, (name, text) in enumerate(read_sse(data, clean)):
            where = f"chunk {i}"
            need(name is None, where, "chunks have no names")
            need(not answer.error, where, "something came behind the error")
            value = loads(text, where)
            if "error" in value:
                answer.error = self.problem(value, value["error"]["code"])
                continue
            need(reason is None and not blocked, where, "a chunk behind the finishReason")
            more, reason, blocked = self.chunk(value, where)
            parts += more
            answer.text = "".join(p.get("text", "") for p in parts)
            told = usage(value["usageMetadata"], where) if "usageMetadata" in value else None
            ids.add((value["responseId"], value["modelVersion"]))
            need(len(ids) == 1, where, "another responseId or modelVersion")
        if answer.error or not clean and not (reason or blocked):
            return answer
        need(reason or blocked, "stream", "ended without a finishReason")
        need(told, "stream", "the last chunk lacks usageMetadata")
        return self.fold(parts, reason, blocked, told)

    def problem(self, value, status):
        shape(value, "error", {"error": lambda v, w: shape(
            v, w, {"code": {status}, "message": str, "status": re.compile("[A-Z_]+")}, {"details": [dict]})})
        word = value["error"]["status"]
        check(word, "error.status", STATUS.get(status, {word}))
        return {"status": status, "kind": word, "message": value["error"]["message"]}

    def error(self, status, head, data):
        del head
        return self.problem(loads(data), status)
