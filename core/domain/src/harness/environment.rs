//! The environment that every harness starts with.

use std::collections::BTreeMap;

use super::{HostVariable, LaunchRequest, PlannedFile, credentials};

/// Where programs are looked for unless the worker's `env` says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Scratch space of the mission.
pub(super) fn tmp_dir(request: &LaunchRequest) -> String {
    format!("{}/tmp", request.mission_dir)
}

/// Defaults, then the worker's own variables, then what must be true: HOME and TMPDIR are the mission's.
pub(super) fn base(request: &LaunchRequest) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        [("PATH", DEFAULT_PATH), ("TERM", "dumb"), ("LANG", "C.UTF-8")].map(owned).into();
    env.extend(request.env.clone());
    env.extend([("HOME", request.mission_dir.as_str()), ("TMPDIR", &tmp_dir(request))].map(owned));
    env
}

/// For a CLI that hands its environment to the commands it runs in bash: a file that bash reads before a command because
/// `reader` names it, and that takes the credentials out. What the worker itself wanted read is read after it.
pub(super) fn without_keys_in_bash(
    env: &mut BTreeMap<String, String>,
    reader: &str,
    variables: &'static [HostVariable],
    mission_dir: &str,
) -> PlannedFile {
    let path = format!("{mission_dir}/.keyless.bash");
    let names: Vec<_> = credentials::secret(variables).map(|variable| variable.name).collect();
    let mut content = format!("unset {}\n", names.join(" "));
    if let Some(own) = env.insert(reader.to_owned(), path.clone()) {
        content.push_str(&format!(". '{}'\n", own.replace('\'', r"'\''")));
    }
    PlannedFile::private(path, content)
}

/// One variable.
pub(super) fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
