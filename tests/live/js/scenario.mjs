// Runs the scenario named on the command line and prints what it returned as one line of JSON.
export const gateway = process.env.GATEWAY;
export const key = process.env.KEY;

export const weather = {
  name: "get_weather",
  description: "The weather of a city",
  schema: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city"],
  },
};

export async function run(scenarios) {
  const chosen = scenarios[process.argv[2]];
  if (!chosen) {
    throw new Error(`no scenario ${process.argv[2]}`);
  }
  console.log(JSON.stringify(await chosen()));
  process.exit(0);
}

// What a call that must fail threw, as plain data.
export async function failure(call) {
  try {
    await call();
  } catch (error) {
    return {
      status: error.status ?? error.statusCode ?? null,
      message: String(error.message),
      name: error.constructor.name,
      requestId: error.requestID ?? error.request_id ?? null,
      headers: Boolean(error.headers ?? error.responseHeaders),
    };
  }
  throw new Error("the call succeeded");
}
