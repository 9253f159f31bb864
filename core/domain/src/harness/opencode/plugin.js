// Written by sandboxed-sh, anew for each run. Tells on stdout, as notifications beside the protocol, what the protocol
// leaves out: what each response used and cost, and why the provider failed. Keeps the keys for OpenCode itself.

// OpenCode loads a plugin once for each directory that it opens; all of them share this.
const shared = (globalThis.sandboxedSh ??= { keys: {}, failures: {}, children: new Set(), steps: new Set() })

const KEYS = { openai: "OPENAI_API_KEY", anthropic: "ANTHROPIC_API_KEY" }
const RETRIES = Number(process.env.OPENCODE_MAX_RETRIES || 3)
// A pause that is longer is the platform's to wait for.
const LONGEST_PAUSE_MS = 60_000

const tell = (params) =>
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", method: "_sandboxed/told", params }) + "\n")

// What a provider's own way with HTTP would not tell while it is tried again: the status.
const watched = (provider) => async (input, init) => {
  delete shared.failures[provider]
  const response = await fetch(input, init)
  if (response.status >= 400) shared.failures[provider] = response.status
  return response
}

// Commands and MCP servers get the environment as it is after this.
const takeKeys = (config) => {
  for (const [provider, variable] of Object.entries(KEYS)) {
    if (process.env[variable]) shared.keys[provider] = process.env[variable]
    delete process.env[variable]
    if (!shared.keys[provider]) continue
    const known = ((config.provider ??= {})[provider] ??= {})
    known.options = { ...known.options, apiKey: shared.keys[provider], fetch: watched(provider) }
  }
}

const step = (part) => {
  if (part.type !== "step-finish" || shared.steps.has(part.id)) return
  shared.steps.add(part.id)
  const { input, output, reasoning, cache } = part.tokens
  tell({ kind: "usage", input: input + cache.read + cache.write, output: output + reasoning, cost: part.cost })
}

const status = () => Object.values(shared.failures)[0] ?? null

const retry = async (client, session, { attempt, message, next }) => {
  const late = next - Date.now() > LONGEST_PAUSE_MS
  if (attempt <= RETRIES && !late) return tell({ kind: "retry", attempt, message })
  tell({ kind: "gave_up", status: status(), message, resets_at: late ? Math.ceil(next / 1000) : null })
  await client.session.abort({ path: { id: session } })
}

// The protocol tells nothing of MCP servers.
const servers = async (client) => {
  const { data } = await client.mcp.status()
  for (const [name, { status, error }] of Object.entries(data ?? {})) tell({ kind: "mcp", name, status, error })
}

export const SandboxedSh = async ({ client }) => ({
  config: async (config) => takeKeys(config),
  event: async ({ event }) => {
    const { type, properties } = event
    if (type === "session.created" && properties.info.parentID) shared.children.add(properties.info.id)
    if (type === "message.part.updated") step(properties.part)
    if (shared.children.has(properties.sessionID)) return
    if (type === "session.status" && properties.status.type === "busy") await servers(client)
    if (type === "session.status" && properties.status.type === "retry")
      await retry(client, properties.sessionID, properties.status)
    if (type === "session.error" && properties.error?.name !== "MessageAbortedError")
      tell({ kind: "failed", name: properties.error?.name, status: properties.error?.data?.statusCode ?? null,
             retryable: properties.error?.data?.isRetryable ?? null })
  },
})
