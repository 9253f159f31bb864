//! One thing that was looked at, and how it would be mended.

use serde::Serialize;

/// How mending commands begin that `doctor --fix` carries out.
const FIXES: [&str; 3] = ["apt-get install ", "modprobe ", "sysctl -w "];
/// Named where `doctor --fix` builds what is missing.
const BUILDS: &str = "doctor --fix";

/// What does not work without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Any sandbox.
    Sandboxes,
    /// The daemon itself.
    Daemon,
    /// Making an image.
    Images,
    /// Worktrees and what agents do with git.
    Repositories,
    /// The network mode `nat`.
    Nat,
    /// One agent.
    Agents,
    /// Desktops made by `desktop-mcp` on this machine.
    Desktops,
    /// Limits of disk space by the file system itself.
    DiskLimits,
    /// Nothing: all works, but slower.
    Speed,
    /// Nothing: a wall is thinner than it could be, and the detail says which.
    Isolation,
}

/// One thing that was looked at. Scripts read these fields: they stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable short name.
    pub name: &'static str,
    /// Whether it is as needed.
    pub ok: bool,
    /// Whether nothing can run without it; otherwise only what `needed_for` says is missing.
    pub required: bool,
    /// What does not work without it.
    pub needed_for: Need,
    /// What was found.
    pub detail: String,
    /// The command that mends it, else what to do; empty when it is fine.
    pub mend: String,
    /// Whether `doctor --fix` carries that command out.
    pub fixable: bool,
}

impl Check {
    /// From what was found, or why it is not as needed.
    pub fn of(name: &'static str, needed_for: Need, found: Result<String, String>, mend: &str) -> Self {
        let ok = found.is_ok();
        Self {
            name,
            ok,
            required: matches!(needed_for, Need::Sandboxes | Need::Daemon),
            needed_for,
            detail: found.unwrap_or_else(|why| why),
            mend: if ok { String::new() } else { mend.to_owned() },
            fixable: !ok && (mend.contains(BUILDS) || FIXES.iter().any(|begin| mend.starts_with(begin))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fine_has_no_mending_and_only_commands_that_are_carried_out_count_as_fixable() {
        let good = Check::of("x", Need::Sandboxes, Ok("found".into()), "apt-get install x");
        assert!(good.ok && good.required && good.mend.is_empty() && !good.fixable, "{good:?}");
        let bad = |mend| Check::of("x", Need::Nat, Err("missing".into()), mend);
        assert!(bad("apt-get install x").fixable && !bad("apt-get install x").required);
        assert!(!bad("boot another kernel").fixable);
        let json = serde_json::to_value(bad("modprobe x")).unwrap();
        let expected = serde_json::json!({
            "name": "x", "ok": false, "required": false, "needed_for": "nat", "detail": "missing",
            "mend": "modprobe x", "fixable": true,
        });
        assert_eq!(json, expected);
    }
}
