//! The settings of missions, read once at the daemon's start.

use std::collections::BTreeMap;
use std::time::Duration;

use sandboxed_domain::api::{ApiError, Effort};
use sandboxed_domain::harness::registry;
use sandboxed_domain::mission::Patience;
use sandboxed_domain::policy;

use crate::harness::CredentialSettings;

/// What counts as a number of seconds: up to a week.
const SECONDS: std::ops::RangeInclusive<u32> = 0..=604_800;
/// Seconds without a word after which a running turn has stalled.
const STALL: u32 = 900;
/// The same while a tool runs, which may be silent for hours.
const TOOL_STALL: u32 = 21_600;

/// Settings of all backends.
const FOR_ALL: [&str; 6] = [
    "SANDBOXED_SH_RATE_LIMIT_PARKS",
    "SANDBOXED_SH_RATE_LIMIT_SECONDS",
    "SANDBOXED_SH_RETRIES",
    "SANDBOXED_SH_RETRY_SECONDS",
    "SANDBOXED_SH_STALL_SECONDS",
    "SANDBOXED_SH_TOOL_STALL_SECONDS",
];
/// Settings of one backend, whose name follows.
const OF_BACKEND: [&str; 4] = [
    "SANDBOXED_SH_STALL_SECONDS_",
    "SANDBOXED_SH_TOOL_STALL_SECONDS_",
    "SANDBOXED_SH_DEFAULT_MODEL_",
    "SANDBOXED_SH_DEFAULT_EFFORT_",
];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissionSettings {
    /// Missions that may be active at once.
    pub max_parallel: u32,
    /// How often a mission goes on by itself.
    pub patience: Patience,
    /// Where credentials of backends come from.
    pub credentials: CredentialSettings,
    backends: BTreeMap<&'static str, Backend>,
}

/// What is set for one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Backend {
    stall: Option<Duration>,
    tool_stall: Option<Duration>,
    model: Option<String>,
    effort: Option<Effort>,
}

impl MissionSettings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// `invalid_argument`: a variable that cannot be used, by its name.
    pub fn from_env(max_parallel: u32) -> Result<Self, ApiError> {
        Self::parse(max_parallel, |name| std::env::var(name).ok())
    }

    /// Reads any source of variables. An empty value counts as absent.
    ///
    /// # Errors
    /// As [`MissionSettings::from_env`].
    pub fn parse(max_parallel: u32, get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u32, bounds: std::ops::RangeInclusive<u32>| match get(name) {
            Some(text) => in_bounds(name, &text, bounds),
            None => Ok(default),
        };
        let [parks, park_seconds, retries, retry_seconds, stall, tool_stall] = FOR_ALL;
        let patience = Patience {
            parks: number(parks, 10, 0..=1000)?,
            park_seconds: number(park_seconds, 60, SECONDS)?,
            retries: number(retries, 2, 0..=100)?,
            retry_seconds: number(retry_seconds, 10, SECONDS)?,
        };
        let stall = number(stall, STALL, SECONDS)?;
        let tool_stall = number(tool_stall, TOOL_STALL, SECONDS)?;
        let mut backends = BTreeMap::new();
        for harness in registry() {
            let id = harness.id();
            let [stall_of, tool_stall_of, model, effort] = OF_BACKEND.map(|prefix| own(prefix, id));
            let backend = Backend {
                stall: time(number(&stall_of, stall, SECONDS)?),
                tool_stall: time(number(&tool_stall_of, tool_stall, SECONDS)?),
                model: get(&model),
                effort: get(&effort).map(|text| policy::effort(&effort, &text)).transpose()?,
            };
            backends.insert(id, backend);
        }
        Ok(Self { max_parallel, patience, credentials: CredentialSettings::parse(get)?, backends })
    }

    /// Names of all settings, for those who pass them on.
    pub fn names() -> Vec<String> {
        let agents = registry().iter().filter(|harness| harness.program().is_some());
        let backends = agents.flat_map(|harness| OF_BACKEND.map(|prefix| own(prefix, harness.id())));
        let all = FOR_ALL.into_iter().chain(CredentialSettings::NAMES).map(str::to_owned);
        all.chain(backends).collect()
    }

    /// After how long without a word a turn of this backend has stalled, with a tool at work or without. None: never.
    pub fn stall(&self, backend: &str, tool: bool) -> Option<Duration> {
        let backend = self.backends.get(backend)?;
        if tool { backend.tool_stall } else { backend.stall }
    }

    /// The model that is used when none is named, where that is set.
    pub fn default_model(&self, backend: &str) -> Option<&str> {
        self.backends.get(backend)?.model.as_deref()
    }

    /// The same for the effort.
    pub fn default_effort(&self, backend: &str) -> Option<Effort> {
        self.backends.get(backend)?.effort
    }
}

fn own(prefix: &str, backend: &str) -> String {
    format!("{prefix}{}", backend.to_uppercase())
}

fn in_bounds(name: &str, text: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<u32, ApiError> {
    text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
        ApiError::invalid(name, format!("{text:?} is not a number that this can be")).hint(format!(
            "{} to {}",
            bounds.start(),
            bounds.end()
        ))
    })
}

fn time(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(set: &[(&str, &str)]) -> Result<MissionSettings, ApiError> {
        let found =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        MissionSettings::parse(4, found)
    }

    #[test]
    fn a_backends_own_setting_comes_before_the_one_for_all_and_zero_means_never() {
        let id = registry()[0].id();
        let own = |prefix: &str| format!("{prefix}{}", id.to_uppercase());
        let stall = own("SANDBOXED_SH_STALL_SECONDS_");
        let all = ("SANDBOXED_SH_STALL_SECONDS", "60");
        let seconds = |set: &[(&str, &str)]| parse(set).unwrap().stall(id, false).map(|time| time.as_secs());
        assert_eq!(seconds(&[]), Some(900));
        assert_eq!(seconds(&[all]), Some(60));
        assert_eq!(seconds(&[all, (&stall, "5")]), Some(5));
        assert_eq!(seconds(&[all, (&stall, "0")]), None);
        assert_eq!(seconds(&[("SANDBOXED_SH_STALL_SECONDS", "")]), Some(900));
        assert_eq!(parse(&[all]).unwrap().stall(id, true).map(|time| time.as_secs()), Some(21_600));
        let (model, effort) = (own("SANDBOXED_SH_DEFAULT_MODEL_"), own("SANDBOXED_SH_DEFAULT_EFFORT_"));
        let set = parse(&[(&model, "m-1"), (&effort, "high")]).unwrap();
        assert_eq!((set.default_model(id), set.default_effort(id)), (Some("m-1"), Some(Effort::High)));
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let effort = format!("SANDBOXED_SH_DEFAULT_EFFORT_{}", registry()[0].id().to_uppercase());
        for (name, value) in [
            ("SANDBOXED_SH_RETRIES", "many"),
            ("SANDBOXED_SH_RATE_LIMIT_PARKS", "-1"),
            ("SANDBOXED_SH_STALL_SECONDS", "604801"),
            (&effort, "huge"),
        ] {
            assert_eq!(parse(&[(name, value)]).unwrap_err().field.as_deref(), Some(name), "{value}");
        }
    }
}
