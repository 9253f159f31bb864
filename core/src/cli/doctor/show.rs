//! The verb.

use super::{checks, mend};
use crate::cli::args::DoctorArgs;
use crate::cli::out;
use crate::cli::run::Outcome;
use crate::sandbox::Check;

/// Shows every check; exit status 1 when something required is missing.
pub(in crate::cli) async fn run(args: DoctorArgs) -> Outcome {
    let found = if args.fix {
        mend::fix(mend::Extent::All, &|text| out::say(text)).await?
    } else {
        checks::all().await
    };
    if args.json.json {
        out::json(&found)?;
    } else {
        out::raw(&text(&found))?;
    }
    Ok(u8::from(found.iter().any(|check| check.required && !check.ok)))
}

fn text(found: &[Check]) -> String {
    let width = found.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in found {
        let mark = match (check.ok, check.required) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "absent ",
        };
        text.push_str(&format!("{mark}  {:<width$}  {}\n", check.name, out::one_line(&check.detail, 300)));
        if !check.mend.is_empty() && check.mend != check.detail {
            text.push_str(&format!("{:9}{:width$}  -> {}\n", "", "", check.mend));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Need;

    #[test]
    fn a_failed_check_is_followed_by_its_mending() {
        let check = |name, ok: bool, need, mend: &str| {
            let found = if ok { Ok("found".to_owned()) } else { Err("found".to_owned()) };
            Check::of(name, need, found, mend)
        };
        let shown = text(&[
            check("git", true, Need::Repositories, ""),
            check("nspawn", false, Need::Sandboxes, "do it"),
            check("x", false, Need::Nat, "y"),
        ]);
        assert_eq!(
            shown,
            "ok       git     found\nMISSING  nspawn  found\n                 -> do it\nabsent   x       found\n                 -> y\n"
        );
    }
}
