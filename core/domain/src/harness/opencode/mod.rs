//! OpenCode through ACP (`opencode acp`, written against 1.18.33).
//!
//! # Where its files go
//! Everything lives in the mission's own directory, which is HOME. Nothing is written into the working directory; what a
//! project's own `opencode.json` says counts beside ours, but not against the permission mode.
//!
//! | file in the mission's directory | how it comes into force |
//! |---|---|
//! | `.config/opencode/AGENTS.md` | read as the user's instructions, beside those of the repository |
//! | `.config/opencode/skills/`, `.config/opencode/agents/` | the user's skills (commands among them) and agents |
//! | `.config/opencode/opencode.json` | providers and models, and what calls home switched off |
//! | `.config/opencode/plugin/sandboxed-sh.js` | tells what the protocol leaves out, see below |
//! | `.config/opencode/package-lock.json`, `node_modules` | say that nothing is to be fetched from npm, for which it would wait |
//! | `.local/share/opencode/` | its sessions, and a link to the user's logins where they are lent and no key is given |
//!
//! The platform's MCP server goes over the protocol, the user's stand in the configuration.
//!
//! # The plugin
//! The protocol tells the tokens of a turn's last response only, and of a failure only its words. A plugin of ours runs
//! inside the process and writes notifications of its own to stdout: tokens and cost of each response, sub-agents'
//! included, the status that the provider answered with, and what is tried again. It ends a turn that tries for too
//! long, since the platform waits and tries by itself. And it takes the keys out of the environment before anything is
//! started, so commands and MCP servers do not get them.
//!
//! # What it does in its own way
//! - Over ACP nobody can be asked a question, and a permission is refused without a reason.
//! - Nobody would be asked for what a sub-agent may do, so there are none where it asks.
//! - Its plan mode never shows its plan, so that counts as not there.

mod dialect;
mod login;
mod models;
mod plan;

use std::collections::BTreeMap;

use super::acp::{self, AcpCodec};
use super::{
    AgentForm, Capabilities, Codec, Harness, HostVariable, LaunchPlan, LaunchRequest, LibraryPlaces,
    LoginFile, NativePlace, OPENCODE, Program, credentials,
};
use crate::api::{ApiError, AuthKind, Effort, PermissionMode};

/// A provider that takes a key from the host.
#[derive(Debug, Clone, Copy)]
struct Provider {
    /// Its id, the first part of its models' names.
    id: &'static str,
    /// Variable with its key.
    key: &'static str,
    /// Variable with another address.
    base_url: &'static str,
    /// Model where none is named, one of the CLI's own list.
    model: &'static str,
}

/// In order of preference; the plugin knows the same keys.
const PROVIDERS: [Provider; 2] = [
    Provider {
        id: "anthropic",
        key: "ANTHROPIC_API_KEY",
        base_url: "ANTHROPIC_BASE_URL",
        model: "anthropic/claude-sonnet-5",
    },
    Provider { id: "openai", key: "OPENAI_API_KEY", base_url: "OPENAI_BASE_URL", model: "openai/gpt-5.5" },
];

const HOST_VARIABLES: &[HostVariable] = &[
    HostVariable { name: PROVIDERS[0].key, auth: AuthKind::ApiKey },
    HostVariable { name: PROVIDERS[1].key, auth: AuthKind::ApiKey },
    HostVariable { name: PROVIDERS[0].base_url, auth: AuthKind::None },
    HostVariable { name: PROVIDERS[1].base_url, auth: AuthKind::None },
    HostVariable { name: RETRIES, auth: AuthKind::None },
];

/// How often the plugin lets it try again; OpenCode itself has no such setting.
const RETRIES: &str = "OPENCODE_MAX_RETRIES";

/// Providers for which there is a key.
fn with_key(credentials: &BTreeMap<String, String>) -> impl Iterator<Item = &'static Provider> {
    let held = credentials::held(HOST_VARIABLES, credentials);
    held.filter_map(|variable| PROVIDERS.iter().find(|provider| provider.key == variable.name))
}

/// See the module.
pub(super) struct OpenCode;

impl Harness for OpenCode {
    fn id(&self) -> &'static str {
        "opencode"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { cost: true, ..Capabilities::AGENT }
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&OPENCODE)
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        HOST_VARIABLES
    }

    fn one_credential(&self) -> bool {
        false
    }

    fn login(&self) -> Option<&'static LoginFile> {
        Some(&login::FILE)
    }

    fn default_model(&self, credentials: &BTreeMap<String, String>, login: &[String]) -> &'static str {
        let opened = PROVIDERS.iter().find(|provider| login.iter().any(|id| id == provider.id));
        with_key(credentials).next().or(opened).map_or("", |provider| provider.model)
    }

    fn check_model(&self, model: Option<&str>, _effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        models::check(model)
    }

    fn permission_modes(&self) -> &'static [PermissionMode] {
        &acp::MODES
    }

    fn session_keeps_message(&self) -> bool {
        true
    }

    fn skills_dir(&self) -> Option<&'static str> {
        Some(".config/opencode/skills")
    }

    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces {
            agents: Some((".config/opencode/agents", AgentForm::Markdown { extra: "mode: subagent\n" })),
            // Over the protocol a message that begins with a slash is a message.
            commands: None,
            native: Some(NativePlace {
                folder: "opencode",
                home: ".config/opencode",
                settings: "opencode.json",
                written: None,
                instructions: "AGENTS.md",
                // The first two would count more than our settings.
                reserved: &[
                    "opencode.jsonc",
                    "config.json",
                    "package-lock.json",
                    "node_modules",
                    "plugin/sandboxed-sh.js",
                    "skills",
                    "agents",
                ],
            }),
        }
    }

    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
        plan::plan(self, request)
    }

    fn codec(&self) -> Box<dyn Codec + Send> {
        Box::new(AcpCodec::new(&dialect::OpenCode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_hides_every_key_that_is_given() {
        for provider in PROVIDERS {
            let pair = format!("{}: \"{}\"", provider.id, provider.key);
            assert!(plan::PLUGIN.contains(&pair), "{pair}");
        }
        assert!(plan::PLUGIN.contains(RETRIES));
    }
}
