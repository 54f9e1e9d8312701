"""Calls as programs with Amazon's SDKs make them: signed; binary streams as botocore parses them."""

import hashlib
import hmac
import time
from urllib.parse import quote

from .caller import Caller, Tally, arguments, plus
from .check import between, check, is_json, loads, need, only, shape
from .frames import dump, read_frames

COUNT = between(0, 1 << 40, int)
STOPS = {"end_turn": "stop", "max_tokens": "length", "stop_sequence": "sequence", "tool_use": "tools",
         "content_filtered": "filter", "guardrail_intervened": "filter",
         "model_context_window_exceeded": "length"}
REGION = "us-east-1"


def signed(place, target, body):
    """Signature version 4, as SDKs sign."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host = f"127.0.0.1:{place.port}"
    names = "content-type;host;x-amz-date"
    canonical = "\n".join(["POST", quote(target, safe="/-_.~"), "", "content-type:application/json",
                           f"host:{host}", f"x-amz-date:{when}", "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = f"{when[:8]}/{REGION}/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{place.aws_secret}".encode()
    for part in (when[:8], REGION, "bedrock", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return [("X-Amz-Date", when), ("Authorization", f"AWS4-HMAC-SHA256 Credential={place.key}/{scope}, "
                                   f"SignedHeaders={names}, Signature={key.hex()}")]


def usage(value, where):
    shape(value, where, {"inputTokens": COUNT, "outputTokens": COUNT, "totalTokens": COUNT},
          {"cacheReadInputTokens": COUNT, "cacheWriteInputTokens": COUNT, "cacheDetails": list})
    full = plus(value["inputTokens"], value.get("cacheReadInputTokens"), value.get("cacheWriteInputTokens"))
    need(value["totalTokens"] == full + value["outputTokens"], where, f"total: {value}")
    return {"input": full, "output": value["outputTokens"],
            "cache_read": value.get("cacheReadInputTokens", 0)}


class Converse(Caller):
    dialect = "bedrock.converse"
    stream_type = "application/vnd.amazon.eventstream"
    tells = {"input", "output", "cache_read"}
    keeps = True
    finishes = {"stop": "stop", "sequence": "sequence", "length": "length", "tools": "tools",
                "filter": "filter", "refusal": "filter"}
    spells = {
        "system": "system", "turns": "messages", "tools": "toolConfig", "tool_results": "messages",
        "image": "image", "document": "document", "result_image": "image|toolResult",
        "result_error": "status", "schema": "outputConfig", "hard_schema": "outputConfig|schema|const|ref",
        "choice_any": "toolChoice", "choice_tool": "toolChoice",
        "tool_strict": "strict",
        "budget": "additionalModelRequestFields.thinking", "top_k": "additionalModelRequestFields.top_k",
        "stop": "stopSequences", "max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP",
        "metadata": "requestMetadata", "tier": "serviceTier", "cache_marks": "cachePoint",
    }

    def target(self, model, stream):
        return f"/model/{quote(model, safe='')}/" + ("converse-stream" if stream else "converse")

    def headers(self, place, target, body):
        return signed(place, target, body)

    # ---- the request ----

    def body(self, ask, model, stream):
        del model, stream
        body = {"messages": [self.turn(*t) for t in ask.turns]}
        if ask.system:
            body["system"] = [{"text": ask.system}, *([{"cachePoint": {"type": "default"}}]
                                                      if ask.cache_marks else [])]
        infer = {there: getattr(ask, here) for here, there in (
            ("max_tokens", "maxTokens"), ("temperature",) * 2, ("top_p", "topP"), ("stop", "stopSequences"))
            if getattr(ask, here)}
        if infer:
            body["inferenceConfig"] = infer
        if ask.tools:
            body["toolConfig"] = {"tools": [{"toolSpec": {
                "name": t["name"], "description": t["description"], "inputSchema": {"json": t["schema"]},
                **({"strict": True} if t.get("strict") else {})}} for t in ask.tools]}
            if ask.choice:
                name = ask.choice.partition(":")[2]
                body["toolConfig"]["toolChoice"] = {"tool": {"name": name}} if name else {ask.choice: {}}
        more = {"top_k": ask.top_k} if ask.top_k else {}
        if isinstance(ask.effort, tuple) or ask.show_thinking:
            budget = ask.effort[1] if isinstance(ask.effort, tuple) else 2048
            more["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if more:
            body["additionalModelRequestFields"] = more
        if ask.schema:
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
                "schema": dump(ask.schema).decode(), "name": "answer"}}}}
        if ask.metadata:
            body["requestMetadata"] = ask.metadata
        if ask.tier:
            body["serviceTier"] = {"type": ask.tier}
        return dump(body | ask.extra)

    def turn(self, role, parts):
        if parts[0]["kind"] == "raw":
            return parts[0]["value"]
        return {"role": role, "content": [self.part(p) for p in parts]}

    def part(self, part):
        kind = part["kind"]
        if kind == "text":
            return {"text": part["text"]}
        if kind == "call":
            return {"toolUse": {"toolUseId": part["id"], "name": part["name"], "input": part["args"]}}
        if kind == "result":
            return {"toolResult": {"toolUseId": part["id"], "content": [self.part(p) for p in part["parts"]],
                                   "status": "error" if part["error"] else "success"}}
        value = {"format": part["media"].partition("/")[2], "source": {"bytes": part["data"]}}
        return {kind: {**value, "name": "report"} if kind == "document" else value}

    # ---- the answer ----

    def whole(self, value):
        shape(value, "body", {"output": {"message": {"role": {"assistant"}, "content": [dict]}},
                              "stopReason": set(STOPS), "usage": usage, "metrics": {"latencyMs": COUNT}},
              {"additionalModelResponseFields": is_json, "trace": dict, "performanceConfig": dict,
               "serviceTier": dict})
        return self.fold(value["output"]["message"]["content"], value["stopReason"],
                         usage(value["usage"], "usage"))

    def fold(self, blocks, reason, told):
        answer = Tally().answer
        for k, block in enumerate(blocks):
            where = f"content[{k}]"
            kind = only(block, where, ("text", "toolUse", "reasoningContent"))
            shape(block, where, {kind: is_json})
            value = block[kind]
            if kind == "text":
                need(value, where, "an empty text cannot be sent back")
                answer.text += value
            elif kind == "toolUse":
                shape(value, where, {"toolUseId": str, "name": str, "input": dict})
                answer.calls.append({"id": value["toolUseId"], "name": value["name"], "args": value["input"]})
            elif only(value, where, ("reasoningText", "redactedContent")) == "reasoningText":
                text = shape(value["reasoningText"], where, {"text": str}, {"signature": str})
                answer.thinking += text["text"]
                answer.signatures += [text["signature"]] if "signature" in text else []
            else:
                answer.signatures.append(value["redactedContent"])
        answer.finish, answer.usage = STOPS[reason], told
        need((answer.finish == "tools") == bool(answer.calls) or answer.finish == "length", "stopReason",
             f"{reason} with {len(answer.calls)} calls")
        answer.raw = {"role": "assistant", "content": blocks}
        return answer

    def events(self, data, clean):
        blocks, state, reason, told, answer = [], "before", None, None, Tally().answer
        for i, (headers, payload) in enumerate(read_frames(data, clean)):
            kind = headers.get(":message-type")
            need(state not in ("over", "failed"), f"frame {i}", "something came behind the last one")
            if kind in ("exception", "error"):
                need(kind == "error" or headers.get(":content-type") == "application/json", f"frame {i}",
                     "type")
                name = headers.get(":exception-type", headers.get(":error-code"))
                text = loads(payload)["message"] if kind == "exception" else headers.get(":error-message")
                answer.error, state = {"status": 0, "kind": name, "message": text}, "failed"
                continue
            need(kind == "event" and headers.get(":content-type") == "application/json", f"frame {i}",
                 f"headers {headers}")
            name, value = headers[":event-type"], loads(payload)
            where = f"frame {i} ({name})"
            value.pop("p", None)
            if name == "messageStart":
                need(state == "before", where, f"while {state}")
                shape(value, where, {"role": {"assistant"}})
                state = "between"
            elif name == "messageStop":
                need(state == "between", where, f"while {state}")
                shape(value, where, {"stopReason": set(STOPS)}, {"additionalModelResponseFields": is_json})
                reason, state = value["stopReason"], "stopped"
            elif name == "metadata":
                need(state == "stopped", where, f"while {state}")
                shape(value, where, {"usage": usage, "metrics": {"latencyMs": COUNT}},
                      {"trace": dict, "performanceConfig": dict, "serviceTier": dict})
                told, state = usage(value["usage"], where), "over"
            else:
                state = self.step(blocks, state, name, value, where)
                answer.text = "".join(b.get("text", "") for b in blocks)
        if state == "over":
            return self.fold(blocks, reason, told)
        need(not clean or state == "failed", "stream", f"ended while {state}")
        return answer

    def step(self, blocks, state, name, value, where):
        """Only blocks of tools are started in so many words; others begin with their first piece."""
        at = check(value.get("contentBlockIndex"), where, int)
        if name == "contentBlockStart":
            need(state == "between" and at == len(blocks), where, f"{at} while {state}")
            shape(value, where, {"contentBlockIndex": int, "start": {
                "toolUse": {"toolUseId": str, "name": str}}})
            blocks.append({"toolUse": {**value["start"]["toolUse"], "input": ""}})
            return "in a block"
        if name == "contentBlockStop":
            need(state == "in a block" and at == len(blocks) - 1, where, f"{at} while {state}")
            shape(value, where, {"contentBlockIndex": int})
            use = blocks[-1].get("toolUse")
            if use:
                use["input"] = arguments(use["input"] or "{}", where)
            return "between"
        need(name == "contentBlockDelta", where, "unknown event")
        shape(value, where, {"contentBlockIndex": int, "delta": dict})
        kind = only(value["delta"], where, ("text", "toolUse", "reasoningContent"))
        if state == "between":
            need(kind != "toolUse" and at == len(blocks), where, f"{kind} {at} while {state}")
            blocks.append({"text": ""} if kind == "text" else {"reasoningContent": {}})
        need(at == len(blocks) - 1 and kind in blocks[-1], where, f"{kind} {at} in {blocks[-1]}")
        delta = value["delta"][kind]
        if kind == "text":
            blocks[-1]["text"] += check(delta, where, str)
        elif kind == "toolUse":
            blocks[-1]["toolUse"]["input"] += shape(delta, where, {"input": str})["input"]
        else:
            self.reason(blocks[-1]["reasoningContent"], delta, where)
        return "in a block"

    @staticmethod
    def reason(block, delta, where):
        member = only(delta, where, ("text", "signature", "redactedContent"))
        shape(delta, where, {member: str})
        if member == "redactedContent":
            block["redactedContent"] = block.get("redactedContent", "") + delta[member]
            return
        text = block.setdefault("reasoningText", {"text": ""})
        text[member] = text.get(member, "") + delta[member]

    def error(self, status, head, data):
        value = shape(loads(data), "error", {}, {"message": str, "Message": str, "code": str, "__type": str})
        name = (head.get("x-amzn-errortype") or "").partition(":")[0]
        need(name.endswith("Exception"), "x-amzn-ErrorType", f"is {name!r}")
        return {"status": status, "kind": name, "message": value.get("message", value.get("Message"))}
