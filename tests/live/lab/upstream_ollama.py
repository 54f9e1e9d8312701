"""ollama.chat, as Ollama's server: its calls have no ids, its streams are lines."""

from .check import base64_bytes, between, check, loads, need, object_schema, shape
from .form import Ask
from .frames import dump, line, pieces
from .upstream import SECRET, Provider, header

TEXTS = {
    "bad": "invalid think value: \"foo\" (must be \"high\", \"medium\", \"low\", true, or false)",
    "auth": "unauthorized", "rate": "too many requests, please try again later",
    "server": "llama runner process has terminated: exit status 2",
    "overloaded": "server busy, please try again.  maximum pending requests exceeded",
    "context": "the input length exceeds the context length",
}
STATUS = {"bad": 400, "auth": 401, "rate": 429, "server": 500, "overloaded": 503, "context": 400}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "stop"}
OPTIONS = {"num_predict": int, "temperature": between(0, 100), "top_p": between(0, 1), "top_k": int,
           "min_p": between(0, 1), "seed": int, "stop": [str], "presence_penalty": float,
           "frequency_penalty": float, "num_ctx": int, "repeat_penalty": float, "num_keep": int}


def function_tool(value, where):
    shape(value, where, {"type": {"function"}, "function": lambda v, w: shape(
        v, w, {"name": str, "parameters": object_schema}, {"description": str})})


MEMBERS = {
    "tools": [function_tool], "stream": bool, "keep_alive": (str, int, float),
    "format": (dict, {"json", ""}), "think": (bool, {"low", "medium", "high"}),
    "options": lambda v, w: shape(v, w, {}, OPTIONS), "logprobs": bool, "top_logprobs": int,
}


class Ollama(Provider):
    dialect = "ollama.chat"
    model = "upstream-ollama"
    tells = {"input", "output"}
    finishes = {"stop", "length", "tools"}
    stream_type = "application/x-ndjson"

    def shows(self, ask):
        return bool(ask.show_thinking)

    def matches(self, path):
        return path == "/api/chat"

    def read(self, request):
        need(header(request, "authorization") == f"Bearer {SECRET}", "authorization", "unauthorized")
        body = loads(request.body)
        shape(body, "body", {"model": {self.model}, "messages": [dict]}, MEMBERS)
        need(body["messages"], "messages", "an empty list loads the model and says nothing")
        ask = Ask(stream=body.get("stream", True))
        waiting = []
        for i, message in enumerate(body["messages"]):
            waiting = self.message(ask, message, f"messages[{i}]", waiting)
        self.read_options(ask, body)
        return ask

    def message(self, ask, message, where, waiting):
        role = check(message.get("role"), f"{where}.role", {"system", "user", "assistant", "tool"})
        shape(message, where, {"role": str}, {
            "content": str, "images": [base64_bytes], "thinking": str, "tool_calls": [dict],
            "tool_name": str, "tool_call_id": str})
        need(role in ("user", "tool") or "images" not in message, where, "images belong to the user")
        parts = [{"kind": "text", "text": message["content"]}] if message.get("content") else []
        images = [{"kind": "image", "media": None, "data": d} for d in message.get("images", [])]
        if role == "system":
            if ask.turns:
                ask.turns.append(("system", parts))
            else:
                ask.system += message.get("content", "")
        elif role == "user":
            ask.user(*parts, *images)
        elif role == "tool":
            call = self.called(message, where, waiting)
            if not ask.turns or ask.turns[-1][0] != "user":
                ask.user()
            ask.turns[-1][1].append({"kind": "result", "id": call["id"], "name": call["name"],
                                     "error": False, "parts": parts + images})
        else:
            if message.get("thinking"):
                parts.insert(0, {"kind": "thinking", "text": message["thinking"]})
            waiting = [self.call(c, f"{where}.tool_calls[{k}]", len(ask.turns), k)
                       for k, c in enumerate(message.get("tool_calls", []))]
            ask.assistant(*parts, *waiting)
            waiting = list(waiting)
        return waiting

    @staticmethod
    def call(call, where, turn, k):
        shape(call, where, {"function": dict}, {"id": str, "type": {"function"}})
        shape(call["function"], f"{where}.function", {"name": str, "arguments": dict},
              {"index": int, "description": str})
        return {"kind": "call", "id": call.get("id") or f"turn {turn} call {k}",
                "name": call["function"]["name"], "args": call["function"]["arguments"]}

    @staticmethod
    def called(message, where, waiting):
        """Which call a result answers: the id tells, else the name, in order."""
        mine = [c for c in waiting if message.get("tool_call_id", c["id"]) == c["id"] and
                message.get("tool_name", c["name"]) == c["name"]]
        need(mine, where, f"answers no call: {message.get('tool_name')} {message.get('tool_call_id')}")
        waiting.remove(mine[0])
        return mine[0]

    @staticmethod
    def read_options(ask, body):
        ask.tools = [{"name": t["function"]["name"], "description": t["function"].get("description", ""),
                      "schema": t["function"]["parameters"]} for t in body.get("tools", [])]
        form = body.get("format", "")
        ask.schema, ask.json = (form, False) if isinstance(form, dict) else (None, form == "json")
        think = body.get("think")
        ask.effort = {None: None, False: "none", True: "on"}.get(think, think)
        ask.show_thinking = bool(think) if think is not None else None
        options = body.get("options", {})
        ask.stop = options.get("stop", [])
        for here, there in (("max_tokens", "num_predict"), ("temperature",) * 2, ("top_p",) * 2,
                            ("top_k",) * 2, ("seed",) * 2, ("presence", "presence_penalty"),
                            ("frequency", "frequency_penalty")):
            setattr(ask, here, options.get(there))
        need(body.get("logprobs") or "top_logprobs" not in body, "top_logprobs", "only with logprobs")
        ask.logprobs = body.get("top_logprobs", True) if body.get("logprobs") else None

    # ---- answers ----

    def front(self):
        return {"model": self.model, "created_at": "2026-09-23T11:04:05.123456789Z"}

    @staticmethod
    def figures(plan):
        return {"done": True, "done_reason": FINISH[plan.finish], "total_duration": 5043500667,
                "load_duration": 5025959, "prompt_eval_count": plan.input, "prompt_eval_duration": 325953000,
                "eval_count": plan.output, "eval_duration": 4709213000}

    @staticmethod
    def calls(plan):
        return [{"function": {"index": i, "name": name, "arguments": args}}
                for i, (name, args) in enumerate(plan.calls)]

    def whole(self, plan, ask):
        message = {"role": "assistant", "content": plan.text}
        if plan.thinking and ask.show_thinking:
            message["thinking"] = plan.thinking
        if plan.calls:
            message["tool_calls"] = self.calls(plan)
        return dump({**self.front(), "message": message, **self.figures(plan)})

    def stream(self, plan, ask):
        def say(content="", **more):
            return line({**self.front(), "message": {"role": "assistant", "content": content, **more},
                         "done": False})
        lines = []
        if plan.thinking and ask.show_thinking:
            lines += [say(thinking=p) for p in pieces(plan.thinking, 9)]
        if plan.text:
            lines += [say(p) for p in pieces(plan.text, 1000 if len(plan.text) > 9999 else 6)]
        lines += [say(tool_calls=[call]) for call in self.calls(plan)]
        return [*lines, line({**self.front(), "message": {"role": "assistant", "content": ""},
                              **self.figures(plan)})]

    def error(self, kind, message=""):
        return STATUS[kind], dump({"error": message or TEXTS[kind]}), []

    def broken(self, before):
        del before
        return [line({"error": TEXTS["server"]})]
